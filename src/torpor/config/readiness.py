"""When an app counts as ready, and what must go on to hold."""

from __future__ import annotations

import re
from typing import Any

from msgspec import UNSET

from torpor.config.command import split_words
from torpor.config.layers import Layers, given
from torpor.core.model import (
    DelayProbe,
    ExecProbe,
    HttpProbe,
    Liveness,
    LogProbe,
    NotifyProbe,
    Probe,
    Readiness,
    TcpProbe,
)

_CODES = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")


def build_readiness(keys: Layers, *, listens: bool, guest: bool) -> Readiness:
    """What must hold for the app to be ready.

    Unsaid: its port accepts, if it `listens`; and the check of a `guest` that its host knows of holds.
    """
    value = keys.get("readiness", None)
    default: tuple[Probe, ...] = (*([TcpProbe()] if listens else []), *([NotifyProbe()] if guest else []))
    if value is None:
        return Readiness(default)
    if isinstance(value, str):
        _check_short_form(keys, "readiness", value, "{tcp: true} or {log: 'listening on'}")
        return Readiness((HttpProbe(value),))
    probes: list[Probe] = []
    if value.http is not UNSET:
        _check_probe_path(keys, "readiness", value.http, "http")
        probes.append(HttpProbe(value.http, _codes(keys, value.codes)))
    elif value.codes is not UNSET:
        keys.report("readiness", "are the statuses of an `http` probe, but there is none", "codes")
    if value.tcp is True:
        probes.append(TcpProbe())
    if value.log is not UNSET:
        probes.append(LogProbe(str(value.log)))
    if value.exec is not UNSET:
        probes.append(ExecProbe(split_words(keys, "readiness", value.exec, "exec")))
    if value.notify is True:
        probes.append(NotifyProbe())
    if value.delay is not UNSET:
        probes.append(DelayProbe(float(value.delay)))
    settle = 0.0 if value.settle is UNSET else float(value.settle)
    unspecified = not probes and value.tcp is UNSET
    return Readiness(default if unspecified else tuple(probes), settle)


def build_liveness(keys: Layers) -> Liveness | None:
    """What is asked of the app as long as it is ready; None: nothing."""
    value = keys.get("liveness", None)
    if value is None:
        return None
    if isinstance(value, str):
        _check_short_form(keys, "liveness", value, "{tcp: true} or {exec: ./alive.sh}")
        return Liveness(HttpProbe(value))
    default = Liveness(TcpProbe())
    interval = float(given(value.interval, default.interval))
    timeout = float(given(value.timeout, default.timeout))
    if timeout > interval:
        keys.report("liveness", "the time for an answer (timeout) is longer than the interval")
    probes: list[HttpProbe | TcpProbe | ExecProbe] = []
    if value.http is not UNSET:
        _check_probe_path(keys, "liveness", value.http, "http")
        probes.append(HttpProbe(value.http))
    if value.tcp is True:
        probes.append(TcpProbe())
    if value.exec is not UNSET:
        probes.append(ExecProbe(split_words(keys, "liveness", value.exec, "exec"), timeout))
    if len(probes) != 1:
        keys.report("liveness", "must name exactly one of `http`, `tcp` and `exec`")
    return Liveness(
        probes[0] if probes else default.probe, interval, timeout, given(value.failures, default.failures)
    )


def _check_short_form(keys: Layers, key: str, path: str, others: str) -> None:
    if not path.startswith("/"):
        keys.report(key, f"'{path}' is not a path like /healthz; a map names another way, e.g. {others}")
    _check_probe_path(keys, key, path)


def _check_probe_path(keys: Layers, key: str, path: str, *inner: str) -> None:
    if not path.isascii() or not path.isprintable() or " " in path:
        keys.report(key, "a path is plain ASCII without blanks; percent-encode the rest", *inner)


def _codes(keys: Layers, value: Any) -> tuple[tuple[int, int], ...]:
    if value is UNSET:
        return HttpProbe("/").codes
    ranges: list[tuple[int, int]] = []
    for position, item in enumerate(value if isinstance(value, list) else [value]):
        match = _CODES.fullmatch(str(item))
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if low > high:
            inner = (position,) if isinstance(value, list) else ()
            keys.report(
                "readiness", f"'{item}' is neither a status nor a range like 200-299", "codes", *inner
            )
        else:
            ranges.append((low, high))
    if value == []:
        keys.report("readiness", "is empty: no status would ever be ready", "codes")
    return tuple(ranges)
