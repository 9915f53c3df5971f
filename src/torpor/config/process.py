"""The process that an app is: its program, its rights and limits, and the commands around its life."""

from __future__ import annotations

import math
import os
import resource
import signal
from pathlib import Path
from types import MappingProxyType
from typing import Any

from msgspec import UNSET

from torpor.config.command import build_command, build_hook
from torpor.config.identity import build_identity
from torpor.config.layers import Layers
from torpor.config.logs import build_log
from torpor.config.problems import near_miss
from torpor.config.settings import Attributes, Hooks, ProcessSpec, Resources, Sandbox
from torpor.config.variables import build_environment
from torpor.core.model import Lifecycle, NotifyProbe, Readiness

CAPABILITIES = frozenset(
    [
        "audit_control",
        "audit_read",
        "audit_write",
        "block_suspend",
        "bpf",
        "checkpoint_restore",
        "chown",
        "dac_override",
        "dac_read_search",
        "fowner",
        "fsetid",
        "ipc_lock",
        "ipc_owner",
        "kill",
        "lease",
        "linux_immutable",
        "mac_admin",
        "mac_override",
        "mknod",
        "net_admin",
        "net_bind_service",
        "net_broadcast",
        "net_raw",
        "perfmon",
        "setfcap",
        "setgid",
        "setpcap",
        "setuid",
        "sys_admin",
        "sys_boot",
        "sys_chroot",
        "sys_module",
        "sys_nice",
        "sys_pacct",
        "sys_ptrace",
        "sys_rawio",
        "sys_resource",
        "sys_time",
        "sys_tty_config",
        "syslog",
        "wake_alarm",
    ]
)
ALL = "all"
_UNHANDLED = frozenset({signal.SIGKILL, signal.SIGSTOP})
_MICROSECONDS = 1_000_000
_DEFAULT = ProcessSpec((), Path())
"""Its parts are shared by all apps that say nothing of them."""


def build_process(keys: Layers, lifecycle: Lifecycle, readiness: Readiness) -> ProcessSpec:
    """The app's process.  What is wrong goes to the problems."""
    reload_signal = keys.get("reload_signal", None)
    reload_command = build_hook(keys, "reload_command")
    resume_signal = keys.get("resume_signal", None)
    if resume_signal is not None and int(resume_signal) in _UNHANDLED:
        keys.report(
            "resume_signal", "is one that no program can handle; name one for which the app has a handler"
        )
    if reload_signal is not None and reload_command is not None:
        keys.report("reload_command", "says how to reload, and so does `reload_signal`; write one of them")
    return ProcessSpec(
        command=build_command(keys),
        working_dir=_working_dir(keys),
        shell=keys.get("shell", False),
        environment=MappingProxyType(build_environment(keys)),
        clean_env=keys.get("clean_env", False),
        stdin=_stdin(keys),
        tty=keys.get("tty", False),
        stop_signal=int(keys.get("stop_signal", signal.SIGTERM)),
        stop_command=build_hook(keys, "stop_command"),
        reload_signal=None if reload_signal is None else int(reload_signal),
        reload_command=reload_command,
        resume_signal=None if resume_signal is None else int(resume_signal),
        hooks=_hooks(keys),
        identity=build_identity(keys),
        attributes=_attributes(keys),
        resources=_resources(keys),
        sandbox=_sandbox(keys),
        notify=_notify(keys, lifecycle, readiness),
        log=build_log(keys),
    )


def _working_dir(keys: Layers) -> Path:
    layer = keys.find("working_dir")
    path = (layer or keys.own).absolute(keys.get("working_dir", "."))
    if layer is not None and not _is_dir(path):
        keys.report("working_dir", f"there is no such directory: {path}")
    return Path(path)


def _stdin(keys: Layers) -> Path | None:
    layer, value = keys.find("stdin"), keys.get("stdin", None)
    if layer is None or value is None:
        return None
    path = layer.absolute(value)
    complaint = None
    if keys.get("tty", False):
        complaint = "is a file, but with `tty` the app reads from its terminal; write one of them"
    elif _is_dir(path):
        complaint = f"is a directory: {path}"
    elif not _may_read(path):
        complaint = f"cannot be read: {path}"
    if complaint is not None:
        keys.report("stdin", complaint)
    return Path(path)


def _hooks(keys: Layers) -> Hooks:
    hooks = [build_hook(keys, key) for key in ("pre_start", "post_start", "pre_stop", "post_stop")]
    return Hooks(*hooks) if any(hooks) else _DEFAULT.hooks


def _attributes(keys: Layers) -> Attributes:
    umask, nice, oom = (keys.get(key, None) for key in ("umask", "nice", "oom_score_adj"))
    if os.geteuid() != 0:
        if nice is not None and nice < (first := _first_priority()):
            keys.report(
                "nice", f"only root may give a priority above its own; {first} is the first for Torpor"
            )
        if oom is not None and oom < (own := _oom_score()):
            keys.report("oom_score_adj", f"only root may go below Torpor's own value, {own}")
    rlimits = MappingProxyType(_rlimits(keys))
    found = Attributes(None if umask is None else int(umask), nice, oom, rlimits)
    return _DEFAULT.attributes if found == _DEFAULT.attributes else found


def _first_priority() -> int:
    """How far ahead a process may go without root: its own place, or what its rlimit `nice` says."""
    return min(os.getpriority(os.PRIO_PROCESS, 0), 20 - resource.getrlimit(resource.RLIMIT_NICE)[0])


def _oom_score() -> int:
    return int(Path("/proc/self/oom_score_adj").read_text(encoding="ascii"))


def _rlimits(keys: Layers) -> dict[str, tuple[int | None, int | None]]:
    value = keys.get("rlimits", None)
    found: dict[str, tuple[int | None, int | None]] = {}
    if value is None:
        return found
    for field in value.__struct_fields__:
        pair, name = getattr(value, field), field.rstrip("_")
        if pair is UNSET:
            continue
        unit = _MICROSECONDS if name == "rttime" else 1
        soft, hard = (None if limit is None else _whole(limit * unit) for limit in pair)
        most = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))[1]
        if os.geteuid() != 0 and most != resource.RLIM_INFINITY and (hard is None or hard > most):
            keys.report("rlimits", f"only root may go beyond Torpor's own hard limit, {most}", name)
        found[name] = (soft, hard)
    return found


def _whole(amount: float) -> int:
    """The next whole number: half a second on the processor must not become none at all."""
    return math.ceil(round(amount, 3))


def _resources(keys: Layers) -> Resources:
    memory = keys.get("memory_max", None)
    found = Resources(
        memory_max=None if memory is None else int(memory),
        cpus=keys.get("cpus", None),
        pids_max=keys.get("pids_max", None),
    )
    return _DEFAULT.resources if found == _DEFAULT.resources else found


def _sandbox(keys: Layers) -> Sandbox:
    found = Sandbox(
        no_new_privileges=keys.get("no_new_privileges", False),
        drop_capabilities=_dropped(keys, keys.get("capabilities", None)),
        read_only=keys.get("read_only", False),
        private_tmp=keys.get("private_tmp", False),
    )
    return _DEFAULT.sandbox if found == _DEFAULT.sandbox else found


def _dropped(keys: Layers, value: Any) -> tuple[str, ...]:
    if value is None or value.drop is UNSET:
        return ()
    found: set[str] = set()
    for position, item in enumerate(value.drop if isinstance(value.drop, list) else [value.drop]):
        name = item.lower().removeprefix("cap_")
        if name not in CAPABILITIES | {ALL}:
            inner = (position,) if isinstance(value.drop, list) else ()
            guess = near_miss(name, CAPABILITIES)
            keys.report("capabilities", f"'{item}' is no capability", "drop", *inner, suggestion=guess)
        found.add(name)
    return (ALL,) if ALL in found else tuple(sorted(found))


def _notify(keys: Layers, lifecycle: Lifecycle, readiness: Readiness) -> bool:
    """Whether the app gets a socket to notify us with."""
    needed = [key for key, needs in _notifying(lifecycle, readiness).items() if needs]
    named = keys.get("notify", None)
    if named is False and needed:
        keys.report(
            "notify", f"is false, but `{needed[0]}` needs the app's notifications; remove one of them"
        )
    return bool(needed or named)


def _notifying(lifecycle: Lifecycle, readiness: Readiness) -> dict[str, bool]:
    return {
        "readiness": any(isinstance(probe, NotifyProbe) for probe in readiness.probes),
        "watchdog": lifecycle.watchdog is not None,
    }


def _is_dir(path: str) -> bool:
    try:
        return os.path.isdir(path)
    except ValueError:  # a NUL character
        return False


def _may_read(path: str) -> bool:
    try:
        return os.access(path, os.R_OK)
    except ValueError:  # a NUL character
        return False
