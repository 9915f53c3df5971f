"""`torpor` and `python -m torpor`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; never returns."""
    from torpor.cli.app import run  # noqa: PLC0415  # so that Ctrl-C during imports is the only unhandled one

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
