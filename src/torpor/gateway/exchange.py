"""What becomes of one request on a client connection, and the answers that are our own.

There are two kinds: `forward.Relay` passes the request on to its app, `question.Question` answers a proxy in front.
"""

from __future__ import annotations

import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from torpor.gateway import replies
from torpor.gateway.heads import Request, parse_request
from torpor.gateway.request import RequestHead

if TYPE_CHECKING:
    from torpor.gateway.backend import BackendConnection
    from torpor.gateway.framing import Framer
    from torpor.gateway.gateway import Gateway
    from torpor.gateway.http import ClientConnection

log = logging.getLogger(__name__)


class Exchange(ABC):
    """The request that a client connection is busy with.

    One object per connection, used again for each request: a new one per request costs half
    a microsecond.
    """

    __slots__ = ("_gateway", "_match", "_request", "backend", "body", "client", "limits", "respond")

    def __init__(self, gateway: Gateway, client: ClientConnection) -> None:
        self._gateway = gateway
        self.client = client
        self.limits = gateway.spec.limits
        self.respond: Callable[[bytes], None]
        """Writes to the client."""
        self._match: re.Match[bytes] | None = None
        """The request, if `PLAIN_REQUEST` matched it."""
        self._request: Request | None = None
        self.backend: BackendConnection | None = None
        """What the request was sent on, until all of the answer came."""
        self.body: Framer | None = None
        """What is still to come of the request's body."""

    @property
    def request(self) -> Request:
        """The request as the careful reader sees it."""
        request = self._request
        if request is None:
            plain = self._match
            assert plain is not None
            request = self._request = parse_request(plain.string, plain.end() - 4, self.limits)
        return request

    @property
    def last(self) -> bool:
        """Whether the gateway is closing, so that no connection should outlive its response."""
        return self._gateway.closing

    def head(self) -> RequestHead:
        """The request, as everything but its forwarding looks at it."""
        request, client = self.request, self.client
        return request.view(client.forwarding.client(request.forwarded), client.scheme)

    def begin_plain(self, plain: re.Match[bytes], data: bytes) -> None:  # noqa: ARG002 - for those who pass it on
        """Take on `data`, all of which `PLAIN_REQUEST` matched; `request` is made of it only if somebody asks."""
        self._match = plain
        self._request = None
        self.begin(self.request)

    @abstractmethod
    def begin(self, request: Request) -> None:
        """Take on a request.  The client connection is busy until `ClientConnection.exchange_done`."""

    def send_body(self, data: bytes) -> bytes:
        """Pass on a piece of the request's body; returns what lies behind its end."""
        return data

    @abstractmethod
    def abandon(self) -> None:
        """The client left."""

    def abandon_body(self) -> None:
        """The client stopped in the middle of the request's body."""
        self.break_off("request-timeout", "The request's body took too long.")

    def break_off(self, cause: str, text: str) -> None:
        """Nothing more of the request is read: refuse it, unless it has its answer."""
        self.refuse(cause, text, close=True)

    def answer(self, reply: replies.Reply, *, close: bool = False) -> None:
        """Answer it ourselves.  That is its end."""
        self.client.reply(reply, self.request, close=close or self.request.length != 0)

    def refuse(self, cause: str, text: str, *, close: bool = False) -> None:
        """Answer that it cannot be done; for `cause` see `replies`."""
        verdict = replies.verdict(cause)
        if log.isEnabledFor(verdict.level):
            log.log(verdict.level, "%s: %s", cause, text)
        self.answer(replies.problem(self.head(), cause, text), close=close)

    def reset(self) -> None:
        """Make ready for the next request."""
        self._match = None
        self._request = None

    @abstractmethod
    def forget_routes(self) -> None:
        """The configuration changed: look hosts up again."""
