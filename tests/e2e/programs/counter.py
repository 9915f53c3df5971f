"""A worker that writes numbered lines for ever, faster than a line per turn of a busy loop."""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--break-once", type=Path, help="exit with code 3 unless this file exists; make it")
    parser.add_argument("--break-after", type=Path, help="exit with code 4 once this file exists")
    options = parser.parse_args()
    if options.break_once is not None and not options.break_once.exists():
        options.break_once.touch()
        sys.exit(3)
    for number in itertools.count():
        print(f"line {number}", flush=True)
        if options.break_after is not None and options.break_after.exists():
            sys.exit(4)
        time.sleep(0.01)


if __name__ == "__main__":
    main()
