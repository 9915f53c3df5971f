"""`torpor zram`: swap in compressed memory, which is what makes hibernation worth it.

1. Without --apply nothing is changed: what is printed is what --apply would do, as a shell takes it.
2. A device that somebody has set up is never touched; a new one is taken.
3. What cannot be finished is undone.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from torpor.cli.app import FAILED
from torpor.cli.figures import size as in_short
from torpor.cli.terminal import fail
from torpor.config.units import Size

PREFERRED = ("zstd", "lz4")
"""Zstandard needs half the memory; LZ4, half the time.  Without either, what the kernel takes by itself."""
PRIORITY = 100
"""Above that of disks, so that they fill up last."""
_BLOCK = Path("/sys/block")
_CONTROL = Path("/sys/class/zram-control")
_SWAPS = Path("/proc/swaps")
_MEMORY = Path("/proc/meminfo")
_PROGRAMS = "/usr/sbin:/sbin:/usr/bin:/bin"
_GENERATOR = """\
With systemd's zram-generator (Debian: apt-get install systemd-zram-generator), in /etc/systemd/zram-generator.conf:

  [zram0]
  zram-size = {mib}
  swap-priority = {priority}
{algorithm}
With systemd alone, in /etc/systemd/system/torpor-zram.service, and then `systemctl enable torpor-zram`:

  [Unit]
  Description=Swap in compressed memory
  [Service]
  Type=oneshot
  ExecStart={torpor} zram --size {mib}M --apply
  [Install]
  WantedBy=swap.target
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to be done by root: a program to run, or a text to write into a file."""

    argv: tuple[str, ...] = ()
    path: str = ""
    text: str = ""

    @property
    def line(self) -> str:
        """The same for a shell."""
        return f"echo {self.text} > {self.path}" if self.path else shlex.join(self.argv)

    def carry_out(self) -> None:
        """Do it.  Raises `OSError` with what went wrong."""
        if self.path:
            # Without O_CREAT: in /sys there is nothing to create.
            with open(self.path, "r+b", buffering=0) as file:
                file.write(self.text.encode())
            return
        program = shutil.which(self.argv[0], path=_PROGRAMS)
        if program is None:
            raise FileNotFoundError(2, f"there is no program {self.argv[0]!r}")
        done = subprocess.run((program, *self.argv[1:]), check=False, capture_output=True, text=True)
        if done.returncode:
            raise OSError(done.returncode, (done.stderr or done.stdout).strip() or "it failed")


def _parse_size(_ctx: click.Context, _param: click.Parameter, value: str) -> int:
    share = re.fullmatch(r"([0-9]{1,3})%", value)
    try:
        size = _memory() * int(share[1]) // 100 if share else int(Size.parse(value))
    except ValueError as error:
        raise click.BadParameter(f"{error}; or like 50%") from None
    if not 1 << 20 <= size <= 4 * _memory():
        raise click.BadParameter("must be from 1M to four times the memory of the machine")
    return size >> 20 << 20


@click.command()
@click.option(
    "--size",
    default="50%",
    show_default=True,
    metavar="SIZE",
    callback=_parse_size,
    help="How much may be swapped, before compression: like 2G, or 50% of the memory.",
)
@click.option("--apply", "applied", is_flag=True, help="Do it now.  Only root may.")
def zram(size: int, applied: bool) -> int:
    """Print how to set up swap in compressed memory.

    Hibernated apps live there, in a third of their size or less. Nothing is changed without --apply, and what --apply
    does is gone after a reboot; what is printed says how to make it stay.
    """
    there = _devices_in_use()
    if applied:
        return _apply(size, there)
    if there:
        sys.stdout.write(f"There is compressed swap already: {', '.join(there)}.\n")
        return 0
    device = _free_device()
    sys.stdout.write(
        f"# {in_short(size)} of swap in compressed memory; run as root, or `torpor zram --apply`:\n"
    )
    if device is None and not _CONTROL.exists():
        sys.stdout.write("modprobe zram\n")
    elif device is None:
        sys.stdout.write(f"n=$(cat {_CONTROL}/hot_add)\n")
    sys.stdout.writelines(
        f"{step.line}\n".replace("'/dev/zram$n'", "/dev/zram$n")
        for step in _steps(device or _expected(), size)
    )
    sys.stdout.write("\nTo have it after each boot:\n" + _for_ever(size))
    return 0


def _apply(size: int, there: list[str]) -> int:
    if there:
        fail(f"there is compressed swap already: {', '.join(there)}", f"`swapoff {there[0]}` takes it away")
        return FAILED
    if os.geteuid() != 0:
        fail("only root may set up swap", "sudo torpor zram --apply")
        return FAILED
    undo = None
    try:
        if not _CONTROL.exists():
            Step(("modprobe", "zram")).carry_out()
        device = _free_device() or f"zram{int((_CONTROL / 'hot_add').read_text())}"
        undo = Step(path=f"{_BLOCK}/{device}/reset", text="1")
        for step in _steps(device, size):
            sys.stdout.write(f"{step.line}\n")
            sys.stdout.flush()
            step.carry_out()
    except OSError as error:
        if undo is not None:
            undo.carry_out()
        fail(f"that did not work: {error.strerror}", "a kernel without zram, or a container, has none")
        return FAILED
    sys.stdout.write(f"{in_short(size)} of compressed swap are there until the next boot\n")
    return 0


def _steps(device: str, size: int) -> Iterator[Step]:
    algorithm = _algorithm()
    if algorithm is not None:
        yield Step(path=f"{_BLOCK}/{device}/comp_algorithm", text=algorithm)
    yield Step(path=f"{_BLOCK}/{device}/disksize", text=str(size))
    yield Step(("mkswap", f"/dev/{device}"))
    yield Step(("swapon", "--priority", str(PRIORITY), f"/dev/{device}"))


def _for_ever(size: int) -> str:
    algorithm = _algorithm()
    return _GENERATOR.format(
        mib=size >> 20,
        priority=PRIORITY,
        algorithm=f"  compression-algorithm = {algorithm}\n" if algorithm else "",
        torpor=shutil.which("torpor") or "/usr/bin/torpor",
    )


def _algorithm() -> str | None:
    """The best one that this kernel has; None: the one that it takes by itself."""
    device = next(_BLOCK.glob("zram*/comp_algorithm"), None)
    offered = "" if device is None else device.read_text()
    return next(
        (name for name in PREFERRED if name in offered.replace("[", "").replace("]", "").split()), None
    )


def _free_device() -> str | None:
    """A device that nobody has set up."""
    for folder in sorted(_BLOCK.glob("zram*")):
        if (folder / "initstate").read_text().strip() == "0":
            return folder.name
    return None


def _expected() -> str:
    """The device that there will be, as a shell knows it."""
    return "zram$n" if _CONTROL.exists() else "zram0"


def _devices_in_use() -> list[str]:
    """The compressed swap that there is."""
    lines = _SWAPS.read_text().splitlines()[1:]
    return [line.split()[0] for line in lines if line.startswith("/dev/zram")]


def _memory() -> int:
    """Bytes of memory of the machine."""
    line = next(line for line in _MEMORY.read_text().splitlines() if line.startswith("MemTotal:"))
    return int(line.split()[1]) * 1024
