"""A request's head as people-facing code sees it.

The hot path never makes one: it works on the bytes.  This view is created when a
request needs thought (held, refused, answered by us).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torpor.core.model import Knock

_PATH_KEPT = 200
"""Characters of a stranger's path that are kept in events and logs."""
_AGENT_KEPT = 300
"""Characters of a stranger's user agent that are kept."""


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
    """The address of whoever asks, behind all trusted proxies."""
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

    def values(self, name: bytes) -> Iterator[str]:
        """The values of all headers `name` (lower case)."""
        return (value.decode("latin-1") for key, value in self.headers if key == name)

    def knock(self, rule: str) -> Knock:
        """What is kept of this request if it wakes an app, as `rule` lets it."""
        agent = next(self.values(b"user-agent"), "")
        return Knock(
            method=self.method.decode("latin-1"),
            path=_cut(self.path, _PATH_KEPT),
            address=self.client,
            user_agent=_cut(agent, _AGENT_KEPT),
            rule=rule,
        )


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + "…"
