"""The routes of the operator's API, version 1.

Laws:

1. Asking never wakes an app; only the verbs `start`, `restart` and `wake` do (`wishes`), and the gate, which is
   asked for a visitor.
2. An answer is a document (`render`) or a problem (`problems`), whatever happened.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from torpor.control.analysis import analyse_boot, analyse_wake
from torpor.control.checks import Checks
from torpor.control.follow import Followers
from torpor.control.gate import Ask, gate_routes
from torpor.control.lines import (
    Voice,
    json_event,
    json_gap,
    json_listening,
    json_wake_event,
    plain_gap,
    plain_line,
    sse_event,
    sse_gap,
    sse_wake_event,
)
from torpor.control.problems import (
    HANDLERS,
    BodyTooLarge,
    NotReady,
    problem_response,
)
from torpor.control.query import MAX_BODY, count, flag, last_seen
from torpor.control.render import app_detail, app_document, json_response
from torpor.control.selection import is_glob, meant
from torpor.control.set_changes import SetChanges
from torpor.control.stream import Source, StreamResponse
from torpor.control.why import LOG_LINES, Account, why_document
from torpor.control.wishes import Wishes
from torpor.core.model import Event, InstanceId
from torpor.core.wake_events import Attempts, is_over, resumed
from torpor.errors import BadRequest, UnknownApp
from torpor.providers.base import Output, Stream
from torpor.runtime.keeper import Keeper
from torpor.runtime.operator import Operator

MAX_LINES = 10_000
"""Log lines per app that one answer looks back on."""
MAX_EVENTS = 10_000
DEFAULT_LINES = 100
DEFAULT_EVENTS = 50
MEASURED_AT_ONCE = 16
"""Apps; measuring one reads several files of /proc."""

Sink = Callable[[bytes], None]

NDJSON = "application/x-ndjson"
SSE = "text/event-stream"


@dataclass(frozen=True, slots=True)
class DaemonInfo:
    """What `GET /version` tells of the daemon itself."""

    version: str
    pid: int
    config: str
    """The file that was loaded."""
    listen: tuple[str, ...] = ()
    """Addresses of the gateway."""
    started_at: float = 0.0
    """Seconds since the epoch."""


class Api:
    """The endpoints and what they share."""

    def __init__(
        self,
        operator: Operator,
        info: DaemonInfo,
        keeper: Keeper | None = None,
        ask: Ask | None = None,
    ) -> None:
        self._operator = operator
        self._ask = ask
        self.info = info
        self._wishes = Wishes(operator)
        self._checks = Checks(operator)
        self._keeper = keeper
        self._set = None if keeper is None else SetChanges(keeper, operator, self._wishes)
        self._attempts = Attempts(operator.wake_steps, lambda name: operator.app(name).spec.depends_on)
        self.followers = Followers()
        self.ready = False
        """What `/readyz` says."""

    def application(self) -> ASGIApp:
        """The ASGI application."""
        routes = [
            Route("/version", self.version),
            Route("/livez", self.livez),
            Route("/readyz", self.readyz),
            Route("/analysis", self.analysis),
            Route("/shutdown", self.shutdown, methods=["POST"]),
            Route("/events", self.events),
            Route("/logs", self.logs),
            Route("/apps", self.apps),
            Route("/apps/{name}", self.app),
            Route("/apps/{name}/logs", self.logs),
            *(gate_routes(self._ask) if self._ask is not None else ()),
            Route("/apps/{name}/why", self.why),
            Route("/apps/{name}/wake-events", self.wake_events),
            *(self._set.routes() if self._set is not None else ()),
            *self._checks.routes(),
            *self._wishes.routes(),
        ]
        starlette = Starlette(routes=[Mount("/api/v1", routes=routes)], exception_handlers=HANDLERS)
        return partial(_guard, starlette)

    def close(self) -> None:
        """End all streams and waits; each client gets a proper end."""
        self.ready = False
        self.followers.close()
        self._wishes.close()

    # --- facts --------------------------------------------------------------

    async def apps(self, request: Request) -> Response:
        """All apps, in the order of the configuration; with `added`, those that `torpor run` added."""
        snapshots, documents = self._operator.snapshot(), []
        if flag(request, "added"):
            snapshots = [snapshot for snapshot in snapshots if self._was_added(snapshot.name)]
        for start in range(0, len(snapshots), MEASURED_AT_ONCE):
            piece = snapshots[start : start + MEASURED_AT_ONCE]
            documents += [app_document(snapshot, self._operator.stats) for snapshot in piece]
            await asyncio.sleep(0)  # the apps' own requests get their turn
        return json_response(documents)

    def _was_added(self, name: str) -> bool:
        origin = None if self._keeper is None else self._keeper.origin(name)
        return origin is not None and origin.added

    async def app(self, request: Request) -> Response:
        """One app with all that is known."""
        return json_response(app_detail(self._operator.app(_name(request)), self._operator.stats))

    async def why(self, request: Request) -> Response:
        """Why an app is as it is."""
        app = self._operator.app(_name(request))
        clauses, at = self._operator.clauses(app.name)
        shown = next(one for one in app.instances if one.phase is app.phase)
        output = self._operator.outputs_of(app.name)[shown.id]
        account = Account(
            app,
            tuple(clauses),
            at,
            events=self._operator.events(MAX_EVENTS, app.name),
            wake=self._operator.wake_steps(app.name),
            output=output.tail(LOG_LINES) or output.tail(LOG_LINES, previous=True),
        )
        return json_response(why_document(account))

    async def version(self, _request: Request) -> Response:
        """Who answers here."""
        info = self.info
        return json_response(
            {
                "name": "torpor",
                "version": info.version,
                "api": "v1",
                "pid": info.pid,
                "config": info.config,
                "listen": info.listen,
                "started_at": info.started_at,
            }
        )

    async def livez(self, _request: Request) -> Response:
        """200: the daemon's loop turns."""
        return json_response({"live": True})

    async def readyz(self, _request: Request) -> Response:
        """200: everything is open; 503 before that and from the shutdown on."""
        if not self.ready:
            raise NotReady("torpor does not serve yet, or is shutting down")
        return json_response({"ready": True})

    async def analysis(self, request: Request) -> Response:
        """What made the last boot take as long as it did, or with `?app=` an app's last wake."""
        name = request.query_params.get("app")
        apps, steps = self._operator.snapshot(), self._operator.wake_steps
        if name is None:
            return json_response(analyse_boot(apps, steps))
        return json_response(analyse_wake(self._operator.app(name).name, apps, steps))

    async def shutdown(self, request: Request) -> Response:
        """Begin the orderly end of the daemon; with `keep_apps`, without an end of the apps."""
        keep_apps = flag(request, "keep_apps")
        self.ready = False
        self._operator.shut_down(keep_apps=keep_apps)
        return json_response({"shutting_down": True, "pid": self.info.pid}, status=202)

    # --- streams ------------------------------------------------------------

    async def logs(self, request: Request) -> Response:
        """The log of one app, of several (`?app=`), or of all: NDJSON, or plain text if that is accepted.

        `web/1` is one replica; `web-*` and `group:web` are several apps, which the daemon looks up because
        a thousand names do not fit into a request line.  With `places`, each stream is preceded by where it is
        kept, and what comes by a notice that all are listened to now.
        """
        named = [_name(request)] if "name" in request.path_params else request.query_params.getlist("app")
        names = self._meant(named) or [snapshot.name for snapshot in self._operator.snapshot()]
        outputs = {id: output for name in names for id, output in self._outputs(name).items()}
        lines = count(request, "lines", default=DEFAULT_LINES, limit=MAX_LINES)
        follow, previous = flag(request, "follow"), flag(request, "previous")
        if follow and previous:
            raise BadRequest(
                "a previous run cannot be followed", hint="Leave one of follow and previous out."
            )
        plain = _accepts(request, "text/plain")
        marker = plain_gap if plain else json_gap
        places = flag(request, "places") and not plain
        sources = [
            _log_source(stream, Voice(id, name), lines, previous=previous, plain=plain, places=places)
            for id, output in outputs.items()
            for name, stream in output.streams().items()
        ]
        if follow and places:
            sources.append(Source(json_listening, lambda _: lambda: None))
        return StreamResponse(
            sources,
            media_type="text/plain" if plain else NDJSON,
            followers=self.followers if follow else None,
            marker=marker,
        )

    def _meant(self, names: list[str]) -> list[str]:
        """The names, with apps in the place of globs and groups.  Raises `UnknownApp`."""
        if not any(map(is_glob, names)):
            return names
        known = {snapshot.name: snapshot.spec.groups for snapshot in self._operator.snapshot()}
        # What is no glob may be one replica.
        return [app for name in names for app in (meant(known, [name]) if is_glob(name) else [name])]

    def _outputs(self, name: str) -> Mapping[InstanceId, Output]:
        """The logs that a name means: an app, or one replica of it.  Raises `UnknownApp`."""
        app, _, replica = name.rpartition("/")
        if not (app and replica.isascii() and replica.isdigit()) or name in self._names():
            return self._operator.outputs_of(name)
        outputs = self._operator.outputs_of(app)
        chosen = {id: output for id, output in outputs.items() if id.replica == int(replica[:9])}
        if not chosen:
            known = ", ".join(map(str, outputs))
            raise UnknownApp(f"{app} has no replica {replica}", hint=f"It has {known}.")
        return chosen

    def _names(self) -> set[str]:
        return {snapshot.name for snapshot in self._operator.snapshot()}

    async def events(self, request: Request) -> Response:
        """What happened and happens: NDJSON, or server-sent events if those are accepted.

        `Last-Event-ID` continues after the event of that number.
        """
        name = request.query_params.get("app")
        if name is not None:
            name = self._operator.app(name).name
        number = count(request, "n", default=DEFAULT_EVENTS, limit=MAX_EVENTS)
        sse = _accepts(request, SSE)
        encoder, marker = (sse_event, sse_gap) if sse else (json_event, json_gap)
        seen = last_seen(request)

        def past() -> bytes:
            events = self._operator.events(number if seen is None else MAX_EVENTS, name)
            return b"".join(encoder(event) for event in events if seen is None or event.seq > seen)

        def subscribe(sink: Sink) -> Callable[[], None]:
            def on_event(event: Event) -> None:
                if name is None or event.app == name:
                    sink(encoder(event))

            return self._operator.subscribe(on_event)

        return StreamResponse(
            [Source(past, subscribe)],
            media_type=SSE if sse else NDJSON,
            followers=self.followers if sse or flag(request, "follow") else None,
            marker=marker,
            ping=b": ping\n\n" if sse else b"",
        )

    async def wake_events(self, request: Request) -> Response:
        """The present attempt of an app to be ready, with what it waits for, until its verdict.

        Encoded and continued as `events`.
        """
        name = self._operator.app(_name(request)).name
        sse = _accepts(request, SSE)
        encoder, marker = (sse_wake_event, sse_gap) if sse else (json_wake_event, json_gap)

        def past() -> bytes:
            events = self._attempts.events(name)
            seen = resumed(events, last_seen(request) or 0)
            return b"".join(encoder(event) for event in events if event.seq > seen)

        def subscribe(sink: Sink) -> Callable[[], None]:
            def on_event(event: Event) -> None:
                if self._attempts.concerns(name, event):
                    sink(encoder(event))

            return self._operator.subscribe(on_event)

        return StreamResponse(
            [Source(past, subscribe, lambda: self._has_verdict(name))],
            media_type=SSE if sse else NDJSON,
            followers=self.followers if sse or flag(request, "follow") else None,
            marker=marker,
            ping=b": ping\n\n" if sse else b"",
        )

    def _has_verdict(self, name: str) -> bool:
        try:
            return is_over(self._operator.app(name))
        except UnknownApp:  # taken out of the configuration meanwhile
            return True


# --- on the way in and out ----------------------------------------------------


async def _guard(
    app: Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]],
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Refuse large bodies, and route by the undecoded path: an app's name may contain a slash."""
    headers = dict(scope["headers"])
    length = headers.get(b"content-length", b"0")
    if not length.isdigit() or int(length[:18]) > MAX_BODY:
        response = problem_response(BodyTooLarge(MAX_BODY))
        response.headers["connection"] = "close"
        await response(scope, receive, send)
        return
    await app({**scope, "path": scope["raw_path"].decode("ascii")}, receive, send)


def _log_source(
    stream: Stream, voice: Voice, lines: int, *, previous: bool, plain: bool, places: bool
) -> Source:
    def encode_line(at: float | None, line: str) -> bytes:
        return plain_line(line) if plain else voice.json_line(at, line)

    def past() -> bytes:
        head = voice.json_place(stream.place()) if places else b""
        return head + b"".join(encode_line(*line) for line in stream.recent(lines, previous=previous))

    def subscribe(sink: Sink) -> Callable[[], None]:
        return stream.subscribe(lambda line: sink(encode_line(time.time(), line)))

    return Source(past, subscribe)


def _name(request: Request) -> str:
    return unquote(request.path_params["name"])


def _accepts(request: Request, media_type: str) -> bool:
    return media_type in request.headers.get("accept", "")
