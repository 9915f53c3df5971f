"""The settings of an app that the core decides by."""

from __future__ import annotations

from functools import partial
from typing import Any, TypeVar

from msgspec import UNSET

from torpor.config.layers import Layers, given
from torpor.config.scalars import Signal
from torpor.config.sleep import build_ladder
from torpor.config.wakefulness import build_question
from torpor.core.model import Backoff, Lifecycle, StartLimit


def build_lifecycle(keys: Layers) -> Lifecycle:
    """The app's lifecycle.  What is wrong goes to the problems."""
    default = Lifecycle()
    always_on = keys.get("always_on", default.always_on)
    own = keys.own.keys
    for key, given_up in (("idle_timeout", own.idle_timeout), ("sleep", own.sleep)):
        if always_on and given_up is not UNSET and getattr(given_up, "limit", 0.0) is not None:
            keys.report(key, "has no effect: an app that is always_on never sleeps; remove one of them")
    tier, idle_timeout, deeper = build_ladder(keys)
    backoff = filled(default.backoff, keys.get("backoff", None))
    if backoff.max < backoff.initial:
        keys.report("backoff", "the longest pause (max) is shorter than the first (initial)")
    watchdog = keys.get("watchdog", None)
    if own.on_watchdog is not UNSET and (watchdog is None or watchdog.limit is None):
        keys.report("on_watchdog", "has no effect without `watchdog`; say how often the app must speak")
    if own.min_bytes is not UNSET and (always_on or idle_timeout is None):
        keys.report("min_bytes", "has no effect: the app never sleeps because it is idle; remove one of them")
    start = keys.get("start_timeout", None)
    if own.on_start_timeout is not UNSET and start is not None and start.limit is None:
        keys.report("on_start_timeout", "has no effect with `start_timeout: never`")
    return Lifecycle(
        idle_timeout=idle_timeout,
        tier=tier,
        deeper=deeper,
        wake_timeout=float(keys.get("wake_timeout", default.wake_timeout)),
        start_timeout=default.start_timeout if start is None else start.limit,
        drain_timeout=float(keys.get("drain_timeout", default.drain_timeout)),
        stop_timeout=float(keys.get("stop_timeout", default.stop_timeout)),
        always_on=always_on,
        restart=keys.get("restart", default.restart),
        max_waiting=keys.get("max_waiting", default.max_waiting),
        backoff=backoff,
        start_limit=filled(default.start_limit, keys.get("start_limit", None)),
        stable_after=float(keys.get("stable_after", default.stable_after)),
        exit_codes=_exit_codes(keys, default.exit_codes),
        on_start_timeout=keys.get("on_start_timeout", default.on_start_timeout),
        min_bytes=int(keys.get("min_bytes", default.min_bytes)),
        watchdog=default.watchdog if watchdog is None else watchdog.limit,
        on_watchdog=keys.get("on_watchdog", default.on_watchdog),
        min_uptime=float(keys.get("min_uptime", default.min_uptime)),
        question=build_question(keys, idle_timeout),
        on_external_start=keys.get("on_external_start", default.on_external_start),
        respect_manual_stop=keys.get("respect_manual_stop", default.respect_manual_stop),
    )


Filled = TypeVar("Filled", Backoff, StartLimit)


def filled(default: Filled, keys: Any) -> Filled:
    """`default` with what `keys` names.  Both have the same field names."""
    if keys is None:
        return default
    values = {name: given(getattr(keys, name), getattr(default, name)) for name in keys.__struct_fields__}
    plain = {name: type(getattr(default, name))(value) for name, value in values.items()}
    return type(default)(**plain)


def _exit_codes(keys: Layers, default: tuple[int, ...]) -> tuple[int, ...]:
    value = keys.get("exit_codes", None)
    if value is None:
        return default
    if value == []:
        keys.report("exit_codes", "is empty: no end would ever be a success")
    found: set[int] = set()
    for position, item in enumerate(value if isinstance(value, list) else [value]):
        inner = (position,) if isinstance(value, list) else ()
        code = keys.attempt(partial(_exit_code, item), "exit_codes", *inner)
        if code is not None:
            found.add(code)
    return tuple(sorted(found))


def _exit_code(item: int | str) -> int:
    """An exit code, or -N for the signal N.  Raises `ValueError`."""
    text = str(item)
    if text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= 255:
        return int(text)
    if isinstance(item, str) and not item.lstrip("-").isdigit():
        return -Signal.parse(item)
    raise ValueError(f"{item} is no exit code; they are from 0 to 255, and signals are named, e.g. TERM")
