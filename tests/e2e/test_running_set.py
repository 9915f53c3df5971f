"""Which apps there are, while they run: `run`, `rm`, `save`, `apply`, and a program alone."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from e2e.apps import app, config, web
from e2e.client import Client
from e2e.harness import Daemon, Launch, Process, wait_for
from e2e.load import Load
from ports import free_port
from torpor.control.client import Client as Control

SLEEP = "sleep 1000"


def _pids(daemon: Daemon) -> dict[str, int | None]:
    return {name: one["pid"] for name, one in daemon.apps().items()}


def test_what_run_added_outlives_the_daemon(launch: Launch) -> None:
    """An app that no file names is there again after `kill -9` of the daemon, the same process."""
    daemon = launch(config())
    ran = daemon.cli("run", SLEEP, "--name", "job", "--env", "A=1")
    assert 0 == ran.code, ran.err
    process = Process.of(daemon.apps()["job"]["pid"])

    daemon.kill()
    assert process.alive
    daemon.start()

    daemon.wait_for_state("job", "ready")
    assert process.pid == daemon.apps()["job"]["pid"]
    assert "job is removed" in daemon.cli("rm", "job").out
    wait_for("its process is gone", lambda: not process.alive)
    daemon.stop()
    daemon.start()
    assert {} == daemon.apps()


def test_an_added_app_gets_what_it_is_given(launch: Launch, home: Path) -> None:
    """Its directory, its variables to the letter, and of the caller's environment only what is named."""
    daemon = launch(config())
    out = home / "out"
    text = "a ${HOME} $$ 'b' \"c\"\n#"
    os.environ["TEST_SECRET"], os.environ["TEST_NAMED"] = "no", "yes"
    try:
        ran = daemon.cli(
            *("run", "--name", "job", "--cwd", str(home), "-e", f"TEXT={text}", "-e", "TEST_NAMED"),
            *("--set", "stop_timeout=3s", "--", sys.executable, "-c"),
            f"import os, time; open({str(out)!r}, 'w').write("
            "repr((os.getcwd(), os.environ['TEXT'], os.environ.get('TEST_NAMED'), os.environ.get('TEST_SECRET'))))"
            "; time.sleep(1000)",
        )
    finally:
        del os.environ["TEST_SECRET"], os.environ["TEST_NAMED"]

    assert 0 == ran.code, ran.err
    expected = repr((os.path.realpath(home), text, "yes", None))
    wait_for("it has written", lambda: out.exists() and out.read_text() == expected)


def test_apply_touches_only_what_has_changed(launch: Launch) -> None:
    """Of three apps one changes, under load: no request fails, and the others keep their processes."""
    daemon = launch(
        config(web("one", idle_timeout="1h"), web("two", always_on=True), web("three", always_on=True))
    )
    for name in ("one", "two", "three"):
        daemon.cli("wake", name)
    before = _pids(daemon)
    with Load(daemon.port, "two.localhost", rate=50) as load:
        wait_for("requests are answered", lambda: load.answers.total() > 10)
        daemon.write_config(
            config(
                web("one", idle_timeout="2h"),
                web("two", always_on=True),
                web("three", always_on=True, environment={"A": "1"}),
            )
        )
        dry = daemon.cli("apply", "--dry-run").out
        assert before == _pids(daemon)
        said = daemon.cli("apply").out
        seen = load.answers.total()
        wait_for("requests go on", lambda: load.answers.total() > seen + 20)

    assert {"HTTP/1.1 200 OK"} == set(load.answers)
    assert "one: would change idle_timeout; holds at once" in dry
    assert "three: changed environment; is restarted" in said
    assert "two" not in said
    daemon.wait_for_state("three", "ready")
    after = _pids(daemon)
    assert (before["one"], before["two"]) == (after["one"], after["two"])
    assert before["three"] != after["three"]
    assert "nothing has changed" in daemon.cli("apply").out


def test_a_changed_command_fails_no_request(launch: Launch) -> None:
    """While an app is restarted for its new settings its clients wait, and none is refused."""
    daemon = launch(config(web("web", always_on=True)))
    daemon.wait_for_state("web", "ready")
    with Load(daemon.port, "web.localhost", rate=50) as load:
        wait_for("requests are answered", lambda: load.answers.total() > 10)
        daemon.write_config(config(web("web", always_on=True, environment={"A": "1"})))
        assert 0 == daemon.cli("apply").code
        wait_for("it runs anew", lambda: daemon.apps()["web"]["generation"] == 2)
        daemon.wait_for_state("web", "ready")
        seen = load.answers.total()
        wait_for("requests go on", lambda: load.answers.total() > seen + 20)

    assert {"HTTP/1.1 200 OK"} == set(load.answers)


def test_a_broken_file_changes_nothing(launch: Launch) -> None:
    """All of its problems are told, with places; the exit code is 6, and every app goes on."""
    daemon = launch(config(web("web", always_on=True)))
    daemon.wait_for_state("web", "ready")
    before = _pids(daemon)
    daemon.write_config(config(web("web", always_on=True, colour="red"), app("job", "", restart="maybe")))

    said = daemon.cli("apply")

    assert 6 == said.code
    assert 3 == said.err.count(f"{daemon.config}:")
    assert "nothing was applied" in said.err
    assert before == _pids(daemon)
    assert 3 == len(daemon.cli("apply", "--json").json["problems"])


def test_sighup_applies(launch: Launch) -> None:
    """A daemon without a terminal reads its configuration again; a broken one is told in its log."""
    daemon = launch(config(app("one", SLEEP, always_on=True, routes=[])))
    daemon.wait_for_state("one", "ready")
    daemon.write_config(
        config(app("one", SLEEP, always_on=True, routes=[]), app("two", SLEEP, always_on=True, routes=[]))
    )

    daemon.signal(signal.SIGHUP)
    wait_for("the new app is there", lambda: "two" in daemon.apps())
    daemon.write_config("apps: 3\n")
    daemon.signal(signal.SIGHUP)

    daemon.wait_for_output("nothing was applied")
    assert {"one", "two"} == set(daemon.apps())


def test_a_removed_app_ends_and_its_clients_learn_why(launch: Launch) -> None:
    """Its process goes, its host is nobody's any more, its log is still there."""
    daemon = launch(config(web("web", always_on=True), web("other")))
    daemon.wait_for_state("web", "ready")
    process = Process.of(daemon.apps()["web"]["pid"])
    daemon.write_config(config(web("other")))

    assert 0 == daemon.cli("apply").code

    wait_for("it is gone", lambda: "web" not in daemon.apps())
    assert not process.alive
    answer = Client(daemon.port, "web.localhost").request()
    assert (404, "unknown-host") == (answer.status, answer.headers["x-torpor"])
    assert (daemon.home / "state/logs/web.log").exists()
    state = daemon.home / "state/state.json"
    wait_for("it is forgotten", lambda: '"web"' not in state.read_text())


def test_another_address_is_listened_on_without_a_restart(launch: Launch) -> None:
    """The new one answers, the old one does not; one that is taken changes nothing."""
    daemon = launch(config(web("web")))
    old, new = daemon.port, free_port()
    assert 200 == Client(old, "web.localhost").request().status

    daemon.port = new
    daemon.write_config(config(web("web")))
    assert "changed gateway.listen" in daemon.cli("apply").out
    assert 200 == Client(new, "web.localhost").request().status
    with pytest.raises(ConnectionRefusedError):
        Client(old, "web.localhost").request()
    assert f"http://127.0.0.1:{new}" in daemon.cli("version").out + repr(daemon.cli("version", "--json").json)

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        daemon.write_config(config(web("web"), listen=["GATEWAY", f"127.0.0.1:{held.getsockname()[1]}"]))
        said = daemon.cli("apply")
    assert 1 == said.code
    assert "taken by another program" in said.err
    assert 200 == Client(new, "web.localhost").request().status


def test_save_adds_lines_and_changes_nothing_else(launch: Launch) -> None:
    """Comments and order stay byte for byte, no process notices, and `rm` then says where the app stands."""
    daemon = launch(
        "# mine\ngateway: {listen: GATEWAY}\napps:\n  # the first\n  one: {command: sleep 9}  # short\n\n# end\n"
    )
    before = daemon.config.read_text()
    daemon.config.chmod(0o600)
    for name in ("two", "three"):
        assert 0 == daemon.cli("run", SLEEP, "--name", name, "--cwd", "/").code
    pids = _pids(daemon)

    saved = daemon.cli("save", "--json")

    assert {"file": str(daemon.config), "line": 6, "apps": ["two", "three"]} == saved.json
    block = "".join(
        f"  {name}:\n    command: {SLEEP}\n    working_dir: /\n    always_on: true\n"
        for name in ("two", "three")
    )
    assert before.replace("# short\n", "# short\n" + block) == daemon.config.read_text()
    assert 0o600 == daemon.config.stat().st_mode & 0o777
    assert [] == list((daemon.home / "state/apps").iterdir())
    assert "nothing has changed" in daemon.cli("apply").out
    assert pids == _pids(daemon)
    refused = daemon.cli("rm", "two")
    assert 1 == refused.code
    assert f"two stands in {daemon.config}:6" in refused.err
    assert "nothing to save" in daemon.cli("save").out


def test_save_leaves_a_file_alone_that_it_cannot_add_to(launch: Launch) -> None:
    """It says what to put where; the app goes on as it is."""
    daemon = launch('{"gateway": {"listen": "GATEWAY"}, "apps": {}}\n')
    daemon.cli("run", SLEEP, "--name", "job")
    before = daemon.config.read_text()

    said = daemon.cli("save")

    assert 1 == said.code
    assert "  job:\n    command: sleep 1000" in said.err
    assert before == daemon.config.read_text()
    assert "ready" == daemon.apps()["job"]["state"]


def test_what_others_need_is_not_removed(launch: Launch) -> None:
    """It is refused with their names; together they go, dependents first; by force the others go on without."""
    daemon = launch(config(app("old", SLEEP, routes=[])))
    assert 0 == daemon.cli("run", SLEEP, "--name", "db").code
    assert 0 == daemon.cli("run", SLEEP, "--name", "api", "--depends-on", "db,old").code

    refused = daemon.cli("rm", "db")
    assert (1, True) == (refused.code, "db is needed by api" in refused.err)
    pid = daemon.apps()["api"]["pid"]
    assert 0 == daemon.cli("rm", "--force", "db").code
    assert ["old"] == [need["app"] for need in daemon.apps()["api"]["depends_on"]]
    assert pid == daemon.apps()["api"]["pid"]
    daemon.kill()
    daemon.start()
    assert {"old", "api"} == set(daemon.apps())

    assert 0 == daemon.cli("run", SLEEP, "--name", "web", "--depends-on", "api").code
    added = Control(daemon.socket).get("apps", added="true")
    assert ["api", "web"] == [one["name"] for one in added]
    assert 0 == daemon.cli("rm", "--all").code
    assert {"old"} == set(daemon.apps())


def test_groups_and_globs_choose_apps(launch: Launch) -> None:
    """In every verb that takes names."""
    daemon = launch(
        config(
            *(
                app(name, SLEEP, member_of=group, routes=[])
                for name, group in [("web-a", "web"), ("web-b", "web"), ("db", "back")]
            )
        )
    )
    assert 0 == daemon.cli("start", "group:web").code
    assert {"web-a": "ready", "web-b": "ready", "db": "asleep"} == {
        n: a["state"] for n, a in daemon.apps().items()
    }
    assert 0 == daemon.cli("restart", "group:w*").code
    assert [2, 2, 0] == [one["generation"] for one in daemon.apps().values()]
    assert ["web-a", "web-b"] == daemon.cli("status", "-q", "group:web").out.split()
    assert 0 == daemon.cli("signal", "group:web", "CONT").code
    assert ["web-a", "web-b"] == [one["name"] for one in daemon.cli("show", "group:web", "--json").json]
    unknown = daemon.cli("stop", "group:nothing")
    assert (4, True) == (unknown.code, "There are: back, web." in unknown.err)
    assert 2 == daemon.cli("rm").code


def test_misuse_is_refused_and_changes_nothing(launch: Launch) -> None:
    """A name that is taken or none, a program that is not there, a setting that is none, a need that nobody meets."""
    daemon = launch(config(app("web", SLEEP)))
    cases = {
        ("--name", "web", SLEEP): (1, "there is an app named web already"),
        ("--name", "../x", SLEEP): (1, "is no name for an app"),
        ("--name", "x", "frobnicate"): (1, "command not found"),
        ("--name", "x", "--cwd", "/nowhere", SLEEP): (6, "no such directory"),
        ("--name", "x", "--set", "colour=red", SLEEP): (6, "unknown key 'colour'"),
        ("--name", "x", "--depends-on", "wep", SLEEP): (6, "did you mean 'web'"),
        ("--name", "x", "--kill-timeout", "3", SLEEP): (6, "unit"),
        ("--name", "x", "a | b"): (6, "shell: true"),
        ("--name", "x", "--env", "NOT_SET_ANYWHERE", SLEEP): (2, "has no value here"),
    }
    for arguments, (code, words) in cases.items():
        said = daemon.cli("run", *arguments)
        assert (code, True) == (said.code, words in said.err), said
    assert ["web"] == list(daemon.apps())
    assert not list((daemon.home / "state/apps").glob("*"))


def test_an_addition_whose_name_was_taken_meanwhile_goes_alone(launch: Launch) -> None:
    """A daemon that comes up leaves it out; `rm` takes it away, and the app of the file stays."""
    daemon = launch(config())
    assert 0 == daemon.cli("run", SLEEP, "--name", "job").code
    daemon.stop()
    daemon.write_config(config(app("job", "sleep 99", always_on=True, routes=[])))
    daemon.start()
    assert 6 == daemon.cli("apply").code

    removed = daemon.cli("rm", "job")

    assert (0, True) == (removed.code, f"job of {daemon.config}:" in removed.out), removed
    assert 0 == daemon.cli("apply").code
    assert "ready" == daemon.wait_for_state("job", "ready")["state"]


def test_nothing_but_an_app_is_removed(launch: Launch) -> None:
    """A name that leads elsewhere is the name of no app; the files that it leads to stay."""
    daemon = launch(config(app("web", SLEEP)))
    assert 0 == daemon.cli("run", SLEEP, "--name", "job").code
    mine = daemon.home / "state/mine.yaml"
    mine.write_text("apps: {}\n")

    for name in ("../mine", f"{daemon.home}/state/mine", "../../" + daemon.config.stem):
        assert 4 == daemon.cli("rm", name).code

    assert mine.exists()
    assert daemon.config.exists()
    assert {"web", "job"} == set(daemon.apps())


def test_a_start_that_fails_is_told_and_the_app_stays(launch: Launch) -> None:
    """It has its last words in the news, and is there to be looked at."""
    daemon = launch(config())

    said = daemon.cli(
        "run", "--name", "job", "--set", "readiness={log: never}", "--shell", "echo sorry; exit 3"
    )

    assert 1 == said.code, said
    assert "sorry" in said.err
    assert "torpor rm job" in said.err
    assert "job" in daemon.apps()


def test_a_disk_that_takes_nothing_is_said(launch: Launch) -> None:
    """Nothing runs that would be forgotten."""
    daemon = launch(config())
    (daemon.home / "state/apps").write_text("in the way")

    said = daemon.cli("run", SLEEP, "--name", "job")

    assert (1, True) == (said.code, "cannot write" in said.err)
    assert {} == daemon.apps()


def test_follow_shows_the_first_words(launch: Launch) -> None:
    """`run --follow` and `start --follow` miss nothing of a start; Ctrl-C leaves the app alone."""
    daemon = launch(config())
    script = "echo first; echo second; exec sleep 1000"
    for arguments in (
        ("run", "--name", "job", "--follow", "--", "sh", "-c", script),
        ("start", "--follow", "job"),
    ):
        with subprocess.Popen(
            [sys.executable, "-m", "torpor", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=daemon.environment,
        ) as following:
            assert following.stdout is not None
            assert ["first\n", "second\n"] == [following.stdout.readline() for _ in range(2)]
            following.send_signal(signal.SIGINT)
            _, said = following.communicate(timeout=30)
        assert "job goes on" in said
        assert "ready" == daemon.wait_for_state("job", "ready")["state"]
        daemon.cli("stop", "job")


def _alone(
    home: Path, *arguments: str, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE
) -> subprocess.Popen[str]:
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("TORPOR", "XDG_"))},
        "TORPOR_HOME": str(home / "state"),
        "TORPOR_SOCKET": str(home / "s"),
        "XDG_CONFIG_HOME": str(home / "config"),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "torpor", "run", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=True,
        env=environment,
        cwd=home,
    )


@pytest.mark.skipif(Path("/etc/torpor/torpor.yaml").exists(), reason="this machine has a configuration")
def test_a_program_runs_alone_without_any_configuration(home: Path) -> None:
    """What it writes is on stdout, in full and alone, and its exit code is the daemon's."""
    lines = [f"line {number}" for number in range(500)]
    script = "for i in $(seq 0 499); do echo line $i; done; printf end; exit 7"

    with _alone(home, "--", "sh", "-c", script) as process:
        out, err = process.communicate(timeout=60)

    assert (7, [*lines, "end"]) == (process.returncode, out.splitlines()), err


@pytest.mark.skipif(Path("/etc/torpor/torpor.yaml").exists(), reason="this machine has a configuration")
def test_what_a_program_alone_writes_comes_out_to_the_byte(home: Path) -> None:
    """No line end is added, changed or taken away, and what is no text stays what it is."""
    written = b"\r\n\xff\x00 50 %\r100 %" + b"x" * 100_000 + b"\n\r\n" + bytes(range(256))
    (home / "written").write_bytes(written)
    out, err = home / "out", home / "err"
    with (
        out.open("wb") as stdout,
        err.open("wb") as stderr,
        _alone(
            home,
            "--set",
            "log={stderr: separate}",
            "--shell",
            "cat written; cat written >&2",
            stdout=stdout.fileno(),
            stderr=stderr.fileno(),
        ) as process,
    ):
        assert 0 == process.wait(60)

    assert written == out.read_bytes()
    assert written in err.read_bytes()


@pytest.mark.skipif(Path("/etc/torpor/torpor.yaml").exists(), reason="this machine has a configuration")
def test_several_programs_run_alone_at_the_same_time(home: Path) -> None:
    """Those that start at once, and one that comes while they run; nothing can be added to them."""
    script = "echo $0; while [ ! -e go ]; do sleep 0.05; done; exit 3"
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(_alone(home, "--name", name, "--", "sh", "-c", script, name))
            for name in ("one", "two")
        ]
        said: list[str] = []
        for process in processes:
            assert process.stdout is not None
            said.append(process.stdout.readline())
        processes.append(
            stack.enter_context(_alone(home, "--name", "three", "--", "sh", "-c", script, "three"))
        )
        assert processes[2].stdout is not None
        said.append(processes[2].stdout.readline())
        beside = {**os.environ, "TORPOR_SOCKET": str(home / "s"), "TORPOR_HOME": str(home / "state")}
        apply = subprocess.run(
            [sys.executable, "-m", "torpor", "apply"], env=beside, capture_output=True, text=True, check=False
        )
        (home / "go").touch()
        told = [process.communicate(timeout=60)[1] for process in processes]

    assert ["one\n", "two\n", "three\n"] == said, told
    assert [3, 3, 3] == [process.returncode for process in processes]
    assert 2 == sum("TORPOR_SOCKET=" in text for text in told)
    assert (1, True) == (apply.returncode, "runs one program alone" in apply.stderr)
    assert not list(home.glob("s.[0-9]*"))
    assert ["alone"] == [path.name for path in (home / "state").iterdir() if path.is_dir()]


@pytest.mark.skipif(Path("/etc/torpor/torpor.yaml").exists(), reason="this machine has a configuration")
def test_a_program_alone_has_a_door_if_it_has_a_port(home: Path) -> None:
    """Its URL is told; Ctrl-C ends all of it."""
    program = Path(__file__).parent / "programs" / "web.py"
    with _alone(home, "--route", "default", shlex.join([sys.executable, str(program)])) as process:
        assert process.stderr is not None
        said: list[str] = []
        told = threading.Event()

        def read() -> None:
            assert process.stderr is not None
            for line in process.stderr:
                said.append(line)
                if "ready after" in line:
                    told.set()
            told.set()

        reader = threading.Thread(target=read)
        reader.start()
        assert told.wait(30), said
        port = next(int(line.rpartition(":")[2].strip(" /\n")) for line in said if "http://" in line)
        assert 200 == Client(port, "127.0.0.1").request().status
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        process.stdout.read()
        assert 0 == process.wait(30)
        reader.join()


def test_what_runs_is_supervised_by_its_new_settings(launch: Launch, home: Path) -> None:
    """Another stop signal and a liveness probe hold for the process that runs already."""
    heard, sick = home / "heard", home / "sick"
    script = f"trap 'echo usr1 > {heard}; exit 0' USR1; while :; do sleep 0.05; done"
    settings = {"always_on": True, "routes": [], "shell": True}
    daemon = launch(config(app("job", script, **settings), app("ill", SLEEP, always_on=True, routes=[])))
    pids = {name: daemon.wait_for_state(name, "ready")["pid"] for name in ("job", "ill")}
    liveness = {
        "exec": ["test", "!", "-e", str(sick)],
        "interval": "100ms",
        "timeout": "100ms",
        "failures": 1,
    }
    daemon.write_config(
        config(
            app("job", script, **settings, stop_signal="USR1"),
            app("ill", SLEEP, always_on=True, routes=[], liveness=liveness),
        )
    )

    assert 0 == daemon.cli("apply").code
    assert pids == {name: daemon.apps()[name]["pid"] for name in pids}
    sick.touch()
    wait_for("the ill one is restarted", lambda: daemon.apps()["ill"]["generation"] > 1)
    assert 0 == daemon.cli("stop", "job").code

    assert "usr1\n" == heard.read_text()
