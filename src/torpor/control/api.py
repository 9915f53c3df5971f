"""The routes of the operator's API, version 1.

Laws:

1. Asking never wakes an app; only the verbs `start`, `restart` and `wake` do.
2. An answer is a document (`render`) or a problem (`problems`), whatever happened.
3. A client that leaves ends its own wait, never what it set in motion.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from torpor.control.follow import Followers
from torpor.control.lines import (
    json_event,
    json_gap,
    json_line,
    plain_gap,
    plain_line,
    sse_event,
    sse_gap,
)
from torpor.control.problems import (
    HANDLERS,
    BodyTooLarge,
    NotReady,
    ShuttingDown,
    WaitExpired,
    problem_response,
)
from torpor.control.query import count, flag, seconds
from torpor.control.render import (
    app_detail,
    app_document,
    encode,
)
from torpor.control.stream import Source, StreamResponse, unless_gone
from torpor.core.model import AppSnapshot, Event, Phase
from torpor.errors import BadRequest, StartFailed
from torpor.providers.base import Output
from torpor.runtime.operator import Operator, Verb

MAX_BODY = 64 * 1024
"""Bytes; no request of this API needs a body at all."""
MAX_LINES = 10_000
"""Log lines per app that one answer looks back on."""
MAX_EVENTS = 10_000
DEFAULT_LINES = 100
DEFAULT_EVENTS = 50
FAILURE_LINES = 10
"""Log lines that come with the news of a failed start."""

WAKING = frozenset({Verb.START, Verb.RESTART, Verb.WAKE})
SUCCESS = frozenset({Phase.READY, Phase.DRAINING, Phase.DONE})
"""Where a waking verb has come true: a one-shot may be done, and a visitor may have left already."""

MEASURED_AT_ONCE = 16
"""Apps; measuring one reads several files of /proc."""

Sink = Callable[[bytes], None]

JSON = "application/json"
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

    def __init__(self, operator: Operator, info: DaemonInfo) -> None:
        self._operator = operator
        self._info = info
        self._waits: set[asyncio.Task[AppSnapshot]] = set()
        self.followers = Followers()
        self.ready = False
        """What `/readyz` says."""

    def application(self) -> ASGIApp:
        """The ASGI application."""
        routes = [
            Route("/version", self.version),
            Route("/livez", self.livez),
            Route("/readyz", self.readyz),
            Route("/shutdown", self.shutdown, methods=["POST"]),
            Route("/events", self.events),
            Route("/logs", self.logs),
            Route("/apps", self.apps),
            Route("/apps/{name}", self.app),
            Route("/apps/{name}/logs", self.logs),
            Route("/apps/{name}/{verb}", self.command, methods=["POST"]),
        ]
        starlette = Starlette(routes=[Mount("/api/v1", routes=routes)], exception_handlers=HANDLERS)
        return partial(_guard, starlette)

    def close(self) -> None:
        """End all streams and waits; each client gets a proper end."""
        self.ready = False
        self.followers.close()
        for task in self._waits:
            task.cancel()

    # --- facts --------------------------------------------------------------

    async def apps(self, _request: Request) -> Response:
        """All apps, in the order of the configuration."""
        snapshots, documents = self._operator.snapshot(), []
        for start in range(0, len(snapshots), MEASURED_AT_ONCE):
            piece = snapshots[start : start + MEASURED_AT_ONCE]
            documents += [app_document(snapshot, self._operator.stats) for snapshot in piece]
            await asyncio.sleep(0)  # the apps' own requests get their turn
        return _json(documents)

    async def app(self, request: Request) -> Response:
        """One app with all that is known."""
        return _json(app_detail(self._operator.app(_name(request)), self._operator.stats))

    async def version(self, _request: Request) -> Response:
        """Who answers here."""
        info = self._info
        return _json(
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
        return _json({"live": True})

    async def readyz(self, _request: Request) -> Response:
        """200: everything is open; 503 before that and from the shutdown on."""
        if not self.ready:
            raise NotReady("torpor does not serve yet, or is shutting down")
        return _json({"ready": True})

    # --- wishes -------------------------------------------------------------

    async def shutdown(self, _request: Request) -> Response:
        """Begin the orderly end of the daemon."""
        self.ready = False
        self._operator.shut_down()
        return _json({"shutting_down": True, "pid": self._info.pid}, status=202)

    async def command(self, request: Request) -> Response:
        """Carry out a verb; with `wait`, answer when it has come true."""
        name, verb = _name(request), _verb(request)
        wait, timeout = flag(request, "wait", default=True), seconds(request, "timeout")
        before = self._operator.app(name).phase
        self._operator.command(verb, name)
        if not wait:
            return self._outcome(verb, before, self._operator.app(name), None, 202)
        started = time.monotonic()
        after = await unless_gone(request.receive, self._settle(verb, name, timeout))
        took = time.monotonic() - started
        if verb in WAKING and after.phase not in SUCCESS:
            return self._failed(verb, after)
        return self._outcome(verb, before, after, took, 200)

    async def _settle(self, verb: Verb, name: str, timeout: float | None) -> AppSnapshot:
        """Wait for the verb to come true.  Raises `WaitExpired`, `ShuttingDown`."""
        task = asyncio.ensure_future(self._operator.settle(verb, name))
        self._waits.add(task)
        try:
            done, _ = await asyncio.wait((task,), timeout=timeout)
            if not done:
                phase = self._operator.app(name).phase.value
                raise WaitExpired(
                    f"{name} is {phase} {timeout:g} s after {verb.value}",
                    hint="It goes on in the background; `torpor status` shows where it stands.",
                )
            if task.cancelled():
                raise ShuttingDown("torpor is shutting down")
            return task.result()
        finally:
            self._waits.discard(task)
            task.cancel()

    def _outcome(
        self, verb: Verb, before: Phase, after: AppSnapshot, took: float | None, status: int
    ) -> Response:
        document = {
            "verb": verb.value,
            "name": after.name,
            "before": before.value,
            "done": took is not None,
            "took": None if took is None else round(took, 3),
            "app": app_document(after, self._operator.stats),
        }
        return _json(document, status=status)

    def _failed(self, verb: Verb, after: AppSnapshot) -> Response:
        """The news of an attempt that failed, with its reason and the app's last words."""
        document = app_document(after, self._operator.stats)
        output = self._operator.output(after.name)
        lines = output.tail(FAILURE_LINES) or output.tail(FAILURE_LINES, previous=True)
        because = f": {document.reason}" if document.reason else ""
        error = StartFailed(f"{after.name} did not become ready{because}")
        return problem_response(
            error, verb=verb.value, name=after.name, reason=document.reason, app=document, output=lines
        )

    # --- streams ------------------------------------------------------------

    async def logs(self, request: Request) -> Response:
        """The log of one app, of several (`?app=`), or of all: NDJSON, or plain text if that is accepted."""
        names = [_name(request)] if "name" in request.path_params else request.query_params.getlist("app")
        names = [self._operator.app(name).name for name in names]
        names = names or [snapshot.name for snapshot in self._operator.snapshot()]
        lines = count(request, "lines", default=DEFAULT_LINES, limit=MAX_LINES)
        follow, previous = flag(request, "follow"), flag(request, "previous")
        if follow and previous:
            raise BadRequest(
                "a previous run cannot be followed", hint="Leave one of follow and previous out."
            )
        plain = _accepts(request, "text/plain")
        encoder, marker = (plain_line, plain_gap) if plain else (json_line, json_gap)
        sources = [
            _log_source(self._operator.output(name), lines, previous, partial(encoder, name))
            for name in dict.fromkeys(names)
        ]
        return StreamResponse(
            sources,
            media_type="text/plain" if plain else NDJSON,
            followers=self.followers if follow else None,
            marker=marker,
        )

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
        last_seen = request.headers.get("last-event-id", "")
        resumes = last_seen.isascii() and last_seen.isdigit()

        def past() -> bytes:
            events: Sequence[Event] = self._operator.events(MAX_EVENTS if resumes else number, name)
            return b"".join(encoder(event) for event in events if not resumes or event.seq > int(last_seen))

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
        error = BodyTooLarge(f"a request body of more than {MAX_BODY} bytes", hint="No request needs a body.")
        response = problem_response(error)
        response.headers["connection"] = "close"
        await response(scope, receive, send)
        return
    await app({**scope, "path": scope["raw_path"].decode("ascii")}, receive, send)


def _log_source(output: Output, lines: int, previous: bool, encoder: Callable[[str], bytes]) -> Source:
    def past() -> bytes:
        return b"".join(map(encoder, output.tail(lines, previous=previous)))

    def subscribe(sink: Sink) -> Callable[[], None]:
        return output.subscribe(lambda line: sink(encoder(line)))

    return Source(past, subscribe)


def _name(request: Request) -> str:
    return unquote(request.path_params["name"])


def _verb(request: Request) -> Verb:
    text = request.path_params["verb"]
    try:
        return Verb(text)
    except ValueError:
        verbs = ", ".join(verb.value for verb in Verb)
        raise BadRequest(f"there is no verb {text!r}", hint=f"Verbs are {verbs}.") from None


def _accepts(request: Request, media_type: str) -> bool:
    return media_type in request.headers.get("accept", "")


def _json(document: object, status: int = 200) -> Response:
    return Response(encode(document), status_code=status, media_type=JSON)
