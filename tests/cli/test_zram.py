"""`torpor zram`: what it prints is what it does, and it does nothing unasked."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.harness import torpor
from torpor.cli import zram

needs_zram = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/sys/class/zram-control").exists() or bool(zram._devices_in_use()),
    reason="that takes root, a kernel with zram, and no compressed swap yet",
)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small board whose kernel has zram, with one device that nobody has set up."""
    control = tmp_path / "zram-control"
    control.mkdir()
    (control / "hot_add").write_text("1\n")
    add_device(tmp_path, "zram0", "lzo-rle lzo [lz4] zstd")
    (tmp_path / "swaps").write_text("Filename Type Size Used Priority\n")
    (tmp_path / "meminfo").write_text("MemTotal:        1000000 kB\n")
    monkeypatch.setattr(zram, "_BLOCK", tmp_path / "block")
    monkeypatch.setattr(zram, "_CONTROL", control)
    monkeypatch.setattr(zram, "_SWAPS", tmp_path / "swaps")
    monkeypatch.setattr(zram, "_MEMORY", tmp_path / "meminfo")
    return tmp_path


def add_device(machine: Path, name: str, algorithms: str, state: str = "0") -> Path:
    """One more device."""
    device = machine / "block" / name
    device.mkdir(parents=True, exist_ok=True)
    for file, text in (
        ("comp_algorithm", algorithms),
        ("initstate", state),
        ("disksize", "0"),
        ("reset", ""),
    ):
        (device / file).write_text(text + "\n")
    return device


def run(*arguments: str) -> Result:
    """Run it in this process."""
    return CliRunner().invoke(zram.zram, list(arguments), standalone_mode=False)


def commands(result: Result) -> list[str]:
    """What is to be pasted."""
    return [line for line in result.output.partition("\n\n")[0].splitlines() if not line.startswith("#")]


def test_it_prints_what_to_do(machine: Path) -> None:
    """Half of the memory by default, the best algorithm that there is, and how to make it stay."""
    result = run()
    block, size = machine / "block", (1000000 * 1024 // 2) >> 20 << 20
    assert commands(result) == [
        f"echo zstd > {block}/zram0/comp_algorithm",
        f"echo {size} > {block}/zram0/disksize",
        "mkswap /dev/zram0",
        "swapon --priority 100 /dev/zram0",
    ]
    assert "zram-generator.conf" in result.output
    assert "compression-algorithm = zstd" in result.output
    assert (block / "zram0" / "disksize").read_text() == "0\n"


@pytest.mark.parametrize(("offered", "taken"), [("lzo [lz4]", "lz4"), ("[lzo-rle] lzo", None)])
def test_the_algorithm_is_one_that_there_is(machine: Path, offered: str, taken: str | None) -> None:
    """Without a preferred one the kernel's own choice stands."""
    add_device(machine, "zram0", offered)
    first = commands(run("--size", "64M"))[0]
    assert first.startswith(f"echo {taken} >" if taken else "echo 67108864 >")


def test_a_device_of_somebody_else_is_not_touched(machine: Path) -> None:
    """Where all are set up, a new one is asked for."""
    add_device(machine, "zram0", "lz4", state="1")
    lines = commands(run())
    assert lines[0] == f"n=$(cat {machine}/zram-control/hot_add)"
    assert lines[1].startswith("echo lz4 >")
    assert lines[-1] == "swapon --priority 100 /dev/zram$n"


def test_swap_that_is_there_is_enough(machine: Path) -> None:
    """It says so, and --apply refuses."""
    (machine / "swaps").write_text("Filename Type Size Used Priority\n/dev/zram0 partition 488 0 100\n")
    assert run().output == "There is compressed swap already: /dev/zram0.\n"
    assert run("--apply").return_value == 1


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("size", ["0%", "1000%", "5", "1000G", "x"])
def test_sizes_that_make_no_sense(size: str) -> None:
    """They are refused, with what to write instead."""
    assert isinstance(run("--size", size).exception, Exception)


def test_what_cannot_be_finished_is_undone(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device is given back, and the error names the command."""
    monkeypatch.setattr(zram, "_PROGRAMS", "/nowhere")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    result = run("--apply", "--size", "64M")
    assert result.return_value == 1
    assert "there is no program 'mkswap'" in result.output
    assert (machine / "block" / "zram0" / "reset").read_text().startswith("1")


def test_it_needs_no_daemon(tmp_path: Path) -> None:
    """Nor anything but Linux."""
    assert torpor(tmp_path / "none.sock", "zram").returncode == 0


@needs_zram
def test_it_sets_up_swap(tmp_path: Path) -> None:
    """For real: there is swap afterwards, and a second one is refused."""
    try:
        result = torpor(tmp_path / "none.sock", "zram", "--size", "16M", "--apply")
        assert (0, "") == (result.returncode, result.stderr)
        (device,) = zram._devices_in_use()
        assert torpor(tmp_path / "none.sock", "zram", "--apply").returncode == 1
    finally:
        for device in zram._devices_in_use():
            subprocess.run(("/usr/sbin/swapoff", device), check=True)
            number = device.removeprefix("/dev/zram")
            if number != "0":
                (Path("/sys/class/zram-control") / "hot_remove").write_text(number)
            else:
                Path("/sys/block/zram0/reset").write_text("1")
