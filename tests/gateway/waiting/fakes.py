"""A seam, a gate and a client's stream in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torpor.core.model import (
    AppSnapshot,
    AppSpec,
    Caller,
    Event,
    InstanceId,
    InstanceSnapshot,
    LoadingPage,
    Phase,
    Reason,
    Refusal,
    Route,
    Want,
)
from torpor.core.upstream import Upstream
from torpor.errors import UnknownApp
from torpor.gateway.request import RequestHead
from torpor.runtime.seam import UpstreamListener

NOTES = AppSpec("notes", routes=(Route("notes.localhost"),))


class FakeGate:
    """A door that stays shut; a test says how the app behind it is."""

    def __init__(self, spec: AppSpec) -> None:
        self.spec = spec
        self.knocks = 0
        self.now = snapshot(spec, Phase.STARTING)

    def enter(self) -> Upstream | None:
        return None

    def leave(self, upstream: Upstream) -> None:
        raise NotImplementedError

    def touch(self, upstream: Upstream) -> None:
        raise NotImplementedError

    def discount(self, upstream: Upstream) -> None:
        raise NotImplementedError

    def leave_discounted(self, upstream: Upstream) -> None:
        raise NotImplementedError

    def park(self, upstream: Upstream) -> None:
        raise NotImplementedError

    def unpark(self, upstream: Upstream) -> None:
        raise NotImplementedError

    def engage(self, upstream: Upstream) -> None:
        raise NotImplementedError

    def connect_refused(self, upstream: Upstream) -> None:
        raise NotImplementedError

    async def wait(self, by: Caller) -> Upstream:
        raise NotImplementedError

    def knock(self, by: Caller) -> Refusal | None:
        self.knocks += 1
        return None

    def refusal(self) -> Refusal | None:
        raise NotImplementedError

    def dozes(self) -> bool:
        return False

    def would_wake(self) -> bool:
        raise NotImplementedError

    def snapshot(self) -> AppSnapshot:
        return self.now


class FakeSeam:
    """Apps, their events, and who listens."""

    def __init__(self, *specs: AppSpec) -> None:
        self.gates = {spec.name: FakeGate(spec) for spec in specs or (NOTES,)}
        self.steps: dict[str, list[Event]] = {name: [] for name in self.gates}
        self.lines: list[str] = []
        self.callbacks: list[Callable[[Event], None]] = []
        self.on_wake_steps: list[Callable[[], object]] = []
        """Called once each by the next look at the steps: something happens just then."""
        self._seq = 100

    def specs(self) -> Sequence[AppSpec]:
        return [gate.spec for gate in self.gates.values()]

    def gate(self, app: str) -> FakeGate:
        try:
            return self.gates[app]
        except KeyError:
            raise UnknownApp(f"no app {app}") from None

    def listen(self, listener: UpstreamListener) -> None:
        raise NotImplementedError

    def wake_steps(self, app: str) -> Sequence[Event]:
        steps = list(self.steps[app])
        while self.on_wake_steps:
            self.on_wake_steps.pop()()
        return steps

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback)

    def last_lines(self, app: str, lines: int) -> Sequence[str]:
        return self.lines[-lines:]

    def happen(
        self, kind: str, text: str = "", app: str = "notes", phase: Phase | None = None, **data: object
    ) -> Event:
        """Something happens to an app, which is then in `phase`."""
        self._seq += 1
        event = Event(self._seq, 1_700_000_000.0 + self._seq, app, kind, text, app, data)
        gate = self.gates[app]
        if phase is not None:
            gate.now = snapshot(gate.spec, phase)
        self.steps[app].append(event)
        for callback in list(self.callbacks):
            callback(event)
        return event


@dataclass
class FakeStream:
    """A client that reads everything, until a test says that it does not."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    sent: bytes = b""
    reads: bool = True
    ended: int = 0
    callbacks: list[Callable[[], None]] = field(default_factory=list)

    def begin(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        assert self.status is None
        self.status, self.headers = status, dict(headers)

    def write(self, data: bytes) -> bool:
        assert data
        assert self.status is not None
        assert not self.ended
        self.sent += data
        return self.reads

    def end(self) -> None:
        self.ended += 1
        self.leave()

    def on_close(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)

    def leave(self) -> None:
        """The client goes, or the response ended: both are told once."""
        callbacks, self.callbacks = self.callbacks, []
        for callback in callbacks:
            callback()

    @property
    def messages(self) -> list[tuple[str, int | None, dict[str, Any]]]:
        """What a browser's EventSource would dispatch: (event, id, data)."""
        return list(parse(self.sent))

    @property
    def ids(self) -> list[int | None]:
        """The numbers of the steps, in the order sent."""
        return [number for name, number, _ in self.messages if name == "message"]

    @property
    def states(self) -> list[str]:
        """The states told, in the order sent."""
        return [str(data["state"]) for name, _, data in self.messages if name == "state"]


def parse(sent: bytes) -> Iterator[tuple[str, int | None, dict[str, Any]]]:
    """Read an event stream as its specification says."""
    for block in sent.decode().split("\n\n"):
        fields: dict[str, str] = {}
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        if "data" in fields:
            number = int(fields["id"]) if "id" in fields else None
            yield fields.get("event", "message"), number, json.loads(fields["data"])


def head(
    target: str = "/", *, method: str = "GET", host: str = "notes.localhost", **headers: str
) -> RequestHead:
    """A request; underscores in header names become hyphens."""
    return RequestHead(
        method=method.encode(),
        target=target.encode(),
        host=host,
        path=target.partition("?")[0],
        headers=tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()),
        version=(1, 1),
        client="192.0.2.7",
        scheme="http",
    )


def snapshot(
    spec: AppSpec = NOTES,
    phase: Phase = Phase.STARTING,
    *,
    want: Want = Want.AUTO,
    reason: Reason | None = None,
    retry_in: float | None = None,
    eta: float | None = None,
    waking_for: float | None = None,
) -> AppSnapshot:
    """An app of one instance."""
    instance = InstanceSnapshot(
        id=InstanceId(spec.name),
        phase=phase,
        generation=1,
        phase_age=0.0,
        uptime=None,
        restarts=0,
        inflight=0,
        parked=0,
        idle_in=None,
        retry_in=retry_in,
        endpoint=None,
        reason=reason,
    )
    return AppSnapshot(spec.name, want, phase, 0, eta, waking_for, (instance,), spec)


def with_page(**page: object) -> AppSpec:
    """The app, with that `loading_page`."""
    return replace(NOTES, loading_page=LoadingPage(**page))  # type: ignore[arg-type]
