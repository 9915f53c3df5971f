"""OpenWrt's configuration files (UCI): sections of options, by the rules of libuci."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from torpor.errors import CannotImport
from torpor.importers.values import Said, Value

_TOKEN = re.compile(r"""\s*(#.*|(?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s'"\\])+)""")
_PART = re.compile(r"""'([^']*)'|"((?:\\.|[^"\\])*)"|\\(.)|([^'"\\]+)""")
_ESCAPED = re.compile(r"\\(.)")


@dataclass
class Section:
    """One section with its options."""

    type: str
    name: str
    """Empty where it has none."""
    file: str
    line: int
    settings: dict[str, Value] = field(default_factory=dict)
    """The last word counts of an option; a list keeps all of its own."""


def parse_uci(text: str, file: str) -> list[Section]:
    """The sections in the order of the file; a type and name that stand twice are one section.

    Raises `CannotImport` with the line of what is no UCI.
    """
    sections: list[Section] = []
    for number, raw in enumerate(text.splitlines(), 1):
        words = _words(raw, f"{file}:{number}")
        match words:
            case [] | ["package", _]:
                pass
            case ["config", kind] | ["config", kind, _]:
                name = words[2] if len(words) > 2 else ""
                again = [one for one in sections if name and (one.type, one.name) == (kind, name)]
                if again:
                    sections.remove(again[0])
                sections.append(again[0] if again else Section(kind, name, file, number))
            case ["option" | "list", _, _] if not sections:
                raise CannotImport(f"{file}:{number}: a setting stands before the first section")
            case ["option", name, value]:
                sections[-1].settings[name] = value
            case ["list", name, value]:
                before = sections[-1].settings.get(name)
                sections[-1].settings[name] = Said([*(before if isinstance(before, Said) else []), value])
            case _:
                raise CannotImport(
                    f"{file}:{number}: is none of `config TYPE [NAME]`, `option NAME VALUE` and `list NAME VALUE`",
                    hint="A value with blanks has to stand in quotes.",
                )
    return sections


def _words(line: str, place: str) -> list[str]:
    words: list[str] = []
    at = 0
    while line[at:].strip():
        token = _TOKEN.match(line, at)
        if token is None:
            raise CannotImport(f"{place}: a quote is not closed")
        at = token.end()
        if token[1].startswith("#"):
            break
        words.append("".join(map(_plain, _PART.finditer(token[1]))))
    return words


def _plain(part: re.Match[str]) -> str:
    quoted, double, escaped, bare = part.groups()
    if double is not None:
        return _ESCAPED.sub(r"\1", double)
    return str(next(one for one in (quoted, escaped, bare) if one is not None))
