"""A cgroup v2 with its controllers, and swap to page out to."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.harness import wait_for

ROOT = Path("/sys/fs/cgroup")
ZRAM = Path("/sys/class/zram-control")
CONTROLLERS = ("cpu", "memory", "pids")


@dataclass(frozen=True)
class Cgroup:
    """One folder of the hierarchy."""

    path: Path

    @classmethod
    def make(cls, name: str) -> Cgroup:
        """A new one beside the slices of systemd."""
        (ROOT / "cgroup.subtree_control").write_text(" ".join(f"+{each}" for each in CONTROLLERS))
        path = ROOT / name
        path.mkdir()
        return cls(path)

    def __getitem__(self, file: str) -> str:
        """What one of its files says."""
        return (self.path / file).read_text().strip()

    def __setitem__(self, file: str, text: str) -> None:
        """Write to one of its files."""
        (self.path / file).write_text(text)

    def field(self, file: str, name: str) -> int:
        """A number in a file of names and numbers."""
        return int(dict(line.split() for line in self[file].splitlines())[name])

    @contextmanager
    def running(self, *command: str) -> Iterator[subprocess.Popen[str]]:
        """A program inside, its input and output pipes; killed in the end."""
        join = f'echo 0 >{self.path}/cgroup.procs; exec "$@"'
        with subprocess.Popen(
            ("/bin/sh", "-c", join, "sh", *command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        ) as program:
            try:
                yield program
            finally:
                program.kill()

    def freeze(self) -> None:
        """Stop all inside, and wait until the kernel says that they stand."""
        self["cgroup.freeze"] = "1"
        wait_for("all inside is frozen", lambda: self.field("cgroup.events", "frozen"))

    def thaw(self) -> None:
        """Let them go on."""
        self["cgroup.freeze"] = "0"

    def remove(self) -> None:
        """Kill whoever is inside, and remove it."""
        self["cgroup.kill"] = "1"
        wait_for("nobody is left inside", lambda: not self.field("cgroup.events", "populated"))
        self.path.rmdir()


@contextmanager
def swap_on_zram(size: int) -> Iterator[None]:
    """More compressed swap, of so many bytes; taken away in the end."""
    subprocess.run(("modprobe", "zram"), check=True)
    number = (ZRAM / "hot_add").read_text().strip()
    device = f"/dev/zram{number}"
    Path(f"/sys/block/zram{number}/disksize").write_text(str(size))
    wait_for("there is a device", lambda: Path(device).exists())
    subprocess.run(("mkswap", device), check=True, stdout=subprocess.DEVNULL)
    subprocess.run(("swapon", device), check=True)
    try:
        yield
    finally:
        subprocess.run(("swapoff", device), check=True)
        (ZRAM / "hot_remove").write_text(number)


def cgroup_of(pid: int) -> Cgroup:
    """Where a process lies."""
    own = Path(f"/proc/{pid}/cgroup").read_text().strip().rpartition(":")[2]
    return Cgroup(Path(f"{ROOT}{own}"))
