"""What made a boot or a wake take as long as it did: the chain of apps that waited for each other.

It reads the steps that the journal keeps of each app's last wake.  The chain begins
with the app that was ready last; below each link stands the one among its dependencies
for which it waited longest.  Whatever is not in the chain could have been slower
without making anybody wait.

Points in time are wall-clock, as the events are; a clock that is set during a wake
falsifies its figures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from torpor.control.problems import NotFound
from torpor.core.model import AppSnapshot, Condition, Event, Phase

StepsOf = Callable[[str], Sequence[Event]]

BOOT = "boot"
"""Who woke what the daemon starts by itself."""
_IN_WORDS = 200
"""Characters that are told of what a start waited for."""


class Link(msgspec.Struct, frozen=True):
    """One app of a chain.  Durations in seconds, None where that has not happened yet."""

    app: str
    state: str
    by: str
    """Who woke it."""
    blocked: float
    """How long it waited for what it needs before it could be started."""
    starting: float | None
    """From its start to ready, failed attempts included; in a chain only until it was what the one above needs."""
    ready_at: float | None
    """The end of that, from the beginning of the boot or wake."""
    attempts: int
    """How often it was started; of several replicas the one that needed most."""
    waited_for: str | None
    """What the start itself waited for in the end, in its own words."""
    reason: str | None
    """Why it is not ready."""


class Analysis(msgspec.Struct, frozen=True):
    """A boot, or the wake of one app."""

    subject: str
    """`boot`, or the app."""
    began_at: float
    """Seconds since the epoch."""
    took: float | None
    """Until the last one was ready; None while one is not."""
    slowest: str
    """The app of the chain whose own start took, or takes, longest."""
    chain: list[Link]
    """The app that was ready last, then whom it waited for, and so on."""
    apps: list[Link]
    """All apps that took part, those with the longest start first."""


@dataclass(slots=True)
class _Wake:
    """What the steps of one app tell."""

    began: float
    by: str
    starting: float | None = None
    started: float | None = None
    ready: float | None = None
    ended: float | None = None
    attempts: int = 0
    waited_for: str | None = None

    def met(self, condition: Condition) -> float | None:
        """When what somebody needs of it came true; None: not yet."""
        match condition:
            case Condition.STARTED:
                return self.started
            case Condition.HEALTHY:
                return self.ready
            case _:
                return self.ended

    @property
    def over(self) -> float | None:
        """When it was ready, or done without ever being it."""
        return self.ended if self.ready is None else self.ready


def analyse_boot(apps: Sequence[AppSnapshot], steps_of: StepsOf) -> Analysis:
    """The last start of what the daemon starts by itself.  Raises `NotFound`."""
    by_name, wakes = _read(apps, steps_of)
    booted = [name for name, wake in wakes.items() if wake.by == BOOT]
    if not booted:
        raise NotFound(
            "torpor started no app when it came up, or all have been woken again since",
            hint="`torpor analyze APP` tells of one app's last wake.",
        )
    began = min(wakes[name].began for name in booted)
    return _analysis(BOOT, began, booted, by_name, wakes)


def analyse_wake(name: str, apps: Sequence[AppSnapshot], steps_of: StepsOf) -> Analysis:
    """The last wake of one app.  Raises `NotFound`."""
    by_name, wakes = _read(apps, steps_of)
    if name not in wakes:
        raise NotFound(
            f"{name} has not been woken since torpor came up", hint=f"`torpor wake {name}` wakes it."
        )
    return _analysis(name, wakes[name].began, [name], by_name, wakes)


def _analysis(
    subject: str,
    began: float,
    roots: Sequence[str],
    apps: Mapping[str, AppSnapshot],
    wakes: Mapping[str, _Wake],
) -> Analysis:
    last = max(roots, key=lambda name: _late(wakes[name].over))
    chain = [_link(apps[name], wakes[name], began, over) for name, over in _chain(last, apps, wakes)]
    taking_part = [
        _link(apps[name], wakes[name], began, wakes[name].over)
        for name in _closure(roots, began, apps, wakes)
    ]
    # Of several that are not ready the last one keeps the others waiting.
    slowest = max(reversed(chain), key=lambda link: _late(link.starting))
    return Analysis(
        subject=subject,
        began_at=began,
        took=chain[0].ready_at,
        slowest=slowest.app,
        chain=chain,
        apps=sorted(taking_part, key=lambda link: -_late(link.starting)),
    )


def _chain(
    name: str, apps: Mapping[str, AppSnapshot], wakes: Mapping[str, _Wake]
) -> Iterator[tuple[str, float | None]]:
    """The app, whom it waited for longest, and so on, each with the moment at which that wait was over.

    The configuration allows no circles.
    """
    over = wakes[name].over
    while True:
        yield name, over
        wake = wakes[name]
        awaited = {
            needed.app: met
            for needed in apps[name].spec.depends_on
            if not needed.optional
            and needed.app in wakes
            and wakes[needed.app].began <= _late(wake.starting)  # else it was woken again since
            and ((met := wakes[needed.app].met(needed.condition)) is None or met > wake.began)
        }
        if not awaited:
            return
        name, over = max(awaited.items(), key=lambda item: _late(item[1]))


def _closure(
    roots: Sequence[str], began: float, apps: Mapping[str, AppSnapshot], wakes: Mapping[str, _Wake]
) -> list[str]:
    """The apps and all that were woken for them since."""
    found = dict.fromkeys(roots)
    queue = list(roots)
    while queue:
        root = queue.pop()
        for needed in apps[root].spec.depends_on:
            name = needed.app
            if name not in found and name in wakes and began <= wakes[name].began <= _late(wakes[root].over):
                found[name] = None
                queue.append(name)
    return list(found)


def _link(app: AppSnapshot, wake: _Wake, began: float, over: float | None) -> Link:
    """`over`: when it was what it was to be: ready, or only started, or completed."""
    speaker = next((one for one in app.instances if one.phase is app.phase), None)
    reason = speaker.reason if speaker and over is None else None
    starting = None if over is None or wake.starting is None else over - wake.starting
    blocked_until = wake.began if wake.starting is None else wake.starting
    return Link(
        app=app.name,
        state=app.phase.value,
        by=wake.by,
        blocked=_ms(blocked_until - wake.began),
        starting=None if starting is None else _ms(starting),
        ready_at=None if over is None else _ms(over - began),
        attempts=wake.attempts,
        waited_for=wake.waited_for,
        reason=str(reason) if reason else None,
    )


def _read(apps: Sequence[AppSnapshot], steps_of: StepsOf) -> tuple[dict[str, AppSnapshot], dict[str, _Wake]]:
    wakes = {app.name: wake for app in apps if (wake := _wake(app, steps_of(app.name))) is not None}
    return {app.name: app for app in apps}, wakes


def _wake(app: AppSnapshot, steps: Sequence[Event]) -> _Wake | None:
    """What the steps tell; None if they do not begin with a wake."""
    if not steps or steps[0].kind != "waking":
        return None
    wake = _Wake(steps[0].at, str(steps[0].data.get("by", "")))
    attempts: Counter[str] = Counter()
    for event in steps:
        match event.kind:
            case "starting":
                attempts[event.instance] += 1
                wake.starting = event.at if wake.starting is None else wake.starting
                wake.waited_for = None
            case "started" if wake.started is None:
                wake.started = event.at
            case "waiting":
                wake.waited_for = str(event)[:_IN_WORDS]
            case "ready":
                wake.ready = event.at
                break
    wake.attempts = max(attempts.values(), default=0)
    if wake.ready is not None or app.phase is Phase.DONE:
        ends = [event.at for event in steps if event.kind == "exited"]
        wake.ended = ends[-1] if ends else None
    return wake


def _late(at: float | None) -> float:
    """For comparisons: what has not happened is later than everything that has."""
    return float("inf") if at is None else at


def _ms(seconds: float) -> float:
    """To the millisecond, and never negative, whatever was done to the clock."""
    return round(max(0.0, seconds), 3)
