"""The keys that say how an app is kept running, and what it needs."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, UnsetType

from torpor.config.declarations.keys import Keys, about
from torpor.config.declarations.wakefulness import Wakefulness
from torpor.config.scalars import Regex
from torpor.config.units import Duration, Patience, PositiveDuration, duration_text
from torpor.core.model import (
    AppSpec,
    Backoff,
    Condition,
    Dependency,
    Lifecycle,
    OnStartTimeout,
    OnWatchdog,
    Restart,
    StartLimit,
    TcpProbe,
)
from torpor.core.model import Liveness as LivenessSpec

_LIFECYCLE = Lifecycle()
_BACKOFF = Backoff()
_START_LIMIT = StartLimit()
_LIVENESS = LivenessSpec(TcpProbe())
_DEPENDENCY = Dependency("")


class Readiness(Keys, frozen=True):
    """When an app counts as ready.  All that is named must hold."""

    http: (
        Annotated[str, about("A GET of this path answers with one of `codes`.", "/healthz", pattern="^/")]
        | UnsetType
    ) = UNSET
    codes: (
        Annotated[
            str | int | list[str | int],
            about("Statuses that `http` takes for ready: numbers or ranges.", ["200-299", 401], "200-399"),
        ]
        | UnsetType
    ) = UNSET
    tcp: Annotated[bool, about("The app's port accepts a connection.", True)] | UnsetType = UNSET
    log: (
        Annotated[Regex, about("A line of the app's output matches this regular expression.", "listening on")]
        | UnsetType
    ) = UNSET
    exec: (
        Annotated[
            str | list[str],
            about("This command, run in the app's directory and environment, exits 0.", "./ready.sh"),
        ]
        | UnsetType
    ) = UNSET
    notify: (
        Annotated[bool, about("The app sends `READY=1` to `$NOTIFY_SOCKET` (sd_notify).", True)] | UnsetType
    ) = UNSET
    delay: Annotated[Duration, about("That long has passed since the start.", "500ms")] | UnsetType = UNSET
    settle: (
        Annotated[Duration, about("How long to wait after all of it held.", "250ms", "0s")] | UnsetType
    ) = UNSET


class Liveness(Keys, frozen=True):
    """What must go on to hold once the app is ready.  One of `http`, `tcp` and `exec`."""

    http: (
        Annotated[
            str, about("A GET of this path answers with a status from 200 to 399.", "/healthz", pattern="^/")
        ]
        | UnsetType
    ) = UNSET
    tcp: Annotated[bool, about("The app's port accepts a connection.", True)] | UnsetType = UNSET
    exec: (
        Annotated[
            str | list[str],
            about("This command, run in the app's directory and environment, exits 0.", "./alive.sh"),
        ]
        | UnsetType
    ) = UNSET
    interval: (
        Annotated[PositiveDuration, about("How often it is asked.", "30s", duration_text(_LIVENESS.interval))]
        | UnsetType
    ) = UNSET
    timeout: (
        Annotated[
            PositiveDuration,
            about("An answer that takes longer is a failure.", "5s", duration_text(_LIVENESS.timeout)),
        ]
        | UnsetType
    ) = UNSET
    failures: (
        Annotated[
            int,
            about(
                "After that many failures in a row the app is restarted.",
                5,
                _LIVENESS.failures,
                ge=1,
                le=1000,
            ),
        ]
        | UnsetType
    ) = UNSET


class Needed(Keys, frozen=True):
    """How an app needs another one."""

    condition: (
        Annotated[Condition, about("What must be true of it first.", "started", _DEPENDENCY.condition.value)]
        | UnsetType
    ) = UNSET
    optional: (
        Annotated[
            bool,
            about("Start it along, but neither wait for it nor fail with it.", True, _DEPENDENCY.optional),
        ]
        | UnsetType
    ) = UNSET


class RestartPause(Keys, frozen=True):
    """The pause before an app that failed is started again."""

    initial: (
        Annotated[Duration, about("Pause after the first failure.", "1s", duration_text(_BACKOFF.initial))]
        | UnsetType
    ) = UNSET
    factor: (
        Annotated[
            float, about("Each further pause is longer by this factor.", 1.5, _BACKOFF.factor, ge=1, le=100)
        ]
        | UnsetType
    ) = UNSET
    max: Annotated[Duration, about("Longest pause.", "5m", duration_text(_BACKOFF.max))] | UnsetType = UNSET
    jitter: (
        Annotated[
            float,
            about(
                "Share of the pause by which chance makes it longer or shorter.",
                0.5,
                _BACKOFF.jitter,
                ge=0,
                le=1,
            ),
        ]
        | UnsetType
    ) = UNSET


class GiveUp(Keys, frozen=True):
    """When to give up on an app that fails again and again."""

    failures: (
        Annotated[int, about("That many failures …", 10, _START_LIMIT.failures, ge=1, le=1_000_000)]
        | UnsetType
    ) = UNSET
    window: (
        Annotated[
            PositiveDuration,
            about("… within this time make the app `failed`.", "10m", duration_text(_START_LIMIT.window)),
        ]
        | UnsetType
    ) = UNSET
    cool_off: (
        Annotated[
            Duration, about("How long it then refuses requests.", "5m", duration_text(_START_LIMIT.cool_off))
        ]
        | UnsetType
    ) = UNSET


class Supervision(Wakefulness, frozen=True):
    """How it is kept running."""

    always_on: (
        Annotated[bool, about("Start it with Torpor and keep it running.", True, _LIFECYCLE.always_on)]
        | UnsetType
    ) = UNSET
    replicas: (
        Annotated[
            int,
            about(
                "How many instances of the app run; `$TORPOR_REPLICA` is the number of each, from 0.",
                3,
                AppSpec("").replicas,
                ge=1,
                le=100,
            ),
        ]
        | UnsetType
    ) = UNSET
    depends_on: (
        Annotated[
            str | list[str] | dict[str, Condition | Needed],
            about(
                "Apps that are started before this one, and held as long as it runs: a name, a list of names, or a map from names to a condition (`started`: it runs; `healthy`: it is ready; `completed`: it has ended; `completed_successfully`) or to a map with `condition` and `optional`.",
                {"db": "healthy", "migrate": "completed_successfully"},
            ),
        ]
        | UnsetType
    ) = UNSET
    companions: (
        Annotated[
            str | list[str],
            about(
                "Apps that are woken with this one, and stay awake as long as it would: a name, or a list of names; `group:NAME` means all members of a group. Nobody waits for them: who is waited for stands in `depends_on`.",
                ["api", "group:shop"],
            ),
        ]
        | UnsetType
    ) = UNSET
    readiness: (
        Annotated[
            str | Readiness,
            about(
                "When the app counts as ready; a path alone means `http`. Without it: the port accepts a connection, "
                "if the app has routes or a fixed port.",
                "/healthz",
            ),
        ]
        | UnsetType
    ) = UNSET
    start_timeout: (
        Annotated[
            Patience,
            about(
                "A start that is not ready by then has failed; `never`: it may take for ever.",
                "5m",
                duration_text(_LIFECYCLE.start_timeout),
            ),
        ]
        | UnsetType
    ) = UNSET
    on_start_timeout: (
        Annotated[
            OnStartTimeout,
            about(
                "What then becomes of it: `fail`: it is stopped and has failed; `accept`: it counts as ready; `restart`: it is stopped and started again, whatever `restart` says; `reboot` the machine, which needs `allow_reboot`.",
                "accept",
                _LIFECYCLE.on_start_timeout.value,
            ),
        ]
        | UnsetType
    ) = UNSET
    stop_timeout: (
        Annotated[
            Duration,
            about("From the stop signal to KILL.", "30s", duration_text(_LIFECYCLE.stop_timeout)),
        ]
        | UnsetType
    ) = UNSET
    liveness: (
        Annotated[
            str | Liveness,
            about("What must go on to hold once the app is ready; a path alone means `http`.", "/healthz"),
        ]
        | UnsetType
    ) = UNSET
    watchdog: (
        Annotated[
            Patience,
            about(
                "Once ready, the app must send `WATCHDOG=1` to `$NOTIFY_SOCKET` at least that often.",
                "30s",
                duration_text(_LIFECYCLE.watchdog),
            ),
        ]
        | UnsetType
    ) = UNSET
    on_watchdog: (
        Annotated[
            OnWatchdog,
            about(
                "What becomes of it when it does not: `restart` it, `ignore` it, or `reboot` the machine, which needs `allow_reboot`.",
                "ignore",
                _LIFECYCLE.on_watchdog.value,
            ),
        ]
        | UnsetType
    ) = UNSET
    notify: (
        Annotated[
            bool,
            about(
                "Give the app a `$NOTIFY_SOCKET` (sd_notify). `readiness: {notify: true}` and `watchdog` do so by themselves.",
                True,
                False,
            ),
        ]
        | UnsetType
    ) = UNSET
    restart: (
        Annotated[
            Restart,
            about("Whether to start it again when it exits by itself.", "always", _LIFECYCLE.restart.value),
        ]
        | UnsetType
    ) = UNSET
    exit_codes: (
        Annotated[
            int | str | list[int | str],
            about("Ends that count as success: exit codes, and names of signals.", [0, 143, "TERM"], [0]),
        ]
        | UnsetType
    ) = UNSET
    backoff: Annotated[RestartPause, about("The pause before a failed app is started again.")] | UnsetType = (
        UNSET
    )
    start_limit: (
        Annotated[GiveUp, about("When to give up on an app that fails again and again.")] | UnsetType
    ) = UNSET
    stable_after: (
        Annotated[
            Duration,
            about(
                "Ready for that long forgets earlier failures.", "1m", duration_text(_LIFECYCLE.stable_after)
            ),
        ]
        | UnsetType
    ) = UNSET
