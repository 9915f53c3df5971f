"""Compose files become a torpor.yaml, as far as processes can follow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from importers.imports import HERE, imported
from torpor.errors import CannotImport

TYPICAL = """
version: "3.8"
x-common: &common
  restart: unless-stopped
  environment: &env
    TZ: ${TZ:-UTC}
    DB: postgres://app:${DB_PASS}@db:5432/x
  logging:
    driver: json-file
    options: {max-size: 10m, max-file: "3"}
services:
  db:
    <<: *common
    image: postgres:15
    volumes: [data:/var/lib/postgresql]
    healthcheck:
      test: ["CMD-SHELL", "pg_isready -U $${POSTGRES_USER}"]
      interval: 10s
      retries: 5
      start_period: 1m30s
  migrate:
    build: ./app
    command: python manage.py migrate
  web:
    <<: *common
    build: {context: ./app}
    entrypoint: ["/bin/sh", "-c"]
    command: ["exec gunicorn -b :$$PORT ${OPTS}"]
    working_dir: /srv
    environment:
      <<: *env
      N: 1.10
      PORT: ${PORT:-8000}
    ports: ["127.0.0.1:80:8000"]
    depends_on:
      migrate: {condition: service_completed_successfully}
      redis: {condition: service_started, required: false}
      db: {condition: service_healthy}
    deploy:
      resources: {limits: {cpus: "0.50", memory: 512M}, reservations: {memory: 1M}}
      restart_policy: {condition: on-failure, delay: 5s, max_attempts: 3, window: 120s}
    ulimits: {nofile: {soft: 1024, hard: 2048}, memlock: -1}
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    stop_grace_period: 1m
    stop_signal: SIGQUIT
    healthcheck: {test: curl -f http://localhost:8000/}
  redis:
    image: redis:7
    command: redis-server --save "" --appendonly no
    ports: ["6379"]
    profiles: [cache]
volumes: {data: }
"""


def service(folder: Path, lines: str, *, environ: dict[str, str] | None = None) -> Any:
    """The app that a service with a command and these lines becomes."""
    text = f"services:\n  x:\n    command: ./x\n    {lines}\n"
    return imported(folder, "compose.yaml", text, environ=environ or HERE).app("x")


def test_a_typical_file(tmp_path: Path) -> None:
    """What a process can have comes along; the rest is told, service by service."""
    (tmp_path / "app").mkdir()
    (tmp_path / ".env").write_text("DB_PASS=from-dotenv\n")
    result = imported(tmp_path, "docker-compose.yml", TYPICAL)
    web = result.app("web")

    assert ["migrate", "web", "redis"] == result.apps
    assert ["/bin/sh", "-c", "exec gunicorn -b :$$PORT ${OPTS:-}"] == web["command"]
    assert {
        "TZ": "${TZ:-UTC}", "DB": "postgres://app:${DB_PASS:-from-dotenv}@db:5432/x", "N": "1.10", "PORT": "8000",
    } == web["environment"]  # fmt: skip
    assert {
        "migrate": "completed_successfully",
        "redis": {"condition": "started", "optional": "true"},
    } == web["depends_on"]
    assert {"exec": ["sh", "-c", "curl -f http://localhost:8000/"]} == web["readiness"]
    expected = {
        "port": "8000", "cpus": "0.5", "memory_max": "512M", "capabilities": {"drop": "all"}, "no_new_privileges": "true",
        "rlimits": {"nofile": "1024:2048", "memlock": "unlimited"}, "stop_timeout": "1m", "stop_signal": "QUIT",
        "restart": "on-failure", "backoff": {"initial": "5s", "factor": "1", "max": "5s"}, "stable_after": "2m",
        "start_limit": {"failures": "3"}, "log": {"max_size": "10M", "keep": "2"}, "working_dir": "./app",
    }  # fmt: skip
    assert expected == {key: web.get(key) for key in expected}
    assert ("no", None) == (result.app("migrate")["restart"], result.app("migrate").get("always_on"))
    assert None is result.app("redis").get("always_on")
    for told in (
        "image: postgres:15",
        "volumes: [data:",
        "db is no app yet",
        "deploy.resources.reservations",
        "profiles: [cache]",
    ):
        assert told in result.comments
    assert "  # db:\n" in result.text
    assert "  #   command: TO-BE-WRITTEN\n" in result.text


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("restart: always", {"restart": "always"}),
        ("restart: on-failure:4", {"restart": "on-failure", "start_limit": {"failures": "4"}}),
        ("init: true", {"restart": "no", "always_on": "true"}),
        ("environment: [A=1, HOME, GONE, 'B=x y']", {"environment": {"A": "1", "HOME": None, "B": "x y"}}),
        (
            "environment: {A: '$${X}', B: '${B:+yes}', C: $D}",
            {"environment": {"A": "$${X}", "B": "", "C": "${D:-}"}},
        ),
        ("entrypoint: [sh, -c]", {"command": "sh -c ./x"}),
        ("scale: 3", {"replicas": "3"}),
        ("deploy: {replicas: 2}", {"replicas": "2"}),
        ("mem_limit: 1g", {"memory_max": "1G"}),
        ("pids_limit: -1", {"pids_max": None}),
        ("ports: ['${P:-81}:${Q:-82}']", {"port": "82"}),
        ("ports: [{target: 83, published: 1}]", {"port": "83"}),
        ("ports: ['8080:8080']", {"port": None}),
        ("ports: ['1:1', '2:2']", {"port": None}),
        ("ports: ['53:53/udp']", {"port": None}),
        ("depends_on: [x]", {"depends_on": None}),
        ("healthcheck: {test: [NONE]}", {"readiness": None}),
        (
            "healthcheck: {test: [CMD, ./ok, '-x']}",
            {"readiness": {"exec": "./ok -x"}, "start_timeout": "1m30s"},
        ),
        ("cap_drop: [NET_RAW, FOO]", {"capabilities": {"drop": ["net_raw"]}}),
        ("ulimits: {nproc: 5, odd: 1}", {"rlimits": {"nproc": "5"}}),
        ("user: '0:0'", {"user": "0", "group": "0"}),
        ("tty: true", {"tty": "true"}),
        ("logging: {driver: journald}", {"log": {"forward": "journald"}}),
        ("logging: {driver: syslog, options: {tag: x}}", {"log": {"forward": "syslog"}}),
        (
            "logging: {driver: local, options: {max-size: 1m, max-file: x, compress: 'true'}}",
            {"log": {"max_size": "1M", "compress": "gzip"}},
        ),
        ("read_only: true", {"read_only": "true"}),
    ],
)
def test_what_a_setting_becomes(tmp_path: Path, lines: str, expected: dict[str, Any]) -> None:
    """Each setting has its word in Torpor."""
    app = service(tmp_path, lines)

    assert expected == {key: app.get(key) for key in expected}


def test_what_is_always_restarted_never_completes(tmp_path: Path) -> None:
    """To wait for its end would be refused; that it runs has to do."""
    text = """
services:
  a: {command: a, restart: always}
  b: {command: b, depends_on: {a: {condition: service_completed_successfully}}}
"""
    result = imported(tmp_path, "compose.yml", text)

    assert {"a": "started"} == result.app("b")["depends_on"]
    assert "a is always restarted, so it never completes" in result.comments


def test_what_must_be_set_stays_a_condition(tmp_path: Path) -> None:
    """`${VAR:?…}` is Torpor's too; where it is not set now, the variable is told instead."""
    environ = {**HERE, "KEY": "s3cret"}
    assert {"K": "${KEY:?why}"} == service(tmp_path, "environment: ['K=${KEY:?why}']", environ=environ)[
        "environment"
    ]
    assert "environment" not in service(tmp_path, "environment: ['K=${KEY:?why}']")


EXTENDING = """
services:
  base: &x
    command: ./base --a
    environment: [A=1, B=1]
    env_file: a.env
    mem_limit: 1g
    depends_on: [db]
    healthcheck: {test: [CMD, ./ok], interval: 5s}
  web:
    extends: {service: middle}
    command: ./web
    environment: {B: 2, C: 3}
    env_file: [b.env]
    depends_on: {cache: {condition: service_healthy}}
    healthcheck: {interval: 9s}
  middle: {extends: base, mem_limit: 2g}
  far: {command: ./far, extends: {file: other.yml, service: it}}
  lost: {command: ./lost, extends: nobody}
  db: {command: ./db}
  cache: {command: ./cache}
"""


def test_services_that_extend_others(tmp_path: Path) -> None:
    """Maps are merged, lists are joined, a command replaces the one before; from elsewhere nothing is taken."""
    for name in ("a.env", "b.env"):
        (tmp_path / name).write_text("Z=1\n")
    result = imported(tmp_path, "compose.yml", EXTENDING)
    web = result.app("web")

    assert ("./web", {"A": "1", "B": "2", "C": "3"}, ["./a.env", "./b.env"], "2G") == (
        web["command"], web["environment"], web["env_file"], web["memory_max"],
    )  # fmt: skip
    assert {"db": "started", "cache": "healthy"} == web["depends_on"]
    assert ({"exec": "./ok"}, "27s") == (web["readiness"], web["start_timeout"])
    assert "./base --a" == result.app("middle")["command"]
    assert "extends: it of other.yml: stands in another file" in result.comments
    assert "extends: nobody: there is no such service" in result.comments


def test_services_that_extend_each_other_are_refused(tmp_path: Path) -> None:
    """As Compose does."""
    text = "services: {a: {extends: b}, b: {extends: a}}"
    with pytest.raises(CannotImport, match="in a circle: a → b → a"):
        imported(tmp_path, "compose.yml", text)


def test_an_override_file_is_laid_upon_its_base(tmp_path: Path) -> None:
    """Where it is named too; otherwise it is told, for Compose would have read it."""
    base = "services:\n  x: {command: ./x, environment: {A: 1, B: 1}}\n"
    (tmp_path / "docker-compose.override.yml").write_text(
        "services:\n  x: {environment: [B=2]}\n  y: {command: ./y}\n"
    )
    alone = imported(tmp_path, "docker-compose.yml", base)
    both = imported(tmp_path, "docker-compose.yml", base, "docker-compose.override.yml")

    assert (["x"], {"A": "1", "B": "1"}) == (alone.apps, alone.app("x")["environment"])
    assert "docker-compose.override.yml: Compose reads it too" in alone.comments
    assert (["x", "y"], {"A": "1", "B": "2"}) == (both.apps, both.app("x")["environment"])
    assert f"from {tmp_path}/docker-compose.override.yml:3" in both.comments


def test_options_of_logs_are_told_one_by_one(tmp_path: Path) -> None:
    """One that is wrong, or unknown, costs no other."""
    text = "services: {x: {command: ./x, logging: {driver: gelf, options: {max-file: x, tag: y}}}}"
    comments = imported(tmp_path, "compose.yml", text).comments

    for told in (
        "logging.driver: gelf: Torpor writes",
        "max-file: x: 'x' is not",
        "logging.options: {tag}: Torpor's `log`",
    ):
        assert told in comments


def test_files_of_variables(tmp_path: Path) -> None:
    """One that has to be there is named, one that may be missing is told."""
    (tmp_path / "a.env").write_text("A=1\n")
    app = service(tmp_path, "env_file: [a.env, {path: b.env, required: false}]")

    assert "./a.env" == app["env_file"]


def test_the_first_version_had_no_services_key(tmp_path: Path) -> None:
    """Its services stand at the top."""
    assert ["web"] == imported(tmp_path, "compose.yml", "web:\n  command: ./x\n").apps


@pytest.mark.parametrize("text", ["services: {}\n", "[]\n", "services: {x: 1}\n", "services:\n  x: [\n"])
def test_what_is_no_compose_file_is_refused(tmp_path: Path, text: str) -> None:
    """The message names the file."""
    with pytest.raises(CannotImport, match=r"compose\.yml"):
        imported(tmp_path, "compose.yml", text)
