"""supervisord's INI files, by the rules of Python's configparser as supervisord uses it."""

from __future__ import annotations

from dataclasses import dataclass, field

from torpor.errors import CannotImport


@dataclass
class Section:
    """One section with its settings; one that stands twice is one."""

    name: str
    file: str
    line: int
    settings: dict[str, str] = field(default_factory=dict)
    """By lower-case name; the last one said counts."""


def parse_ini(text: str, file: str, sections: dict[str, Section]) -> None:
    """Add the sections of a file to `sections`.  Raises `CannotImport` with the line of what is none."""
    section: Section | None = None
    name: str | None = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = _without_comment(raw)
        stripped = line.strip()
        if not stripped:
            continue
        if line[0].isspace() and section is not None and name is not None:
            section.settings[name] += f"\n{stripped}"
            continue
        if stripped.startswith("["):
            if "]" not in stripped:
                raise CannotImport(f"{file}:{number}: a section's ']' is missing")
            title, name = stripped[1 : stripped.index("]")], None
            section = sections.setdefault(title, Section(title, file, number))
            continue
        if section is None:
            raise CannotImport(f"{file}:{number}: a setting stands before the first [section]")
        at = min((i for i in (stripped.find("="), stripped.find(":")) if i > 0), default=-1)
        if at < 0:
            raise CannotImport(
                f"{file}:{number}: is neither a [section] nor NAME=value",
                hint="A further line of a value has to be indented.",
            )
        name = stripped[:at].strip().lower()
        section.settings[name] = stripped[at + 1 :].strip()


def _without_comment(line: str) -> str:
    """The line up to a `;` or `#` that stands first or behind white space."""
    if line.lstrip()[:1] in {";", "#"}:
        return ""
    for position in range(1, len(line)):
        if line[position] in ";#" and line[position - 1].isspace():
            return line[:position].rstrip()
    return line
