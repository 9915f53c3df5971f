"""What Torpor costs while nothing happens: memory, CPU, and the time of `torpor status`.

    python benchmarks/footprint.py [--apps 0,10,100,1000] [--seconds 30]

For each number of sleeping apps a daemon is started; its resident memory is read once it
is ready, its CPU over `--seconds` of idleness, and `torpor status` is timed from outside,
interpreter start included, against a bare `python -c pass` of the same moment.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

from daemon import Daemon, about_this_run, free_port, running

RUNS = 15


@dataclass(frozen=True)
class Target:
    """What is to be reached with so many apps."""

    rss: float | None
    """MB"""
    status: float | None
    """Milliseconds"""


TARGETS = {0: Target(45, None), 10: Target(None, 100), 100: Target(None, None), 1000: Target(60, 250)}
IDLE_CPU = 0.1
"""Per cent of one core."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--apps", default="0,10,100,1000")
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args()

    print(about_this_run())
    print(f"idle CPU over {options.seconds:g} s; status: median of {RUNS}; targets in parentheses\n")
    print(f"{'apps':>6}{'RSS, MB':>16}{'idle CPU, %':>16}{'status, ms':>16}{'python, ms':>12}")
    for apps in (int(number) for number in options.apps.split(",")):
        with running(_config(apps)) as daemon:
            print(_measured(daemon, apps, options.seconds), flush=True)
    return 0


def _measured(daemon: Daemon, apps: int, seconds: float) -> str:
    target = TARGETS.get(apps, Target(None, None))
    daemon.run("status")  # whatever is loaded at first use is loaded before the memory is read
    time.sleep(1.0)
    before, begun = daemon.cpu, time.monotonic()
    time.sleep(seconds)
    cpu = (daemon.cpu - before) / (time.monotonic() - begun) * 100
    rss = daemon.rss / 1e6
    status = _median_ms([sys.executable, "-m", "torpor", "status"], daemon.environment)
    bare = _median_ms([sys.executable, "-c", "pass"], daemon.environment)
    return (
        f"{apps:>6}{_with(rss, '.1f', target.rss):>16}{_with(cpu, '.3f', IDLE_CPU):>16}"
        f"{_with(status, '.0f', target.status):>16}{bare:>12.0f}"
    )


def _with(value: float, form: str, target: float | None) -> str:
    return format(value, form) + ("" if target is None else f" (<= {target:g})")


def _median_ms(command: list[str], environment: dict[str, str]) -> float:
    times = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1000


def _config(apps: int) -> str:
    lines = [f"gateway: {{listen: 127.0.0.1:{free_port()}}}"]
    lines.append("apps:" if apps else "apps: {}")
    for number in range(apps):
        lines.append(f"  app{number:04}:")
        lines.append("    command: python3 -m http.server $PORT --bind 127.0.0.1")
        lines.append(f"    routes: [app{number:04}.localhost]")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.exit(main())
