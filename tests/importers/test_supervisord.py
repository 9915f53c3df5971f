"""supervisord.conf becomes a torpor.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from importers.imports import HERE, imported
from torpor.errors import CannotImport

# The shape of what a packaged web application brings along.
TYPICAL = """
; everything of one host
[unix_http_server]
file=/run/supervisor.sock   ; (the path to the socket file)
chmod=0700
[inet_http_server]
port = 127.0.0.1:9001
username = admin
password = hunter2
[supervisord]
logfile=/var/log/supervisord.log
nodaemon=true
umask=022
environment=LANG="C.UTF-8",SITE="%(here)s"
[include]
files = conf.d/*.conf
[program:web]
command=/usr/bin/env gunicorn --bind 127.0.0.1:8000
    --access-logformat "%%(h)s" app:wsgi
directory=%(here)s
autostart=true
autorestart=true
redirect_stderr=true
stdout_logfile=/var/log/web.log
stdout_logfile_backups=10
stopsignal=QUIT
stopwaitsecs=600
[eventlistener:memmon]
command=memmon -a 200MB
events=TICK_60
[fcgi-program:php]
command=/usr/bin/php-cgi
socket=unix:///run/php.sock
"""


def program(**settings: str) -> str:
    """A file with one program."""
    lines = {"command": "/bin/true", **settings}
    return "[program:x]\n" + "\n".join(f"{name}={value}" for name, value in lines.items()) + "\n"


def test_a_typical_file(tmp_path: Path) -> None:
    """A program with its surroundings comes out whole; what is not a program is told."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/jobs.conf").write_text("[program:jobs]\ncommand=sleep 9\nautostart=false\n")
    result = imported(tmp_path, "supervisord.conf", TYPICAL)

    assert ["web", "jobs"] == result.apps
    web = result.app("web")
    assert "/usr/bin/env gunicorn --bind 127.0.0.1:8000 --access-logformat %(h)s app:wsgi" == web["command"]
    assert str(tmp_path) == web["working_dir"]
    assert ("true", "always", "QUIT", "10m", {"keep": "10"}) == (
        web["always_on"], web["restart"], web["stop_signal"], web["stop_timeout"], web["log"],
    )  # fmt: skip
    assert "always_on" not in result.app("jobs")
    assert {"environment": {"LANG": "C.UTF-8", "SITE": str(tmp_path)}, "umask": "022"} == result.file[
        "defaults"
    ]
    for told in (
        "[unix_http_server]",
        "[inet_http_server]",
        "[eventlistener:memmon]",
        "[fcgi-program:php]",
        "nodaemon",
    ):
        assert told in result.comments
    assert "hunter2" not in result.text
    assert 2 == len([warning for warning in result.warnings if "is left out" in warning])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"autorestart": "unexpected", "exitcodes": "0,2"}, {"restart": "on-failure", "exit_codes": ["0", "2"]}),
        ({"autorestart": "false"}, {"restart": "no"}),
        ({"startsecs": "5"}, {"readiness": {"delay": "5s"}}),
        ({"startretries": "3"}, {"start_limit": {"failures": "4", "window": "1m"}}),
        ({"startretries": "100"}, {"start_limit": {"failures": "101", "window": "55m"}}),
        ({"stopsignal": "SIGINT"}, {"stop_signal": "INT"}),
        ({"umask": "077"}, {"umask": "077"}),
        ({"stdout_logfile_maxbytes": "50MB"}, {"log": {"max_size": "50M"}}),
        ({"redirect_stderr": "true", "stderr_logfile": "/x"}, {"log": None}),
        ({"redirect_stderr": "false"}, {"log": {"stderr": "separate"}}),
        ({"stdout_logfile": "/a", "stderr_logfile": "/b"}, {"log": {"stderr": "separate"}}),
        ({"stdout_logfile": "/a", "stderr_logfile": "/a"}, {"log": None}),
        ({"stdout_syslog": "true", "redirect_stderr": "true"}, {"log": {"forward": "syslog"}}),
        ({"stdout_logfile": "syslog", "stderr_logfile": "syslog"}, {"log": {"forward": "syslog"}}),
        ({"environment": 'A="1,2",B=\'x y\',C=%(program_name)s'}, {"environment": {"A": "1,2", "B": "x y", "C": "x"}}),
        ({"environment": 'P="a%%b"', "command": "run %(ENV_P)s"}, {"command": "run a%b"}),
        ({"command": "run --home=%(ENV_HOME)s"}, {"command": "run --home=${HOME}"}),
        ({"command": "run %(ENV_NOT_THERE)s/x"}, {"command": "run ${NOT_THERE:-}/x"}),
        ({"command": 'sh -c "echo ${HOME} $$"'}, {"command": 'sh -c "echo $${HOME} $$$"'}),
        ({"command": 'run "a b" # not this'}, {"command": 'run "a b"'}),
        ({"numprocs": "3", "process_name": "%(program_name)s_%(process_num)02d"}, {"replicas": "3"}),
        (
            {"numprocs": "2", "command": "run --n=%(process_num)d", "process_name": "x%(process_num)s"},
            {"replicas": "2", "command": "run --n=${TORPOR_REPLICA}"},
        ),
    ],
)  # fmt: skip
def test_what_a_setting_becomes(tmp_path: Path, settings: dict[str, str], expected: dict[str, Any]) -> None:
    """Each setting has its word in Torpor."""
    app = imported(tmp_path, "supervisord.conf", program(**settings)).app("x")

    assert expected == {key: app.get(key) for key in expected}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"stdout_logfile": "/var/log/x.log"}, "stdout_logfile=/var/log/x.log: Torpor keeps it in logs/"),
        (
            {"stdout_logfile": "/dev/fd/1", "stdout_logfile_maxbytes": "0"},
            "stdout_logfile=/dev/fd/1: Torpor keeps it",
        ),
        ({"stderr_syslog": "true"}, "it was stderr alone; here both streams are passed on"),
        (
            {"stdout_logfile_backups": "3", "stderr_logfile_backups": "5"},
            "stderr_logfile_backups=5: stderr goes by the same rules",
        ),
        ({"stdout_events_enabled": "true"}, "stdout_events_enabled=true: there are no event listeners"),
        ({"stopwaitsecs": "soon"}, "stopwaitsecs=soon: 'soon' is not a duration"),
        ({"environment": "A=b,C"}, "environment=A=b,C: is not"),
        ({"exitcodes": "0,1"}, ""),
        ({"loglevel": "debug"}, "loglevel=debug: Torpor has no such setting"),
        ({"priority": "10"}, "priority=10: it was started first"),
        ({"killasgroup": "true"}, "Needs no setting: killasgroup=true"),
    ],
)
def test_what_is_told(tmp_path: Path, settings: dict[str, str], told: str) -> None:
    """What cannot be carried over is named with the reason."""
    assert told in imported(tmp_path, "supervisord.conf", program(**settings)).comments


def test_processes_that_differ_become_apps(tmp_path: Path) -> None:
    """Numbers with leading zeros, or in a directory, cannot be filled in at a start: each process is an app."""
    text = program(
        numprocs="2",
        numprocs_start="8",
        process_name="w_%(process_num)02d",
        command="run 80%(process_num)02d",
    )
    result = imported(tmp_path, "supervisord.conf", text)

    assert {"w_08": "run 8008", "w_09": "run 8009"} == {
        name: result.app(name)["command"] for name in result.apps
    }
    # supervisorctl restart x:*
    assert ["x", "x"] == [result.app(name)["member_of"] for name in result.apps]


def test_an_include_that_matches_nothing_is_told(tmp_path: Path) -> None:
    """As a missing file is: what it was meant to bring along is not there."""
    result = imported(tmp_path, "supervisord.conf", "[include]\nfiles = conf.d/*.ini gone.conf\n" + program())

    assert f"[include] {tmp_path}/conf.d/*.ini: matches no file here" in result.comments
    assert f"[include] {tmp_path}/gone.conf: there is no such file" in result.comments


def test_a_program_has_its_groups(tmp_path: Path) -> None:
    """Also two of them, and one whose name Torpor would not take."""
    groups = "[group:back]\nprograms=x\n[group:My Group]\nprograms=x, y\n"
    result = imported(tmp_path, "supervisord.conf", program() + "[program:y]\ncommand=y\n" + groups)

    assert (["back", "my-group"], "my-group") == tuple(result.app(name)["member_of"] for name in result.apps)
    assert "[group:My Group]: names of groups are like those of apps" in result.comments
    assert {"back": {"x"}, "my-group": {"x", "y"}} == {
        group: {app.name for app in result.settings.apps if group in app.groups}
        for group in ("back", "my-group")
    }


def test_groups_and_priorities_are_hints(tmp_path: Path) -> None:
    """The programs of a group know it; a priority is told with what it came after."""
    text = """
[program:api]
command=/bin/true
[program:db]
command=/bin/true
priority=1
[group:back]
programs=api,db,gone
priority=5
"""
    result = imported(
        tmp_path, "supervisord.conf", text + "[program:late]\ncommand=/bin/true\npriority=1000\n"
    )

    assert "priority=1000: it was started after api, db; if it needs one of them, say so" in result.comments
    assert ["back", "back", None] == [result.app(name).get("member_of") for name in result.apps]
    assert "[group:back] programs=gone: there is no such program" in result.comments
    assert "[group:back] priority=5" in result.comments


def test_a_program_without_a_command_is_a_comment(tmp_path: Path) -> None:
    """The file stays valid, and without its comment marks the entry is the app."""
    result = imported(tmp_path, "supervisord.conf", "[program:x]\ndirectory=/tmp\n")

    assert [] == result.apps
    assert "  # x:\n" in result.text
    assert "  #   working_dir: /tmp\n" in result.text


def test_names_are_made_valid_and_unique(tmp_path: Path) -> None:
    """What no app may be called gets the nearest name, clashes get numbers, and both are told."""
    text = "[program:My App]\ncommand=a\n[program:my-app]\ncommand=b\n[program:--]\ncommand=c\n"
    result = imported(tmp_path, "supervisord.conf", text)

    assert ["my-app", "my-app-2", "app"] == result.apps
    assert "name 'My App': it is 'my-app' here" in result.comments


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[program:x\ncommand=y\n", ":1: a section's ']' is missing"),
        ("command=y\n", ":1: a setting stands before the first [section]"),
        ("[program:x]\nnonsense\n", ":2: is neither a [section] nor NAME=value"),
        (
            "[program:x]\ncommand=y\nnumprocs=many\n",
            ":1: [program:x] numprocs=many: 'many' is not a whole number",
        ),
    ],
)
def test_mistakes_have_a_place(tmp_path: Path, text: str, place: str) -> None:
    """A file that is none is refused with the line."""
    with pytest.raises(CannotImport) as raised:
        imported(tmp_path, "supervisord.conf", text)

    assert f"supervisord.conf{place}" in raised.value.message


def test_variables_are_not_baked_in(tmp_path: Path) -> None:
    """A secret in the environment stays there."""
    text = program(environment='TOKEN="%(ENV_TOKEN)s"')
    result = imported(tmp_path, "supervisord.conf", text, environ={**HERE, "TOKEN": "s3cret"})

    assert "s3cret" not in result.text
    assert "${TOKEN}" == result.app("x")["environment"]["TOKEN"]


def test_several_files_keep_their_own_daemons_settings(tmp_path: Path) -> None:
    """`[supervisord]` of one file does not hold for the programs of another."""
    (tmp_path / "b.conf").write_text("[supervisord]\numask=077\n[program:b]\ncommand=b\n")
    result = imported(tmp_path, "a.conf", "[program:a]\ncommand=a\n", "b.conf")

    assert ("077", None) == (result.app("b")["umask"], result.app("a").get("umask"))
