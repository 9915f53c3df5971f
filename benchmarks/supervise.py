"""What it costs to keep programs running, beside supervisord, circus and pm2.

    python benchmarks/supervise.py [--quick] [--managers torpor,supervisord,circus,pm2]
                                   [--programs 20,100,500,1000] [--rounds 100] [--seconds 30]

The Python peers come with `pip install .[bench]`, pm2 with npm; what is missing is left out
and named.  Every program is the same `sleep` (`births.py`), with its output captured.

- respawn: SIGKILL of one program until the next one says that it is there; 10 run; a loop of
  the shell tells what of that is the machine's own;
- start: from the manager's own start until the last program says that it is there;
- stop: SIGTERM of the manager (pm2: `pm2 kill`) until it and all programs are gone;
- status: the whole command that shows all programs, interpreter start included, median;
- memory: resident bytes with all programs less those with none, per program;
- idle CPU: of the manager, all programs running and nothing asked of it.

A manager that takes longer than `--patience` for a start is not asked for more programs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from births import Births, births
from daemon import PAGE, about_this_run
from managers import FLOOR, MANAGERS, Managed, missing

STEADY = 0.25
"""Seconds that a program runs before it is killed: it counts as stable then."""
STATUS_RUNS = 7
TARGETS = (
    "torpor's targets: respawn p95 <= 20 ms; 1000 started <= 5 s; status at 1000 <= 250 ms; "
    "<= 60 KiB per program; idle CPU <= 0.1 %"
)
HEAD = f"{'':12}{'programs':>9}{'start, s':>11}{'stop, s':>9}{'status, ms':>12}{'KiB each':>10}{'idle CPU, %':>13}"


@dataclass
class Figures:
    """What one manager made of one number of programs; None: not measured."""

    start: float | None = None
    up: int = 0
    stop: float | None = None
    left: int = 0
    status: float | None = None
    rss: int | None = None
    cpu: float | None = None


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="few programs, few rounds: does it work at all?")
    parser.add_argument("--managers", default=",".join(name for name in MANAGERS if name != FLOOR))
    parser.add_argument("--programs", default="20,100,500,1000")
    parser.add_argument("--rounds", type=int, default=100, help="respawns of each manager")
    parser.add_argument("--seconds", type=float, default=30.0, help="of idleness")
    parser.add_argument(
        "--patience", type=float, default=90.0, help="seconds for one start, and for all rounds"
    )
    options = parser.parse_args()
    if options.quick:
        options.programs, options.rounds, options.seconds = "5,20", 10, 2.0

    present = [name for name in options.managers.split(",") if not missing(name)]
    absent = [name for name in options.managers.split(",") if missing(name)]
    print(about_this_run())
    print(TARGETS)
    if absent:
        print(f"not installed, left out: {', '.join(absent)}")
    print(f"\nrespawn, milliseconds\n{'':15}{'median':>9}{'p95':>9}{'max':>9}{'rounds':>9}")
    for name in (FLOOR, *present):
        print(f"{name:15}{_respawn_row(name, options.rounds, options.patience)}", flush=True)
    print(f"\nidle CPU over {options.seconds:g} s; status: median of {STATUS_RUNS}\n{HEAD}")
    for name in present:
        _rows(name, [int(n) for n in options.programs.split(",")], options.seconds, options.patience)
    return 0


# --- one manager --------------------------------------------------------------


def _respawn_row(name: str, rounds: int, patience: float) -> str:
    times: list[float] = []
    with _managed(name, 10) as (manager, born):
        latest = _all_born(born, 10, time.perf_counter() + patience)
        limit = time.monotonic() + patience
        while latest and len(times) < rounds and time.monotonic() < limit:
            time.sleep(STEADY)
            killed = born.kill(latest[-1])
            birth = born.wait(killed + patience)
            if birth is None:
                return f"no new process within {patience:g} s"
            times.append((birth.at - killed) * 1000)
            latest.append(birth.pid)
        manager.stop()
    if not times:
        return "did not start"
    times.sort()
    p95 = times[min(len(times) - 1, round(0.95 * (len(times) - 1)))]
    return f"{statistics.median(times):9.1f}{p95:9.1f}{times[-1]:9.1f}{len(times):9}"


def _rows(name: str, numbers: list[int], seconds: float, patience: float) -> None:
    with _managed(name, 0) as (manager, _):
        _status_ms(manager, 0)  # whatever is loaded at first use is loaded before the memory is read
        time.sleep(1.0)
        empty = _rss(manager.pid)
    for number in sorted(numbers):
        figures = _measured(name, number, seconds, patience)
        print(f"{name:12}{number:>9}{_row(figures, number, empty, patience)}", flush=True)
        if figures.start is None:
            return


def _measured(name: str, number: int, seconds: float, patience: float) -> Figures:
    figures = Figures()
    begun = time.perf_counter()
    with _managed(name, number) as (manager, born):
        figures.up = len(_all_born(born, number, begun + patience))
        if figures.up < number:
            return figures
        figures.start = time.perf_counter() - begun
        figures.status = _status_ms(manager, number)
        time.sleep(1.0)
        before, idle_since = _cpu(manager.pid), time.monotonic()
        time.sleep(seconds)
        figures.cpu = (_cpu(manager.pid) - before) / (time.monotonic() - idle_since) * 100
        figures.rss = _rss(manager.pid)
        begun = time.perf_counter()
        manager.stop()
        figures.left = len(born.alive())
        figures.stop = time.perf_counter() - begun
    return figures


@contextmanager
def _managed(name: str, number: int) -> Iterator[tuple[Managed, Births]]:
    with (
        tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder,
        births(Path(folder)) as born,
        MANAGERS[name][1](Path(folder), born.program, number) as manager,
    ):
        yield manager, born


# --- figures ------------------------------------------------------------------


def _all_born(born: Births, number: int, until: float) -> list[int]:
    """The pids of the first so many processes; fewer if they are not there in time."""
    pids: list[int] = []
    while len(pids) < number and (birth := born.wait(until)) is not None:
        pids.append(birth.pid)
    return pids


def _status_ms(manager: Managed, number: int) -> float | None:
    """None where it does not show all programs."""
    times = []
    for _ in range(STATUS_RUNS):
        begun = time.perf_counter()
        # supervisorctl exits with 3 where not all programs run
        shown = subprocess.run(
            manager.status, env=manager.environment, check=False, stdout=subprocess.PIPE, timeout=120
        )
        times.append(time.perf_counter() - begun)
        if not all(b"p%04d" % n in shown.stdout for n in range(number)):
            return None
    return statistics.median(times) * 1000


def _rss(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def _cpu(pid: int) -> float:
    """CPU seconds of all threads so far."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def _row(figures: Figures, number: int, empty: int, patience: float) -> str:
    if figures.start is None:
        return f"   only {figures.up} up after {patience:g} s"
    assert figures.stop is not None
    assert figures.rss is not None
    each = (figures.rss - empty) / number / 1024
    status = "fails" if figures.status is None else f"{figures.status:.0f}"
    left = f"   {figures.left} left running" if figures.left else ""
    return f"{figures.start:11.2f}{figures.stop:9.2f}{status:>12}{each:10.1f}{figures.cpu:13.3f}{left}"


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.exit(main())
