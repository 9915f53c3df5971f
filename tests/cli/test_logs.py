"""`torpor logs` over files: what is read without a daemon, and how it is shown."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.harness import Daemon, environment, torpor
from torpor.cli.moments import parse_moment
from torpor.logs.index import LOST, START, Record, append
from torpor.logs.segments import index_of

T0 = 1_778_000_000 * 1_000_000_000
SECOND = 1_000_000_000


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    """Of no daemon; the state directory has the logs of two apps, one of them with two replicas and two streams."""
    logs = tmp_path / "home" / "logs"
    logs.mkdir(parents=True)
    write(
        logs,
        "web.log",
        [(0, b"web first\n", START, 1), (4, b"web error\n", START, 2), (6, b"web last\n", 0, 2)],
    )
    write(logs, "web+1.log", [(1, b"one\n", START, 1), (7, b"one more\n", 0, 1)])
    write(logs, "job.log", [(2, b"out\n", START, 1)])
    write(logs, "job.stderr.log", [(3, b"err\xff\x00\n", START, 1)])
    write(logs, "a%2Fb.log", [(5, b"odd\n", START, 1)])
    (logs / "stray").touch()
    return tmp_path / "none.sock"


def write(logs: Path, name: str, lines: list[tuple[int, bytes, int, int]]) -> None:
    """A stream: seconds, line, flags and generation of each."""
    content = b""
    for at, line, flags, generation in lines:
        append(index_of(str(logs / name)), Record(len(content), T0 + at * SECOND, generation, flags))
        content += line
    (logs / name).write_bytes(content)


def test_all_come_in_the_order_of_time(socket: Path) -> None:
    """Apps, replicas and streams, of the current run of each."""
    command = [sys.executable, "-m", "torpor", "logs"]
    said = subprocess.run(command, env=environment(socket), stdout=subprocess.PIPE, check=True).stdout
    assert [
        b"web/1 | one",
        b"job   | out",
        b"job   | err\xff\x00",
        b"web   | web error",
        b"a/b   | odd",
        b"web   | web last",
        b"web/1 | one more",
        b"",
    ] == said.split(b"\n")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("logs web/1", "one\none more\n"),
        ("logs web/0 -n 1", "web last\n"),
        ("logs web/0 --previous", "web first\n"),
        ("logs web/0 --grep FIRST -i", "web first\n"),
        ("logs web/0 --grep first -v", "web error\nweb last\n"),
        ("logs web/0 --grep error -C 1", "web first\nweb error\nweb last\n"),
        ("logs web/0 --grep . -n 2", "web error\nweb last\n"),
        ("logs job --stream stdout", "out\n"),
        ("logs a/b", "odd\n"),
        ("logs web/0 --since 2026-05-05T16:53:23Z", "web error\nweb last\n"),
        ("logs web/0 --since 2026-05-05T16:53:23Z --until 2026-05-05T16:53:25Z", "web error\n"),
    ],
)
def test_which_part(socket: Path, line: str, expected: str) -> None:
    """Replicas, runs, streams, times and expressions choose."""
    result = torpor(socket, *line.split())
    assert (0, expected, "") == (result.returncode, result.stdout, result.stderr)


def test_bytes_stay_what_they_are(socket: Path) -> None:
    """What is no text goes out as it was written; in JSON it is replaced."""
    command = [sys.executable, "-m", "torpor", "logs", "job", "--stream", "stderr"]
    raw = subprocess.run(command, env=environment(socket), stdout=subprocess.PIPE, check=True).stdout
    assert b"err\xff\x00\n" == raw
    said = json.loads(torpor(socket, "logs", "job", "--stream", "stderr", "--json").stdout)
    assert {"app": "job", "instance": "job", "stream": "stderr", "at": T0 / 1e9 + 3, "line": "err�\0"} == said


def test_what_is_missing_is_said(socket: Path, tmp_path: Path) -> None:
    """Where a log took nothing, how much that was stands on stderr."""
    path = tmp_path / "home/logs/job.log"
    append(index_of(str(path)), Record(4, T0 + 9 * SECOND, 1, LOST, 77))
    with path.open("ab") as file:
        file.write(b"again\n")
    for more in ((), ("--since", "2020-01-01")):
        result = torpor(socket, "logs", "job", "--stream", "stdout", *more)
        assert "out\nagain\n" == result.stdout
        assert "torpor: 77 bytes of job are missing here: its log took none\n" == result.stderr


@pytest.mark.parametrize(
    "line", ["logs web/0 --since 1d", "logs web/0 --grep web", "logs web/0 -n 9 --since 1d"]
)
def test_a_damaged_archive_is_said(socket: Path, tmp_path: Path, line: str) -> None:
    """The rest is shown, and the exit code tells that something is missing."""
    archive = tmp_path / "home" / "logs" / "web.log.000001.gz"
    archive.write_bytes(b"no gzip")
    before = T0 // SECOND - 10
    said = torpor(socket, *line.replace("1d", str(datetime.fromtimestamp(before, UTC).isoformat())).split())
    assert (1, "web first\nweb error\nweb last\n") == (said.returncode, said.stdout)
    assert f"torpor: {archive}: damaged after byte 0\n" == said.stderr


def test_a_glob_means_thousands(tmp_path: Path) -> None:
    """Their names need not fit into a request; a glob that means nothing is an error."""
    with Daemon(tmp_path, 6000) as daemon:
        daemon.write("app-0003", "hello")
        said = torpor(daemon.socket, "logs", "app-*", "-n", "1")
        assert (0, "hello") == (said.returncode, said.stdout.strip().rpartition("| ")[2]), said.stderr
        said = torpor(daemon.socket, "logs", "ape-*")
        assert (4, "torpor: no app matches 'ape-*'\n") == (said.returncode, said.stderr)


def test_lines_around_what_comes(daemon: Daemon) -> None:
    """`-C` shows the neighbours of a line that is found while it is followed, too."""
    with subprocess.Popen(
        [sys.executable, "-m", "torpor", "logs", "-f", "notes", "--grep", "line 3|hit", "-C", "1"],
        env=environment(daemon.socket),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as viewer:
        assert viewer.stdout is not None
        try:
            assert ["line 2\n", "line 3\n", "line 4\n"] == [viewer.stdout.readline() for _ in range(3)]
            for line in ("before", "hit", "after", "far", "hit"):
                daemon.write("notes", line)
            expected = ["--\n", "before\n", "hit\n", "after\n", "far\n", "hit\n"]
            assert expected == [viewer.stdout.readline() for _ in expected]
        finally:
            viewer.kill()


def test_runs_are_told_apart_on_a_terminal(socket: Path) -> None:
    """Between two runs stands when the second began."""
    reader, writer = pty.openpty()
    command = [sys.executable, "-m", "torpor", "logs", "web/0", "--since", "2020-01-01"]
    subprocess.run(command, env=environment(socket, NO_COLOR="1"), stdout=writer, check=True)
    os.close(writer)
    text = os.read(reader, 4096).replace(b"\r", b"")
    os.close(reader)
    assert b"web first\n--- web: start 2, 2026-05-05 16:53:24 ---\nweb error\nweb last\n" == text


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("logs --grep (", "is not a regular expression"),
        ("logs --since tomorrow", "is no time"),
        ("logs -f --until 1m", "exclude it"),
        ("logs -i", "say how to --grep"),
    ],
)
def test_wrong_usage(socket: Path, line: str, words: str) -> None:
    """It is said in a line, with exit code 2."""
    result = torpor(socket, *line.split())
    assert (2, "") == (result.returncode, result.stdout)
    assert words in result.stderr


def test_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ago, today, and any day; in a zone or in the local one."""
    now = datetime(2026, 5, 1, 12, 0, tzinfo=UTC).timestamp()
    assert (now - 600) * SECOND == parse_moment("10m", now)
    assert now * SECOND == parse_moment("2026-05-01T14:00:00+02:00", now)
    local = datetime.fromtimestamp(now).astimezone().replace(hour=3, minute=30, second=0)
    assert local.timestamp() * SECOND == parse_moment("03:30", now)
    with pytest.raises(ValueError, match="is no time"):
        parse_moment("soon", now)
