"""What it costs to keep an app's output: Torpor beside supervisord and PM2, in one run.

One app, then fifty, write lines of 100 bytes as fast as they are taken; MB/s is what has arrived in the
manager's files, and its CPU time is put beside it.  Then a log of 1 GB is read by `torpor logs` while the
daemon's memory is watched, and searched beside `zgrep` on the same gzip files.

    .venv/bin/python benchmarks/logs.py [--mb 1024] [--apps 50] [--only torpor,supervisord,pm2]

A manager that loses or rotates away output would look fast: files are counted with all their archives, and
the app itself says how much it wrote.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from daemon import TICKS, about_this_run, free_port, running
from managers import _foreground, _program, missing

LINE = (
    b"2026-05-01T12:00:00 INFO request served path=/api/v1/items status=200 bytes=5120 took=0.0042 id=%06d\n"
)
MIB = 1024 * 1024
PATIENCE = 300.0

WRITER = """
import os, sys, time
total, go = int(sys.argv[1]), sys.argv[2]
block = b"".join({line!r} % number for number in range(640))
while not os.path.exists(go):
    time.sleep(0.005)
left = total
while left > 0:
    left -= os.write(1, block[:left])
time.sleep(100000)
"""


@dataclass(frozen=True)
class Keeper:
    """A manager whose programs wait for a file before they write."""

    pid: int
    written: Callable[[], int]
    """Bytes in its files."""


Launch = Callable[[Path, list[str], int], "contextlib.AbstractContextManager[Keeper]"]


@contextmanager
def torpor(_folder: Path, command: list[str], apps: int) -> Iterator[Keeper]:
    """Torpor with its default size of 10 MiB for a file, and enough of them to keep all."""
    config = (
        f"gateway: {{listen: 127.0.0.1:{free_port()}}}\ndefaults: {{log: {{keep: 1000}}}}\napps:\n"
        + "".join(f"  p{n:02}: {{command: {json.dumps(command)}, always_on: true}}\n" for n in range(apps))
    )
    with running(config) as daemon:
        logs = Path(daemon.environment["TORPOR_HOME"], "logs")
        yield Keeper(daemon.process.pid, lambda: _size(logs))


@contextmanager
def supervisord(folder: Path, command: list[str], apps: int) -> Iterator[Keeper]:
    """Supervisor with files as large as Torpor's and as many."""
    config, logs = folder / "supervisord.conf", folder / "logs"
    logs.mkdir()
    text = " ".join(command).replace("%", "%%")
    config.write_text(
        f"[supervisord]\nnodaemon=true\nlogfile={folder}/log\npidfile={folder}/pid\nminfds=4096\n"
        + "".join(
            f"[program:p{n:02}]\ncommand={text}\nredirect_stderr=true\nstdout_logfile={logs}/p{n:02}.log\n"
            "stdout_logfile_maxbytes=10MB\nstdout_logfile_backups=1000\n"
            for n in range(apps)
        )
    )
    with _foreground([_program("supervisord"), "-c", str(config)], folder) as process:
        yield Keeper(process.pid, lambda: _size(logs))


@contextmanager
def pm2(folder: Path, command: list[str], apps: int) -> Iterator[Keeper]:
    """PM2, which does not rotate by itself."""
    logs = folder / "logs"
    logs.mkdir()
    config = folder / "ecosystem.config.json"
    entries = [
        {
            "name": f"p{n:02}",
            "script": command[0],
            "args": command[1:],
            "interpreter": "none",
            "out_file": f"{logs}/p{n:02}.log",
            "error_file": "/dev/null",
            "vizion": False,
        }
        for n in range(apps)
    ]
    config.write_text(json.dumps({"apps": entries}))
    environment = {**os.environ, "PM2_HOME": f"{folder}/pm2"}
    program = _program("pm2")

    def call(*arguments: str) -> None:
        subprocess.run([program, *arguments], env=environment, stdout=subprocess.DEVNULL, check=True)

    call("start", str(config))
    try:
        yield Keeper(int((folder / "pm2" / "pm2.pid").read_text()), lambda: _size(logs))
    finally:
        call("kill")


MANAGERS: dict[str, Launch] = {"torpor": torpor, "supervisord": supervisord, "pm2": pm2}


def rate(launch: Launch, apps: int, total: int) -> tuple[float, float]:
    """MB/s that arrive, summed over the apps, and the manager's CPU seconds for each 1,000 MB."""
    with tempfile.TemporaryDirectory(prefix="t-bench-logs-") as name:
        folder = Path(name)
        script, go = folder / "writer.py", folder / "go"
        script.write_text(WRITER.format(line=LINE))
        each = total // apps
        command = [sys.executable, str(script), str(each), str(go)]
        with launch(folder, command, apps) as keeper:
            time.sleep(1.0 + apps / 25)
            before, began = _cpu(keeper.pid), time.monotonic()
            go.touch()
            while (arrived := keeper.written()) < each * apps and time.monotonic() - began < PATIENCE:
                time.sleep(0.01)
            took, used = time.monotonic() - began, _cpu(keeper.pid) - before
            return arrived / 1e6 / took, used / (arrived / 1e9)


def reading(total: int) -> tuple[float, float, float, dict[str, tuple[float, float]]]:
    """What it takes to read a log: MiB of the daemon before and at most meanwhile, seconds.

    Then, for each pattern, seconds of `torpor logs --grep` and of `zgrep -h` over the same archives.
    """
    with tempfile.TemporaryDirectory(prefix="t-bench-logs-") as name:
        script, go = Path(name, "writer.py"), Path(name, "go")
        script.write_text(WRITER.format(line=LINE))
        command = [sys.executable, str(script), str(100), str(go)]
        config = f"gateway: {{listen: 127.0.0.1:{free_port()}}}\napps:\n  p: {{command: {json.dumps(command)}, always_on: true, log: {{keep: 1000}}}}\n"
        archives: list[Path] = []
        with running(config, lambda home: archives.extend(_fill(home / "logs", total))) as daemon:
            before = daemon.rss
            most = [before]
            ended = threading.Event()

            def watch() -> None:
                while not ended.wait(0.01):
                    most[0] = max(most[0], daemon.rss)

            watcher = threading.Thread(target=watch)
            watcher.start()
            took = _timed(daemon.environment, [sys.executable, "-m", "torpor", "logs", "p", "--since", "1d"])
            ended.set()
            watcher.join()
            found = {
                pattern: (
                    _best(
                        daemon.environment, [sys.executable, "-m", "torpor", "logs", "p", "--grep", pattern]
                    ),
                    _best(daemon.environment, ["zgrep", "-h", pattern, *map(str, archives)]),
                )
                for pattern in PATTERNS
            }
            return before / MIB, most[0] / MIB, took, found


PATTERNS = ("id=000777.*never", "[^,]*,ERROR", r"INFO\s.*status=5[^ ]* took", "ERROR")
"""Such as find nothing: the second and the third have what would match a line end, too."""


def _fill(logs: Path, total: int) -> list[Path]:
    """Archives as the daemon would have left them."""
    lines = 10 * MIB // len(LINE % 0)
    archives = []
    logs.mkdir()
    for number in range(1, total // (10 * MIB) + 1):
        path = logs / f"p.log.{number:06}.gz"
        text = b"".join(LINE % ((number * lines + n) % 1_000_000) for n in range(lines))
        with gzip.open(path, "wb", compresslevel=6) as file:
            file.write(text)
        archives.append(path)
    return archives


def _best(environment: dict[str, str], command: list[str]) -> float:
    return min(_timed(environment, command) for _ in range(3))


def _timed(environment: dict[str, str], command: list[str]) -> float:
    began = time.monotonic()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
    return time.monotonic() - began


def _size(folder: Path) -> int:
    total = 0
    for entry in os.scandir(folder):
        with contextlib.suppress(FileNotFoundError):
            total += entry.stat().st_size if not entry.name.startswith(".") else 0
    return total


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mb", type=int, default=1024)
    parser.add_argument("--apps", type=int, default=50)
    parser.add_argument("--only", default=",".join(MANAGERS))
    given = parser.parse_args()
    print(about_this_run())
    print("\n| | MB/s from one app | CPU s per GB | MB/s summed over", given.apps, "| CPU s per GB |")
    print("|---|--:|--:|--:|--:|")
    for name in given.only.split(","):
        if missing(name):
            print(f"| {name} | not installed |")
            continue
        one, many = rate(MANAGERS[name], 1, given.mb * MIB), rate(MANAGERS[name], given.apps, given.mb * MIB)
        print(f"| {name} | {one[0]:,.0f} | {one[1]:.2f} | {many[0]:,.0f} | {many[1]:.2f} |", flush=True)
    before, most, took, found = reading(given.mb * MIB)
    print(f"\ndaemon's memory while {given.mb} MiB are read: {before:.1f} MiB before, {most:.1f} MiB at most")
    print(f"torpor logs: {took:.2f} s")
    for pattern, (ours, theirs) in found.items():
        print(f"--grep '{pattern}': {ours:.2f} s; zgrep: {theirs:.2f} s")


if __name__ == "__main__":
    main()
