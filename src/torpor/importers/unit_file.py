"""systemd's unit files: sections, lists, drop-ins, quotes and specifiers."""

from __future__ import annotations

import glob
import os
import platform
import pwd
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from torpor.errors import CannotImport
from torpor.importers.place import read_text

_ESCAPES = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "s": " ",
    "\\": "\\",
    '"': '"',
    "'": "'",
}
_HEX = re.compile(r"\\(?:x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))")


@dataclass
class Unit:
    """A unit file with its drop-ins."""

    file: str
    sections: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """By section and name all values in their order; an empty assignment has taken away those before it."""

    @property
    def name(self) -> str:
        """`web@1` of web@1.service."""
        return os.path.basename(self.file).removesuffix(".service")

    @property
    def prefix(self) -> str:
        """`web` of web@1.service."""
        return self.name.partition("@")[0]

    @property
    def instance(self) -> str | None:
        """`1` of web@1.service, nothing of web@.service; None of web.service."""
        return self.name.partition("@")[2] if "@" in self.name else None

    def last(self, name: str) -> str:
        """The last value of a setting of `[Service]` or `[Unit]`; empty without one."""
        for section in ("Service", "Unit"):
            values = self.sections.get(section, {}).get(name)
            if values:
                return values[-1]
        return ""


def read_unit(file: str) -> Unit:
    """The unit with what the drop-ins beside it say.  Raises `CannotImport`."""
    unit = Unit(file)
    _parse(read_text(file), file, unit)
    found = {
        os.path.basename(each): each
        for folder in _drop_in_folders(unit)
        for each in glob.glob(os.path.join(glob.escape(os.path.dirname(file)), glob.escape(folder), "*.conf"))
    }
    for name in sorted(found):
        _parse(read_text(found[name]), found[name], unit)
    if "Service" not in unit.sections:
        raise CannotImport(f"{file}: has no [Service] section", hint="Only .service units can be imported.")
    return unit


def _drop_in_folders(unit: Unit) -> list[str]:
    """Where drop-ins lie: those of all services first, those of the unit itself last.

    Of two files of one name the later one counts, as with systemd: `service.d`, then for a-b-c.service `a-.service.d`,
    `a-b-.service.d` and `a-b-c.service.d`; an instance has those of its template before its own.
    """
    *parts, _ = unit.prefix.split("-")
    prefixes = [*("-".join(parts[: at + 1]) + "-" for at in range(len(parts))), unit.prefix]
    kinds = [""] if unit.instance is None else ["@", *([f"@{unit.instance}"] if unit.instance else [])]
    return ["service.d", *(f"{prefix}{kind}.service.d" for prefix in prefixes for kind in kinds)]


def _parse(text: str, file: str, unit: Unit) -> None:
    section: dict[str, list[str]] | None = None
    for number, line in _logical_lines(text):
        if line.startswith("["):
            if not line.endswith("]"):
                raise CannotImport(f"{file}:{number}: a section's ']' is missing")
            section = unit.sections.setdefault(line[1:-1], {})
            continue
        name, equals, value = line.partition("=")
        if section is None or not equals:
            what = (
                "a setting stands before the first [section]"
                if section is None
                else "is neither [section] nor Name=value"
            )
            raise CannotImport(f"{file}:{number}: {what}")
        values = section.setdefault(name.strip(), [])
        if value.strip():
            values.append(value.strip())
        else:
            values.clear()


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Lines with their numbers; a backslash at the end goes on, comments between are skipped."""
    lines: list[tuple[int, str]] = []
    going_on = False
    for number, raw in enumerate(text.splitlines(), 1):
        stripped = raw.strip()
        if stripped.startswith(("#", ";")) or (not stripped and not going_on):
            continue
        more = stripped.endswith("\\")
        part = stripped[:-1].rstrip() if more else stripped
        if going_on:
            first, before = lines[-1]
            lines[-1] = (first, f"{before} {part}")
        else:
            lines.append((number, part))
        going_on = more
    return lines


def split_words(text: str) -> list[str]:
    """The words of a value, by systemd's rules for quotes and escapes.  Raises `ValueError`."""
    words: list[str] = []
    word: list[str] | None = None
    quote = ""
    at = 0
    while at < len(text):
        char = text[at]
        if char == "\\":
            word = word if word is not None else []
            piece, at = _escape(text, at)
            word.append(piece)
            continue
        at += 1
        if quote:
            if char == quote:
                quote = ""
            else:
                assert word is not None
                word.append(char)
        elif char in "'\"":
            quote, word = char, word if word is not None else []
        elif char.isspace():
            if word is not None:
                words.append("".join(word))
            word = None
        else:
            word = word if word is not None else []
            word.append(char)
    if quote:
        raise ValueError(f"a {quote} is never closed")
    return words if word is None else [*words, "".join(word)]


def _escape(text: str, at: int) -> tuple[str, int]:
    if match := _HEX.match(text, at):
        digits = match[1] or match[3] or match[4]
        code = int(digits, 16) if digits else int(match[2], 8)
        return chr(min(code, 0x10FFFF)), match.end()
    following = text[at + 1 : at + 2]
    if following in _ESCAPES and following:
        return _ESCAPES[following], at + 2
    # systemd leaves what it does not know.
    return "\\", at + 1


def specifiers(unit: Unit, user: str) -> Callable[[str], str]:
    """A function that fills in `%i` and its kin.  It raises `ValueError` for those that only systemd knows."""
    prefix, instance = unit.prefix, unit.instance or ""
    home: str | None = None
    number: str | None = None
    shell: str | None = None
    try:
        account = (
            pwd.getpwnam(user) if user and not user.isdigit() else pwd.getpwuid(int(user or os.geteuid()))
        )
        home, number, shell = account.pw_dir, str(account.pw_uid), account.pw_shell
    except (KeyError, ValueError):
        pass  # no such user here: what it stands for cannot be known
    known: dict[str, str | None] = {
        "n": f"{unit.name}.service", "N": unit.name, "p": prefix, "P": _unescaped(prefix), "i": instance,
        "I": _unescaped(instance), "j": prefix.rpartition("-")[2], "J": _unescaped(prefix.rpartition("-")[2]),
        "f": "/" + _unescaped(instance or prefix), "H": platform.node(), "l": platform.node().partition(".")[0],
        "u": user or "root", "U": number, "h": home, "s": shell, "t": "/run", "S": "/var/lib", "C": "/var/cache",
        "L": "/var/log", "E": "/etc", "T": "/tmp", "V": "/var/tmp", "v": platform.release(), "%": "%",  # noqa: S108 - what these stand for
        "y": os.path.abspath(unit.file), "Y": os.path.dirname(os.path.abspath(unit.file)),
    }  # fmt: skip

    def fill(match: re.Match[str]) -> str:
        value = known.get(match[1])
        if value is None:
            raise ValueError(f"%{match[1]} is known to systemd only; write the value itself")
        return value

    return lambda text: re.sub(r"%(.)", fill, text)


def _unescaped(text: str) -> str:
    r"""The text before `systemd-escape`: `-` was a slash, `\x2d` a dash."""
    plain = text.replace("-", "/")
    return re.sub(r"\\x([0-9a-fA-F]{2})", lambda match: chr(int(match[1], 16)), plain)
