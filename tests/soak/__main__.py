"""The command line of the soak: see `scripts/soak`."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from soak.soak import Soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak")
    parser.add_argument("--seconds", type=float, default=1800.0)
    parser.add_argument(
        "--seed", type=int, default=random.randrange(10**6), help="of an earlier run, to see it again"
    )
    parser.add_argument("--no-daemon-kills", action="store_true")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as home:
        report = Soak(
            Path(home, "0"), options.seconds, options.seed, crashes=not options.no_daemon_kills
        ).run()
    print(report)
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
