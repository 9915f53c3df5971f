"""Carries out the effects that concern instances, and posts what came of it.

For one instance, effects are carried out in the order in which they were decided: a
stop first gives up the start that is still under way, whatever that is waiting for, and
asks to end what it has brought to life all the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torpor.core.messages import (
    AdaptInstance,
    Adopted,
    Announce,
    Answered,
    AskWhetherIdle,
    BecameReady,
    CloseSocket,
    DropStored,
    EndUnasked,
    Exited,
    ForgetInstance,
    FoundUnhealthy,
    FreezeFailed,
    FreezeInstance,
    Froze,
    Gone,
    Input,
    KillInstance,
    ProbeInstance,
    Started,
    StartInstance,
    StartRefused,
    StopInstance,
    StopProblem,
    ThawInstance,
    WatchInstance,
)
from torpor.core.model import AppSpec, IdleQuestion, InstanceId, Liveness, Readiness, Tier
from torpor.errors import TorporError
from torpor.providers.base import UNASKED, Fact, HookFailed, Launch, Provider, Running, Survivor
from torpor.runtime.ports import Ports
from torpor.runtime.probes import proof_again, wait_until_ready, wait_until_unhealthy
from torpor.runtime.questions import ask
from torpor.runtime.sockets import Sockets, clear, port_of

log = logging.getLogger(__name__)

InstanceEffect = (
    StartInstance
    | ProbeInstance
    | WatchInstance
    | AdaptInstance
    | AskWhetherIdle
    | FreezeInstance
    | ThawInstance
    | StopInstance
    | KillInstance
    | EndUnasked
    | DropStored
    | CloseSocket
    | ForgetInstance
)


@dataclass(frozen=True, slots=True)
class _Launched:
    """What was brought to life, and by whom: its app may be made of something else by now."""

    launch: Launch
    running: Running
    provider: Provider


class Actions:
    """The hands of the engine, one set for all instances."""

    def __init__(
        self,
        specs: Callable[[str], AppSpec],
        provider: Callable[[AppSpec], Provider],
        post: Callable[[Input], None],
        announce: Callable[[Announce], None],
    ) -> None:
        self._specs = specs
        self._provider = provider
        self._post = post
        self._announce = announce
        self._ports = Ports()
        self._sockets = Sockets(self._ports)
        self._starts: dict[InstanceId, asyncio.Task[None]] = {}
        self._probes: dict[InstanceId, asyncio.Task[None]] = {}
        self._freezes: dict[InstanceId, asyncio.Task[None]] = {}
        self._questions: dict[InstanceId, asyncio.Task[None]] = {}
        self._launched: dict[InstanceId, _Launched] = {}
        self._keepers: dict[InstanceId, Provider] = {}
        """Whoever keeps something for it: a start that has failed has a log, too."""
        self._tasks: set[asyncio.Task[None]] = set()

    def perform(self, effect: InstanceEffect) -> None:
        """Begin to carry it out."""
        if isinstance(effect, ForgetInstance):
            self._forget(effect.id)
            return
        if isinstance(effect, DropStored):
            self._drop_stored(effect.id)
            return
        if isinstance(effect, EndUnasked):
            self._spawn(self._end_unasked(effect.id))
            return
        if isinstance(effect, CloseSocket):
            self._sockets.close(effect.id)
            return
        id, generation = effect.id, effect.generation
        match effect:
            case StartInstance():
                self._starts[id] = self._spawn(self._start(id, generation))
            case ProbeInstance(refused=refused):
                readiness = self._specs(id.app).readiness
                self._probe(id, proof_again(readiness) if refused else readiness)
            case WatchInstance():
                self._watch(id)
            case AdaptInstance():
                self._adapt(id, generation)
            case AskWhetherIdle():
                self._ask(id)
            case FreezeInstance(tier=tier):
                self._end_probe(id)
                earlier = self._freezes.get(id)
                self._freezes[id] = self._spawn(self._freeze(id, generation, tier, earlier))
            case ThawInstance():
                self._spawn(self._thaw(id, generation))
            case StopInstance():
                self._end_probe(id)
                self._spawn(self._stop(id, generation, kill=False))
            case KillInstance():
                self._spawn(self._stop(id, generation, kill=True))

    def adopt(self, survivor: Survivor) -> Adopted:
        """Take on what an earlier daemon left alive; the result is for the engine.  Raises `TorporError`."""
        id, running = survivor.id, survivor.running
        spec = self._specs(id.app)
        launch = Launch(id, survivor.generation, spec, survivor.port)
        provider = self._provider(spec)
        self._keepers[id] = provider
        changed = provider.adopt(launch)
        if survivor.port is not None:
            self._ports.keep(id, survivor.port)
        if spec.activation:
            self._take_back_socket(launch, provider)
        if not spec.guest and spec.listens != (survivor.port is not None) and "port" not in changed:
            changed = (*changed, "port")  # it is told its port when it is started
        self._launched[id] = _Launched(launch, running, provider)
        return Adopted(
            id,
            survivor.generation,
            running.endpoint,
            running.pid,
            survivor.age,
            survivor.status,
            survivor.watchdog,
            changed,
            survivor.frozen,
        )

    def report(self, message: Fact) -> None:
        """Take a provider's report."""
        if isinstance(message, HookFailed):
            self._say(message.id, "hook-failed", "one of its commands failed", message.text)
            return
        if isinstance(message, Exited | Gone | Froze):
            self._end_probe(message.id)
        self._post(message)

    async def close(self) -> None:
        """Give up everything that is under way.  Instances are left as they are."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._sockets.let_go()

    async def _start(self, id: InstanceId, generation: int) -> None:
        spec = self._specs(id.app)
        try:
            launch = self._launch(id, generation, spec)
            self._keepers[id] = provider = self._provider(spec)
            running = await provider.start(launch)
        except TorporError as error:
            self._post(StartRefused(id, generation, error.advice))
            return
        except Exception as error:
            log.exception("%s: the provider broke down while starting", id)
            self._post(StartRefused(id, generation, f"{error!r}"))
            return
        self._launched[id] = _Launched(launch, running, provider)
        if self._specs(id.app) is not spec:  # other settings came while it was being born
            self._adapt(id, generation)
        self._post(Started(id, generation, running.endpoint, running.pid))
        if spec.readiness == Readiness(()):
            # In the same step: a program that ends at once must not be called ready or not by chance.
            self._post(BecameReady(id, generation))
        else:
            self._probe(id, spec.readiness)

    def _launch(self, id: InstanceId, generation: int, spec: AppSpec) -> Launch:
        """A start attempt, with a place at which it can listen.  Raises `StartFailed`."""
        if spec.activation:
            sock = self._sockets.open(id, spec)
            return Launch(id, generation, spec, port_of(sock), sock.fileno())
        self._sockets.close(id)
        if spec.guest:
            return Launch(id, generation, spec, None)
        if spec.socket is not None:
            clear(spec.socket)
        return Launch(id, generation, spec, self._ports.allot(id, spec) if spec.listens else None)

    def _take_back_socket(self, launch: Launch, provider: Provider) -> None:
        try:
            descriptor = provider.take_back_socket(launch.id, launch.generation)
        except TorporError as error:
            log.warning("%s: %s", launch.id, error)
        else:
            self._sockets.keep(launch.id, launch.spec, descriptor)

    def _probe(self, id: InstanceId, readiness: Readiness) -> None:
        self._end_probe(id)
        self._probes[id] = self._spawn(self._wait_until_ready(readiness, self._launched[id]))

    async def _wait_until_ready(self, readiness: Readiness, launched: _Launched) -> None:
        launch = launched.launch

        announce = partial(self._say, launch.id, "waiting")
        try:
            await wait_until_ready(readiness, launch, launched.running, launched.provider, announce)
            # Whose end is reported now is not ready any more, whoever it was that answered.
            await launched.provider.ensure_end_noticed(launch.id)
        except TorporError as error:
            # Not a verdict on the app: it may be fine.  The start's deadline ends the attempt.
            announce("cannot tell whether it is ready", error.advice)
        else:
            self._post(BecameReady(launch.id, launch.generation))

    def _adapt(self, id: InstanceId, generation: int) -> None:
        launched, spec = self._launched[id], self._specs(id.app)
        # What is to be something else altogether goes on by its old settings, and ends soon.
        if launched.launch.generation == generation and self._provider(spec) is launched.provider:
            self._launched[id] = replace(launched, launch=replace(launched.launch, spec=spec))
            launched.provider.adapt(id, generation, spec)

    def _drop_stored(self, id: InstanceId) -> None:
        if (launched := self._launched.get(id)) is not None:
            launched.provider.drop_stored(id)

    def _say(self, id: InstanceId, kind: str, text: str, detail: str = "") -> None:
        """Tell of an instance; see `Announce`."""
        self._announce(Announce(id.app, str(id), kind, text, detail=detail))

    def _forget(self, id: InstanceId) -> None:
        self._end_probe(id)
        self._starts.pop(id, None)
        self._freezes.pop(id, None)
        self._sockets.close(id)
        self._ports.forget(id)
        self._launched.pop(id, None)
        if (keeper := self._keepers.pop(id, None)) is not None:
            keeper.forget(id)

    def _watch(self, id: InstanceId) -> None:
        # An app that was taken for ready although its probes never held is not to be asked for ever.
        self._end_probe(id)
        launched = self._launched[id]
        if (liveness := launched.launch.spec.liveness) is not None:
            self._probes[id] = self._spawn(self._wait_until_unhealthy(liveness, launched))

    async def _wait_until_unhealthy(self, liveness: Liveness, launched: _Launched) -> None:
        launch = launched.launch
        try:
            text = await wait_until_unhealthy(liveness, launch, launched.running, launched.provider)
        except TorporError as error:
            self._say(launch.id, "waiting", "cannot tell whether it is alive", error.advice)
        else:
            self._post(FoundUnhealthy(launch.id, launch.generation, text))

    def _ask(self, id: InstanceId) -> None:
        if (earlier := self._questions.pop(id, None)) is not None:
            earlier.cancel()
        launched = self._launched[id]
        question = self._specs(id.app).lifecycle.question
        if question is not None:
            self._questions[id] = self._spawn(self._find_out(question, launched))

    async def _find_out(self, question: IdleQuestion, launched: _Launched) -> None:
        launch = launched.launch
        found = await ask(question, launch, launched.running, launched.provider)
        self._post(Answered(launch.id, launch.generation, found.keeps_awake, found.text))

    def _end_probe(self, id: InstanceId) -> None:
        for tasks in (self._probes, self._questions):
            if (task := tasks.pop(id, None)) is not None:
                task.cancel()

    async def _freeze(
        self, id: InstanceId, generation: int, tier: Tier, earlier: asyncio.Task[None] | None
    ) -> None:
        provider = self._launched[id].provider  # before it can be forgotten
        await _give_up(earlier)
        try:
            frozen = await provider.freeze(id, generation, tier)
        except TorporError as error:
            self._post(FreezeFailed(id, generation, error.advice))
        except Exception as error:
            log.exception("%s: the provider broke down while freezing", id)
            self._post(FreezeFailed(id, generation, repr(error)))
        else:
            self._post(Froze(id, generation, frozen.tier, frozen.before, frozen.after, frozen.note))

    async def _thaw(self, id: InstanceId, generation: int) -> None:
        provider = self._launched[id].provider  # before it can be forgotten
        await _give_up(self._freezes.pop(id, None))
        try:
            await provider.thaw(id, generation)
        except TorporError as error:
            self._post(FoundUnhealthy(id, generation, f"cannot go on: {error.advice}"))
        except Exception as error:
            log.exception("%s: the provider broke down while thawing", id)
            self._post(FoundUnhealthy(id, generation, f"cannot go on: {error!r}"))
        else:
            self._post(BecameReady(id, generation))

    async def _stop(self, id: InstanceId, generation: int, *, kill: bool) -> None:
        # Taken out, so that it is given up once: another time would disturb its clearing up.
        start = self._starts.pop(id, None)
        if start is not None and not start.done():
            start.cancel()
            await asyncio.wait([start])
            if start.cancelled():
                self._post(StartRefused(id, generation, "the start was given up"))
                return
        self._end_probe(id)
        await _give_up(self._freezes.pop(id, None))
        if id not in self._launched:
            return  # its start has failed, or it was removed and is gone
        provider = self._launched[id].provider
        try:
            await (provider.kill if kill else provider.stop)(id, generation)
        except TorporError as error:
            self._post(StopProblem(id, generation, error.advice))
        except Exception as error:
            log.exception("%s: the provider broke down while stopping", id)
            self._post(StopProblem(id, generation, repr(error)))

    async def _end_unasked(self, id: InstanceId) -> None:
        try:
            await self._provider(self._specs(id.app)).discard(id, UNASKED)
        except TorporError as error:
            log.warning("%s runs unasked, and could not be ended: %s", id, error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("an action broke down", exc_info=error)


async def _give_up(task: asyncio.Task[None] | None) -> None:
    """Cancel what may be under way, and return once it is over."""
    if task is not None and not task.done():
        task.cancel()
        await asyncio.wait([task])
