"""Snapshots become the documents of the API.

A document's field names are a promise: programs read them through `--json`.
Durations are seconds, sizes are bytes, points in time are seconds since the epoch.
A field that does not apply now is null, never absent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict

import msgspec
from starlette.responses import Response

from torpor.core.instance import ALIVE
from torpor.core.model import AppSnapshot, Caller, Event, InstanceId, InstanceSnapshot, Knock
from torpor.core.wake_events import action
from torpor.providers.base import Stats

StatsOf = Callable[[InstanceId], Stats | None]


class WakerDocument(msgspec.Struct, frozen=True):
    """Who woke an instance.  All but `by` are null where it was no request."""

    by: str
    """In words."""
    address: str | None = None
    user_agent: str | None = None
    method: str | None = None
    path: str | None = None
    """Without its query."""
    rule: str | None = None
    """The rule or setting that let it."""


class InstanceDocument(msgspec.Struct, frozen=True):
    """One copy of an app."""

    id: str
    state: str
    pid: int | None
    host: str | None
    port: int | None
    socket: str | None
    """Path of the Unix socket at which it listens, in place of host and port."""
    generation: int
    restarts: int
    rss: int | None
    cpu: float | None
    inflight: int
    parked: int
    idle_in: float | None
    deeper_in: float | None
    """Seconds until it sleeps deeper; None where it is not frozen, or stays as it is."""
    shallow: str | None
    """Why it sleeps less deep than it was to: what is missing here."""
    retry_in: float | None
    uptime: float | None
    state_age: float
    cause: str | None
    reason: str | None
    status: str | None
    """Its own words on what it is doing."""
    woken_by: WakerDocument | None
    log_degraded: bool
    """Its output cannot be written now."""
    log_lost: int
    """Bytes of its output that could not be written, since the daemon began."""
    log_problem: str | None
    log_unforwarded: int
    """Lines that journald or syslog did not take, since the daemon began."""


class DependencyDocument(msgspec.Struct, frozen=True):
    """An app that another one needs."""

    app: str
    condition: str
    optional: bool


class AwaitedDocument(msgspec.Struct, frozen=True):
    """An app that another one waits for before it is started."""

    app: str
    condition: str
    seconds: float
    """How long it has waited already."""


class AppDocument(msgspec.Struct, frozen=True):
    """One app.  What belongs to one copy is that of its most useful instance; `rss` is the sum of all."""

    name: str
    state: str
    want: str
    pid: int | None
    port: int | None
    generation: int
    restarts: int
    rss: int | None
    idle_in: float | None
    deeper_in: float | None
    """Seconds until it sleeps deeper; None where it is not frozen, or stays as it is."""
    shallow: str | None
    """Why it sleeps less deep than it was to: what is missing here."""
    retry_in: float | None
    uptime: float | None
    state_age: float
    inflight: int
    parked: int
    waiting: int
    waking_for: float | None
    eta: float | None
    awaited: list[AwaitedDocument]
    """The apps that it waits for before it is started."""
    gives_up_in: float | None
    """Until the wake in progress is over at the latest, ready or not; null: there is none, or it may take for ever."""
    routes: list[str]
    cause: str | None
    reason: str | None
    status: str | None
    woken_by: WakerDocument | None
    log_degraded: bool
    log_lost: int
    log_problem: str | None
    log_unforwarded: int
    pinned: bool
    """Whether an operator keeps it awake."""
    pinned_for: float | None
    """How much longer; null: until the operator says otherwise."""
    closed: str | None
    """Why its schedule lets it not run now."""
    depends_on: list[DependencyDocument]
    held_by: list[str]
    """Apps that need it now."""
    companions: list[str]
    """Apps, and groups as `group:NAME`, that are woken with it."""
    groups: list[str]
    """Names under which commands mean it together with others."""
    priority: int
    """1 to 100: the lower, the sooner it is put to sleep for others."""
    instances: list[InstanceDocument]


class RungDocument(msgspec.Struct, frozen=True):
    """How deep an app sleeps, and after how many seconds of idleness (None: not by itself)."""

    tier: str
    after: float | None


class AppDetail(AppDocument, frozen=True):
    """One app with all that is known of it."""

    idle_timeout: float | None
    ladder: list[RungDocument]
    """How deep it sleeps after how many seconds of idleness."""
    min_bytes: int
    """Bytes that must pass within `idle_timeout` to keep it awake; 0: every request does."""
    wake_timeout: float
    always_on: bool
    size: int | None
    """Bytes that it takes awake: as its `memory` says, or as it was measured last."""
    uses: Mapping[str, int]
    """How much of which budget each of its replicas uses up."""
    route_ports: Mapping[str, int]
    """The routes that lead to another port of the app than its main one, and to which."""


class EventDocument(msgspec.Struct, frozen=True):
    """Something that happened."""

    seq: int
    at: float
    app: str
    kind: str
    text: str
    instance: str
    action: str | None
    """The word for it in a wake; null where it belongs to none."""
    data: Mapping[str, object]


def app_document(snapshot: AppSnapshot, stats_of: StatsOf) -> AppDocument:
    """The line of `GET /apps` for one app."""
    return _summary(snapshot, [instance_document(one, stats_of) for one in snapshot.instances])


def app_detail(snapshot: AppSnapshot, stats_of: StatsOf) -> AppDetail:
    """The document of `GET /apps/{name}`."""
    instances = [instance_document(one, stats_of) for one in snapshot.instances]
    lifecycle = snapshot.spec.lifecycle
    return AppDetail(
        **msgspec.structs.asdict(_summary(snapshot, instances)),
        idle_timeout=lifecycle.idle_timeout,
        ladder=[
            RungDocument(lifecycle.tier.value, lifecycle.idle_timeout),
            *(RungDocument(rung.tier.value, rung.after) for rung in lifecycle.deeper),
        ],
        min_bytes=lifecycle.min_bytes,
        wake_timeout=lifecycle.wake_timeout,
        always_on=snapshot.always_on,
        size=snapshot.size,
        uses=dict(snapshot.spec.share.uses),
        route_ports={
            str(route): port for port, routes in snapshot.spec.further_ports.items() for route in routes
        },
    )


def instance_document(instance: InstanceSnapshot, stats_of: StatsOf) -> InstanceDocument:
    """One copy of an app.  Only what is alive is measured: measuring reads /proc."""
    stats = stats_of(instance.id) if instance.phase in ALIVE else None
    endpoint, reason = instance.endpoint, instance.reason
    at_port = endpoint is not None and endpoint.path is None
    return InstanceDocument(
        id=str(instance.id),
        state=instance.state,
        pid=stats.pid if stats else None,
        host=endpoint.host if endpoint and at_port else None,
        port=endpoint.port if endpoint and at_port else None,
        socket=endpoint.path if endpoint else None,
        generation=instance.generation,
        restarts=instance.restarts,
        rss=stats.rss if stats else None,
        cpu=_ms(stats.cpu) if stats and stats.cpu is not None else None,
        inflight=instance.inflight,
        parked=instance.parked,
        idle_in=_ms(instance.idle_in),
        deeper_in=_ms(instance.deeper_in),
        shallow=instance.shallow,
        retry_in=_ms(instance.retry_in),
        uptime=_ms(instance.uptime),
        state_age=round(instance.phase_age, 3),
        cause=reason.cause.value if reason else None,
        reason=str(reason) if reason else None,
        status=instance.status,
        woken_by=_waker(instance.woken_by),
        log_degraded=stats is not None and stats.log_problem is not None,
        log_lost=stats.log_lost if stats else 0,
        log_problem=stats.log_problem if stats else None,
        log_unforwarded=stats.log_unforwarded if stats else 0,
    )


def event_document(event: Event) -> EventDocument:
    """The document of one event."""
    return EventDocument(
        seq=event.seq,
        at=event.at,
        app=event.app,
        kind=event.kind,
        text=str(event),
        instance=event.instance,
        action=action(event),
        data=dict(event.data),
    )


def encode(document: object) -> bytes:
    """JSON text of a document.  A foreign value inside an event's data becomes its text."""
    return msgspec.json.encode(document, enc_hook=str)


def json_response(document: object, status: int = 200) -> Response:
    """The answer that carries a document."""
    return Response(encode(document), status_code=status, media_type="application/json")


def _summary(snapshot: AppSnapshot, instances: list[InstanceDocument]) -> AppDocument:
    shown = next((one for one in instances if one.state == snapshot.state), None)
    measured = [one.rss for one in instances if one.rss is not None]
    return AppDocument(
        name=snapshot.name,
        state=snapshot.state,
        want=snapshot.want.value,
        pid=shown.pid if shown else None,
        port=shown.port if shown else None,
        generation=shown.generation if shown else 0,
        restarts=sum(one.restarts for one in instances),
        rss=sum(measured) if measured else None,
        idle_in=shown.idle_in if shown else None,
        deeper_in=shown.deeper_in if shown else None,
        shallow=shown.shallow if shown else None,
        retry_in=shown.retry_in if shown else None,
        uptime=shown.uptime if shown else None,
        state_age=shown.state_age if shown else 0.0,
        inflight=sum(one.inflight for one in instances),
        parked=sum(one.parked for one in instances),
        waiting=snapshot.waiting,
        waking_for=_ms(snapshot.waking_for),
        eta=_ms(snapshot.eta),
        awaited=[
            AwaitedDocument(one.app, one.condition.value, round(one.seconds, 3)) for one in snapshot.awaited
        ],
        gives_up_in=_ms(snapshot.gives_up_in),
        routes=[str(route) for route in (*snapshot.spec.routes, *snapshot.spec.streams)],
        cause=shown.cause if shown else None,
        reason=shown.reason if shown else None,
        status=shown.status if shown else None,
        woken_by=shown.woken_by if shown else None,
        log_degraded=any(one.log_degraded for one in instances),
        log_lost=sum(one.log_lost for one in instances),
        log_problem=next((one.log_problem for one in instances if one.log_problem), None),
        log_unforwarded=sum(one.log_unforwarded for one in instances),
        pinned=snapshot.pinned,
        pinned_for=_ms(snapshot.pinned_for),
        closed=None if snapshot.pinned else snapshot.hours.closed,
        depends_on=[
            DependencyDocument(needed.app, needed.condition.value, needed.optional)
            for needed in snapshot.spec.depends_on
        ],
        held_by=list(snapshot.held_by),
        companions=list(snapshot.spec.companions),
        groups=sorted(snapshot.spec.groups),
        priority=snapshot.priority,
        instances=instances,
    )


def _waker(by: Caller | None) -> WakerDocument | None:
    if by is None:
        return None
    return WakerDocument(str(by), **asdict(by)) if isinstance(by, Knock) else WakerDocument(by)


def _ms(seconds: float | None) -> float | None:
    """Seconds to the millisecond: what is more exact is noise."""
    return None if seconds is None else round(seconds, 3)
