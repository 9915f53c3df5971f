"""A file becomes settings, or a list of everything that is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from torpor.config.declarations import App, File
from torpor.config.hosting import usual_hosts
from torpor.config.load import load
from torpor.config.problems import Problem
from torpor.config.settings import GatewaySpec, Limits, Listen, LogSpec, ProcessSpec, Settings, Tls
from torpor.core.model import (
    AppSpec,
    Backoff,
    DelayProbe,
    ExecProbe,
    HttpProbe,
    Lifecycle,
    LoadingPage,
    LogProbe,
    NotifyProbe,
    Readiness,
    Restart,
    Route,
    SocketActivity,
    SocketPolicy,
    StartLimit,
    TcpProbe,
    WakeOn,
)
from torpor.errors import ConfigInvalid


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_small_file_gets_all_defaults(home: Path) -> None:
    """An app with a command and a route is filled up with the core's own defaults."""
    Path("torpor.yaml").write_text(
        "apps:\n  web:\n    command: serve --port $PORT\n    routes: web.localhost\n"
    )
    expected = Settings(
        source=home / "torpor.yaml",
        gateway=GatewaySpec(listen=(Listen("127.0.0.1", 8080),)),
        hosts=usual_hosts({}),
        apps=(
            AppSpec(
                name="web",
                routes=(Route("web.localhost"),),
                readiness=Readiness((TcpProbe(),)),
                workload=ProcessSpec(command=("serve", "--port", "$PORT"), working_dir=home),
            ),
        ),
    )
    assert expected == load("torpor.yaml", {})


def test_a_text_that_is_not_written_yet_is_loaded_as_if_it_were(home: Path) -> None:
    """Paths are relative to where it will be; what stands there now is not looked at."""
    (home / "sub").mkdir()
    Path("sub/torpor.yaml").write_text("nonsense: [")
    text = "apps: {web: {command: serve, working_dir: .}}\n"

    [app] = load("sub/torpor.yaml", {}, texts={Path("sub/torpor.yaml"): text.encode()}).apps
    assert ProcessSpec(command=("serve",), working_dir=home / "sub") == app.workload
    with pytest.raises(ConfigInvalid, match=r"^sub/torpor\.yaml:1:7: apps: must"):
        load("sub/torpor.yaml", {}, texts={Path("sub/torpor.yaml"): b"apps: 1\n"})


FULL = """
x-times: &times {idle_timeout: 10m, wake_timeout: 45s}
gateway:
  listen:
    - 8080
    - "[::1]:8081"
    - {address: 0.0.0.0:8443, tls: {cert: cert.pem, key: key.pem}}
  trusted_proxies: [10.0.0.1/8, "::1"]
  limits: {headers_size: 128K, connections: 500, body_timeout: 1m30s}
defaults:
  <<: *times
  environment: {LEVEL: info, FROM: defaults}
apps:
  full:
    command: [./serve, "--name=a b"]
    working_dir: ./app
    environment: {FROM: app, VERSION: 1.10, MODE: 0755, "ON": yes, FLAG: true, PASSED: }
    env_file: [.env]
    routes:
      - Full.Localhost
      - example.org/api/
      - "*.example.org"
      - default
      - {host: bücher.example, path: /shop, strip_prefix: true}
    port: 8501
    readiness:
      http: /healthz
      codes: [200-299, 401]
      tcp: true
      log: 'listening on \\d+'
      exec: ./ready.sh --fast
      notify: true
      delay: 500ms
      settle: 250ms
    idle_timeout: never
    start_timeout: 1h
    drain_timeout: 0s
    stop_signal: SIGINT
    stop_timeout: 1.5s
    loading_page: {title: Full, template: page.html, show_logs: true}
    wake_on: navigation
    websocket: {activity: open, max_age: 1d}
    max_waiting: 5
    restart: no
    log: {max_size: 1MB, keep: 0}
    backoff: {initial: 1s, factor: 3, max: 1m}
    start_limit: {failures: 2, window: 10s, cool_off: 5m}
    stable_after: 1m
  worker:
    command: |
      while true; do work; done
    shell: true
    always_on: true
    websocket_activity: ignore
    loading_page: false
"""


def test_every_key_arrives_in_its_value(home: Path) -> None:
    """Each key of the configuration ends in the field that the rest of Torpor decides by."""
    (home / "app").mkdir()
    for name in ("cert.pem", "key.pem"):
        (home / name).touch()
    (home / "page.html").write_text("<p>{{app}}</p>{{script}}")
    (home / ".env").write_text("export SECRET='a$b'\nFROM=file\n")
    Path("torpor.yaml").write_text(FULL)
    full = AppSpec(
        name="full",
        lifecycle=Lifecycle(
            idle_timeout=None,
            wake_timeout=45.0,
            start_timeout=3600.0,
            drain_timeout=0.0,
            stop_timeout=1.5,
            restart=Restart.NO,
            max_waiting=5,
            backoff=Backoff(1.0, 3.0, 60.0),
            start_limit=StartLimit(2, 10.0, 300.0),
            stable_after=60.0,
        ),
        routes=(
            Route("full.localhost"),
            Route("example.org", "/api"),
            Route("*.example.org"),
            Route(None),
            Route("xn--bcher-kva.example", "/shop", strip_prefix=True),
        ),
        readiness=Readiness(
            (
                HttpProbe("/healthz", ((200, 299), (401, 401))),
                TcpProbe(),
                LogProbe("listening on \\d+"),
                ExecProbe(("./ready.sh", "--fast")),
                NotifyProbe(),
                DelayProbe(0.5),
            ),
            settle=0.25,
        ),
        loading_page=LoadingPage(title="Full", template="<p>{{app}}</p>{{script}}", show_logs=True),
        wake_on=WakeOn.NAVIGATION,
        websocket=SocketPolicy(SocketActivity.OPEN, 86400.0),
        port=8501,
        workload=ProcessSpec(
            command=("./serve", "--name=a b"),
            working_dir=home / "app",
            environment={
                "SECRET": "a$b",
                "FROM": "app",
                "LEVEL": "info",
                "VERSION": "1.10",
                "MODE": "0755",
                "ON": "yes",
                "FLAG": "true",
                "PASSED": "on",
            },
            stop_signal=2,
            notify=True,
            log=LogSpec(1_000_000, 0),
        ),
    )
    worker = AppSpec(
        name="worker",
        lifecycle=Lifecycle(idle_timeout=600.0, wake_timeout=45.0, always_on=True),
        readiness=Readiness(()),
        loading_page=LoadingPage(enabled=False),
        websocket=SocketPolicy(SocketActivity.IGNORE),
        workload=ProcessSpec(
            command=("while true; do work; done\n",),
            shell=True,
            working_dir=home,
            environment={"LEVEL": "info", "FROM": "defaults"},
        ),
    )
    gateway = GatewaySpec(
        listen=(
            Listen("127.0.0.1", 8080),
            Listen("::1", 8081),
            Listen("0.0.0.0", 8443, Tls(home / "cert.pem", home / "key.pem")),
        ),
        limits=Limits(headers_size=131072, connections=500, body_timeout=90.0),
        trusted_proxies=("10.0.0.0/8", "::1/128"),
    )
    found = load("torpor.yaml", {"PASSED": "on"})
    assert gateway == found.gateway
    assert (full, worker) == found.apps


def test_equal_files_give_equal_settings(home: Path) -> None:
    """Settings compare by value: a change of the file can be found by comparing apps."""
    Path("torpor.yaml").write_text(
        "apps:\n  a: {command: x, environment: {A: 1}, readiness: {log: up}}\n  b: {command: y}\n"
    )
    first = load("torpor.yaml", {})
    assert first == load("torpor.yaml", {})
    Path("torpor.yaml").write_text(
        "apps:\n  a: {command: x, environment: {A: 2}, readiness: {log: up}}\n  b: {command: y}\n"
    )
    changed = load("torpor.yaml", {})
    assert first.apps[0] != changed.apps[0]
    assert first.apps[1] == changed.apps[1]


@pytest.mark.parametrize(
    "text", ["", "# nothing yet\n", "apps:\n", "gateway:\ndefaults:\ninclude:\napps: {}\nx-y: 1\n"]
)
def test_a_file_without_apps_is_valid(home: Path, text: str) -> None:
    """Sections that are still empty, or all commented out, are no mistake."""
    Path("torpor.yaml").write_text(text)
    assert Settings(source=home / "torpor.yaml", hosts=usual_hosts({})) == load("torpor.yaml", {})


def test_the_nearest_defaults_win(home: Path) -> None:
    """App, then its own file's defaults, then the including file's; values as a whole, environment by name."""
    Path("torpor.yaml").write_text(
        "include: more/*.yaml\n"
        "defaults: {idle_timeout: 1m, wake_timeout: 1m, restart: always, environment: {A: top, B: top, C: top}, "
        "backoff: {initial: 2s}}\n"
    )
    (home / "more").mkdir()
    (home / "more" / "a.yaml").write_text(
        "defaults: {idle_timeout: 2m, wake_timeout: 2m, environment: {A: file, B: file}, working_dir: .}\n"
        "apps:\n  a: {command: x, idle_timeout: 3m, environment: {A: app}, backoff: {max: 1m}}\n"
    )
    (app,) = load("torpor.yaml", {}).apps
    expected = Lifecycle(
        idle_timeout=180.0, wake_timeout=120.0, restart=Restart.ALWAYS, backoff=Backoff(0.5, 2.0, 60.0)
    )
    assert expected == app.lifecycle
    assert isinstance(app.workload, ProcessSpec)
    assert {"A": "app", "B": "file", "C": "top"} == app.workload.environment
    assert home / "more" == app.workload.working_dir


def test_includes_keep_the_order_of_the_files(home: Path) -> None:
    """The main file's apps come first, then each included file's; a file that two include is read once."""
    Path("torpor.yaml").write_text(
        "include: ['*.yaml', conf.d/x.yaml, none/*.yaml]\napps: {z: {command: x}}\n"
    )
    (home / "conf.d").mkdir()
    Path("b.yaml").write_text("include: conf.d/x.yaml\napps: {b: {command: x}}\n")
    Path("a.yaml").write_text("apps: {a: {command: x}}\n")
    Path("conf.d/x.yaml").write_text("apps: {x: {command: x}}\n")
    assert ["z", "a", "b", "x"] == [app.name for app in load("torpor.yaml", {}).apps]


@pytest.mark.parametrize(
    ("expected", "defaults", "app"),
    [
        (SocketActivity.OPEN, "websocket_activity: ignore", "websocket: {activity: open}"),
        (SocketActivity.IGNORE, "websocket: {activity: open}", "websocket_activity: ignore"),
        (SocketActivity.OPEN, "websocket: {activity: open}", ""),
        (SocketActivity.DATA, "websocket: {activity: open}", "websocket: {max_age: 1h}"),
    ],
)
def test_the_nearer_word_about_sockets_wins(
    home: Path, expected: SocketActivity, defaults: str, app: str
) -> None:
    """The short and the long form are one setting."""
    Path("torpor.yaml").write_text(f"defaults:\n  {defaults}\napps:\n  a:\n    command: x\n    {app}\n")
    assert expected == load("torpor.yaml", {}).apps[0].websocket.activity


@pytest.mark.parametrize(
    ("expected", "app"),
    [
        (Readiness(()), ""),
        (Readiness((TcpProbe(),)), "port: 80"),
        (Readiness((TcpProbe(),)), "routes: a.org"),
        (Readiness((TcpProbe(),), 1.0), "routes: a.org\n    readiness: {settle: 1s}"),
        (Readiness(()), "routes: a.org\n    readiness: {tcp: false}"),
        (Readiness((HttpProbe("/up"),)), "readiness: /up"),
        (Readiness((HttpProbe("/up", ((204, 204),)),)), "readiness: {http: /up, codes: 204}"),
        (Readiness((NotifyProbe(),)), "routes: a.org\n    readiness: {notify: true}"),
    ],
)
def test_when_an_app_is_ready(home: Path, expected: Readiness, app: str) -> None:
    """An app that listens is ready when its port accepts, one that does not at once; a named probe replaces that."""
    Path("torpor.yaml").write_text(f"apps:\n  a:\n    command: x\n    {app}\n")
    assert expected == load("torpor.yaml", {}).apps[0].readiness


KEYS = st.sampled_from([*App.__struct_fields__, *File.__struct_fields__, "a", "http", "x-y", "<<", ""])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 70000),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        ["30s", "/x", "a.org", "default", "never", "x y", "*.yaml", ".", "${A}", "TERM", "512M", "\0"]
    ),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
FILES = st.dictionaries(KEYS, TREES, max_size=4) | st.builds(
    lambda app, rest: {"apps": {"a": app}, **rest},
    st.dictionaries(st.sampled_from(App.__struct_fields__), TREES, max_size=5),
    st.fixed_dictionaries({}, optional={"gateway": TREES, "defaults": TREES, "include": TREES}),
)


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=FILES)
def test_any_file_gives_settings_or_problems(home: Path, data: dict[str, object]) -> None:
    """Whatever stands in a file, loading gives settings or problems with places, never another error."""
    Path("torpor.yaml").write_text(yaml.safe_dump(data, allow_unicode=True))
    found: tuple[object, ...] = ()
    try:
        load("torpor.yaml", {"A": "a"})
    except ConfigInvalid as refused:
        found = refused.problems or ("refused without a problem",)
    assert [] == [problem for problem in found if not isinstance(problem, Problem) or problem.line < 1]
    # msgspec's own words would mean that the explaining walk overlooked something.
    assert [] == [str(problem) for problem in found if "`$" in str(problem)]


@pytest.mark.parametrize(
    ("expected", "setting"),
    [
        (True, "command: run ${A}"),
        (True, "command: [run, '${A}']"),
        (True, "command: run ${NOWHERE:-x}"),
        (True, "liveness: {http: '/${A}'}"),
        (False, "command: run $${A}"),
        (False, "command: run $A"),
        (False, "command: run --port ${PORT} ${TORPOR_APP}"),
        (False, "command: run"),
    ],
)
def test_it_is_known_what_the_environment_decides(home: Path, expected: bool, setting: str) -> None:
    """A variable that is looked up; not one that is meant as text, nor one that a start fills in."""
    text = setting if setting.startswith("command") else f"command: run\n    {setting}"
    (home / "torpor.yaml").write_text(f"apps:\n  web:\n    {text}\n")

    written = load(home / "torpor.yaml", {"A": "1"}).origins["web"].written

    assert expected == any(one.borrowed for one in written)


def test_what_tells_of_traffic_from_outside(home: Path) -> None:
    """A gate is a listener, and the directory of touched files lies beside the file unless it says more."""
    (home / "t.yaml").write_text(
        "tracking_dir: track\ngateway: {listen: [8080, {address: 8081, gate: true}]}\n"
    )
    settings = load(home / "t.yaml")
    assert home / "track" == settings.tracking_dir
    assert [False, True] == [listen.gate for listen in settings.gateway.listen]


def test_a_file_is_no_tracking_directory(home: Path) -> None:
    """Said when the configuration is read, not once nobody's touches count."""
    (home / "track").touch()
    (home / "t.yaml").write_text("tracking_dir: track\n")
    with pytest.raises(ConfigInvalid, match="track is not a directory"):
        load(home / "t.yaml")
