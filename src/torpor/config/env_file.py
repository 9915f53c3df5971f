"""The environment of an app: files of `NAME=value` lines, and what the config names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
MAX_BYTES = 1024 * 1024

_LINE = re.compile(r"[ \t]*(?:export[ \t]+)?(?P<name>[^=\s#'\"]+)[ \t]*(?P<equals>=)?[ \t]*")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$", "'": "'"}
_COMMENT = re.compile(r"(?:^|\s)#.*")

Complain = Callable[[int, str], None]
"""Called with a line number and what is wrong there."""


def parse_env_file(text: str, inherited: Mapping[str, str], complain: Complain) -> dict[str, str]:
    r"""The variables of an env file, by the rules of Compose.

    Comments, blank lines, `export`; 'single quotes' are literal, "double quotes" know
    `\n \t \" \\ \$`; both may span lines.  A name alone takes its value from
    `inherited` and is left out if there is none.  Dollar signs mean nothing: a
    password may hold one.
    """
    variables: dict[str, str] = {}
    text = text.replace("\r\n", "\n")
    at = 0
    while at < len(text):
        end = _end_of_line(text, at)
        line = text[at:end].strip()
        if not line or line.startswith("#"):
            at = end + 1
            continue
        number = text.count("\n", 0, at) + 1
        match = _LINE.match(text, at, end)
        if match is None or not NAME.fullmatch(match["name"]):
            complain(number, "is not NAME=value")
            at = end + 1
            continue
        name = match["name"]
        if not match["equals"]:
            if text[match.end() : end].strip():
                complain(number, "is not NAME=value")
            elif name in inherited:
                variables[name] = inherited[name]
            at = end + 1
            continue
        value, at = _value(text, match.end(), partial(complain, number))
        if "\0" in value:
            complain(number, "holds a NUL character, which no environment can carry")
            continue
        variables[name] = value
    return variables


def _value(text: str, at: int, complain: Callable[[str], None]) -> tuple[str, int]:
    """The value that begins at `at`, and where the next line begins."""
    quote = text[at : at + 1]
    end = _end_of_line(text, at)
    if quote not in {"'", '"'} or not quote:
        return _COMMENT.sub("", text[at:end]).strip(), end + 1
    close = _closing_quote(text, at + 1, quote)
    if close < 0:
        complain(f"the value's {quote} is never closed")
        return "", end + 1
    value = text[at + 1 : close]
    if quote == '"':
        value = _ESCAPE.sub(lambda match: _ESCAPES.get(match[1], match[0]), value)
    end = _end_of_line(text, close)
    if _COMMENT.sub("", text[close + 1 : end]).strip():
        complain("has text after the closing quote")
    return value, end + 1


def _closing_quote(text: str, at: int, quote: str) -> int:
    while at < len(text):
        if text[at] == "\\" and quote == '"':
            at += 2
            continue
        if text[at] == quote:
            return at
        at += 1
    return -1


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end
