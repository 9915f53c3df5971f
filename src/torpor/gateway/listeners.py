"""The sockets that the gateway serves, and how they are exchanged while it runs.

Laws:
1. What can fail is done first (`prepare`): then either all of it holds or nothing has changed.
2. An address that stays is never closed, not even for a moment; its connections are not disturbed.
3. A certificate is read again whenever the configuration is: a renewed one needs no restart.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from torpor.config.settings import Listen
from torpor.errors import ListenFailed
from torpor.gateway import listener

Address = tuple[str, int]
Where = tuple[str, int, bool]
"""Host and port, and whether datagrams come there."""
Spare = Mapping[Where, socket.socket]
"""Sockets that are served, and soon will not be."""
NONE_SPARE: Spare = MappingProxyType({})


class Server(Protocol):
    """Who accepts what comes on a socket: `asyncio.Server`, or `gateway.acceptor.Acceptor`."""

    @property
    def sockets(self) -> Sequence[socket.socket]:
        """What it serves."""
        ...

    def close(self) -> None:
        """Accept no more.  What was accepted is not touched."""
        ...


Serve = Callable[[socket.socket, Listen | None, ssl.SSLContext | None, float], Awaitable[Server]]
"""Has a socket served: as what, with which TLS, and how many seconds a handshake may take."""


@dataclass(frozen=True, slots=True)
class _Served:
    """A socket that is served."""

    listen: Listen | None
    """None: it was inherited, and is not in the configuration."""
    server: Server
    context: ssl.SSLContext | None
    address: Address


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is needed to serve other addresses: give it to `commit` or to `abandon`."""

    listens: tuple[Listen, ...]
    sockets: dict[Listen, tuple[socket.socket, ssl.SSLContext | None]] = field(default_factory=dict)


class Listeners:
    """The listening sockets, each with its server."""

    def __init__(self, serve: Serve) -> None:
        self._server = serve
        self._served: list[_Served] = []

    def addresses(self) -> list[Address]:
        """Host and port of each, in the order of the configuration, inherited ones last."""
        return [served.address for served in self._served]

    async def open(
        self, listens: Sequence[Listen], inherited: Sequence[socket.socket], patience: float
    ) -> None:
        """Serve these addresses, and inherited sockets.  Raises `ListenFailed`; nothing is served then.

        `patience`: seconds that a TLS handshake may take.
        """
        try:
            handed = {place_of(sock): sock for sock in inherited}
            for listen in listens:
                context = None if listen.tls is None else listener.tls_context(listen.tls)
                sock = handed.pop(_place(listen), None) or listener.bind(listen)
                self._served.append(await self._serve(listen, sock, context, patience))
            for sock in handed.values():
                self._served.append(await self._serve(None, sock, None, patience))
        except BaseException:
            self.close()
            raise

    def given_up(self, listens: Sequence[Listen]) -> Spare:
        """What is not served any more once these are."""
        wanted = {_place(listen) for listen in listens}
        return {
            _place(one.listen): one.server.sockets[0]
            for one in self._served
            if one.listen is not None and _place(one.listen) not in wanted
        }

    def prepare(self, listens: Sequence[Listen], spare: Spare = NONE_SPARE) -> Prepared:
        """Open what is to be served besides.  Raises `ListenFailed`; nothing has changed then.

        `spare`: what others listen on now, and will no more.
        """
        prepared = Prepared(tuple(listens))
        served = {one.listen: one for one in self._served}
        try:
            for listen in listens:
                context = None if listen.tls is None else listener.tls_context(listen.tls)
                if listen not in served:
                    prepared.sockets[listen] = self._socket(listen, listens, spare), context
        except ListenFailed:
            self.abandon(prepared)
            raise
        return prepared

    def abandon(self, prepared: Prepared) -> None:
        """Close what was opened for nothing."""
        for sock, _ in prepared.sockets.values():
            sock.close()

    async def commit(self, prepared: Prepared, patience: float) -> None:
        """Serve what was prepared, and accept nothing more on what is not configured any more."""
        before = {one.listen: one for one in self._served if one.listen is not None}
        after = []
        for listen in prepared.listens:
            if listen in prepared.sockets:
                sock, context = prepared.sockets[listen]
                after.append(await self._serve(listen, sock, context, patience))
                continue
            kept = before.pop(listen)
            if kept.context is not None and listen.tls is not None:
                kept.context.load_cert_chain(listen.tls.cert, listen.tls.key)
            after.append(kept)
        for gone in before.values():
            gone.server.close()
        self._served = after + [one for one in self._served if one.listen is None]

    def close(self) -> None:
        """Accept nothing more."""
        for served in self._served:
            served.server.close()

    def _socket(self, listen: Listen, listens: Sequence[Listen], spare: Spare) -> socket.socket:
        """A socket for an address that is new, or that is to be served in another way.  Raises `ListenFailed`."""
        if (sock := {**spare, **self.given_up(())}.get(_place(listen))) is not None:
            return socket.socket(fileno=os.dup(sock.fileno()))
        try:
            return listener.bind(listen)
        except ListenFailed as error:
            ours = next((one.listen for one in self._served if one.address[1] == listen.port), None)
            if ours is None or ours in listens:
                raise
            raise ListenFailed(
                f"Cannot listen on {listen} while this gateway listens on {ours}.",
                hint="`torpor down --keep-apps` and `torpor up` change from one to the other.",
            ) from error

    async def _serve(
        self, listen: Listen | None, sock: socket.socket, context: ssl.SSLContext | None, patience: float
    ) -> _Served:
        sock.setblocking(False)
        server = await self._server(sock, listen, context, patience)
        host, port = sock.getsockname()[:2]
        return _Served(listen, server, context, (host, port))


def _place(listen: Listen) -> Where:
    return listen.host, listen.port, listen.udp


def place_of(sock: socket.socket) -> Where:
    """Where a socket is bound."""
    host, port = sock.getsockname()[:2]
    return host, port, sock.type == socket.SOCK_DGRAM
