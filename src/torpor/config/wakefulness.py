"""What has to be found out before an app may fall asleep."""

from __future__ import annotations

from msgspec import UNSET

from torpor.config import declarations as declared
from torpor.config.command import split_words
from torpor.config.layers import Layers, given
from torpor.core.model import ExecProbe, HttpProbe, IdleQuestion

SUCCESSES = ((200, 299),)
"""Statuses by which an app says that it is to stay awake."""


def build_question(keys: Layers, idle_timeout: float | None) -> IdleQuestion | None:
    """What is asked about the app; None: nothing.  What is wrong goes to the problems."""
    _check_effect(keys, idle_timeout)
    default = IdleQuestion()
    below, window = keys.get("cpu_below", None), keys.get("cpu_window", None)
    if keys.own.keys.cpu_window is not UNSET and below is None:
        keys.report("cpu_window", "has no effect without `cpu_below`; say how much CPU is too much to sleep")
    value = keys.get("keep_awake_if", None)
    if below is None and value is None:
        return None
    probe, timeout = _probe(keys, value)
    return IdleQuestion(
        cpu_below=None if below is None else float(below),
        cpu_window=default.cpu_window if window is None else float(window),
        probe=probe,
        timeout=default.timeout if timeout is None else timeout,
    )


def _probe(
    keys: Layers, value: str | list[str] | declared.KeepAwakeIf | None
) -> tuple[ExecProbe | HttpProbe | None, float | None]:
    if value is None:
        return None, None
    if isinstance(value, str | list):
        return ExecProbe(split_words(keys, "keep_awake_if", value)), None
    timeout = given(value.timeout, None)
    limit = None if timeout is None else float(timeout)
    if (value.exec is UNSET) == (value.http is UNSET):
        keys.report("keep_awake_if", "must name exactly one of `exec` and `http`")
        return None, limit
    if value.exec is not UNSET:
        return ExecProbe(split_words(keys, "keep_awake_if", value.exec, "exec")), limit
    path = str(value.http)
    if not path.isascii() or not path.isprintable() or " " in path:
        text = "a path is plain ASCII without blanks; percent-encode the rest"
        keys.report("keep_awake_if", text, "http")
    return HttpProbe(path, SUCCESSES), limit


def _check_effect(keys: Layers, idle_timeout: float | None) -> None:
    always_on = keys.get("always_on", False)
    if not always_on and idle_timeout is not None:
        return
    why = (
        "an app that is always_on never sleeps" if always_on else "with `idle_timeout: never` it never sleeps"
    )
    for key in ("min_uptime", "cpu_below", "keep_awake_if"):
        if getattr(keys.own.keys, key) is not UNSET:
            keys.report(key, f"has no effect: {why}; remove one of them")
