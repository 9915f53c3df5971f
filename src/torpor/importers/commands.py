"""Command lines: argument vectors as people would write them, and text for a shell."""

from __future__ import annotations

import re
import shlex

from torpor.config.command import parse_words


def command_value(words: list[str]) -> str | list[str]:
    """The argument vector as one string where that reads the same, else as a list.  Raises `ValueError`."""
    if not words or not words[0]:
        raise ValueError("the command is empty")
    if any("\0" in word for word in words):
        raise ValueError("the command holds a NUL character")
    line = " ".join(words)
    return line if _splits_into(line, words) else words


def shlex_command(line: str) -> str | list[str]:
    """A command that the source splits as a shell would.  Raises `ValueError`."""
    kind = type(line)
    try:
        words = [kind(word) for word in shlex.split(line)]
    except ValueError as error:
        raise ValueError(f"the command cannot be split into words: {str(error).lower()}") from error
    plain = kind(line.strip())
    return plain if "\n" not in plain and _splits_into(plain, words) else _as(kind, command_value(words))


def shell_word(word: str) -> str:
    """The word as a shell would have to read it; dollars and braces are left to it only inside quotes."""
    return word if re.fullmatch(r"[A-Za-z0-9_@%+=:,./-]+", word) else shlex.quote(word)


def shell_line(words: list[str]) -> str:
    """The argument vector as text for a shell."""
    return " ".join(map(shell_word, words))


def _as(kind: type[str], value: str | list[str]) -> str | list[str]:
    return kind(value) if isinstance(value, str) else value


def _splits_into(line: str, words: list[str]) -> bool:
    try:
        return list(parse_words(line)) == words
    except ValueError:
        return False
