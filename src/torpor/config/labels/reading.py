"""What all containers of an engine say together: who becomes an app, by whose labels, and who needs whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from torpor.config.apps import NAME as APP
from torpor.config.labels.company import NEEDED, gather
from torpor.config.labels.compose import compose_needs
from torpor.config.labels.container import MAX_CONTAINERS, NAME, Container
from torpor.config.labels.draft import Draft, Need, Remark
from torpor.config.labels.godoxy import GODOXY, RELEASED
from torpor.config.labels.lazytainer import LAZYTAINER, groups
from torpor.config.labels.own import ENABLE, OWN
from torpor.config.labels.sablier import SABLIER
from torpor.config.labels.table import Dialect
from torpor.config.saving import addition_text
from torpor.core.companions import GROUP
from torpor.errors import BadRequest

DIALECTS: tuple[Dialect, ...] = (OWN, GODOXY, SABLIER, LAZYTAINER)
"""In the order of precedence: what an earlier one says of a setting stays."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the labels of a container come to."""

    container: Container
    name: str
    """Of the app."""
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """As a file would have them below the app's name."""
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Which label decided, by the dotted name of the setting."""
    dialects: tuple[str, ...] = ()
    """Whose labels claim it; none where only others need it."""
    remarks: tuple[Remark, ...] = ()
    text: bytes = b""
    """The app as a file, in which all text stands for itself; empty where none can hold it, which is a remark."""

    @property
    def wrong(self) -> bool:
        """Whether there is no app, for a mistake."""
        return any(remark.wrong for remark in self.remarks)

    def label(self, setting: str) -> str:
        """The label that decided on a setting, or on a part of it; empty where none did."""
        for name, label in self.labels.items():
            if f"{setting}.".startswith(f"{name}.") or f"{name}.".startswith(f"{setting}."):
                return label
        return ""


def read_labels(containers: Iterable[Container]) -> list[Reading]:
    """The apps of one engine, in the order of the containers' names; also those that cannot be, with their mistakes.

    Who has no label of a known dialect is in it only if somebody needs it.
    """
    known = sorted((one for one in containers if not one.passing), key=lambda one: one.name)[:MAX_CONTAINERS]
    members = groups(known)
    drafts = {one.name: Draft(one, one.name.lower(), aside={"lazytainer": members}) for one in known}
    _claim(drafts.values())
    _need(drafts)
    _accompany(drafts)
    taken: dict[str, str] = {}
    readings = []
    for draft in drafts.values():
        if draft.dialects or draft.aside.get("needed"):
            owner = taken.setdefault(draft.name, draft.container.name)
            if owner != draft.container.name:
                draft.refuse("", f"the container {owner} is the app {draft.name} already; set torpor.name")
            readings.append(_reading(draft))
    return readings


def _claim(drafts: Iterable[Draft]) -> None:
    """Read the labels of whoever a dialect takes."""
    for draft in drafts:
        if any(dialect.bars(draft) for dialect in DIALECTS):
            draft.aside["barred"] = True
            continue
        claiming = [dialect for dialect in DIALECTS if dialect.claims(draft)]
        draft.dialects = [dialect.name for dialect in claiming]
        for dialect in DIALECTS:
            if dialect in claiming:
                dialect.read(draft)
            elif claiming:
                _tell_unread(draft, dialect)


def _tell_unread(draft: Draft, dialect: Dialect) -> None:
    for label in sorted(draft.container.labels):
        # What only comes along (Traefik's for Sablier) is not said to be missed.
        if label.startswith(dialect.prefixes[0]):
            first = (
                f"{ENABLE} is not true" if dialect is OWN else f"by its labels {dialect.name} leaves it alone"
            )
            draft.tell(label, f"is not read: {first}")


def _need(drafts: Mapping[str, Draft]) -> None:
    """Meet the needs of all; whoever is needed becomes an app as well."""
    needs = {name: draft.needs or compose_needs(draft) for name, draft in drafts.items()}
    meant = {
        name: [(need, _meant(drafts[name], need, drafts)) for need in each] for name, each in needs.items()
    }
    anyway = {
        name: [other.container.name for _, others in each for other in others] for name, each in meant.items()
    }
    gather(drafts.values(), anyway, RELEASED)
    waiting = [draft for draft in drafts.values() if draft.dialects]
    while waiting:
        draft = waiting.pop()
        needed: dict[str, object] = {}
        for need, others in meant[draft.container.name]:
            if not others:
                _unmet(draft, need, needed)
            for other in others:
                if other.aside.get("barred"):
                    draft.tell(
                        need.label,
                        f"{other.container.name} is barred by its own labels; it has to run by itself",
                    )
                    continue
                needed[other.name] = need.condition
                draft.labels.setdefault("depends_on", need.label)
                if not other.dialects and not other.aside.get("needed"):
                    other.aside["needed"] = True
                    other.put("idle_timeout", RELEASED)
                    waiting.append(other)
        for other in draft.aside.get(NEEDED, ()):
            needed.setdefault(other.name, "healthy")
            draft.labels.setdefault("depends_on", draft.labels["member_of"])
        if needed:
            plain = all(condition in (None, "healthy") for condition in needed.values())
            draft.settings["depends_on"] = (
                list(needed)
                if plain
                else {name: "healthy" if how is None else how for name, how in needed.items()}
            )


def _accompany(drafts: Mapping[str, Draft]) -> None:
    """Call companions by the names of apps; one of another name may stand in a file."""
    for draft in drafts.values():
        if isinstance(names := draft.settings.get("companions"), list):
            found: dict[str, None] = {}
            for name in map(str, names):
                others = _meant(draft, Need(name, None, ""), drafts)
                apps = [other.name for other in others if other.dialects or other.aside.get("needed")]
                found |= dict.fromkeys(apps or [name])
                if not (apps or name.startswith(GROUP)):
                    text = f"there is no app of a container {name}; it goes along if a file has an app of that name"
                    draft.tell(draft.labels["companions"], text)
            draft.settings["companions"] = list(found)


def _unmet(draft: Draft, need: Need, needed: dict[str, object]) -> None:
    if not need.must:
        draft.tell(need.label, f"there is no container of the service {need.name}")
    else:  # an app of the configuration, perhaps: whoever loads it knows
        needed[need.name] = need.condition
        draft.labels.setdefault("depends_on", need.label)


def _meant(draft: Draft, need: Need, drafts: Mapping[str, Draft]) -> list[Draft]:
    """Whom a need names: services of its project first, then a container, an app, a service of any project."""
    own = draft.container
    services = [each for each in drafts.values() if each.container.service == need.name and each is not draft]
    if own.project is not None and (
        near := [each for each in services if each.container.project == own.project]
    ):
        return near
    if (found := drafts.get(need.name)) is not None and found is not draft:
        return [found]
    if named := [
        each for each in drafts.values() if each.dialects and each.name == need.name and each is not draft
    ]:
        return named[:1]
    projects = {each.container.project for each in services}
    return services if len(projects) == 1 else []


def _reading(draft: Draft) -> Reading:
    container = draft.container
    if not NAME.fullmatch(container.name):
        draft.refuse("", "its name is none that an engine gives")
    if not APP.fullmatch(draft.name):
        draft.refuse("", f"'{draft.name}' is no name for an app; set torpor.name")
    where: dict[str, Any] = {"name": container.name, "engine": container.engine}
    if draft.network is not None:
        where["network"] = draft.network
    short = container.engine == "docker" and draft.network is None
    settings = {"container": container.name if short else where, **draft.settings}
    text = b""
    try:
        text = addition_text(draft.name, settings, f"# By the labels of {container}.")
    except BadRequest as error:
        draft.refuse("", error.message)
    return Reading(
        container, draft.name, settings, draft.labels, tuple(draft.dialects), tuple(draft.remarks), text
    )
