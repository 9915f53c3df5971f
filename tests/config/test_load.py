"""A file becomes settings, or a list of everything that is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from torpor.config.load import load
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
    settings = load("torpor.yaml", {"PASSED": "on"})
    assert gateway == settings.gateway
    assert (full, worker) == settings.apps
