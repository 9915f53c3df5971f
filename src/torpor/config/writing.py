"""An app's settings as lines of YAML, in the way that a person would write them.

Whatever is written is read back as the same value: text is quoted wherever YAML could take it
for something else, and a `${` that is meant as text is written `$${`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from torpor.config.document import is_text
from torpor.config.interpolate import left_for_launch

STEP = 2
"""Spaces by which what belongs to a key stands further in."""

_PLAIN = re.compile(r"[A-Za-z_./$][A-Za-z0-9_./$ @%+=,~:-]*|[0-9]+[A-Za-z]+")
_WORD = re.compile(r"[A-Za-z_./][A-Za-z0-9_./-]*")
"""What needs no quotes inside of `[…]` either."""
_UNSAFE = re.compile(r": |:$| $")
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)?)")


def app_lines(name: str, settings: Mapping[str, object], indent: int = STEP) -> list[str]:
    """The lines of an app below `apps:`, without line ends.  Raises `ValueError` for text that is not Unicode."""
    lines = [" " * indent + _scalar(name) + ":"]
    for key, value in settings.items():
        lines += _entry(key, value, indent + STEP)
    return lines


def literal(text: str) -> str:
    """`text` so that no variable is filled in when it is read, but for those that a start fills in."""

    def escape(match: re.Match[str]) -> str:
        name = match["name"]
        return match[0] if name and left_for_launch(name) else "$" + match[0] if match[0] != "$$" else "$$$$"

    return _VARIABLE.sub(escape, text)


def _entry(key: str, value: object, indent: int) -> Iterator[str]:
    lead = " " * indent + _scalar(key) + ":"
    if isinstance(value, Mapping) and value:
        yield lead
        for inner, item in value.items():
            yield from _entry(inner, item, indent + STEP)
    elif isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        yield lead
        for item in value:
            yield " " * (indent + STEP) + "- " + _flow(item)
    else:
        yield f"{lead} {_flow(value)}".rstrip()


def _flow(value: object) -> str:
    """The value on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_item(str(k))}: {_item(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_item, value)) + "]"
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return _scalar(value) if isinstance(value, str) else str(value)


def _item(value: object) -> str:
    """A value among others on one line."""
    if not isinstance(value, str):
        return _flow(value)
    return value if _WORD.fullmatch(value) and is_text(value) else _quoted(value)


def _scalar(text: str) -> str:
    """Text as a value of its own line."""
    plain = _PLAIN.fullmatch(text) and not _UNSAFE.search(text) and is_text(text)
    return text if plain else _quoted(text)


def _quoted(text: str) -> str:
    text.encode()  # what is not Unicode has no place in a file
    return '"' + "".join(map(character, text)) + '"'


def character(char: str) -> str:
    """A character as it stands between double quotes."""
    if char in _SHORT:
        return _SHORT[char]
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
