"""What operators wish of apps: the endpoints that change something, and word of how it went.

Laws:

1. A wish is granted or refused at once; waiting for it to come true is extra.
2. A client that leaves ends its own wait, never what it set in motion.
3. Success is told only of what has come true for every instance that was meant.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from torpor.config.scalars import Signal
from torpor.control.problems import ShuttingDown, WaitExpired, problem_response
from torpor.control.query import choice, flag, required, seconds, whole_number
from torpor.control.render import app_document, json_response
from torpor.control.stream import unless_gone
from torpor.core.instance import ALIVE, AWAKE
from torpor.core.model import AppSnapshot, Cause, InstanceSnapshot, Phase, Tier, Want
from torpor.errors import BadRequest, NotAllowed, ProviderFailed, StartFailed
from torpor.runtime.operator import Operator, Verb

FAILURE_LINES = 10
"""Log lines that come with the news of a failed start."""

WAKING = frozenset({Verb.START, Verb.RESTART, Verb.WAKE})
SUCCESS = frozenset({Phase.READY, Phase.DRAINING, Phase.DONE})
"""Where a waking verb has come true: a one-shot may be done, and a visitor may have left already."""
TROUBLED = frozenset({Phase.BACKOFF, Phase.FAILED, Phase.BLOCKED})
OTHER_WISHES = ("scale", "priority", "signal", "pin", "unpin", "reload", "track")
LONGEST_PIN = 10 * 365 * 86400.0
"""Seconds; for longer there is the pin without an end."""


class Wishes:
    """The endpoints below `/apps/{name}/` that take a POST."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self._waits: set[asyncio.Task[AppSnapshot]] = set()

    def routes(self) -> list[Route]:
        """Their addresses."""
        return [
            Route("/apps/{name}/scale", self.scale, methods=["POST"]),
            Route("/apps/{name}/priority", self.priority, methods=["POST"]),
            Route("/apps/{name}/signal", self.signal, methods=["POST"]),
            Route("/apps/{name}/pin", self.pin, methods=["POST"]),
            Route("/apps/{name}/unpin", self.unpin, methods=["POST"]),
            Route("/apps/{name}/reload", self.reload, methods=["POST"]),
            Route("/apps/{name}/track", self.track, methods=["POST"]),
            Route("/apps/{name}/{verb}", self.command, methods=["POST"]),
        ]

    def close(self) -> None:
        """End all waits; each client gets a proper end."""
        for task in self._waits:
            task.cancel()

    async def command(self, request: Request) -> Response:
        """Carry out a verb; with `wait`, answer when it has come true."""
        name, verb = _name(request), _verb(request)
        wait, timeout = flag(request, "wait", default=True), seconds(request, "timeout")
        force, rolling = flag(request, "force"), flag(request, "rolling")
        if force and verb is not Verb.STOP:
            raise BadRequest(f"{verb.value} cannot be forced", hint="`stop` can.")
        if rolling and verb is not Verb.RESTART:
            raise BadRequest(f"{verb.value} cannot be rolling", hint="`restart` can.")
        if (tier := choice(request, "tier", Tier)) is not None and verb is not Verb.SLEEP:
            raise BadRequest(f"{verb.value} has no tier", hint="`sleep` has.")
        before = self._operator.app(name)
        self._operator.command(verb, name, force=force, rolling=rolling, tier=tier)
        if not wait:
            return self._outcome(verb.value, before, self._operator.app(name), None)
        after, took = await self._come_true(request, verb, verb.value, name, timeout)
        if verb in WAKING and (trouble := [one for one in after.instances if not _well(one)]):
            return self._failed(verb.value, after, trouble)
        if rolling and after.roll_ended is not None:
            raise StartFailed(
                f"the rolling restart of {name} did not reach every replica: {after.roll_ended}"
            )
        if verb in (Verb.STOP, Verb.SLEEP):
            _check_heard(after)
        awake = AWAKE if verb is Verb.SLEEP else ALIVE
        if verb not in WAKING and any(instance.phase in awake for instance in after.instances):
            raise NotAllowed(
                f"{name} is {after.phase.value}: somebody wanted it awake after this {verb.value}",
                hint="`torpor events` shows who.",
            )
        return self._outcome(verb.value, before, after, took)

    async def start(self, request: Request, word: str, name: str) -> Response:
        """Start an app that is new; with `wait`, answer when it is ready."""
        wait, timeout = flag(request, "wait", default=True), seconds(request, "timeout")
        before = self._operator.app(name)
        self._operator.command(Verb.START, name)
        if not wait:
            return self._outcome(word, before, self._operator.app(name), None)
        after, took = await self._come_true(request, Verb.START, word, name, timeout)
        if trouble := [one for one in after.instances if not _well(one)]:
            return self._failed(word, after, trouble)
        return self._outcome(word, before, after, took)

    async def scale(self, request: Request) -> Response:
        """Have `replicas` instances of an app; with `wait`, answer when nothing is under way any more."""
        name, replicas = _name(request), whole_number(request, "replicas")
        wait, timeout = flag(request, "wait", default=True), seconds(request, "timeout")
        before = self._operator.app(name)
        self._operator.scale(name, replicas)
        if not wait:
            return self._outcome("scale", before, self._operator.app(name), None, replicas=replicas)
        after, took = await self._come_true(request, Verb.START, "scale", name, timeout)
        if trouble := _left_behind(after):
            return self._failed("scale", after, trouble)
        return self._outcome("scale", before, after, took, replicas=replicas)

    async def pin(self, request: Request) -> Response:
        """Keep an app awake, with `for` that many seconds; with `wait`, answer when it is awake."""
        name, span = _name(request), seconds(request, "for")
        wait, timeout = flag(request, "wait", default=True), seconds(request, "timeout")
        if span is not None and not 0 < span <= LONGEST_PIN:
            text = "a pin lasts for more than 0 s, and for ten years at most"
            raise BadRequest(text, hint="Without a time it lasts until the app is unpinned.")
        before = self._operator.app(name)
        self._operator.pin(name, span)
        if not wait:
            return self._outcome("pin", before, self._operator.app(name), None)
        after, took = await self._come_true(request, Verb.WAKE, "pin", name, timeout)
        if trouble := [one for one in after.instances if not _well(one)]:
            return self._failed("pin", after, trouble)
        return self._outcome("pin", before, after, took)

    async def unpin(self, request: Request) -> Response:
        """Let an app sleep again."""
        name = _name(request)
        before = self._operator.app(name)
        self._operator.unpin(name)
        after = self._operator.app(name)
        return self._outcome("unpin", before, after, 0.0, pinned_before=before.pinned)

    async def priority(self, request: Request) -> Response:
        """Change how soon an app is put to sleep for others; `always_on` whether it is kept running."""
        name, priority = _name(request), whole_number(request, "priority")
        always_on = flag(request, "always_on") if "always_on" in request.query_params else None
        before = self._operator.app(name)
        self._operator.prefer(name, priority, always_on=always_on)
        after = self._operator.app(name)
        more = {"priority": after.priority, "always_on": after.always_on}
        return self._outcome("priority", before, after, 0.0, **more)

    async def signal(self, request: Request) -> Response:
        """Send a signal to the main process of every instance."""
        name, number = _name(request), _signal(required(request, "signal"))
        before = self._operator.app(name)
        reached = await self._operator.signal(name, number)
        after = self._operator.app(name)
        return self._outcome("signal", before, after, 0.0, signal=number, reached=reached)

    async def reload(self, request: Request) -> Response:
        """Let every instance read its own configuration again."""
        name = _name(request)
        before, started = self._operator.app(name), time.monotonic()
        reached = await self._operator.reload(name)
        took = time.monotonic() - started
        return self._outcome("reload", before, self._operator.app(name), took, reached=reached)

    async def track(self, request: Request) -> Response:
        """Count an app as used now."""
        name = _name(request)
        before = self._operator.app(name)
        self._operator.track(name)
        return self._outcome("track", before, self._operator.app(name), 0.0)

    async def _come_true(
        self, request: Request, verb: Verb, word: str, name: str, timeout: float | None
    ) -> tuple[AppSnapshot, float]:
        """What has become of it, and after how many seconds."""
        started = time.monotonic()
        after = await unless_gone(request.receive, self._settle(verb, word, name, timeout))
        return after, time.monotonic() - started

    async def _settle(self, verb: Verb, word: str, name: str, timeout: float | None) -> AppSnapshot:
        """Wait for a wish to come true.  Raises `WaitExpired`, `ShuttingDown`."""
        task = asyncio.ensure_future(self._operator.settle(verb, name))
        self._waits.add(task)
        try:
            done, _ = await asyncio.wait((task,), timeout=timeout)
            if not done:
                phase = self._operator.app(name).phase.value
                raise WaitExpired(
                    f"{name} is {phase} {timeout:g} s after {word}",
                    hint="It goes on in the background; `torpor status` shows where it stands.",
                )
            if task.cancelled():
                raise ShuttingDown("torpor is shutting down")
            return task.result()
        finally:
            self._waits.discard(task)
            task.cancel()

    def _outcome(
        self, word: str, before: AppSnapshot, after: AppSnapshot, took: float | None, **more: object
    ) -> Response:
        """The news of a wish; one that nobody waited for took None."""
        document = {
            "verb": word,
            "name": after.name,
            "before": before.phase.value,
            "done": took is not None,
            "took": None if took is None else round(took, 3),
            **more,
            "app": app_document(after, self._operator.stats),
        }
        return json_response(document, status=202 if took is None else 200)

    def _failed(self, word: str, after: AppSnapshot, trouble: Sequence[InstanceSnapshot]) -> Response:
        """The news of an attempt that failed, with the reason and the last words of an instance in trouble."""
        document = app_document(after, self._operator.stats)
        first = next((one for one in trouble if one.reason is not None), trouble[0])
        output = self._operator.outputs_of(after.name)[first.id]
        lines = output.tail(FAILURE_LINES) or output.tail(FAILURE_LINES, previous=True)
        reason = str(first.reason) if first.reason else None
        who = after.name if len(trouble) == len(after.instances) else str(first.id)
        culprit = self._culprit(after)
        hint = f"`torpor start {culprit}` first" if culprit else None
        error = StartFailed(f"{who} did not become ready{f': {reason}' if reason else ''}", hint=hint)
        return problem_response(error, verb=word, name=after.name, reason=reason, app=document, output=lines)

    def _culprit(self, app: AppSnapshot) -> str | None:
        """The app for whose sake this one did not become ready: at the end of what it needs."""
        if not any(one.reason is not None and one.reason.cause is Cause.DEPENDENCY for one in app.instances):
            return None
        for need in app.spec.depends_on:
            needed = self._operator.app(need.app)
            stays_away = needed.phase in {Phase.ASLEEP, Phase.FROZEN, *TROUBLED} and not all(
                map(_well, needed.instances)
            )
            if not need.optional and (needed.want is Want.DOWN or stays_away):
                return self._culprit(needed) or needed.name
        return None


def _check_heard(app: AppSnapshot) -> None:
    """Raises `ProviderFailed` where the end of an app could not be asked for."""
    for one in app.instances:
        if one.phase is Phase.STOPPING and one.unheard is not None:
            raise ProviderFailed(
                f"{app.name} has not ended: {one.unheard}",
                hint=f"It is asked again until it has; `torpor events -f {app.name}` tells when.",
            )


def _well(instance: InstanceSnapshot) -> bool:
    return instance.phase in SUCCESS or instance.finished


def _left_behind(app: AppSnapshot) -> list[InstanceSnapshot]:
    """Those that do not run although others do, or try in vain."""
    running = any(instance.phase in SUCCESS for instance in app.instances)
    return [
        instance
        for instance in app.instances
        if instance.phase in TROUBLED or (running and not _well(instance))
    ]


def _name(request: Request) -> str:
    return unquote(request.path_params["name"])


def _verb(request: Request) -> Verb:
    text = request.path_params["verb"]
    try:
        return Verb(text)
    except ValueError:
        verbs = ", ".join([*Verb, *OTHER_WISHES])
        raise BadRequest(f"there is no verb {text!r}", hint=f"Verbs are {verbs}.") from None


def _signal(text: str) -> int:
    try:
        return int(Signal.parse(int(text[:18]) if text.isascii() and text.isdigit() else text))
    except ValueError as error:
        raise BadRequest(str(error)) from None
