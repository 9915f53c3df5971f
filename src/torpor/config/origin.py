"""Where the settings of an app come from: values for people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Written:
    """A setting that somebody wrote."""

    setting: str
    """Its name; a single variable is `environment.NAME`."""
    value: object
    """Plain data, variables filled in."""
    file: str
    line: int
    shared: bool
    """It stands in `defaults`, not with the app."""
    borrowed: bool
    """Torpor's own environment decided on all of it or a part."""
    label: str = ""
    """The label of a container that says it, and no file; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an app is written, and what is written of it.  All else is a default."""

    file: str
    line: int
    added: bool
    """It was added by `torpor run`, and is in no file that a person wrote."""
    written: tuple[Written, ...]
    container: str | None = None
    """The container whose labels say it: then `file` is none that exists."""

    @property
    def place(self) -> str:
        """Where it is written, for people."""
        return f"{self.file}:{self.line}" if self.container is None else f"container {self.container}"
