"""Which of a container's ports is the app's own, and which ones only some of its routes lead to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from torpor.config.labels.draft import Draft

_DATAGRAMS = "udp://"


class Lead(NamedTuple):
    """A route, as the labels of a container say it."""

    route: str
    port: int | None
    """Of the container; None: its main one."""
    label: str
    """Which says so."""


def put_leads(draft: Draft, leads: Iterable[Lead], label: str = "") -> None:
    """Set `routes`, and `port` by the first one that takes connections: readiness is asked there.

    `label`: which one says that there are these routes; empty: none does.
    """
    by_route: dict[str, Lead] = {}
    for lead in leads:
        if by_route.setdefault(lead.route, lead).port != lead.port:
            first = by_route[lead.route]
            draft.tell(lead.label, f"{lead.route} leads to the port {first.port or 'of the app'} already")
    ported = [lead for lead in by_route.values() if lead.port is not None]
    main = next((lead for lead in ported if not lead.route.startswith(_DATAGRAMS)), None)
    if main is not None or ported:
        lead = main or ported[0]
        draft.put("port", lead.port, lead.label)
    port = draft.settings.get("port")
    routes: list[Any] = [
        lead.route if lead.port in (None, port) else {"host": lead.route, "port": lead.port}
        for lead in by_route.values()
    ]
    if routes:
        draft.put("routes", routes, label)
