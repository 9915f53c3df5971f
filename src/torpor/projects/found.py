"""What was found: an app, the settings that run it, and why we believe so."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

Value = str | int | bool | list[str] | dict[str, str]
"""What a setting may hold."""


@dataclass(frozen=True)
class Setting:
    """A setting of an app, with what a newcomer should know of it."""

    key: str
    value: Value
    comment: str = ""


@dataclass(frozen=True)
class App:
    """An app that was found."""

    kind: str
    """Title of the kind, for people."""
    name: str
    evidence: tuple[str, ...]
    """What speaks for it, in words."""
    settings: tuple[Setting, ...]
    folder: str = "."
    """Its directory, relative to the one that was looked at."""
    serves: bool = True
    """Whether requests reach it."""
    steps: tuple[str, ...] = ()
    """Commands that have to be run before it can start."""


@dataclass(frozen=True)
class Findings:
    """All that was found in a directory."""

    path: str
    apps: tuple[App, ...]
    remarks: tuple[str, ...] = ()
    """What was seen and not taken, and why."""


def step(place: str, command: str) -> str:
    """The command as it is typed in the directory that was asked about, if it has to be run in `place` below it."""
    return command if place == "." else f"(cd {shlex.quote(place)} && {command})"
