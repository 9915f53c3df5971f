"""`com.docker.compose.depends_on`: what Compose notes on a container of its needs."""

from __future__ import annotations

from torpor.config.labels.draft import Draft, Need
from torpor.config.labels.words import items

DEPENDS_ON = "com.docker.compose.depends_on"
CONDITIONS = {"": "healthy", "service_started": "started", "service_healthy": "healthy"}
"""By Compose's word.  Without one Torpor's own rule holds: it is waited for until it is ready."""


def compose_needs(draft: Draft) -> list[Need]:
    """What a container needs of its project by what Compose wrote down."""
    found = []
    for item in items(draft.container.labels.get(DEPENDS_ON, "")):
        name, _, rest = item.partition(":")
        condition = rest.partition(":")[0]
        if condition in CONDITIONS:
            found.append(Need(name, CONDITIONS[condition], DEPENDS_ON, must=False))
        else:
            draft.tell(DEPENDS_ON, f"{name} is not run again at each wake, as {condition} would have it")
    return found


def parse_needs(label: str, value: str) -> list[Need]:
    """GoDoxy's `db,cache:service_healthy`.  Raises `ValueError`."""
    found = []
    for item in items(value):
        name, _, condition = item.partition(":")
        if condition not in CONDITIONS:
            raise ValueError(f"'{condition}' is not one of service_started, service_healthy")
        # Without a condition GoDoxy goes on as soon as the start was asked for.
        found.append(Need(name.strip(), CONDITIONS[condition or "service_started"], label))
    return found
