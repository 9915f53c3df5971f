"""Whatever an entry says, known or unknown, right or wrong: it is in the app, or named in a comment."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importers.imports import Result, imported
from torpor.config.document import plain_value

WORDS = st.sampled_from(
    [
        "",
        "x",
        "true",
        "false",
        "0",
        "1",
        "5",
        "-1",
        "10s",
        "64M",
        "a b",
        "$X ${Y} %% 'q",
        "0,1",
        "TERM",
        "/",
        "é\u2028\x07",
    ]
)
"""Values that fit some settings, and no others."""
UNKNOWN = st.from_regex(r"zz[a-z]{2,8}", fullmatch=True)

# By setting the keys of the app, any of which may hold it.
SUPERVISORD = {
    "directory": "working_dir", "autostart": "always_on command", "autorestart": "restart", "exitcodes": "exit_codes",
    "startsecs": "readiness", "startretries": "start_limit", "stopsignal": "stop_signal", "stopwaitsecs": "stop_timeout",
    "umask": "umask", "environment": "environment", "numprocs": "replicas", "stdout_logfile_maxbytes": "log",
    "stdout_logfile_backups": "log", "stdout_logfile": "", "stderr_logfile": "", "redirect_stderr": "log", "priority": "",
    "process_name": "", "numprocs_start": "", "stopasgroup": "", "killasgroup": "", "serverurl": "", "stdout_syslog": "log",
    "stdout_events_enabled": "", "stderr_capture_maxbytes": "",
}  # fmt: skip
PM_TINY = {
    "cwd": "working_dir", "env_vars": "environment", "kill_timeout_s": "stop_timeout", "depends_on": "depends_on",
    "start_timeout": "start_timeout", "failure_action": "on_start_timeout on_watchdog", "daemon": "restart",
    "heartbeat_timeout": "watchdog", "oom_score_adj": "oom_score_adj", "pty": "tty", "log_mode": "log", "log_dir": "",
    "log_max_size_kb": "log", "log_archive_count": "log", "restart_delay_ms": "backoff", "restart_max_delay_ms": "backoff",
    "restart_window_ms": "start_limit", "restart_max_attempts": "start_limit", "restart_reset_after_ms": "stable_after",
}  # fmt: skip
PM2 = {
    "cwd": "working_dir", "args": "command", "node_args": "command", "interpreter": "command", "instances": "replicas",
    "exec_mode": "", "env": "environment", "env_production": "", "autorestart": "restart", "autostart": "always_on command",
    "stop_exit_codes": "exit_codes", "restart_delay": "backoff", "exp_backoff_restart_delay": "backoff",
    "min_uptime": "stable_after", "max_restarts": "start_limit", "max_memory_restart": "memory_max",
    "kill_timeout": "stop_timeout", "kill_signal": "stop_signal", "instance_var": "environment", "watch": "", "time": "log",
    "log_date_format": "log", "out_file": "", "merge_logs": "",
    "cron_restart": "", "wait_ready": "", "listen_timeout": "", "error_file": "", "namespace": "member_of", "treekill": "",
}  # fmt: skip
SYSTEMD = {
    "Type": "readiness restart", "ExecStartPre": "pre_start", "ExecStartPost": "post_start", "ExecStop": "stop_command",
    "ExecStopPost": "post_stop", "ExecReload": "reload_command", "Restart": "restart", "RestartSec": "backoff",
    "RestartSteps": "backoff", "RestartMaxDelaySec": "backoff", "SuccessExitStatus": "exit_codes", "Nice": "nice",
    "RestartPreventExitStatus": "exit_codes", "StartLimitBurst": "start_limit", "StartLimitIntervalSec": "start_limit",
    "TimeoutStartSec": "start_timeout", "TimeoutStopSec": "stop_timeout", "WatchdogSec": "watchdog", "KillMode": "",
    "KillSignal": "stop_signal", "WorkingDirectory": "working_dir", "Environment": "environment", "EnvironmentFile": "env_file",
    "UMask": "umask", "LimitCORE": "rlimits", "LimitCPU": "rlimits", "MemoryMax": "memory_max", "CPUQuota": "cpus",
    "TasksMax": "pids_max", "PrivateTmp": "private_tmp", "NoNewPrivileges": "no_new_privileges", "ProtectSystem": "read_only",
    "CapabilityBoundingSet": "capabilities", "Requires": "", "After": "", "Wants": "", "DynamicUser": "", "StandardOutput": "log",
    "StandardError": "log", "SyslogIdentifier": "", "PartOf": "member_of",
    "StandardInput": "stdin tty", "Description": "", "WantedBy": "", "RuntimeMaxSec": "", "ConditionPathExists": "",
}  # fmt: skip
COMPOSE = {
    "image": "", "build": "working_dir", "entrypoint": "command", "environment": "environment", "env_file": "env_file",
    "working_dir": "", "depends_on": "depends_on", "healthcheck": "readiness", "restart": "restart", "ports": "port",
    "deploy": "", "scale": "replicas", "stop_signal": "stop_signal", "stop_grace_period": "stop_timeout", "profiles": "",
    "ulimits": "rlimits", "mem_limit": "memory_max", "cpus": "cpus", "pids_limit": "pids_max", "cap_drop": "capabilities",
    "cap_add": "", "security_opt": "no_new_privileges", "read_only": "read_only", "tty": "tty", "init": "", "volumes": "",
    "networks": "", "oom_score_adj": "oom_score_adj", "logging": "log", "container_name": "", "privileged": "",
}  # fmt: skip

LAUNCHER = {
    "value": "priority", "always_on": "always_on", "enabled": "", "idle_timeout": "", "label": "",
}  # fmt: skip


def ini(said: dict[str, str]) -> tuple[str, str]:
    """A supervisord.conf that says this."""
    return "supervisord.conf", "[program:x]\ncommand=/bin/true\n" + "".join(
        f"{k}={v}\n" for k, v in said.items()
    )


def unit(said: dict[str, str]) -> tuple[str, str]:
    """A unit that says this."""
    return "x.service", "[Service]\nExecStart=/bin/true\n" + "".join(f"{k}={v}\n" for k, v in said.items())


def pm_tiny(said: dict[str, str]) -> tuple[str, str]:
    """A prog.yaml that says this."""
    return "prog.yaml", json.dumps([{"name": "x", "command": "/bin/true", **said}], ensure_ascii=True)


def pm2(said: dict[str, str]) -> tuple[str, str]:
    """An ecosystem file that says this."""
    return "ecosystem.json", json.dumps({"apps": [{"name": "x", "script": "/bin/true", **said}]})


def compose(said: dict[str, str]) -> tuple[str, str]:
    """A Compose file that says this."""
    return "compose.yaml", json.dumps({"services": {"x": {"command": "/bin/true", **said}}})


def launcher(said: dict[str, str]) -> tuple[str, str]:
    """A file of the Streamlit launcher with an app that says this."""
    lines = [f'\toption {name} "{_uci_text(value)}"\n' for name, value in said.items()]
    return "streamlit-launcher", "config global\nconfig priority\n\toption app x\n" + "".join(lines)


def _uci_text(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


@pytest.mark.slow
@pytest.mark.parametrize(
    ("write", "known"),
    [
        (ini, SUPERVISORD),
        (unit, SYSTEMD),
        (pm_tiny, PM_TINY),
        (pm2, PM2),
        (compose, COMPOSE),
        (launcher, LAUNCHER),
    ],
    ids=["supervisord", "systemd", "pm_tiny", "pm2", "compose", "streamlit-launcher"],
)
@settings(max_examples=60)
@given(data=st.data())
def test_every_setting_is_carried_or_told(
    write: Callable[[dict[str, str]], tuple[str, str]], known: dict[str, str], data: st.DataObject
) -> None:
    """For any settings with any values: what comes out is valid, and each name is in it, or its key is."""
    names = st.one_of(st.sampled_from(sorted(known)), UNKNOWN)
    plain = (
        WORDS.map(lambda text: "".join(c for c in text if c.isprintable()))
        if write in {ini, unit, launcher}
        else WORDS
    )
    said = data.draw(st.dictionaries(names, plain, max_size=12))
    # These would have to exist; other tests are about them.
    said = {name: value for name, value in said.items() if not _names_a_place(name, value)}
    with tempfile.TemporaryDirectory() as folder:
        try:
            result = imported(Path(folder), *write(said))
        except Exception as error:
            if "numprocs" in str(error):  # a file that supervisord itself refuses
                return
            raise

    assert [] == [name for name in said if not told(name, known.get(name, ""), result)]


def _names_a_place(name: str, value: str) -> bool:
    directories, files = (
        {"cwd", "directory", "WorkingDirectory", "build"},
        {"env_file", "EnvironmentFile", "StandardInput"},
    )
    return name in files or (name in directories and value != "/")


def told(name: str, keys: str, result: Result) -> bool:
    """Whether a comment names it, or one of its keys is there."""
    if re.search(rf"(?<!\w){name}(?!\w)", result.comments):
        return True
    app = next(iter((result.file["apps"] or {}).values()), None)
    # An entry that is no app yet has its settings in comments.
    return any(f" {key}: " in result.comments if app is None else key in app for key in keys.split())


SCALARS = st.one_of(
    st.text(max_size=40), st.text("$ {}:-#'\"\\\n,[]&*!|>%@`0x1e.", max_size=20), st.integers().map(str)
)


@settings(max_examples=200)
@given(text=SCALARS)
def test_text_comes_back_as_it_was(text: str) -> None:
    """Whatever an argument or a variable holds, the loader gives it back."""
    text = "".join(c for c in text if c not in "\0\ufeff" and not 0xD800 <= ord(c) < 0xE000)
    said: dict[str, Any] = {"args": ["--", text], "env": {"V": text}}
    with tempfile.TemporaryDirectory() as folder:
        name, content = pm2(said)
        result = imported(Path(folder), name, content)

    workload: Any = result.settings.apps[0].workload
    assert ("/bin/true", "--", text) == workload.command
    assert text == workload.environment["V"]


@settings(max_examples=100)
@given(text=st.text("0123456789abcdefxo.-+_~nulltrue ", max_size=12))
def test_plain_text_is_no_number(text: str) -> None:
    """What looks like something else to YAML is quoted."""
    from torpor.importers.emit import scalar

    written = scalar(text)

    assert written.startswith('"') or isinstance(plain_value(written), str)
