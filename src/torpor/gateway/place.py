"""An address on which streams are taken, and the apps behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torpor.core.model import Route, Scheme, StreamRoute
from torpor.core.routing import RoutingTable
from torpor.runtime.seam import Gate


class Lead(NamedTuple):
    """A route, and the door that it leads to."""

    route: StreamRoute
    gate: Gate


class Place:
    """All that leads from one address.  Immutable."""

    __slots__ = ("_table", "named", "proxied")

    def __init__(self, leads: Sequence[Lead]) -> None:
        self.named = any(lead.route.scheme is Scheme.TLS for lead in leads)
        """Whether the server name that the client asks for decides."""
        self.proxied = any(lead.route.accept_proxy for lead in leads)
        """Whether a proxy says first for whom it connects."""
        self._table = RoutingTable([(Route(lead.route.name), lead) for lead in leads])

    def find(self, name: str | None) -> Lead | None:
        """Where a client is to go that wants this server, or says nothing about it."""
        routes = self._table.host(name or "")
        return None if routes is None else routes.whole
