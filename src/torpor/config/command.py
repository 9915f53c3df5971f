"""The command line of an app, or of a probe."""

from __future__ import annotations

import shlex
from typing import Any

from torpor.config.layers import Layers

_SHELL_WORDS = frozenset({"&&", "||", "|", ">", ">>", "<", ";", "&", "2>&1"})


def build_command(keys: Layers) -> tuple[str, ...]:
    """The argument vector of the app; with `shell`, the shell's text alone."""
    named, shell = keys.find("command"), keys.find("shell")
    if named is None:
        keys.report_app("has no command; say how to start it, e.g. command: ./serve --port $PORT")
        return ()
    if named.refused("command") or (shell is not None and shell.refused("shell")):
        return ()
    value = named.keys.command
    if not keys.get("shell", False):
        return split_words(keys, "command", value)
    if isinstance(value, list):
        keys.report("command", "is a list, but `shell: true` wants the shell's text in one string")
    elif isinstance(value, str) and not value.strip():
        keys.report("command", "is empty")
    return (value,) if isinstance(value, str) else ()


def split_words(keys: Layers, key: str, value: Any, *inner: str) -> tuple[str, ...]:
    """An argument vector from a string or a list."""
    try:
        words = tuple(shlex.split(value)) if isinstance(value, str) else tuple(value)
    except ValueError as error:
        keys.report(key, f"cannot be split into words: {str(error).lower()}", *inner)
        return ()
    if isinstance(value, str) and (shell := _SHELL_WORDS.intersection(words)):
        keys.report(
            key,
            f"holds '{min(shell)}', which only a shell understands: add `shell: true`, or write the command "
            "as a list",
            *inner,
        )
    if not words or not words[0]:
        keys.report(key, "is empty", *inner)
    if any("\0" in word for word in words):
        keys.report(key, "holds a NUL character, which no program can be given", *inner)
    return words
