"""The addresses of stream routes, and all connections and sessions there."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from torpor.config.settings import Limits, Listen
from torpor.core.model import AppSpec, Knock, Scheme, StreamRoute
from torpor.core.rules import Network
from torpor.core.upstream import Upstream
from torpor.errors import ListenFailed
from torpor.gateway.acceptor import Acceptor
from torpor.gateway.dials import Dials
from torpor.gateway.ending import reset
from torpor.gateway.greeting import Greeting, refuse_name
from torpor.gateway.headers import within
from torpor.gateway.letterbox import Letterbox
from torpor.gateway.listener import bind
from torpor.gateway.listeners import NONE_SPARE, Address, Listeners, Prepared, Spare, place_of
from torpor.gateway.pipes import Pipes
from torpor.gateway.place import Lead, Place
from torpor.gateway.proxied import End, Ends, header
from torpor.gateway.session import Session
from torpor.gateway.stream import Stream
from torpor.runtime.seam import Seam


class Streams:
    """Takes what comes on the addresses of stream routes."""

    def __init__(self, seam: Seam, changed: Callable[[], None]) -> None:
        """`changed` is called when a connection or session has ended."""
        self.loop: asyncio.AbstractEventLoop
        self.pipes = Pipes()
        self.dials = Dials()
        self.limits = Limits()
        """Of these, `connections` and, for a greeting, `header_timeout`."""
        self.trusted: Sequence[Network] = ()
        """Where proxies may be that are believed."""
        self._seam = seam
        self._changed = changed
        self._listeners = Listeners(self._serve)
        self._places: dict[Listen, Place] = {}
        self._open: set[Stream | Greeting | Session] = set()

    def __len__(self) -> int:
        """How many are open or held."""
        return len(self._open)

    async def open(self, limits: Limits, inherited: Sequence[socket.socket]) -> list[socket.socket]:
        """Listen on every address, with those of `inherited` that have one; the rest of these.  Raises `ListenFailed`."""
        self.loop = asyncio.get_running_loop()
        self.limits = limits
        listens = _addresses(self._seam.specs())
        wanted = {(listen.host, listen.port, listen.udp) for listen in listens}
        ours = [sock for sock in inherited if place_of(sock) in wanted]
        await self._listeners.open(listens, ours, 0.0)
        return [sock for sock in inherited if sock not in ours]

    def given_up(self, apps: Sequence[AppSpec]) -> Spare:
        """Where no streams are taken any more once there are these apps."""
        return self._listeners.given_up(_addresses(apps))

    def prepare(self, apps: Sequence[AppSpec], spare: Spare = NONE_SPARE) -> Prepared:
        """Open what these apps need.  Raises `ListenFailed`; nothing has changed then.

        `spare`: where no requests are taken any more.
        """
        return self._listeners.prepare(_addresses(apps), spare)

    def abandon(self, prepared: Prepared) -> None:
        """Those apps will not be there after all."""
        self._listeners.abandon(prepared)

    async def commit(self, prepared: Prepared) -> None:
        """Listen there from now on, and nowhere else.  What is open stays open."""
        await self._listeners.commit(prepared, 0.0)

    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of each address, in the order of the configuration."""
        return self._listeners.addresses()

    def reroute(self) -> None:
        """Read the apps' routes again."""
        leads: dict[Listen, list[Lead]] = {}
        for app in self._seam.specs():
            gate = self._seam.gate(app.name)
            for route in app.streams:
                leads.setdefault(_listen(route), []).append(Lead(route, gate))
        self._places = {listen: Place(found) for listen, found in leads.items()}

    def close(self) -> None:
        """Accept nothing more, and have all that is open come to an end."""
        self._listeners.close()
        for stream in list(self._open):
            stream.say_goodbye()

    def abort(self) -> None:
        """End what is still open, now."""
        for stream in list(self._open):
            stream.abort()
        self.pipes.close()

    def say_goodbye(self, upstream: Upstream) -> None:
        """This instance is to stop: end the connections to it."""
        for stream in self._to(upstream):
            stream.say_goodbye()

    def drop(self, upstream: Upstream) -> None:
        """This instance has ended."""
        self.dials.drop(upstream)
        for stream in self._to(upstream):
            stream.app_gone()

    def greeted(self, greeting: Greeting) -> None:
        """It is known now for whom and for which app a connection is."""
        place = self._places.get(greeting.listen)
        lead = None if place is None else place.find(greeting.name)
        self._lead(lead, greeting.client, greeting.ends, greeting.name)

    def forget(self, stream: Stream | Greeting | Session) -> bool:
        """A connection ends; whether it was there until now."""
        if stream not in self._open:
            return False
        self._open.discard(stream)
        self.loop.call_soon(self._changed)
        return True

    def _to(self, upstream: Upstream) -> list[Stream | Greeting | Session]:
        return [stream for stream in self._open if stream.upstream is upstream]

    async def _serve(
        self, sock: socket.socket, listen: Listen | None, _context: ssl.SSLContext | None, _patience: float
    ) -> Acceptor | Letterbox:
        assert listen is not None
        if listen.udp:
            letterbox = Letterbox(sock, lambda box, address: self._written(listen, box, address))
            letterbox.open()
            return letterbox
        acceptor = Acceptor(sock, lambda client, address: self._accepted(listen, client, address))
        acceptor.open()
        return acceptor

    def _accepted(self, listen: Listen, client: socket.socket, address: Address) -> None:
        place, ends = self._places.get(listen), Ends(End(*address), End(*client.getsockname()[:2]))
        crowded = len(self._open) >= self.limits.connections
        if place is None or crowded or (place.proxied and not within(address[0], self.trusted)):
            reset(client)
            return
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if place.named or place.proxied:
            proxied, named = place.proxied, place.named
            self._begin(Greeting(self, listen, client, ends, proxied=proxied, named=named))
        else:
            self._lead(place.find(None), client, ends, None)

    def _lead(self, lead: Lead | None, client: socket.socket, ends: Ends, name: str | None) -> None:
        """Hand a connection over to where it leads.  `name`: the server that it is for, where that decides."""
        if lead is None:
            refuse = reset if name is None else refuse_name
            refuse(client)
            return
        route = lead.route
        where = str(_listen(route)) if name is None else f"{name}:{route.port}"
        knock = Knock("TCP" if name is None else "TLS", where, ends.source.host, "", "routes")
        preface = b"" if route.send_proxy is None else header(route.send_proxy, ends)
        self._begin(Stream(self, lead.gate, client, knock, port=route.app_port, preface=preface))

    def _written(self, listen: Listen, box: Letterbox, address: Any) -> Session | None:
        """Somebody sends a first datagram."""
        place = self._places.get(listen)
        lead = None if place is None else place.find(None)
        if lead is None or len(self._open) >= self.limits.connections:
            return None
        knock = Knock("UDP", str(listen), address[0], "", "routes")
        answer, ended = partial(box.answer, address), partial(box.forget, address)
        session = Session(self, lead.gate, knock, answer, ended, port=lead.route.app_port)
        self._begin(session)
        return session

    def _begin(self, stream: Stream | Greeting | Session) -> None:
        self._open.add(stream)
        stream.open()


def _listen(route: StreamRoute) -> Listen:
    return Listen(route.host, route.port, udp=route.scheme is Scheme.UDP)


def taken(app: AppSpec, inherited: Sequence[socket.socket]) -> str | None:
    """Why the app's streams cannot be listened for just now, in words; None: they can.

    For the daemon's start, before anything listens; `inherited` are sockets that it has already.
    """
    ours = {place_of(sock) for sock in inherited}
    try:
        for listen in _addresses([app]):
            if (listen.host, listen.port, listen.udp) not in ours:
                bind(listen).close()
    except ListenFailed as failed:
        return failed.message
    return None


def _addresses(apps: Iterable[AppSpec]) -> list[Listen]:
    """Each once: several apps may share one, by server name."""
    return list(dict.fromkeys(_listen(route) for app in apps for route in app.streams))
