"""How an app is kept running, and what it needs: each key's value, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from torpor.config.load import load
from torpor.config.settings import Hook, Hooks, ProcessSpec, Settings
from torpor.core.model import (
    AppSpec,
    Backoff,
    Condition,
    Dependency,
    ExecProbe,
    HttpProbe,
    Lifecycle,
    Liveness,
    NotifyProbe,
    OnStartTimeout,
    OnWatchdog,
    Readiness,
    TcpProbe,
)
from torpor.errors import ConfigInvalid


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings_of(text: str) -> Settings:
    Path("t.yaml").write_text(text)
    return load("t.yaml", {})


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigInvalid) as caught:
        settings_of(text)
    return [str(problem) for problem in caught.value.problems]


APP = "apps:\n  a:\n    command: x\n"


def test_each_key_of_supervision_arrives_in_its_value(home: Path) -> None:
    """Each key ends in the field that the core and the provider decide by."""
    settings = settings_of(
        "allow_reboot: true\nreboot_command: shutdown -r now\n"
        + APP
        + """
    replicas: 3
    depends_on: {b: completed_successfully, c: {condition: started, optional: true}, d: {}}
    on_start_timeout: reboot
    exit_codes: [0, "3", TERM]
    backoff: {jitter: 0.5}
    watchdog: 30s
    on_watchdog: reboot
    liveness: {exec: ./alive.sh --quick, interval: 1m, timeout: 7s, failures: 1}
    pre_start: ./migrate.sh --all
    post_start: [./announce, "it is up"]
    pre_stop: {command: ./drain.sh, timeout: 5s}
    post_stop: {command: rm -f *.lock && true, shell: true}
    stop_command: ./ctl stop
    reload_signal: HUP
    resume_signal: USR1
  b: {command: x}
  c: {command: x, reload_command: ./ctl reload}
  d: {command: x}
"""
    )
    expected = AppSpec(
        name="a",
        lifecycle=Lifecycle(
            backoff=Backoff(jitter=0.5),
            exit_codes=(-15, 0, 3),
            on_start_timeout=OnStartTimeout.REBOOT,
            watchdog=30.0,
            on_watchdog=OnWatchdog.REBOOT,
        ),
        readiness=Readiness(()),
        liveness=Liveness(ExecProbe(("./alive.sh", "--quick"), 7.0), 60.0, 7.0, 1),
        replicas=3,
        depends_on=(
            Dependency("b", Condition.COMPLETED_SUCCESSFULLY),
            Dependency("c", Condition.STARTED, optional=True),
            Dependency("d", Condition.HEALTHY),
        ),
        workload=ProcessSpec(
            ("x",),
            home,
            hooks=Hooks(
                pre_start=Hook(("./migrate.sh", "--all")),
                post_start=Hook(("./announce", "it is up")),
                pre_stop=Hook(("./drain.sh",), 5.0),
                post_stop=Hook(("rm -f *.lock && true",), shell=True),
            ),
            stop_command=Hook(("./ctl", "stop")),
            reload_signal=1,
            resume_signal=10,
            notify=True,
        ),
    )
    assert (True, ("shutdown", "-r", "now")) == (settings.allow_reboot, settings.reboot_command)
    assert expected == settings.apps[0]
    assert ProcessSpec(("x",), home, reload_command=Hook(("./ctl", "reload"))) == settings.apps[2].workload


@pytest.mark.parametrize(
    ("text", "expected"),
    [("b", ("b",)), ("[b, c]", ("b", "c")), ("[]", ())],
)
def test_depends_on_has_short_forms(text: str, expected: tuple[str, ...]) -> None:
    """A name or a list of names means that these must be ready."""
    (app, *_) = settings_of(APP + f"    depends_on: {text}\n  b: {{command: x}}\n  c: {{command: x}}\n").apps
    assert tuple(map(Dependency, expected)) == app.depends_on
    assert all(each.condition is Condition.HEALTHY for each in app.depends_on)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/alive", Liveness(HttpProbe("/alive"))),
        ("{http: /alive, failures: 5}", Liveness(HttpProbe("/alive"), failures=5)),
        ("{tcp: true}", Liveness(TcpProbe())),
    ],
)
def test_liveness_has_a_short_form(text: str, expected: Liveness) -> None:
    """A path alone means that a GET of it answers."""
    assert expected == settings_of(APP + f"    liveness: {text}\n").apps[0].liveness


def test_a_start_may_take_for_ever() -> None:
    """`never` is no limit."""
    assert settings_of(APP + "    start_timeout: never\n").apps[0].lifecycle.start_timeout is None


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("", False),
        ("    notify: true\n", True),
        ("    watchdog: 5s\n", True),
        ("    watchdog: never\n", False),
        ("    readiness: {notify: true}\n", True),
    ],
)
def test_what_needs_notifications_gets_a_socket(keys: str, expected: bool) -> None:
    """A watchdog and readiness by notification imply the socket."""
    workload = settings_of(APP + keys).apps[0].workload
    assert isinstance(workload, ProcessSpec)
    assert expected == workload.notify


def test_notify_alone_does_not_change_what_ready_means() -> None:
    """An app may be given a socket without having to say that it is ready."""
    (app,) = settings_of(APP + "    notify: true\n").apps
    assert NotifyProbe() not in app.readiness.probes


def test_defaults_may_name_an_app_that_all_others_need() -> None:
    """A dependency in the defaults is not meant for the very app that it names."""
    settings = settings_of("defaults: {depends_on: db}\napps: {db: {command: x}, web: {command: x}}\n")
    assert [(), (Dependency("db"),)] == [app.depends_on for app in settings.apps]


def test_companions_are_names_of_apps_and_of_groups() -> None:
    """Each once; in the defaults a name is not meant for the very app that it names, and circles are no problem."""
    text = """\
defaults: {companions: hub}
apps:
  hub: {command: x}
  a: {command: x}
  b: {command: x, companions: [a, "group:g", a], member_of: g}
  c: {command: x, companions: [b], member_of: g}
"""
    apps = settings_of(text).apps
    assert [(), ("hub",), ("a", "group:g"), ("b",)] == [app.companions for app in apps]


def test_a_group_that_containers_may_join_needs_no_member_yet() -> None:
    """They are found only after the file was read; what was probably meant otherwise is told all the same."""
    found = "engines: {docker: {discover: true}}\n" + APP + "    companions: ['group:shop']\n"
    assert ("group:shop",) == settings_of(found).apps[0].companions
    with pytest.raises(ConfigInvalid, match="did you mean 'group:shops'"):
        settings_of(found + "  b: {command: x, member_of: shops}\n")


ONE_PROBLEM = {
    "unknown companion": (
        APP + "    companions: [db]\n  dbs: {command: x}\n",
        "t.yaml:4:18: apps.a.companions.0: there is no app 'db' (did you mean 'dbs'?)",
    ),
    "unknown group": (
        APP + "    companions: ['group:shp']\n    member_of: shop\n",
        "t.yaml:4:18: apps.a.companions.0: no app is `member_of: shp` (did you mean 'group:shop'?)",
    ),
    "its own companion": (
        APP + "    companions: a\n",
        "t.yaml:4:17: apps.a.companions: an app is no companion of itself",
    ),
    "companion that is refused": (
        APP + "    companions: b\n  b: x\n",
        "t.yaml:5:6: apps.b: must be a map, not the text 'x'",
    ),
    "too many companions": (
        APP
        + "    companions: ['group:g']\n"
        + "".join(f"  a{number}: {{command: x, member_of: g}}\n" for number in range(51)),
        "t.yaml:55:3: apps.a50: goes with 'a', as 50 others do already; no more may",
    ),
    "unknown app": (
        APP + "    depends_on: [db]\n  dbs: {command: x}\n",
        "t.yaml:4:18: apps.a.depends_on.0: there is no app 'db' (did you mean 'dbs'?)",
    ),
    "unknown app in a map": (
        APP + "    depends_on:\n      db: started\n",
        "t.yaml:5:7: apps.a.depends_on.db: there is no app 'db'",
    ),
    "itself": (
        APP + "    depends_on: a\n",
        "t.yaml:4:5: apps.a.depends_on: an app cannot depend on itself",
    ),
    "twice": (
        APP + "    depends_on: [b, b]\n  b: {command: x}\n",
        "t.yaml:4:17: apps.a.depends_on: names 'b' twice",
    ),
    "circle": (
        APP
        + "    depends_on: [b]\n  b: {command: x, depends_on: {c: started}}\n  c: {command: x, depends_on: a}\n",
        "t.yaml:4:18: apps.a.depends_on.0: the apps need each other in a circle: a → b → c → a",
    ),
    "condition": (
        APP + "    depends_on: {b: heathy}\n  b: {command: x}\n",
        (
            "t.yaml:4:21: apps.a.depends_on.b: 'heathy' is not one of started, healthy, completed, "
            "completed_successfully (did you mean 'healthy'?)"
        ),
    ),
    "word in a dependency": (
        APP + "    depends_on: {b: {conditon: started}}\n  b: {command: x}\n",
        "t.yaml:4:22: apps.a.depends_on.b.conditon: unknown key 'conditon' (did you mean 'condition'?)",
    ),
    "never completed": (
        APP + "    depends_on: {b: completed}\n  b: {command: x, restart: always}\n",
        "t.yaml:4:18: apps.a.depends_on.b: 'b' is never completed: it is restart: always, so it is kept running",
    ),
    "never completed because of the defaults": (
        "defaults: {always_on: true}\n"
        + APP
        + "    depends_on: {b: completed_successfully}\n  b: {command: x}\n",
        (
            "t.yaml:5:18: apps.a.depends_on.b: 'b' is never completed_successfully: it is always_on, "
            "so it is kept running"
        ),
    ),
    "needs what is refused": (
        APP + "    depends_on: b\n  b: x\n",
        "t.yaml:5:6: apps.b: must be a map, not the text 'x'",
    ),
    "replicas of one port": (
        APP + "    port: 9000\n    replicas: 2\n",
        "t.yaml:4:11: apps.a.port: 2 replicas cannot share one port; let Torpor allot the ports",
    ),
    "no replica": (APP + "    replicas: 0\n", "t.yaml:4:15: apps.a.replicas: 0 is below 1"),
    "too many replicas": (APP + "    replicas: 101\n", "t.yaml:4:15: apps.a.replicas: 101 is above 100"),
    "exit code": (
        APP + "    exit_codes: [0, 256]\n",
        (
            "t.yaml:4:21: apps.a.exit_codes.1: 256 is no exit code; they are from 0 to 255, and signals are named, "
            "e.g. TERM"
        ),
    ),
    "signal as exit code": (
        APP + "    exit_codes: TREM\n",
        (
            "t.yaml:4:17: apps.a.exit_codes: 'TREM' is no signal of this system; write its name, e.g. TERM "
            "(did you mean 'TERM'?)"
        ),
    ),
    "no success": (
        APP + "    exit_codes: []\n",
        "t.yaml:4:17: apps.a.exit_codes: is empty: no end would ever be a success",
    ),
    "jitter": (APP + "    backoff: {jitter: 2}\n", "t.yaml:4:23: apps.a.backoff.jitter: 2 is above 1"),
    "what never happens": (
        APP + "    start_timeout: never\n    on_start_timeout: accept\n",
        "t.yaml:5:23: apps.a.on_start_timeout: has no effect with `start_timeout: never`",
    ),
    "reboot at a start": (
        APP + "    on_start_timeout: reboot\n",
        (
            "t.yaml:4:23: apps.a.on_start_timeout: may not reboot the machine; write `allow_reboot: true` at the top "
            "of the main file to allow it"
        ),
    ),
    "reboot by the watchdog": (
        APP + "    watchdog: 5s\n    on_watchdog: reboot\n",
        (
            "t.yaml:5:18: apps.a.on_watchdog: may not reboot the machine; write `allow_reboot: true` at the top "
            "of the main file to allow it"
        ),
    ),
    "tracking directory": ("tracking_dir: ''\n", "t.yaml:1:15: tracking_dir: is not the name of a directory"),
    "reboot command": ("reboot_command: ''\n", "t.yaml:1:17: reboot_command: is empty"),
    "watchdog in silence": (
        APP + "    on_watchdog: reboot\n",
        "t.yaml:4:18: apps.a.on_watchdog: has no effect without `watchdog`; say how often the app must speak",
    ),
    "watchdog without a unit": (
        APP + "    watchdog: 30\n",
        "t.yaml:4:15: apps.a.watchdog: 30 needs a unit, e.g. 30s or 30m",
    ),
    "no socket for the watchdog": (
        APP + "    watchdog: 5s\n    notify: false\n",
        (
            "t.yaml:5:13: apps.a.notify: is false, but `watchdog` needs the app's notifications; "
            "remove one of them"
        ),
    ),
    "liveness word": (
        APP + "    liveness: tcp\n",
        (
            "t.yaml:4:15: apps.a.liveness: 'tcp' is not a path like /healthz; a map names another way, "
            "e.g. {tcp: true} or {exec: ./alive.sh}"
        ),
    ),
    "two ways to be alive": (
        APP + "    liveness: {http: /, tcp: true}\n",
        "t.yaml:4:15: apps.a.liveness: must name exactly one of `http`, `tcp` and `exec`",
    ),
    "no way to be alive": (
        APP + "    liveness: {interval: 5s}\n",
        "t.yaml:4:15: apps.a.liveness: must name exactly one of `http`, `tcp` and `exec`",
    ),
    "liveness that overtakes itself": (
        APP + "    liveness: {tcp: true, timeout: 1m}\n",
        "t.yaml:4:15: apps.a.liveness: the time for an answer (timeout) is longer than the interval",
    ),
    "liveness path": (
        APP + "    liveness: {http: /a b}\n",
        "t.yaml:4:22: apps.a.liveness.http: a path is plain ASCII without blanks; percent-encode the rest",
    ),
    "hook for a shell": (
        APP + "    pre_start: a && b\n",
        (
            "t.yaml:4:16: apps.a.pre_start: holds '&&', which only a shell understands: add `shell: true`, "
            "or write the command as a list"
        ),
    ),
    "list for a hook's shell": (
        APP + "    pre_stop: {command: [a], shell: true}\n",
        (
            "t.yaml:4:25: apps.a.pre_stop.command: is a list, but `shell: true` wants the shell's text "
            "in one string"
        ),
    ),
    "hook without command": (
        APP + "    post_stop: {timeout: 5s}\n",
        "t.yaml:4:5: apps.a.post_stop: 'command' is missing",
    ),
    "empty hook": (
        APP + "    stop_command: {command: ' ', shell: true}\n",
        "t.yaml:4:29: apps.a.stop_command.command: is empty",
    ),
    "two ways to reload": (
        APP + "    reload_signal: HUP\n    reload_command: ./ctl reload\n",
        "t.yaml:5:21: apps.a.reload_command: says how to reload, and so does `reload_signal`; write one of them",
    ),
    "a signal that nobody can handle": (
        APP + "    resume_signal: KILL\n",
        "t.yaml:4:20: apps.a.resume_signal: is one that no program can handle; name one for which the app has a handler",
    ),
}


@pytest.mark.parametrize(("text", "expected"), ONE_PROBLEM.values(), ids=ONE_PROBLEM)
def test_one_mistake_is_one_problem(text: str, expected: str) -> None:
    """A file with a single mistake gives exactly one problem, at the right place, in these words."""
    assert [expected] == problems_of(text)


def test_only_the_main_file_may_allow_a_reboot(home: Path) -> None:
    """A file that is included cannot give itself that right."""
    (home / "b.yaml").write_text("allow_reboot: true\nreboot_command: reboot\n")
    expected = [
        "b.yaml:1:1: allow_reboot: belongs into the main file, t.yaml",
        "b.yaml:2:1: reboot_command: belongs into the main file, t.yaml",
    ]
    assert expected == problems_of("include: b.yaml\n")
