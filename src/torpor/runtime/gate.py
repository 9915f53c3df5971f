"""The seam, implemented in the engine's own process.

`enter` and `leave` are the hot path.  `enter` is the core's own method; `leave` is a
decrement and a clock read.  Neither posts a message, makes a task or sets a timer,
unless the core waits for the last lease of a closing upstream.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence

from torpor.core.app import App
from torpor.core.messages import (
    ClientLeft,
    CloseUpgraded,
    ConnectRefused,
    DropUpstream,
    GrantTicket,
    PageRequested,
    RefuseTicket,
    RequestArrived,
    Vacated,
)
from torpor.core.model import AppSnapshot, AppSpec, Caller, Event, Refusal
from torpor.core.upstream import Upstream
from torpor.errors import unknown_app
from torpor.providers.base import Provider
from torpor.runtime import clock
from torpor.runtime.engine import Engine
from torpor.runtime.journal import Journal
from torpor.runtime.seam import Gate, Refused, UpstreamListener

GateEffect = GrantTicket | RefuseTicket | CloseUpgraded | DropUpstream


class LocalGate:
    """The door of one app.  See `runtime.seam.Gate` for the promises."""

    __slots__ = ("_app", "_engine", "_tickets", "enter")

    def __init__(self, app: App, engine: Engine, tickets: Tickets) -> None:
        self._app = app
        self._engine = engine
        self._tickets = tickets
        self.enter = app.enter

    @property
    def spec(self) -> AppSpec:
        """The app behind the door."""
        return self._app.spec

    def leave(self, upstream: Upstream) -> None:
        """Repay a lease."""
        upstream.inflight -= 1
        if upstream.volume is None:
            upstream.last_active = clock.now()
        else:
            self.touch(upstream)
        if not upstream.open:
            self._acknowledge(upstream)

    def discount(self, upstream: Upstream) -> None:
        """A lease is for a request that does not count."""
        upstream.discounted += 1

    def leave_discounted(self, upstream: Upstream) -> None:
        """Repay a discounted lease."""
        upstream.discounted -= 1
        upstream.inflight -= 1
        if not upstream.open:
            self._acknowledge(upstream)

    def touch(self, upstream: Upstream) -> None:
        """Activity on a parked connection, or at the end of a request; too few bytes are none.

        It wakes what is frozen, once.
        """
        if upstream.volume is not None and not upstream.volume.suffices():
            return
        upstream.last_active = clock.now()
        self._thaw(upstream)

    def park(self, upstream: Upstream) -> None:
        """A connection is open that does not keep the app awake."""
        upstream.parked += 1

    def unpark(self, upstream: Upstream) -> None:
        """A parked connection ended.  Its end is no activity."""
        upstream.parked -= 1
        if not upstream.open:
            self._acknowledge(upstream)

    def engage(self, upstream: Upstream) -> None:
        """An answer is owed on a parked connection: from now on it has a lease, few bytes or many."""
        upstream.inflight += 1
        upstream.parked -= 1
        self._thaw(upstream)

    async def wait(self, by: Caller) -> Upstream:
        """Wake the app and claim a lease once it is ready."""
        ticket, verdict = self._tickets.draw()
        name = self._app.spec.name
        self._engine.post(RequestArrived(name, ticket, by))
        try:
            return await verdict
        except asyncio.CancelledError:
            if verdict.done() and not verdict.cancelled() and verdict.exception() is None:
                self.leave(verdict.result())  # granted in the very moment in which the client left
            else:
                self._engine.post(ClientLeft(name, ticket))
            raise
        finally:
            self._tickets.tear(ticket)

    def knock(self, by: Caller) -> Refusal | None:
        """Wake the app without waiting."""
        refusal = self.refusal()
        if refusal is None:
            self._engine.post(PageRequested(self._app.spec.name, by))
        return refusal

    def refusal(self) -> Refusal | None:
        """The verdict on a request that came now, if the app would not wake for it."""
        return self._app.refusal(clock.now())

    def would_wake(self) -> bool:
        """Whether a request that came now would begin a wake."""
        return self._app.would_wake(clock.now())

    def dozes(self) -> bool:
        """Whether it only has to be let go on."""
        return self._app.instances.dozing

    def connect_refused(self, upstream: Upstream) -> None:
        """The instance refused a connection."""
        self._engine.post(ConnectRefused(upstream.id, upstream.generation))

    def snapshot(self) -> AppSnapshot:
        """The app now."""
        return self._app.snapshot(clock.now())

    def _thaw(self, upstream: Upstream) -> None:
        if upstream.frozen:
            upstream.frozen = False
            self._engine.post(PageRequested(self._app.spec.name, "data on an open connection"))

    def _acknowledge(self, upstream: Upstream) -> None:
        if not upstream.inflight:
            self._engine.post(Vacated(upstream.id, upstream.generation))


class Tickets:
    """The futures of the requests that wait, by the number that the core knows them by."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._verdicts: dict[int, asyncio.Future[Upstream]] = {}

    def draw(self) -> tuple[int, asyncio.Future[Upstream]]:
        """A new ticket and its verdict to come."""
        ticket = next(self._numbers)
        verdict = asyncio.get_running_loop().create_future()
        self._verdicts[ticket] = verdict
        return ticket, verdict

    def tear(self, ticket: int) -> None:
        """Forget a ticket."""
        self._verdicts.pop(ticket, None)

    def grant(self, ticket: int, upstream: Upstream) -> bool:
        """Deliver the good verdict.  False: its client has left and nobody will repay the lease."""
        verdict = self._verdicts.get(ticket)
        if verdict is None or verdict.done():
            return False
        verdict.set_result(upstream)
        return True

    def refuse(self, ticket: int, refusal: Refusal) -> None:
        """Deliver the bad verdict, if its client still waits."""
        verdict = self._verdicts.get(ticket)
        if verdict is not None and not verdict.done():
            verdict.set_exception(Refused(refusal))


class LocalSeam:
    """All doors, and what the waiting page may know.  See `runtime.seam.Seam`."""

    def __init__(self, engine: Engine, journal: Journal, provider: Callable[[AppSpec], Provider]) -> None:
        self._engine = engine
        self._journal = journal
        self._provider = provider
        self._tickets = Tickets()
        self._listener: UpstreamListener | None = None
        self._gates: dict[str, LocalGate] = {
            name: LocalGate(app, engine, self._tickets) for name, app in engine.fleet.apps.items()
        }

    def specs(self) -> Sequence[AppSpec]:
        """All configured apps."""
        return [app.spec for app in self._engine.fleet.apps.values() if not app.leaving]

    def follow(self) -> None:
        """Other apps are configured: there is a door for each, and the same one as before where there was one."""
        for name, app in self._engine.fleet.apps.items():
            if name not in self._gates:
                self._gates[name] = LocalGate(app, self._engine, self._tickets)

    def gate(self, app: str) -> Gate:
        """The door of an app."""
        if (gate := self._gates.get(app)) is None:
            raise unknown_app(app, self._gates)
        return gate

    def listen(self, listener: UpstreamListener) -> None:
        """Register the gateway."""
        self._listener = listener

    def wake_steps(self, app: str) -> Sequence[Event]:
        """The events of the wake in progress, or of the last one."""
        return self._journal.wake_steps(app)

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call `callback` with each event from now on."""
        return self._journal.subscribe(callback)

    def last_lines(self, app: str, lines: int) -> Sequence[str]:
        """The last lines of the app's instance that is in trouble, or of its first one."""
        found = self._engine.fleet.apps.get(app)
        if found is None:
            return ()
        return self._provider(found.spec).output(found.instances.troubled.id).tail(lines)

    def forget(self, app: str) -> None:
        """The app is gone: whoever still stands at its door is refused by the engine."""
        del self._gates[app]

    def perform(self, effect: GateEffect) -> None:
        """Carry out an effect that concerns requests."""
        match effect:
            case GrantTicket(ticket=ticket, upstream=upstream):
                if not self._tickets.grant(ticket, upstream):
                    self._gates[upstream.id.app].leave(upstream)  # it is granted, so it is there
            case RefuseTicket(ticket=ticket, refusal=refusal):
                self._tickets.refuse(ticket, refusal)
            case CloseUpgraded(upstream=upstream):
                if self._listener is not None:
                    self._listener.close_upgraded(upstream)
            case DropUpstream(upstream=upstream):
                if self._listener is not None:
                    self._listener.drop_upstream(upstream)
