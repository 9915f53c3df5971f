"""How many real Streamlit apps fit into 4 GiB: all running, all hibernated, all stopped.

    python benchmarks/density.py [--apps 8] [--rounds 3]

So many dashboards (`frames.py`) run below one Torpor. What each of them takes is measured: its
proportional set size, and, hibernated, its share of the compressed memory besides. From that the
number for 4 GiB is reckoned, less what the daemon takes; that many are not started.  The wakes are real
ones: every app of them is hibernated, or stopped, and the first answer is waited for, one after the other.

It takes root, and swap in compressed memory (`torpor zram --apply`): 400 MB for each app.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from dataclasses import dataclass, field

from daemon import Daemon, about_this_run, free_port, running
from dashboards import (
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

ROOM = 4 << 30
EACH = 400 << 20


@dataclass
class Wakes:
    """First answers, and pages drawn from the knock on, in seconds."""

    answers: list[float] = field(default_factory=list)
    pages: list[float] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--apps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    need_swap(EACH * options.apps)
    gateway = free_port()
    apps = names(options.apps)
    before = compressed()
    with running(config(gateway, options.apps)) as daemon:
        stopped = _wakes(gateway, apps)
        awake = _each(daemon, apps)
        running_wakes = _wakes(gateway, apps)
        hibernated = Wakes()
        for _ in range(options.rounds):
            for name in apps:
                put_to_sleep(daemon, name, "hibernate")
            asleep = _each(daemon, apps) + (compressed() - before) / len(apps)
            seen = _wakes(gateway, apps)
            hibernated.answers += seen.answers
            hibernated.pages += seen.pages
        room = ROOM - daemon.rss
    print(about_this_run())
    print(f"{options.apps} apps, {options.rounds} rounds of hibernation; milliseconds\n")
    print(f"{'':12}{'MB each':>10}{'in 4 GiB':>10}{'answer':>10}{'p95':>10}{'page drawn':>12}{'p95':>10}")
    _row("running", awake, room, running_wakes)
    _row("hibernated", asleep, room, hibernated)
    _row("stopped", None, room, stopped)
    return 0


def _wakes(gateway: int, apps: list[str]) -> Wakes:
    """One visit to each of them."""
    seen = Wakes()
    for number, name in enumerate(apps):
        seen.answers.append(first_byte(gateway, name))
        seen.pages.append(seen.answers[-1] + draw(gateway, name))
        print(f"\rvisit {number + 1}/{len(apps)} ", end="", file=sys.stderr, flush=True)
    return seen


def _each(daemon: Daemon, apps: list[str]) -> float:
    """Bytes of memory that one of them takes, what they share counted once."""
    return sum(memory(pid_of(daemon, name)).pss for name in apps) / len(apps)


def _row(name: str, each: float | None, room: int, wakes: Wakes) -> None:
    size = "0" if each is None else f"{each / 1e6:.0f}"
    number = "any" if each is None else f"{room / each:.0f}"
    times = [
        part
        for seconds in (wakes.answers, wakes.pages)
        for part in (statistics.median(seconds), percentile(seconds, 0.95))
    ]
    answer, slow, drawn, slowly = (f"{seconds * 1e3:.0f}" for seconds in times)
    print(f"{name:12}{size:>10}{number:>10}{answer:>10}{slow:>10}{drawn:>12}{slowly:>10}")


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.exit(main())
