"""The command line of an app, of a probe, or of a hook."""

from __future__ import annotations

import shlex
from typing import Any

from torpor.config.layers import Layers, given
from torpor.config.settings import Hook

_SHELL_WORDS = frozenset({"&&", "||", "|", ">", ">>", "<", ";", "&", "2>&1"})


def build_hook(keys: Layers, key: str) -> Hook | None:
    """The command that `key` names, as text, list or map; None without one."""
    value = keys.get(key, None)
    return None if value is None else hook_of(keys, value, key)


def hook_of(keys: Layers, value: Any, key: str, *inner: str) -> Hook:
    """The command that is written there, as text, list or map."""
    default = Hook(())
    if isinstance(value, str | list):
        return Hook(split_words(keys, key, value, *inner), default.timeout)
    shell = given(value.shell, default.shell)
    return Hook(
        shell_text(keys, key, value.command, *inner, "command")
        if shell
        else split_words(keys, key, value.command, *inner, "command"),
        float(given(value.timeout, default.timeout)),
        shell,
    )


def build_command(keys: Layers) -> tuple[str, ...]:
    """The argument vector of the app; with `shell`, the shell's text alone."""
    named, shell = keys.find("command"), keys.find("shell")
    if named is None:
        keys.report_app(
            "has no command; say how to start it, e.g. command: ./serve --port $PORT, or name its container or unit"
        )
        return ()
    if named.refused("command") or (shell is not None and shell.refused("shell")):
        return ()
    value = named.keys.command
    if not keys.get("shell", False):
        return split_words(keys, "command", value)
    return shell_text(keys, "command", value)


def shell_text(keys: Layers, key: str, value: Any, *inner: str) -> tuple[str, ...]:
    """What is given to a shell, as the only element."""
    if isinstance(value, list):
        keys.report(key, "is a list, but `shell: true` wants the shell's text in one string", *inner)
        return ()
    if not value.strip():
        keys.report(key, "is empty", *inner)
    return (value,)


def split_words(keys: Layers, key: str, value: Any, *inner: str) -> tuple[str, ...]:
    """An argument vector from a string or a list."""
    return keys.attempt(lambda: parse_words(value), key, *inner) or ()


def parse_words(value: str | list[str]) -> tuple[str, ...]:
    """An argument vector from a string or a list.  Raises `ValueError`."""
    try:
        words = tuple(shlex.split(value)) if isinstance(value, str) else tuple(value)
    except ValueError as error:
        raise ValueError(f"cannot be split into words: {str(error).lower()}") from error
    if isinstance(value, str) and (shell := _SHELL_WORDS.intersection(words)):
        raise ValueError(
            f"holds '{min(shell)}', which only a shell understands: add `shell: true`, or write the command "
            "as a list"
        )
    if not words or not words[0]:
        raise ValueError("is empty")
    if any("\0" in word for word in words):
        raise ValueError("holds a NUL character, which no program can be given")
    return words
