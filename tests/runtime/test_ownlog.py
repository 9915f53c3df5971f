"""The log of a daemon behind, from its first line to its last."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from torpor.runtime.ownlog import OwnLog, bounded

LIMIT = 100


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the log lies."""
    return tmp_path / "daemon.log"


@pytest.fixture
def numbers(path: Path) -> Iterator[tuple[int, int]]:
    """Two descriptors of the log, as stdout and stderr are."""
    first = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    second = os.dup(first)
    yield first, second
    os.close(first)
    os.close(second)


def test_it_stays_within_bounds(path: Path, numbers: tuple[int, int]) -> None:
    """However much is written: the latest is there, in order, in two files of the limit and a line."""
    log = OwnLog(str(path), numbers[0], limit=LIMIT)
    lines = [b"line %03d\n" % number for number in range(200)]
    for line in lines:
        log.write(line)
    before, now = Path(f"{path}.1").read_bytes(), path.read_bytes()
    assert b"".join(lines).endswith(before + now)
    assert LIMIT <= len(before) < LIMIT + len(lines[0])
    assert 0 < len(now) < LIMIT + len(lines[0])
    assert ["daemon.log", "daemon.log.1"] == sorted(os.listdir(path.parent))
    assert 0o600 == path.stat().st_mode & 0o777


def test_what_bypasses_it_is_led_along(path: Path, numbers: tuple[int, int]) -> None:
    """Stderr goes to the same file as stdout, also after a new one was begun."""
    first, second = numbers
    log = OwnLog(str(path), first, [second], limit=LIMIT)
    log.write(b"x" * LIMIT)
    log.write(b"said\n")
    os.write(second, b"last words\n")
    assert b"said\nlast words\n" == path.read_bytes()


def test_without_a_new_file_the_old_one_goes_on(path: Path, numbers: tuple[int, int]) -> None:
    """No word is lost because the log could not be put aside."""
    log = OwnLog(str(path), numbers[0], limit=LIMIT)
    log.write(b"x" * LIMIT)
    obstacle = Path(f"{path}.1")
    obstacle.mkdir()
    log.write(b"still here\n")
    assert path.read_bytes().endswith(b"xstill here\n")
    obstacle.rmdir()
    log.write(b"anew\n")
    assert b"anew\n" == path.read_bytes()


def test_a_log_that_was_moved_away(path: Path, numbers: tuple[int, int]) -> None:
    """Whoever moved it keeps it; a new one is begun once it is full."""
    log = OwnLog(str(path), numbers[0], limit=LIMIT)
    log.write(b"x" * LIMIT)
    path.rename(f"{path}.moved")
    log.write(b"anew\n")
    assert (b"x" * LIMIT, b"anew\n") == (Path(f"{path}.moved").read_bytes(), path.read_bytes())


def test_only_the_log_is_bounded(path: Path, numbers: tuple[int, int], tmp_path: Path) -> None:
    """A terminal, a pipe or a file of somebody's own is left as it is."""
    with os.fdopen(os.dup(numbers[0]), "w") as out, os.fdopen(os.dup(numbers[1]), "w") as err:
        stream = bounded(out, err, str(path))
        assert stream is not None
        stream.write("a word\n")
        assert "a word\n" == path.read_text()
        with open(tmp_path / "mine", "w") as mine:
            assert None is bounded(mine, err, str(path))
            assert None is bounded(out, mine, str(path))
        assert None is bounded(out, err, str(tmp_path / "none"))
        assert None is bounded(sys.stdout, sys.stderr, str(path))
