"""What a group of containers that wakes as a whole makes of its members.

Sablier serves nobody before the whole group is ready, and keeps all of it awake as long as
anybody uses it.  Here requests come to those members that have routes: these are each other's
companions, and each of them needs those that have none, which nobody but they can ask for.

What Compose, or a label, says of needs comes first: where a member without a route needs, on
whatever way, one that has a route, it is no need of anybody but a companion, or they would
wait for each other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from torpor.config.labels.draft import Draft
from torpor.core.companions import GROUP, MOST
from torpor.core.graph import closure, dependents

NEEDED = "members without a route"
"""Where the drafts that a member needs are noted, aside."""
_GROUPS = "groups that wake as a whole"


def note_groups(draft: Draft, groups: list[str], label: str) -> None:
    """The label says that the container is woken with the others of these groups."""
    draft.aside[_GROUPS] = draft.dialect, groups, label


def gather(drafts: Collection[Draft], needs: Mapping[str, Iterable[str]], released: str) -> None:
    """Let the members of groups wake together.

    `needs`: whom each draft needs anyway; both by the names of containers.  `released`: how soon
    a member falls asleep that is there only for others.
    """
    members = [draft for draft in drafts if _GROUPS in draft.aside]
    fronts = [draft for draft in members if draft.settings.get("routes")]
    # A need of one of these would close a circle.
    behind = closure(
        dependents({name: list(each) for name, each in needs.items()}),
        [draft.container.name for draft in fronts],
    )
    groups: dict[str, list[Draft]] = {}
    for draft in members:
        draft.dialect, names, _ = draft.aside[_GROUPS]
        for group in names:
            groups.setdefault(group, []).append(draft)
    for group, them in groups.items():
        _join(group, them, behind, released)


def _join(group: str, members: list[Draft], behind: Collection[str], released: str) -> None:
    if len(members) > MOST:
        for draft in members:
            draft.tell(draft.aside[_GROUPS][2], f"{group} has more than {MOST} members: each wakes alone")
        return
    fronts = [draft for draft in members if draft.settings.get("routes")]
    backs = [draft for draft in members if draft not in fronts and draft.container.name not in behind]
    for front in fronts:
        front.aside.setdefault(NEEDED, []).extend(backs)
        if len(members) > 1 + len(backs):
            others = front.settings.get("companions", [])
            front.put("companions", [*others, GROUP + group], front.aside[_GROUPS][2])
    for back in backs if fronts else ():
        back.put("idle_timeout", released)
