"""A request's head as people-facing code sees it.

The hot path never makes one: it works on the bytes.  This view is created when a
request needs thought (held, refused, answered by us).
"""

from __future__ import annotations

from dataclasses import dataclass

_PATH_SHOWN = 200
"""Characters of a stranger's path that are kept in events and logs."""


@dataclass(frozen=True, slots=True)
class RequestHead:
    """One request, already checked: every value here is safe to compare, not to trust."""

    method: bytes
    target: bytes
    """Origin form as sent (path and query), or `*`."""
    host: str
    """Lower case, without port and trailing dot; empty where an HTTP/1.0 client sent none."""
    path: str
    """The raw path of the target: no query, not percent-decoded."""
    headers: tuple[tuple[bytes, bytes], ...]
    """Name in lower case and value without surrounding space, in the order sent."""
    version: tuple[int, int]
    client: str
    """Address of the peer, for people."""
    scheme: str
    """`http` or `https`, as the peer of this connection used it."""

    def get(self, name: bytes) -> bytes | None:
        """The first value of the header `name` (lower case), or None."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    @property
    def query(self) -> str:
        """What follows the first `?` of the target, without it."""
        return self.target.partition(b"?")[2].decode("latin-1")

    @property
    def by(self) -> str:
        """Who knocked, for people: method, path (cut where it is long) and client."""
        path = self.path if len(self.path) <= _PATH_SHOWN else self.path[:_PATH_SHOWN] + "…"
        return f"{self.method.decode('latin-1')} {path} from {self.client}"
