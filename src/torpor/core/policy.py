"""Questions that may be asked twenty times: functions of (facts, now), silent and without effect."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torpor.core.model import Backoff, ExitInfo, Lifecycle, StartLimit

REMEMBERED_WAKES = 20
"""How many wake durations an app keeps: enough for a median, short enough to follow a change."""


def succeeded(lifecycle: Lifecycle, info: ExitInfo) -> bool:
    """Whether that exit is one of those that the configuration calls a success."""
    status = info.code if info.signal is None else -info.signal
    return status in lifecycle.exit_codes


def retry_delay(backoff: Backoff, failures: int, *, was_stable: bool, dice: float) -> float:
    """Seconds to wait before the next start after `failures` recent ones (this one included).

    A program that had been stable is started again at once: one crash in a week
    should cost its users nothing.  `dice`, a number in [0, 1), spreads the delay by
    `backoff.jitter`, so that what failed together is not started together for ever.
    It never exceeds `backoff.max`: the growth ends where the longest spread fits below.
    """
    if was_stable and failures <= 1:
        return 0.0
    exponent = min(failures - 1, 64)  # 2.0**1100 would be an OverflowError
    longest = backoff.max / (1 + backoff.jitter)
    delay = min(backoff.initial * backoff.factor**exponent, longest)
    return delay * (1 + backoff.jitter * (2 * dice - 1))


def recent(failures: Iterable[float], limit: StartLimit, now: float) -> list[float]:
    """Those failures that still count against the start limit."""
    return [at for at in failures if now - at < limit.window]


def limit_reached(failures: Sequence[float], limit: StartLimit) -> bool:
    """Whether so many recent failures mean: stop trying for a while."""
    return len(failures) >= limit.failures


def usual_wake(wakes: Sequence[float]) -> float | None:
    """What a wake takes as a rule (median, seconds); None without history."""
    if not wakes:
        return None
    ordered = sorted(wakes)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def idle_text(lifecycle: Lifecycle) -> str:
    """What an idle app has seen, for people."""
    within = span(lifecycle.idle_timeout or 0.0)
    least = lifecycle.min_bytes
    return f"fewer than {least} bytes within {within}" if least else f"no request for {within}"


def span(seconds: float) -> str:
    """A duration for people: `480 ms`, `1.2 s`, `30m`, `1h30m`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number)


def volume(size: float) -> str:
    """Bytes for people: `18 GiB`, `1.5 GiB`, `300 MiB`, `12 KiB`."""
    if abs(size) >= 2**30:
        return f"{size / 2**30:.1f} GiB".replace(".0 GiB", " GiB")
    return f"{size / 2**20:.0f} MiB" if abs(size) >= 2**20 else f"{size / 2**10:.0f} KiB"
