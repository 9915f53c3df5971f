"""How a dialect is written down: a table of labels, and what each of them becomes.

The pages of docs/coming-from show these tables, so nothing can be said there that is not done here.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field

from torpor.config.labels.container import MAX_LABEL, MAX_LABELS, MAX_VALUE
from torpor.config.labels.draft import Draft

_CLOSE = 0.85
"""How alike two labels are of which one was meant; most have a prefix in common."""


@dataclass(frozen=True, slots=True)
class Label:
    """A label of a container, as it meets an entry."""

    name: str
    value: str
    parts: tuple[str, ...]
    """What stands for each `*` of the entry."""


Take = Callable[[Draft, Label], None]
"""Puts into the draft what a label says.  Raises `ValueError` with what is wrong."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A label, or several of one form."""

    label: str
    """`*` stands for one part between dots; `**` at the end for any number."""
    becomes: str = ""
    """Markdown: the settings; empty: nothing."""
    take: Take | None = None
    """None: it becomes nothing, and `why` says the reason."""
    why: str = ""

    def match(self, label: str) -> tuple[str, ...] | None:
        """What stands for the `*`; None for another label."""
        pattern, parts = self.label.split("."), label.split(".")
        if pattern[-1] == "**" and len(parts) >= len(pattern):
            head = len(pattern) - 1
            pattern, parts = [*pattern[:-1], "*"], [*parts[:head], ".".join(parts[head:])]
        if len(pattern) != len(parts):
            return None
        if any(one not in {"*", part} for one, part in zip(pattern, parts, strict=True)):
            return None
        return tuple(part for one, part in zip(pattern, parts, strict=True) if one == "*")


def nothing(_draft: Draft, _label: Label) -> None:
    """For labels that another one has dealt with, or that need nothing."""


def _never(_draft: Draft) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Dialect:
    """The labels of one program."""

    name: str
    """As people call the program."""
    prefixes: tuple[str, ...]
    """How its labels begin."""
    table: tuple[Entry, ...]
    claims: Callable[[Draft], bool]
    """Whether the program would have taken care of the container."""
    bars: Callable[[Draft], bool] = field(default=_never)
    """Whether its labels say that nobody is to."""
    finish: Callable[[Draft], None] | None = None
    """Called once all labels were read: what follows from several, and from none."""

    def read(self, draft: Draft) -> None:
        """Put what the container's labels say into the draft."""
        draft.dialect = self.name
        labels = {name: value for name, value in draft.container.labels.items() if self.owns(name)}
        if len(labels) > MAX_LABELS:
            draft.refuse("", f"has more than {MAX_LABELS} labels of {self.name}")
            return
        for name, value in sorted(labels.items()):
            self._take(draft, name, value)
        if self.finish is not None:
            self.finish(draft)

    def owns(self, label: str) -> bool:
        """Whether the label is one of its own."""
        return any(label == prefix.rstrip(".") or label.startswith(prefix) for prefix in self.prefixes)

    def _take(self, draft: Draft, name: str, value: str) -> None:
        if len(name) > MAX_LABEL:
            draft.refuse(name, f"is a label of more than {MAX_LABEL} characters")
            return
        if len(value) > MAX_VALUE:
            draft.refuse(name, f"is longer than {MAX_VALUE} characters")
            return
        entry, parts = self._find(name)
        if entry.take is None:
            draft.tell(name, entry.why + self._guess(name, entry))
            return
        try:
            entry.take(draft, Label(name, value.strip(), parts))
        except ValueError as error:
            draft.refuse(name, str(error))

    def _find(self, name: str) -> tuple[Entry, tuple[str, ...]]:
        """The entry that a label meets, and what stands for its `*`."""
        for entry in self.table:
            if (parts := entry.match(name)) is not None:
                return entry, parts
        return Entry("*", why=f"no label of {self.name} that Torpor knows"), ()

    def _guess(self, name: str, entry: Entry) -> str:
        """What was probably meant by a label that has no entry of its own."""
        known = [each.label for each in self.table if "*" not in each.label]
        close = [] if name == entry.label else difflib.get_close_matches(name, known, 1, _CLOSE)
        return f" (did you mean '{close[0]}'?)" if close else ""
