"""Put the tables of labels into docs/labels.md and docs/coming-from/.

They are those by which labels are read.  Run it with `--write` after changing `torpor.config.labels`;
a test says when that was forgotten.
"""

from __future__ import annotations

import sys
from pathlib import Path

from torpor.config.labels.reading import DIALECTS
from torpor.config.labels.table import Dialect

HERE = Path(__file__).parent
PAGES = {
    "torpor": HERE / "labels.md",
    "GoDoxy": HERE / "coming-from/godoxy.md",
    "Sablier": HERE / "coming-from/sablier.md",
    "Lazytainer": HERE / "coming-from/lazytainer.md",
}
"""By the name of the dialect."""
BEGIN = "<!-- begin: labels, printed by docs/make_labels.py -->\n"
END = "<!-- end -->\n"


def label_table(dialect: Dialect) -> str:
    """One row per entry: the label, what it becomes, and what to know."""
    lines = ["| label | torpor.yaml | |", "|---|---|---|"]
    for entry in dialect.table:
        label = entry.label.replace("**", "…").replace("*", "NAME")
        lines.append(f"| `{label}` | {entry.becomes or '–'} | {entry.why} |")
    return "\n".join(lines) + "\n"


def page_with_table(name: str) -> str:
    """The page of a dialect with what is current between its marks."""
    dialect = next(one for one in DIALECTS if one.name == name)
    before, _, rest = PAGES[name].read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{label_table(dialect)}\n{END}{after}"


if __name__ == "__main__":
    for name, page in PAGES.items():
        if "--write" in sys.argv:
            page.write_text(page_with_table(name), encoding="utf-8")
        else:
            sys.stdout.write(page_with_table(name))
