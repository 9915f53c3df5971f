"""Draw docs/images/tiers.svg, what each depth of sleep costs, from the table in docs/benchmarks.md.

python docs/make_plot.py --write
"""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).parent
TABLE = DOCS / "benchmarks.md"
PICTURE = DOCS / "images" / "tiers.svg"
BEGIN = "| | first answer | p95 | page drawn | p95 | resident | swapped |"

WIDTH, LEFT, BAR, GAP, TOP = 720, 110, 18, 34, 46
MIDDLE = 400
"""Where the second half of the picture begins."""
HALF = 240
"""The length of the longest bar."""
COLOURS = {"awake": "#2e9e5b", "paused": "#3b82c4", "hibernated": "#7a5cc4", "stopped": "#8a8f98"}


class Row(NamedTuple):
    """One depth of sleep."""

    name: str
    answer: float
    """Milliseconds until the first answer, median."""
    memory: float
    """Resident megabytes."""


def rows(page: str) -> list[Row]:
    """The figures of the table.  Raises `ValueError` if it is not there."""
    lines = page[page.index(BEGIN) :].splitlines()[2:]
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        cells = [cell.strip().replace(",", "") for cell in line.strip("|").split("|")]
        megabytes = re.match(r"\d+", cells[5])
        found.append(Row(cells[0], float(cells[1]), float(megabytes[0]) if megabytes else 0.0))
    return found


def draw(figures: list[Row]) -> str:
    """The picture: two halves with a bar for each depth; time is drawn by its logarithm."""
    longest, most = max(row.answer for row in figures), max(row.memory for row in figures)
    height = TOP + GAP * len(figures) + 10
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    font = 'font-family="system-ui, sans-serif" font-size="14"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font} role="img">',
        "<title>What each depth of sleep costs</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="24" font-weight="600">first answer (logarithmic)</text>',
        f'<text x="{MIDDLE + 40}" y="24" font-weight="600">resident memory</text>',
    ]
    for number, row in enumerate(figures):
        y = TOP + GAP * number
        colour = COLOURS.get(row.name, "#333333")
        time = HALF * math.log10(1 + row.answer) / math.log10(1 + longest)
        memory = HALF * row.memory / most
        said = f"{row.answer / 1000:.1f} s" if row.answer >= 1000 else f"{row.answer:g} ms"
        parts += [
            f'<text x="{LEFT - 10}" y="{y + 14}" text-anchor="end">{row.name}</text>',
            _bar(LEFT, y, time * 0.85, colour, said),
            _bar(MIDDLE + 40, y, memory * 0.85, colour, f"{row.memory:g} MB"),
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _bar(x: float, y: float, length: float, colour: str, said: str) -> str:
    bar = f'<rect x="{x:g}" y="{y:g}" width="{max(1.0, length):.1f}" height="{BAR}" rx="2" fill="{colour}"/>'
    return bar + f'<text x="{x + length + 8:.1f}" y="{y + 14:g}" fill="#333333">{said}</text>'


def picture() -> str:
    """What is to stand in the file."""
    return draw(rows(TABLE.read_text(encoding="utf-8")))


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PICTURE.write_text(picture(), encoding="utf-8")
    else:
        sys.exit(0 if PICTURE.read_text(encoding="utf-8") == picture() else "run docs/make_plot.py --write")
