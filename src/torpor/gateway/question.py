"""A question of a proxy in front: whether a request may pass, and where to.

It is asked by nginx's auth_request, Caddy's forward_auth, Traefik's forwardAuth and whoever speaks like them, about an
app whose traffic goes past Torpor.

Laws:
1. What is asked about is the visitor's request, as the proxy tells it in `X-Forwarded-*`; the question's own method and
   path say only which app is meant.
2. Whom nobody trusts is not answered, for all of that is believed.
"""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from torpor.gateway.exchange import Exchange
from torpor.gateway.fields import Malformed
from torpor.gateway.heads import Request, check_host, check_request_line, host_name
from torpor.gateway.request import RequestHead

if TYPE_CHECKING:
    from torpor.gateway.gateway import Gateway
    from torpor.gateway.http import ClientConnection

log = logging.getLogger(__name__)

_PATH = re.compile(r"/api/v1/(?:gate|apps/([^/]+)/gate)")
_CLIENT = re.compile(rb"[0-9A-Za-z.:\[\]_-]{1,64}")


class Question(Exchange):
    """The exchange of a connection that was accepted on a listener with `gate: true`."""

    __slots__ = ("_task",)

    def __init__(self, gateway: Gateway, client: ClientConnection) -> None:
        super().__init__(gateway, client)
        self._task: asyncio.Task[None] | None = None

    def begin(self, request: Request) -> None:
        """See `Exchange.begin`."""
        self._request = request
        head = request.view(self.client.peer, self.client.scheme)
        named = _PATH.fullmatch(head.path)
        if not self.client.forwarding.from_a_friend:
            self.refuse("forbidden", "Only 127.0.0.1, ::1 and gateway.trusted_proxies may ask here.")
        elif named is None:
            self.refuse("not-found", "A gate answers at /api/v1/gate and /api/v1/apps/NAME/gate.")
        elif head.method not in (b"GET", b"HEAD"):
            self.refuse(
                "method-not-allowed", "A gate is asked by GET; X-Forwarded-Method tells the visitor's."
            )
        else:
            app = None if named[1] is None else unquote(named[1])
            self._task = self._gateway.loop.create_task(self._ask(head, app))

    def abandon(self) -> None:
        """See `Exchange.abandon`."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def forget_routes(self) -> None:
        """See `Exchange.forget_routes`: it remembers none."""

    async def _ask(self, head: RequestHead, app: str | None) -> None:
        try:
            reply = await self._gateway.doorman.ask(head, app)
        except Exception:
            self._task = None
            log.exception("a question about %s could not be answered", app or head.host)
            self.refuse("internal-error", "Torpor failed to answer this question.")
            return
        self._task = None
        self.answer(reply)


def asked_about(head: RequestHead) -> RequestHead:
    """The visitor's request, as far as a question tells of it.  Raises `Malformed`."""
    method = head.get(b"x-forwarded-method") or b"GET"
    target = head.get(b"x-forwarded-uri") or b"/"
    host = (head.get(b"x-forwarded-host") or head.get(b"host") or b"").lower()
    if not check_request_line(method, target):
        raise Malformed("bad-request", "X-Forwarded-Method and X-Forwarded-Uri are no method and path.")
    if host and not check_host(host):
        raise Malformed("bad-request", "X-Forwarded-Host is not a host name.")
    # The last one is the proxy's own word; what stands before it came from the visitor.
    client = (head.get(b"x-forwarded-for") or b"").rpartition(b",")[2].strip()
    scheme = head.get(b"x-forwarded-proto")
    return replace(
        head,
        method=method,
        target=target,
        path=target.partition(b"?")[0].decode("latin-1"),
        host=host_name(host),
        client=client.decode() if _CLIENT.fullmatch(client) else head.client,
        scheme=scheme.decode() if scheme in {b"http", b"https"} else head.scheme,
    )
