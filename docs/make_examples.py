"""Put the files of integrations/ into the page that explains them.

    python docs/make_examples.py           print the page
    python docs/make_examples.py --write   write it

A comment `<!-- integrations/… -->` stands above the code block that shows the file.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/behind-a-proxy.md"

_BLOCK = re.compile(r"(<!-- (integrations/\S+) -->\n\n```\w*\n).*?(^```$)", re.MULTILINE | re.DOTALL)


def page_with_files(page: str) -> str:
    """The page with the files as they are now."""
    return _BLOCK.sub(
        lambda found: found[1] + (ROOT / found[2]).read_text(encoding="utf-8") + found[3],
        page,
    )


def shown(page: str) -> set[str]:
    """The files that the page shows."""
    return {found[2] for found in _BLOCK.finditer(page)}


if __name__ == "__main__":
    made = page_with_files(PAGE.read_text(encoding="utf-8"))
    if "--write" in sys.argv[1:]:
        PAGE.write_text(made, encoding="utf-8")
    else:
        sys.stdout.write(made)
