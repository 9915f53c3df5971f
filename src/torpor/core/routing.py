"""Which app a request belongs to.

Laws:
1. The host decides first: its exact name, else the longest `*.suffix`, else `name.*`, else the default.
   `*.example.org` matches any name below example.org, not example.org itself; `notes.*` matches
   `notes` below any domain, not `notes` alone.
2. Then the longest path prefix of that host wins, on a segment boundary: `/app` matches
   `/app`, `/app/` and `/app/x`, never `/apple`.  A path that no prefix of the chosen host
   matches belongs to nobody; other hosts' routes are not asked.
3. Prefixes are compared with the raw path, byte by byte.  Where a host has prefixes at all,
   a path that an app might normalise into another prefix (dot segments, also percent-encoded
   ones, encoded or reversed slashes around them) is `ConfusingPath`: it belongs to nobody,
   because two parties could read it differently.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from torpor.core.model import Route

T = TypeVar("T")

_DOT_SEGMENT = re.compile(rb"(?:^|[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?:$|[/\\;]|%2f|%5c|%3b)", re.IGNORECASE)


class ConfusingPath(ValueError):
    """The path has dot segments and the host has several prefixes."""


class HostRoutes(Generic[T]):
    """The routes of one host.  Looked up once per host, then asked per path."""

    __slots__ = ("_by_length", "whole")

    def __init__(self, routes: Iterable[tuple[Route, T]]) -> None:
        ordered = sorted(routes, key=lambda pair: len(_prefix(pair[0])), reverse=True)
        self._by_length = tuple((_prefix(route), (route, target)) for route, target in ordered)
        self.whole: T | None = None
        """The one target of the host where no path decides: lets callers skip `match`."""
        if len(self._by_length) == 1 and self._by_length[0][0] == b"":
            self.whole = self._by_length[0][1][1]

    def match(self, path: bytes) -> tuple[Route, T] | None:
        """The route that owns `path` (raw, without query) and its target.  Raises `ConfusingPath`."""
        if self.whole is None and _DOT_SEGMENT.search(path):
            raise ConfusingPath(path.decode("latin-1"))
        for prefix, found in self._by_length:
            if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in {b"/", b""}:
                return found
        return None


class RoutingTable(Generic[T]):
    """All routes, by host.  Of two routes with the same host and path the first one wins."""

    def __init__(self, routes: Sequence[tuple[Route, T]]) -> None:
        by_host: dict[str | None, dict[bytes, tuple[Route, T]]] = {}
        for route, target in routes:
            host = None if route.host is None else route.host.lower().rstrip(".")
            by_host.setdefault(host, {}).setdefault(_prefix(route), (route, target))
        self._hosts = {host: HostRoutes(paths.values()) for host, paths in by_host.items()}
        self._wildcards = any(host is not None and "*" in host for host in self._hosts)

    def host(self, name: str) -> HostRoutes[T] | None:
        """The routes of a host name (lower case, without port and trailing dot)."""
        if name in self._hosts and "*" not in name:
            return self._hosts[name]
        if self._wildcards:
            labels = name.split(".")
            for start in range(1, len(labels)):
                found = self._hosts.get("*." + ".".join(labels[start:]))
                if found is not None:
                    return found
            if len(labels) > 1 and (found := self._hosts.get(f"{labels[0]}.*")) is not None:
                return found
        return self._hosts.get(None)

    def match(self, name: str, path: bytes) -> tuple[Route, T] | None:
        """The route for a host name and a raw path, with its target.  Raises `ConfusingPath`."""
        routes = self.host(name)
        return None if routes is None else routes.match(path)


def strip_prefix(target: bytes, route: Route) -> bytes:
    """The target as the app sees it below its prefix: `/app/x?q` becomes `/x?q`, `/app?q` `/?q`.

    `target` must have matched `route`.
    """
    rest = target[len(_prefix(route)) :]
    return rest if rest.startswith(b"/") else b"/" + rest


def _prefix(route: Route) -> bytes:
    """`/app` and `/app/` are the same prefix; `/` is the empty one."""
    return route.path.rstrip("/").encode()
