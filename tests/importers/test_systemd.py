"""systemd's .service units become a torpor.yaml."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from importers.imports import HERE, imported
from torpor.errors import CannotImport

# The shape of what packages of daemons bring along.
TYPICAL = r"""
[Unit]
Description=A data base
Documentation=man:db(8)
After=network-online.target
ConditionPathExists=/etc/db.conf
StartLimitIntervalSec=300
StartLimitBurst=5

[Service]
Type=notify
User=root
ExecStartPre=-/bin/mkdir -p /run/%p
ExecStartPre=/bin/chown root /run/%p
ExecStart=/usr/sbin/db --name=%N "--home=${HOME_DIR}" $ARGS \
   # a word on this
   --last 'a b' $$x
ExecReload=/bin/kill -HUP $MAINPID
ExecStopPost=/bin/rm -rf /run/db
Restart=on-abnormal
RestartSec=5min 20s
LimitNOFILE=1024:infinity
MemoryMax=1.5G
CPUQuota=150%
TasksMax=infinity
ProtectSystem=full
ReadWritePaths=/var/lib/db
PrivateTmp=yes
NoNewPrivileges=yes
CapabilityBoundingSet=~CAP_SYS_PTRACE
UMask=0027
WatchdogSec=30
KillSignal=SIGINT
TimeoutStopSec=infinity
Environment="A=b c" D=%%i
Environment=ARGS=x
StandardOutput=append:/var/log/db.log

[Install]
WantedBy=multi-user.target
"""


def service(*lines: str, unit: str = "") -> str:
    """A unit with these lines of its [Service]."""
    start = () if any(line.startswith("ExecStart=") for line in lines) else ("ExecStart=/bin/true",)
    return "\n".join(["[Unit]", unit, "[Service]", *start, *lines, ""])


def test_a_typical_unit(tmp_path: Path) -> None:
    """A packaged daemon comes out whole."""
    result = imported(tmp_path, "db.service", TYPICAL)
    app = result.app("db")

    assert """exec /usr/sbin/db --name=db --home="$${HOME_DIR}" $ARGS --last 'a b' '$x'""" == app["command"]
    assert "{ /bin/mkdir -p /run/db || true; } && /bin/chown root /run/db" == app["pre_start"]["command"]
    assert {"A": "b c", "D": "%i", "ARGS": "x"} == app["environment"]
    assert {"notify": "true"} == app["readiness"]
    assert {"failures": "5", "window": "5m"} == app["start_limit"]
    assert {"initial": "5m20s", "factor": "1", "max": "5m20s"} == app["backoff"]
    assert {"nofile": "1024:unlimited"} == app["rlimits"]
    expected = {
        "shell": "true", "working_dir": "/", "reload_signal": "HUP", "user": "root", "umask": "027", "memory_max": "1536M",
        "cpus": "1.5", "no_new_privileges": "true", "private_tmp": "true", "watchdog": "30s", "stop_signal": "INT",
        "stop_timeout": "3650d", "restart": "on-failure", "always_on": "true", "capabilities": {"drop": ["sys_ptrace"]},
    }  # fmt: skip
    assert expected == {key: app.get(key) for key in expected}
    for told in (
        "A data base",
        "After=network-online.target",
        "ConditionPathExists",
        "ProtectSystem=full",
        "StandardOutput",
    ):
        assert told in result.comments


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((), {"restart": "no", "stop_timeout": "1m30s", "working_dir": "/"}),
        (("Type=oneshot",), {"restart": "no", "always_on": "true"}),
        (("Type=notify-reload",), {"readiness": {"notify": "true"}, "reload_signal": "HUP"}),
        (("ExecReload=/bin/kill -s USR1 $MAINPID",), {"reload_signal": "USR1"}),
        (("ExecStop=/bin/kill $MAINPID",), {"stop_command": {"command": "/bin/kill $MAINPID", "timeout": "1m30s"}}),
        (("ExecStart=", "ExecStart=/bin/echo a ; /bin/echo b", "Type=oneshot"), {"command": "/bin/echo a && /bin/echo b"}),
        (("ExecStart=/bin/echo 'it''s' \"a\\tb\" \\x41 %%",), {"command": ["/bin/echo", "its", "a\tb", "A", "%"]}),
        (("ExecStart=:/bin/echo ${A} $B",), {"command": "/bin/echo $${A} $B"}),
        (("ExecStart=@/bin/sh sh -c 'echo $$0'",), {"command": ["/bin/sh", "-c", "echo $0"]}),
        (("Environment=A=1", "Environment=", "Environment=B=2"), {"environment": {"B": "2"}}),
        (("RestartSec=1", "RestartSteps=2", "RestartMaxDelaySec=4"), {"backoff": {"initial": "1s", "factor": "2.0", "max": "4s"}}),
        (("SuccessExitStatus=143 TEMPFAIL SIGKILL",), {"exit_codes": ["0", "143", "75", "KILL", "HUP", "INT", "TERM", "PIPE"]}),
        (("StartLimitInterval=0",), {"start_limit": {"failures": "1000000"}}),
        (("CapabilityBoundingSet=",), {"capabilities": None}),
        (("LimitNICE=+5", "LimitCORE=infinity", "LimitMEMLOCK=64M", "LimitRTTIME=200ms"),
         {"rlimits": {"nice": "15", "core": "unlimited", "memlock": "64M", "rttime": "200ms"}}),
        (("ProtectSystem=strict",), {"read_only": "true"}),
        (("ProtectSystem=strict", "StateDirectory=x"), {"read_only": None}),
        (("OOMScoreAdjust=500", "Nice=5"), {"oom_score_adj": "500", "nice": "5"}),
        (("TimeoutStartSec=infinity", "TimeoutStopSec=0"), {"start_timeout": "never", "stop_timeout": "3650d"}),
        (("TimeoutSec=3min",), {"start_timeout": "3m", "stop_timeout": "3m"}),
        (("StandardInput=file:/dev/null",), {"stdin": "/dev/null"}),
        (("StandardOutput=journal",), {"log": {"forward": "journald"}}),
        (("StandardOutput=syslog", "StandardError=inherit", "SyslogIdentifier=x"), {"log": {"forward": "syslog"}}),
        (("StandardOutput=append:/a", "StandardError=append:/b"), {"log": {"stderr": "separate"}}),
        (("StandardOutput=append:/a", "StandardError=append:/a"), {"log": None}),
        (("StandardOutput=null", "StandardError=journal"), {"log": {"forward": "journald"}}),
        (("PassEnvironment=HOME NOT_THERE",), {"environment": {"HOME": None}}),
    ],
)  # fmt: skip
def test_what_a_setting_becomes(tmp_path: Path, lines: tuple[str, ...], expected: dict[str, Any]) -> None:
    """Each setting has its word in Torpor."""
    app = imported(tmp_path, "x.service", service(*lines)).app("x")

    assert expected == {key: app.get(key) for key in expected}


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (("DynamicUser=yes",), "DynamicUser=yes: Torpor makes no users"),
        (("FooBar=1",), "FooBar=1: Torpor has no such setting"),
        (("[X-Mine]", "a=b"), "[X-Mine] a=b: Torpor has no such setting"),
        (("TasksMax=80%",), "TasksMax=80%: '80%' is not a whole number"),
        (("MemoryMax=50%",), "MemoryMax=50%: Torpor takes a size"),
        (("ExecStart=+/bin/true",), "`+` and `!` run it with more rights"),
        (("Environment=A=%b",), "Environment=A=%b: %b is known to systemd only"),
        (("EnvironmentFile=-/not/there",), "EnvironmentFile=-/not/there: does not exist here"),
        (
            ("ExecStopPost=/bin/sh -c 'echo $SERVICE_RESULT'",),
            "$SERVICE_RESULT is systemd's; post_stop finds",
        ),
        (
            ("StandardError=journal", "StandardOutput=null"),
            "it was stderr alone; here both streams are passed on",
        ),
        (("StandardOutput=journal+console",), "StandardOutput=journal+console: to journald it goes"),
        (("StandardOutput=append:/a",), "StandardOutput=append:/a: Torpor keeps it in logs/"),
        (("StandardOutput=socket",), "StandardOutput=socket: Torpor keeps output in its log"),
        (("SyslogIdentifier=y", "StandardOutput=journal"), "SyslogIdentifier=y: lines that"),
        (("LogRateLimitBurst=9",), "LogRateLimitBurst=9: Torpor keeps every line"),
        (
            ("ExecStartPre=/bin/a", "ExecStartPre=+/bin/b", "ExecStartPre=/bin/c"),
            "ExecStartPre=+/bin/b: `+` and `!` run it",
        ),
        (("KillMode=process",), "KillMode=process: Torpor ends all of an app's processes"),
        (("Nice=",), "Needs no setting: Nice="),
        (
            ("Restart=on-success",),
            "Restart=on-success: Torpor knows always, on-failure and no; always is nearest",
        ),
    ],
)
def test_what_is_told(tmp_path: Path, lines: tuple[str, ...], told: str) -> None:
    """What cannot be carried over is named with the reason."""
    assert told in imported(tmp_path, "x.service", service(*lines)).comments


def test_units_know_each_other(tmp_path: Path) -> None:
    """A requirement is a dependency; what is only an order, or nobody's, is told."""
    (tmp_path / "db.service").write_text(service("Type=notify"))
    (tmp_path / "migrate.service").write_text(service("Type=oneshot"))
    (tmp_path / "cache.service").write_text(service())
    (tmp_path / "mail.service").write_text(service())
    needs = "Requires=db.service migrate.service\nWants=cache.service gone.service\nAfter=db.service migrate.service mail.service network.target"
    others = ("db.service", "migrate.service", "cache.service", "mail.service")
    result = imported(tmp_path, "web.service", service(unit=needs), *others)

    assert {
        "db": "healthy", "migrate": "completed_successfully", "cache": {"condition": "started", "optional": "true"},
    } == result.app("web")["depends_on"]  # fmt: skip
    assert "always_on" not in result.app("migrate")
    for told in (
        "After=mail.service: order only",
        "After=network.target: not among",
        "Wants=gone.service: not among",
    ):
        assert told in result.comments


def test_drop_ins_have_the_last_word(tmp_path: Path) -> None:
    """`NAME.service.d/*.conf` is read in the order of names; an empty assignment takes away what was."""
    folder = tmp_path / "x.service.d"
    folder.mkdir()
    (folder / "10-a.conf").write_text("[Service]\nExecStart=\nExecStart=/bin/echo one\n")
    (folder / "20-b.conf").write_text("[Service]\nExecStart=\nExecStart=/bin/echo two\nNice=3\n")
    app = imported(tmp_path, "x.service", service("Nice=1")).app("x")

    assert ("/bin/echo two", "3") == (app["command"], app["nice"])


def test_drop_ins_of_several_units(tmp_path: Path) -> None:
    """Those for all services and for a common beginning are read too; the nearer one of a name counts."""
    for folder, name, line in (
        ("service.d", "10.conf", "Nice=1"),
        ("a-.service.d", "10.conf", "Nice=2"),
        ("a-b-.service.d", "20.conf", "UMask=077"),
        ("a-b.service.d", "30.conf", "UMask=027"),
        ("service.d", "90.conf", "OOMScoreAdjust=9"),
    ):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_text(f"[Service]\n{line}\n")
    app = imported(tmp_path, "a-b-c.service", service()).app("a-b-c")

    assert ("2", "077", "9") == (app["nice"], app["umask"], app["oom_score_adj"])


def test_an_instance_has_the_drop_ins_of_its_template(tmp_path: Path) -> None:
    """Its own count more."""
    for folder, line in (
        ("a-@.service.d", "Nice=1\nUMask=077"),
        ("a-b@.service.d", "Nice=2\nOOMScoreAdjust=9"),
        ("a-b@i.service.d", "Nice=3"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{folder}.conf").write_text(f"[Service]\n{line}\n")
    app = imported(tmp_path, "a-b@i.service", service()).app("a-b-i")

    assert ("3", "9", "077") == (app["nice"], app["oom_score_adj"], app["umask"])


def test_parts_of_a_target_are_a_group(tmp_path: Path) -> None:
    """It is a handle on all of them; what is part of a service is told."""
    result = imported(tmp_path, "x.service", service(unit="PartOf=shop.target"))
    assert "shop" == result.app("x")["member_of"]

    told = imported(tmp_path, "x.service", service(unit="PartOf=shop.target db.service"))
    assert "PartOf=shop.target db.service: Torpor knows no such relation" in told.comments


def test_templates_need_an_instance(tmp_path: Path) -> None:
    """An instance has its name filled in; a template alone is a comment."""
    text = service("ExecStart=/bin/echo %i %I %n")
    (tmp_path / "x@.service").write_text(text)
    result = imported(tmp_path, "x@a-b.service", text, "x@.service")

    assert {"x-a-b": "/bin/echo a-b a/b x@a-b.service"} == {
        name: result.app(name)["command"] for name in result.apps
    }
    assert "x@.service is a template; import a link to it named x@INSTANCE.service" in result.comments


def test_programs_that_fork_are_comments(tmp_path: Path) -> None:
    """Torpor would end what they leave behind."""
    result = imported(tmp_path, "x.service", service("Type=forking", "PIDFile=/run/x.pid"))

    assert [] == result.apps
    assert "Type=forking: the program leaves a daemon behind" in result.comments
    assert any("x comes out as a comment" in warning for warning in result.warnings)


def test_what_an_environment_file_says_wins(tmp_path: Path) -> None:
    """As in systemd, though in Torpor `environment` wins."""
    (tmp_path / "env").write_text("A=file\n")
    result = imported(
        tmp_path, "x.service", service("Environment=A=unit B=unit", f"EnvironmentFile={tmp_path}/env")
    )

    assert ({"B": "unit"}, str(tmp_path / "env")) == (
        result.app("x")["environment"],
        result.app("x")["env_file"],
    )
    assert "Environment=A=…" in result.comments


def test_a_directory_that_may_be_missing(tmp_path: Path) -> None:
    """Runs in / as systemd does, and says so."""
    result = imported(tmp_path, "x.service", service("WorkingDirectory=-/not/there"))

    assert "/" == result.app("x")["working_dir"]
    assert "WorkingDirectory=-/not/there: does not exist here" in result.comments


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_home_directory(tmp_path: Path) -> None:
    """`~` is that of the unit's user."""
    assert (
        "/root"
        == imported(tmp_path, "x.service", service("User=root", "WorkingDirectory=~")).app("x")["working_dir"]
    )


@pytest.mark.parametrize("text", ["[Unit]\n", "[Service\n", "a=b\n", "[Service]\nnonsense\n"])
def test_what_is_no_unit_is_refused(tmp_path: Path, text: str) -> None:
    """The message names the file."""
    with pytest.raises(CannotImport, match=r"x\.service:"):
        imported(tmp_path, "x.service", text, environ=HERE)
