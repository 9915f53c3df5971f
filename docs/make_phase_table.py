"""Print the table of phases, and the rule for what follows an end, into docs/how-it-works.md.

They are those that the core decides by.  Run it after changing `torpor.core.machine` or
`torpor.core.endings`; a test says when that was forgotten.
"""

from __future__ import annotations

from pathlib import Path

from torpor.core.endings import RULES
from torpor.core.machine import table

PAGE = Path(__file__).with_name("how-it-works.md")
BEGIN = "<!-- begin: {}, printed by docs/make_phase_table.py -->\n"
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


def rule_table() -> str:
    """The rule for what follows an end in Markdown: a row per line, top down."""
    lines = ["| it | `want` | `restart` | wanted meanwhile | others serve | then |", "|---" * 6 + "|"]
    words = {None: "", True: "yes", False: "no"}
    for rule in RULES:
        given = (", ".join(rule.ending), ", ".join(rule.want), ", ".join(rule.restart))
        cells = (*given, words[rule.demand], words[rule.missed], rule.then)
        lines.append("| " + " | ".join(cell or "–" for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def page_with_tables(page: str) -> str:
    """The page with what is current between its marks."""
    for name, text in (("the rule", rule_table()), ("the table", phase_table())):
        begin = BEGIN.format(name)
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(END)
        page = f"{before}{begin}\n{text}\n{END}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(page_with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
