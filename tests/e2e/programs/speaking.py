"""An app that says what it is told to, by `torpor.notify`.

Each argument is FILE:WORD:VALUE: wait for the file (none: at once), then say the word.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from torpor import notify


def main() -> None:
    for argument in sys.argv[1:]:
        path, word, value = argument.split(":")
        while path and not Path(path).exists():
            time.sleep(0.01)
        if word == "extend_timeout":
            notify.extend_timeout(float(value))
        elif value:
            getattr(notify, word)(value)
        else:
            getattr(notify, word)()
    while True:
        time.sleep(1000)


if __name__ == "__main__":
    main()
