"""Whole command lines against a daemon in another process: output, exit codes, streams."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.harness import ROOT, Daemon, environment, torpor

STAND_IN = os.pathsep.join([str(Path(__file__).parent / "stand_in"), str(ROOT / "src"), str(ROOT / "tests")])


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (0, "status"),
        (0, "ls"),
        (0, "ps notes"),
        (0, "status api"),
        (0, "status shop"),
        (0, "list no*"),
        (3, "status old"),
        (3, "status crashy"),
        (3, "status notes crashy"),
        (4, "status notez"),
        (4, "status z*"),
        (4, "show notez"),
        (4, "logs notez"),
        (4, "events notez"),
        (4, "start notez --no-wait"),
        (4, "wake z*"),
        (2, ""),
        (2, "sleep"),
        (2, "stop --all notes"),
        (2, "statsu"),
        (2, "status --nope"),
        (2, "start notes --timeout 60"),
        (2, "logs -f --previous"),
        (2, "completion tcsh"),
        (0, "--help"),
        (0, "-h"),
        (0, "start --help"),
        (0, "--version"),
        (0, "version"),
        (0, "config schema"),
        (6, "config check /nowhere/torpor.yaml"),
    ],
)
def test_exit_codes(shared_daemon: Path, code: int, line: str) -> None:
    """Scripts can rely on the code; whatever is not 0 or 3 says why in one line on stderr."""
    result = torpor(shared_daemon, *line.split())
    assert code == result.returncode, result.stderr
    if code in {0, 3}:
        assert "" == result.stderr
    elif line:
        assert "" == result.stdout
        assert result.stderr.startswith("torpor: ")


@pytest.mark.parametrize(
    "line",
    [
        "status", "show", "start", "stop", "restart", "restart --rolling", "reload", "signal HUP", "signal", "wake",
        "sleep", "logs", "events", "graph", "analyze", "stop notes",
    ],
)  # fmt: skip
def test_a_name_must_not_be_empty(tmp_path: Path, line: str) -> None:
    """Whatever the verb: the usage is wrong, and no daemon is asked."""
    result = torpor(tmp_path / "none.sock", *line.split(), "")
    assert (2, "") == (result.returncode, result.stdout)
    assert result.stderr.startswith("torpor: a name must not be empty\n"), result.stderr


@pytest.mark.parametrize(
    "line", ["status", "show web", "stop web", "logs -f", "events", "down", "status --json"]
)
def test_without_a_daemon(tmp_path: Path, line: str) -> None:
    """Exit 7, and how to start one."""
    result = torpor(tmp_path / "none.sock", *line.split())
    assert (7, "") == (result.returncode, result.stdout)
    assert (
        f"torpor: no daemon answers on {tmp_path}/none.sock\n"
        "hint: Start it with `torpor up`, or set TORPOR_SOCKET to its socket.\n"
    ) == result.stderr


def test_version_needs_no_daemon(tmp_path: Path) -> None:
    """It tells its own version, and that no daemon runs."""
    result = torpor(tmp_path / "none.sock", "version", "--json")
    assert (0, {"version": "0.1.0", "daemon": None}) == (result.returncode, json.loads(result.stdout))


def test_a_typo_is_answered_with_a_guess(shared_daemon: Path) -> None:
    """Both for commands and for apps."""
    assert "Did you mean 'status'?" in torpor(shared_daemon, "statsu").stderr
    assert "hint: did you mean 'notes'?" in torpor(shared_daemon, "status", "notez").stderr
    assert "Did you mean '--json'?" in torpor(shared_daemon, "status", "--jsn").stderr
    assert "'check'" in torpor(shared_daemon, "config", "chek").stderr


@pytest.mark.parametrize(
    ("word", "guess"),
    [("tail", " Did you mean 'logs'?"), ("validate", " Did you mean 'config check'?"), ("enable", "")],
)
def test_words_of_other_tools(shared_daemon: Path, word: str, guess: str) -> None:
    """What we call otherwise is named; what we have not, no lookalike is offered for."""
    assert f"torpor: There is no command '{word}'.{guess}\n" in torpor(shared_daemon, word).stderr


def test_help_can_be_a_verb(shared_daemon: Path) -> None:
    """`torpor help VERB` and `torpor help` are what `--help` is."""
    for words in ([], ["stop"], ["config", "check"]):
        asked = torpor(shared_daemon, "help", *words)
        assert (0, torpor(shared_daemon, *words, "--help").stdout) == (asked.returncode, asked.stdout)
    assert "There is no command 'stp'" in torpor(shared_daemon, "help", "stp").stderr


def test_the_help_table_is_what_the_commands_say() -> None:
    """The lazy group's own words are those of the commands, and every alias leads somewhere."""
    import click

    from torpor.cli.app import ALIASES, VERBS, LazyGroup

    group = LazyGroup()
    context = click.Context(group)
    commands = {name: group.get_command(context, name) for name in VERBS}
    told = {name: command and command.get_short_help_str(limit=200) for name, command in commands.items()}
    assert {name: summary for name, (_, summary) in VERBS.items()} == told
    assert list(VERBS) == [command and command.name for command in commands.values()]
    assert set(ALIASES.values()) <= set(VERBS)


def test_status_is_a_table(shared_daemon: Path) -> None:
    """What a script or a person sees when the output is no terminal: plain, aligned, all columns."""
    expected = """\
NAME       STATE           PID   PORT  IDLE-IN  UPTIME  RESTARTS   MEM  ROUTE
notes      ready          4242  40123   25m00s   1m15s         0  300M  notes.localhost
api        asleep            -      -        -       -         0     -  api.localhost
old        asleep (down)     -      -        -       -         0     -  old.localhost
crashy     failed            -      -        -       -        12     -  crashy.localhost
  └ exited with code 3 while starting, 5 times within 60 s; next try in 41s
shop       starting       4242  40123        -   1m15s         0  300M  shop.example.org +1
日本 café  ready          4242  40123   25m00s   1m15s         0  300M  xn--caf-dma.example
"""
    assert expected == torpor(shared_daemon, "status").stdout
    assert expected.split("\n", 1)[1].splitlines()[0].split() == (
        torpor(shared_daemon, "status", "--no-headers").stdout.splitlines()[0].split()
    )


def test_status_quiet_prints_names(shared_daemon: Path) -> None:
    """One name per line."""
    expected = ["notes", "api", "old", "crashy", "shop", "日本 café"]
    assert expected == torpor(shared_daemon, "status", "-q").stdout.splitlines()


def test_status_json_is_one_document(shared_daemon: Path) -> None:
    """A list of objects with the promised fields, the named apps only."""
    apps = json.loads(torpor(shared_daemon, "status", "--json", "o*", "notes").stdout)
    assert ["old", "notes"] == [app["name"] for app in apps]
    promised = "name state pid port generation restarts rss idle_in routes want reason"
    assert set(promised.split()) <= set(apps[0])


def test_an_ascii_locale_is_no_obstacle(shared_daemon: Path) -> None:
    """Characters that cannot be shown get stand-ins; nothing fails."""
    result = torpor(shared_daemon, "status", LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    assert 0 == result.returncode
    assert "?? caf?" in result.stdout


def test_colour_can_be_forced_and_refused(shared_daemon: Path) -> None:
    """FORCE_COLOR colours a pipe, NO_COLOR wins."""
    assert "\x1b[32mready" in torpor(shared_daemon, "status", FORCE_COLOR="1").stdout
    assert "\x1b[" not in torpor(shared_daemon, "status", FORCE_COLOR="1", NO_COLOR="1").stdout


def test_show_tells_all(shared_daemon: Path) -> None:
    """State, reason, routes, instance and last events of one app."""
    text = torpor(shared_daemon, "show", "notes").stdout
    for fact in (
        "ready for 12s",
        "after 30m without requests, now in 25m00s",
        "pid 4242, on 127.0.0.1:40123",
        "ready after 812 ms",
    ):
        assert fact in text
    assert "exited with code 3 while starting" in torpor(shared_daemon, "describe", "crashy").stdout
    document = json.loads(torpor(shared_daemon, "info", "notes", "--json").stdout)
    assert ("notes", "notes") == (document["name"], document["instances"][0]["id"])


def test_logs_are_merged_behind_names(shared_daemon: Path) -> None:
    """Without a name all apps, with one its bare lines, with --json NDJSON."""
    merged = torpor(shared_daemon, "logs", "-n", "1").stdout
    assert "notes     | line 5\ncrashy    | ValueError: no such table\n" == merged
    assert "line 4\nline 5\n" == torpor(shared_daemon, "logs", "notes", "-n", "2").stdout
    lines = torpor(shared_daemon, "logs", "no*", "--json").stdout.splitlines()
    assert {
        "app": "notes",
        "instance": "notes",
        "stream": "stdout",
        "at": None,
        "line": "line 1",
    } == json.loads(lines[0])


def test_events_in_local_time(shared_daemon: Path) -> None:
    """Time, app and text for people; NDJSON for programs."""
    text = torpor(shared_daemon, "events", TZ="UTC").stdout
    assert "2026-09-21 14:13:21  notes  woken by GET / from 127.0.0.1\n" == text.splitlines(keepends=True)[0]
    lines = torpor(shared_daemon, "events", "-n", "1", "notes", "--json").stdout.splitlines()
    assert [("ready", {"took": 0.812})] == [
        (event["kind"], event["data"]) for event in map(json.loads, lines)
    ]


@pytest.mark.slow
def test_verbs_say_what_happened(daemon: Daemon) -> None:
    """One sentence per app on stdout, and what follows from it."""

    def words(*args: str) -> str:
        result = torpor(daemon.socket, *args)
        assert (0, "") == (result.returncode, result.stderr)
        return result.stdout

    assert "notes was ready already\n" == words("wake", "notes")
    assert words("start", "api", "old").startswith("api is ready")
    assert words("restart", "notes").startswith("notes is ready")
    assert words("sleep", "api").endswith("; the next request wakes it\n")
    assert words("stop", "api").endswith("; requests are refused until `torpor start api`\n")
    assert "shop: restart is under way, now ready; `torpor status shop` shows how it goes\n" == words(
        "restart", "shop", "--no-wait"
    )
    assert 3 == torpor(daemon.socket, "status", "api").returncode


@pytest.mark.slow
def test_all_apps_at_once(daemon: Daemon) -> None:
    """`--all` reaches every app, and the failure of one does not hide the others."""
    result = torpor(daemon.socket, "start", "--all", "--timeout", "300ms")
    assert 1 == result.returncode
    assert ["notes", "api", "old", "日本 café"] == [
        line.rsplit(" is ready", 1)[0].rsplit(" was ready", 1)[0] for line in result.stdout.splitlines()
    ]
    assert "crashy did not become ready" in result.stderr
    assert "shop is ready 0.3 s after start" in result.stderr


def test_a_failed_start_prints_the_last_words(daemon: Daemon) -> None:
    """Reason and last log lines on stderr, exit 1."""
    result = torpor(daemon.socket, "start", "crashy")
    assert (1, "") == (result.returncode, result.stdout)
    assert (
        "torpor: crashy did not become ready: exited with code 1 while starting\n"
        "last lines of its log:\n"
        "  Traceback (most recent call last):\n"
        "  ValueError: no such table\n"
        "hint: `torpor logs crashy` has the rest\n"
    ) == result.stderr


def test_verbs_as_json(daemon: Daemon) -> None:
    """One document with an entry per app, failures included."""
    result = torpor(daemon.socket, "start", "notes", "crashy", "--json")
    entries = json.loads(result.stdout)
    assert 1 == result.returncode
    assert [("notes", True, None), ("crashy", False, "start-failed")] == [
        (entry["name"], entry["done"], entry["error"] and entry["error"]["code"]) for entry in entries
    ]


def test_a_timeout_is_124(daemon: Daemon) -> None:
    """As timeout(1): what was asked for goes on, but this command gave up."""
    result = torpor(daemon.socket, "restart", "shop", "--timeout", "50ms")
    assert (124, "") == (result.returncode, result.stdout)
    assert "0.05 s after restart" in result.stderr


def test_down_waits_until_the_daemon_is_gone(daemon: Daemon) -> None:
    """When the command returns, the process has ended and nobody answers any more."""
    result = torpor(daemon.socket, "down")
    assert 0 == result.returncode, result.stderr
    assert result.stdout.startswith(f"torpor (pid {daemon.process.pid}) is down after ")
    assert 0 == daemon.process.wait(0)
    assert 7 == torpor(daemon.socket, "status").returncode


def test_down_does_not_wait_for_ever(daemon: Daemon) -> None:
    """A daemon that does not end in time: 124, and its pid."""
    daemon.stay()
    result = torpor(daemon.socket, "down", "--timeout", "50ms")
    assert (124, "") == (result.returncode, result.stdout)
    assert f"torpor (pid {daemon.process.pid}) still runs 0.05 s after it was told to end" in result.stderr


def test_a_reader_that_leaves_is_no_error(daemon: Daemon) -> None:
    """`torpor logs -f | head -1`: no traceback, and the code of a broken pipe."""
    with subprocess.Popen(
        [sys.executable, "-m", "torpor", "logs", "-f", "notes"],
        env=environment(daemon.socket),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert b"line 1\n" == process.stdout.readline()
        process.stdout.close()
        daemon.write("notes", "one more")
        assert b"" == process.stderr.read()
        assert 141 == process.wait(30)


@pytest.mark.parametrize("line", ["logs -f notes", "events -f"])
@pytest.mark.parametrize("way", ["pipe", "terminal"])
def test_a_reader_that_leaves_is_noticed_in_silence(daemon: Daemon, line: str, way: str) -> None:
    """Whoever follows ends with its reader, not with the next line of an app that may never write again."""
    reader, writer = os.pipe() if way == "pipe" else pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "torpor", *line.split()],
        env=environment(daemon.socket),
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(writer)
        try:
            assert b"" != os.read(reader, 1)
            os.close(reader)
            _, errors = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (141, b"") == (process.returncode, errors)


@pytest.mark.parametrize(
    "line", ["status", "status --json", "logs notes", "logs -f notes", "events -f", "--help"]
)
def test_a_full_disk_is_said_in_one_line(shared_daemon: Path, line: str) -> None:
    """What cannot be printed is a failure, and no traceback."""
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [sys.executable, "-m", "torpor", *line.split()],
            env=environment(shared_daemon),
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (1, "torpor: cannot write the output: No space left on device\n") == (
        result.returncode,
        result.stderr,
    )


def test_streams_that_are_closed(daemon: Daemon) -> None:
    """Without a stdout nothing is done, and why is said; without a stderr words are lost, not the exit code."""
    closed = {}
    for line in ("stop notes >&-", "status notez 2>&-"):
        closed[line] = subprocess.run(
            ["sh", "-c", f'"{sys.executable}" -m torpor {line}'],
            env=environment(daemon.socket),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    without_stdout, without_stderr = closed.values()
    assert 1 == without_stdout.returncode
    assert "torpor: cannot write the output: it is closed\n" == without_stdout.stderr
    assert "notes" not in without_stderr.stdout
    assert 4 == without_stderr.returncode
    (notes,) = json.loads(torpor(daemon.socket, "status", "--json", "notes").stdout)
    assert "down" != notes["want"]


@pytest.mark.parametrize("line", ["logs -f notes", "events -f", "restart shop"])
def test_ctrl_c_is_130_without_a_word(daemon: Daemon, line: str) -> None:
    """An interrupted command ends at once and quietly."""
    with subprocess.Popen(
        [sys.executable, "-m", "torpor", *line.split()],
        env=environment(daemon.socket),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            if line == "restart shop":
                daemon.wait_for_waiting()
            else:
                assert process.stdout is not None
                assert process.stdout.readline() != b""
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()  # a command that heard nothing would be waited for until the end of the day
    assert (130, b"") == (process.returncode, errors)


def test_the_fast_path_imports_nothing_heavy(shared_daemon: Path) -> None:
    """`torpor status` answers fast because of what it does not load."""
    code = (
        "import sys; from torpor.cli.app import run; code = run(['status'])\n"
        "print(code, *sorted(sys.modules), file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(shared_daemon),
        capture_output=True,
        text=True,
        check=True,
    )
    status, *loaded = result.stderr.split()
    assert "0" == status
    heavy = {
        "asyncio", "concurrent", "difflib", "email", "fnmatch", "http", "httptools", "importlib.metadata", "logging",
        "msgspec", "pathlib", "shutil", "ssl", "starlette", "subprocess", "tempfile", "unittest", "urllib.request",
        "uvicorn", "uvloop", "yaml", "torpor.core", "torpor.daemon", "torpor.gateway", "torpor.providers",
        "torpor.runtime", "torpor.config.load", "torpor.config.settings", "torpor.config.units",
        "torpor.control.api", "torpor.control.server", "torpor.projects",
    }  # fmt: skip
    assert set() == heavy & set(loaded)
    assert len(loaded) < 130


def complete(socket_path: Path, line: str) -> list[str]:
    """What a bash offers at the end of that line."""
    result = torpor(socket_path, _TORPOR_COMPLETE="bash_complete", COMP_WORDS=line)
    assert 0 == result.returncode, result.stderr
    return [line.split(",", 1)[1] for line in result.stdout.splitlines() if line]


def test_completion_knows_verbs_and_apps(shared_daemon: Path) -> None:
    """Verbs by the table, apps from the daemon; without a daemon none, quietly."""
    assert ["start", "status", "stop"] == sorted(complete(shared_daemon, "torpor st"))
    assert ["notes"] == complete(shared_daemon, "torpor status n")
    assert ["crashy"] == complete(shared_daemon, "torpor restart notes cr")
    assert [] == complete(shared_daemon.parent / "none.sock", "torpor status n")


def test_completion_does_not_wait_for_a_hung_daemon(tmp_path: Path) -> None:
    """A daemon that accepts and is silent costs Tab a moment, and offers nothing."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent.sock"))
        silent.listen()
        assert [] == complete(tmp_path / "silent.sock", "torpor status n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shared_daemon: Path, shell: str) -> None:
    """Each shell gets a script that calls back with our variable."""
    script = torpor(shared_daemon, "completion", shell).stdout
    assert f"_TORPOR_COMPLETE={shell}_complete" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


@pytest.mark.slow
def test_config_check_lists_every_problem(tmp_path: Path) -> None:
    """All problems as file:line:column on stderr, exit 6; a good file gets a summary."""
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("apps:\n  web:\n    command: sleep 1\n")
    bad.write_text("apps:\n  web:\n    comand: sleep 1\n    idle_timeout: 5\n")
    result = torpor(tmp_path / "none.sock", "config", "check", str(good))
    assert (0, f"{good} is valid: 1 app, listening on 127.0.0.1:8080\n", "") == (
        result.returncode,
        result.stdout,
        result.stderr,
    )
    result = torpor(tmp_path / "none.sock", "config", "check", str(bad))
    assert (6, "") == (result.returncode, result.stdout)
    assert f"{bad}:3:5:" in result.stderr
    assert f"{bad}:4:" in result.stderr
    document = json.loads(torpor(tmp_path / "none.sock", "config", "check", str(bad), "--json").stdout)
    assert (False, 3, 5) == (
        document["valid"],
        document["problems"][0]["line"],
        document["problems"][0]["column"],
    )


def up(directory: Path, *args: str, **more: str) -> subprocess.CompletedProcess[str]:
    """`torpor up` with a stand-in for the daemon's own code."""
    return torpor(directory / "t.sock", "up", *args, PYTHONPATH=STAND_IN, **more)


@pytest.mark.parametrize(
    ("code", "config", "words"),
    [
        (78, "invalid.yaml", "torpor.yaml:3:5: apps.web.prot: unknown setting\ntorpor.yaml:9:1: oh no\n"),
        (78, "broken.yaml", "something is broken\n"),
        (1, "taken.yaml", "torpor: cannot listen on 127.0.0.1:80\nhint: Take another port.\n"),
    ],
)
@pytest.mark.parametrize("detach", [False, True])
def test_a_daemon_that_cannot_start_says_why(
    tmp_path: Path, code: int, config: str, words: str, *, detach: bool
) -> None:
    """The same words and the same code, whether it was to run in front or behind."""
    result = up(tmp_path, "-c", config, *(["-d"] if detach else []))
    assert (code, "", words) == (result.returncode, result.stdout, result.stderr)


@pytest.mark.slow
def test_up_detached_returns_when_the_daemon_is_ready(tmp_path: Path) -> None:
    """It serves, survives its parent, is alone in its session, and refuses a second one; `down` ends it."""
    result = up(tmp_path, "-d")
    try:
        assert 0 == result.returncode, result.stderr
        version: dict[str, Any] = json.loads(torpor(tmp_path / "t.sock", "version", "--json").stdout)[
            "daemon"
        ]
        assert f"(pid {version['pid']})\nlistening on 127.0.0.1:8080\n" in result.stdout
        assert version["pid"] == os.getsid(version["pid"])
        again = up(tmp_path, "-d")
        assert 1 == again.returncode
        assert f"torpor runs already (pid {version['pid']}" in again.stderr
    finally:
        ended = torpor(tmp_path / "t.sock", "down", "--timeout", "30s")
    assert 0 == ended.returncode, ended.stderr
    assert "ready\n" == (tmp_path / "home" / "daemon.log").read_text()


def test_up_detached_does_not_wait_for_ever(tmp_path: Path) -> None:
    """A daemon that never gets ready: 124, with its pid and where its log is; it is left alone."""
    result = up(tmp_path, "-d", "-c", "hung.yaml", "--timeout", "50ms")
    found = re.search(r"torpor \(pid (\d+)\) is not ready after 0.05 s\n", result.stderr)
    assert found, result.stderr
    pid = int(found[1])
    try:
        assert b"hung.yaml" in Path(f"/proc/{pid}/cmdline").read_bytes()
    finally:
        os.kill(pid, signal.SIGKILL)
    assert (124, "") == (result.returncode, result.stdout)
    assert str(tmp_path / "home" / "daemon.log") in result.stderr
