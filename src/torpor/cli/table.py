"""A table for people: aligned by visible width, narrowed to the terminal, coloured last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torpor.cli.terminal import fit, pad, paint, width

GAP = "  "


@dataclass(frozen=True, slots=True)
class Column:
    """One column.  Where room is short, the one with the lowest `keep` shrinks or goes first.

    The first one shrinks in its turn but never goes: it says what a line is about.
    """

    title: str
    keep: int
    right: bool = False
    least: int | None = None
    """The width to which it may be cut; None: it is shown whole or not at all."""


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of all columns, a colour per column index, and a line below with its colour."""

    cells: Sequence[str]
    colours: dict[int, str]
    note: str | None = None
    note_colour: str | None = None


def render(
    columns: Sequence[Column], rows: Sequence[Row], *, room: int | None, headers: bool, colour: bool
) -> str:
    """The table as text; every line ends with a line feed and has no trailing space."""
    widths = [
        max(width(column.title) if headers else 0, *(width(row.cells[i]) for row in rows), 0)
        for i, column in enumerate(columns)
    ]
    shown = _narrow(columns, widths, room)
    lines = []
    if headers:
        titles = Row([column.title for column in columns], dict.fromkeys(range(len(columns)), "dim"))
        lines.append(_line(columns, titles, shown, widths, colour))
    for row in rows:
        lines.append(_line(columns, row, shown, widths, colour))
        if row.note:
            note = "  └ " + row.note
            lines.append(paint(note if room is None else fit(note, room), row.note_colour, on=colour))
    return "".join(line.rstrip() + "\n" for line in lines)


def _narrow(columns: Sequence[Column], widths: list[int], room: int | None) -> list[int]:
    """Choose the columns to show; cuts `widths` in place."""
    shown = list(range(len(columns)))
    if room is None:
        return shown
    for index in sorted(shown, key=lambda i: columns[i].keep):
        excess = sum(widths[i] for i in shown) + len(GAP) * (len(shown) - 1) - room
        if excess <= 0:
            break
        least = columns[index].least
        if least is not None and widths[index] - excess >= least:
            widths[index] -= excess
        elif index != 0:
            shown.remove(index)
    widths[0] = min(widths[0], room)
    return shown


def _line(
    columns: Sequence[Column], row: Row, shown: Sequence[int], widths: Sequence[int], colour: bool
) -> str:
    cells = []
    for index in shown:
        text = pad(fit(row.cells[index], widths[index]), widths[index], right=columns[index].right)
        cells.append(paint(text, row.colours.get(index), on=colour))
    return GAP.join(cells)
