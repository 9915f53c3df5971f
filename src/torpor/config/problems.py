"""What is wrong with a configuration, and where it is written."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

KeyPath = tuple[str | int, ...]
"""The keys and list positions that lead to a value: `("apps", "web", "routes", 0)`."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend.  `line` and `column` count from 1, as editors do."""

    file: str
    line: int
    column: int
    setting: str
    """The dotted path of the setting; empty where the file as a whole is meant."""
    message: str
    suggestion: str | None = None
    """What was probably meant."""

    def __str__(self) -> str:
        setting = f" {self.setting}:" if self.setting else ""
        guess = f" (did you mean '{self.suggestion}'?)" if self.suggestion else ""
        return f"{self.file}:{self.line}:{self.column}:{setting} {self.message}{guess}"


class Problems:
    """Collects problems while files are read; gives them in the order of the text.

    Files are ordered by when they were first named to `see`.  A value that several
    apps share (an anchor, a default) is reported once.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, int, int, str], Problem] = {}
        self._files: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def see(self, file: str) -> None:
        """Note that `file` is read now."""
        self._files.setdefault(file, len(self._files))

    def add(self, problem: Problem) -> None:
        """Keep the problem, unless the same complaint about the same place is known."""
        self.see(problem.file)
        self._found.setdefault((problem.file, problem.line, problem.column, problem.message), problem)

    def sorted(self) -> tuple[Problem, ...]:
        """All problems, by file, line and column."""
        return tuple(sorted(self._found.values(), key=lambda p: (self._files[p.file], p.line, p.column)))


def dotted(path: KeyPath) -> str:
    """The path as people write it: `apps.web.routes.0`."""
    return ".".join(str(step) for step in path)


def near_miss(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` was probably meant to be."""
    matches = difflib.get_close_matches(word.lower().replace("-", "_"), list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None
