"""An app while the labels of its container are read.

Law: no label is dropped without a word.  Each one becomes a setting, or a remark that says why not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torpor.config.explain import legible
from torpor.config.labels.container import MAX_LABEL, Container

MAX_TEXT = 300
"""Most characters of a remark: labels are written by whoever made the image."""


@dataclass(frozen=True, slots=True)
class Remark:
    """What there is to say about a label."""

    label: str
    """Empty: about the container as a whole."""
    text: str
    wrong: bool = False
    """Because of it there is no app; otherwise the app does without this label."""

    def __str__(self) -> str:
        return f"{self.label}: {self.text}" if self.label else self.text


@dataclass(frozen=True, slots=True)
class Need:
    """What it needs of another one."""

    name: str
    """As the label calls it: a service of the same project, a container, or an app."""
    condition: object
    """As `depends_on` takes it: a word, or a map."""
    label: str
    must: bool = True
    """Whether it is a mistake if there is none of that name."""


@dataclass
class Draft:
    """What the labels of one container say."""

    container: Container
    name: str
    """Of the app."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What would stand below the app's name in a file, but for `container` and `depends_on`."""
    labels: dict[str, str] = field(default_factory=dict)
    """Which label decided, by the dotted name of the setting."""
    needs: list[Need] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    aside: dict[str, Any] = field(default_factory=dict)
    """What a dialect notes for its own end."""
    dialect: str = ""
    """Whose labels are being read."""
    dialects: list[str] = field(default_factory=list)
    """Those that claim the container, in the order of precedence."""
    network: str | None = None
    _owners: dict[str, str] = field(default_factory=dict)

    def put(self, setting: str, value: object, label: str = "") -> None:
        """Set `readiness.http` as in a map.  What an earlier dialect has set stays, and that is told."""
        *outer, last = setting.split(".")
        top = (outer or [last])[0]
        owner = self._owners.setdefault(top, self.dialect)
        if owner != self.dialect:
            if label:
                self.tell(label, f"the labels of {owner} say what `{top}` is")
            return
        target = self.settings
        for step in outer:
            target = target.setdefault(step, {})
            if not isinstance(target, dict):
                self.refuse(label, f"stands beside a label that says all of `{top}`; write one of them")
                return
        if isinstance(target.get(last), dict) and target[last] is not value:
            self.refuse(label, f"says all of `{setting}`, beside labels that say a part; write one of them")
            return
        target[last] = value
        if label:
            self.labels[setting] = label

    def put_default(self, setting: str, value: object) -> None:
        """What the dialect means where no label says otherwise."""
        if setting.partition(".")[0] not in self._owners:
            self.put(setting, value)

    def tell(self, label: str, text: str) -> None:
        """The label becomes nothing, and that is why."""
        self.remarks.append(Remark(legible(label, MAX_LABEL), legible(text, MAX_TEXT)))

    def refuse(self, label: str, text: str) -> None:
        """The label is a mistake: there is no app."""
        self.remarks.append(Remark(legible(label, MAX_LABEL), legible(text, MAX_TEXT), wrong=True))

    @property
    def wrong(self) -> bool:
        """Whether there is no app, for a mistake."""
        return any(remark.wrong for remark in self.remarks)


Groups = Mapping[str, Mapping[str, str]]
"""Lazytainer's groups, with what the labels of its own container say of each."""
