"""Print the table of phases into docs/how-it-works.md, from the one that the core decides by.

Run it after changing `torpor.core.machine`; a test says when that was forgotten.
"""

from __future__ import annotations

from pathlib import Path

from torpor.core.machine import table

PAGE = Path(__file__).with_name("how-it-works.md")
BEGIN = "<!-- begin: printed by docs/make_phase_table.py -->\n"
END = "<!-- end -->\n"
NOTHING = "ignore"


def phase_table() -> str:
    """The table in Markdown: one row per input, one column per phase, then what the moves do."""
    cells: dict[str, dict[str, str]] = {}
    moves: dict[str, str] = {}
    for phase, message, move, meaning in table():
        cells.setdefault(message, {})[phase] = "–" if move == NOTHING else move
        if move != NOTHING:
            moves[move] = meaning
    phases = list(dict.fromkeys(phase for phase, *_ in table()))
    lines = ["| input | " + " | ".join(phases) + " |", "|---" * (len(phases) + 1) + "|"]
    lines += [
        f"| `{message}` | " + " | ".join(row[phase] for phase in phases) + " |"
        for message, row in cells.items()
    ]
    lines += ["", "| move | what it does |", "|---|---|"]
    lines += [f"| {move} | {' '.join(moves[move].split())} |" for move in sorted(moves)]
    return "\n".join(lines) + "\n"


def page_with_table(page: str) -> str:
    """The page with the current table between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{phase_table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
