"""What each depth of sleep costs, and what a wake from it: a real Streamlit app with pandas.

    python benchmarks/tiers.py [--cold 5] [--pauses 50] [--hibernations 15]

The app (`frames.py`) runs below Torpor; every figure is seen through the gateway.

- first answer: a plain GET of the app's page is sent and waits for whatever has to happen;
- wake of a pause: the same, for the app's smallest page, less what that takes awake, in the same round;
- page drawn: a visitor's WebSocket is opened and the script runs to its end;
- memory: resident bytes of the app's process as the kernel counts them; `swapped`, before compression.

It takes root, and swap in compressed memory (`torpor zram --apply`).
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from daemon import Daemon, about_this_run, free_port, running
from dashboards import (
    Memory,
    compressed,
    config,
    draw,
    first_byte,
    memory,
    names,
    need_swap,
    percentile,
    pid_of,
    put_to_sleep,
)

(NAME,) = names(1)
SMALLEST = "/_stcore/health"
NEEDED = 1 << 30
SETTLING = 0.2
"""Seconds that an app gets after a wake before anything is measured again."""


@dataclass
class Tier:
    """What was seen of one depth."""

    name: str
    answers: list[float] = field(default_factory=list)
    pages: list[float] = field(default_factory=list)
    falls: list[float] = field(default_factory=list)
    asleep: Memory | None = None


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--cold", type=int, default=5, help="cold starts")
    parser.add_argument("--pauses", type=int, default=50)
    parser.add_argument("--hibernations", type=int, default=15)
    options = parser.parse_args()
    need_swap(NEEDED)
    gateway = free_port()
    with running(config(gateway, 1)) as daemon:
        stop = _measured(daemon, gateway, "stop", options.cold)
        awake = memory(pid_of(daemon, NAME))
        warm = Tier("awake")
        for _ in range(options.pauses):
            warm.answers.append(first_byte(gateway, NAME))
        warm.pages = [draw(gateway, NAME) for _ in range(5)]
        added, pause = _pauses(daemon, gateway, options.pauses)
        before = compressed()
        hibernate = _measured(daemon, gateway, "hibernate", options.hibernations)
        pid = pid_of(daemon, NAME)
        put_to_sleep(daemon, NAME, "hibernate")
        deep = memory(pid)
        taken = compressed() - before
    print(about_this_run())
    print(f"{options.cold} cold starts, {options.pauses} pauses, {options.hibernations} hibernations\n")
    _table(awake, [warm, pause, hibernate, stop])
    print(f"\nswapped {deep.swap / 1e6:.0f} MB take {taken / 1e6:.0f} MB of compressed memory")
    print(
        f"pause wake, added: median {statistics.median(added) * 1e3:.2f} ms, p95 {percentile(added, 0.95) * 1e3:.2f} ms"
    )
    return _verdict(deep.rss / awake.rss, added, hibernate, stop)


def _measured(daemon: Daemon, gateway: int, tier: str, rounds: int) -> Tier:
    """Wakes from `tier`; the app is awake before and after."""
    seen = Tier(tier)
    first_byte(gateway, NAME)
    draw(gateway, NAME)
    for number in range(rounds):
        pid = pid_of(daemon, NAME)
        seen.falls.append(put_to_sleep(daemon, NAME, tier))
        if tier != "stop":
            seen.asleep = memory(pid)
        seen.answers.append(first_byte(gateway, NAME))
        seen.pages.append(draw(gateway, NAME) + seen.answers[-1])
        time.sleep(SETTLING)
        print(f"\r{tier} {number + 1}/{rounds}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return seen


def _pauses(daemon: Daemon, gateway: int, rounds: int) -> tuple[list[float], Tier]:
    """What a wake adds to the smallest answer, and the wakes themselves."""
    added = []
    for _ in range(rounds):
        own = min(first_byte(gateway, NAME, SMALLEST) for _ in range(3))
        put_to_sleep(daemon, NAME, "pause")
        added.append(first_byte(gateway, NAME, SMALLEST) - own)
    return added, _measured(daemon, gateway, "pause", max(5, rounds // 5))


def _table(awake: Memory, tiers: list[Tier]) -> None:
    head = ("first answer", "p95", "page drawn", "p95", "falls asleep", "RSS, MB", "swapped, MB")
    print(f"{'':12}" + "".join(f"{title:>14}" for title in head) + "   (times: median, ms)")
    for tier in tiers:
        here = awake if tier.name == "awake" else tier.asleep or Memory(0, 0, 0)
        cells = [
            _ms(tier.answers, statistics.median),
            _ms(tier.answers, lambda seconds: percentile(seconds, 0.95)),
            _ms(tier.pages, statistics.median),
            _ms(tier.pages, lambda seconds: percentile(seconds, 0.95)),
            _ms(tier.falls, statistics.median),
            f"{here.rss / 1e6:.0f}",
            f"{here.swap / 1e6:.0f}",
        ]
        print(f"{tier.name:12}" + "".join(f"{cell:>14}" for cell in cells))


def _ms(seconds: list[float], what: Callable[[list[float]], float]) -> str:
    return f"{what(seconds) * 1e3:.1f}" if seconds else "-"


def _verdict(share: float, added: list[float], hibernate: Tier, stop: Tier) -> int:
    ratio = statistics.median(hibernate.answers) / statistics.median(stop.answers)
    drawn = statistics.median(hibernate.pages) / statistics.median(stop.pages)
    wake = statistics.median(added)
    for what, value, met in (
        ("hibernated RSS <= 10 % of awake", f"{share:.1%}", share <= 0.1),
        ("first answer after hibernation <= 1/10 of a cold start", f"1/{1 / ratio:.0f}", ratio <= 0.1),
        ("pause wake <= 5 ms", f"{wake * 1e3:.2f} ms", wake <= 0.005),
    ):
        print(f"target ({what}): {'met' if met else 'MISSED'}, {value}")
    print(f"page drawn after hibernation: 1/{1 / drawn:.1f} of a cold start")
    return 0


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.exit(main())
