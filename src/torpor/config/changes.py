"""What differs between two configurations, and what each difference means for an app that runs.

`SETTINGS` is the one table of it: for every setting of an app how it is taken over, and where
its value is found.  The reference page shows it; a test walks all declared settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from torpor.config.guests import CommandsSpec, ContainerSpec, GuestSpec, MachineKind, MachineSpec, UnitSpec
from torpor.config.settings import Identity, LogSpec, ProcessSpec, Settings, StderrLog
from torpor.core.model import AppSpec, IdleQuestion

Workload = TypeVar("Workload")


class Takes(StrEnum):
    """How a running app takes over a setting that has changed."""

    AT_ONCE = "at once"
    NEXT_START = "next start"
    """What runs goes on; its next start is by the new value."""
    RESTART = "restart"
    """What runs is stopped and started again; what sleeps is not touched."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How one setting is taken over."""

    takes: Takes
    value: Callable[[AppSpec], object]
    """What is compared."""
    told_as: str | None = None
    """The setting that is named in its place: both decide the same value."""


@dataclass(frozen=True, slots=True)
class AppChange:
    """What has changed of one app."""

    name: str
    settings: tuple[str, ...]
    takes: Takes
    """The most that one of its settings asks for."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The difference between two configurations.  Names are in the order of the newer one."""

    added: tuple[str, ...] = ()
    changed: tuple[AppChange, ...] = ()
    removed: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    """Settings that belong to no app: `gateway.listen` …"""

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed or self.settings)


def differences(old: Settings, new: Settings) -> Changes:
    """What has to be done to get from `old` to `new`."""
    before = {app.name: app for app in old.apps}
    after = {app.name: app for app in new.apps}
    changes = (app_change(before[name], app) for name, app in after.items() if name in before)
    return Changes(
        added=tuple(name for name in after if name not in before),
        changed=tuple(change for change in changes if change is not None),
        removed=tuple(name for name in before if name not in after),
        settings=tuple(name for name, value in _OF_NO_APP.items() if value(old) != value(new)),
    )


def app_change(old: AppSpec, new: AppSpec) -> AppChange | None:
    """What has changed of an app; None if nothing has."""
    if old == new:
        return None
    named: dict[str, Takes] = {}
    for name, setting in SETTINGS.items():
        if setting.value(old) != setting.value(new):
            named.setdefault(setting.told_as or name, setting.takes)
    takes = max(named.values(), key=_ORDER.index, default=Takes.RESTART)
    if old.listens != new.listens and not new.guest:
        takes = Takes.RESTART  # it is told its port when it is started
    elif _stderr(old) != _stderr(new) and takes is Takes.AT_ONCE:
        takes = Takes.NEXT_START  # what runs has the pipes that it was given
    return AppChange(new.name, tuple(named), takes)


_ORDER = (Takes.AT_ONCE, Takes.NEXT_START, Takes.RESTART)


def _workload(kind: type[Workload], value: Callable[[Workload], object]) -> Callable[[AppSpec], object]:
    """What is compared of workloads of that kind; None of any other."""

    def of(app: AppSpec) -> object:
        return value(app.workload) if isinstance(app.workload, kind) else None

    return of


def _process(value: Callable[[ProcessSpec], object]) -> Callable[[AppSpec], object]:
    return _workload(ProcessSpec, value)


def _machine(kind: MachineKind) -> Callable[[AppSpec], object]:
    return _workload(MachineSpec, lambda it: (it.name, it.host, it.node) if it.kind is kind else None)


def _log(app: AppSpec) -> LogSpec | None:
    return app.workload.log if isinstance(app.workload, ProcessSpec | GuestSpec) else None


def _stop_signal(app: AppSpec) -> int | None:
    return app.workload.stop_signal if isinstance(app.workload, ProcessSpec | GuestSpec) else None


def _port(app: AppSpec) -> int | None:
    return app.workload.port if isinstance(app.workload, GuestSpec) else app.port


def _address(app: AppSpec) -> str | None:
    return app.workload.address if isinstance(app.workload, GuestSpec) and app.socket is None else app.socket


def _commands(spec: CommandsSpec) -> object:
    hooks = (spec.start, spec.stop, spec.status, spec.kill, spec.pause, spec.resume, spec.ready)
    return hooks, spec.interval, spec.working_dir, spec.environment


def _stderr(app: AppSpec) -> StderrLog | None:
    log = _log(app)
    return None if log is None else log.stderr


def _identity(value: Callable[[Identity], object]) -> Callable[[AppSpec], object]:
    return _process(lambda process: None if process.identity is None else value(process.identity))


def _question(value: Callable[[IdleQuestion], object]) -> Callable[[AppSpec], object]:
    return lambda app: None if app.lifecycle.question is None else value(app.lifecycle.question)


SETTINGS: Mapping[str, Setting] = {
    # What it is.
    "member_of": Setting(Takes.AT_ONCE, lambda app: app.groups),
    "command": Setting(Takes.RESTART, _process(lambda it: it.command)),
    "container": Setting(Takes.RESTART, _workload(ContainerSpec, lambda it: (it.name, it.host, it.network))),
    "lxc": Setting(Takes.RESTART, _machine(MachineKind.LXC)),
    "vm": Setting(Takes.RESTART, _machine(MachineKind.QEMU)),
    "unit": Setting(Takes.RESTART, _workload(UnitSpec, lambda it: (it.name, it.host))),
    "commands": Setting(Takes.AT_ONCE, _workload(CommandsSpec, _commands)),
    "shell": Setting(Takes.RESTART, _process(lambda it: it.shell)),
    "working_dir": Setting(Takes.RESTART, _process(lambda it: it.working_dir)),
    "environment": Setting(Takes.RESTART, _process(lambda it: it.environment)),
    "env_file": Setting(Takes.RESTART, _process(lambda it: it.environment), told_as="environment"),
    "clean_env": Setting(Takes.RESTART, _process(lambda it: it.clean_env)),
    "stdin": Setting(Takes.RESTART, _process(lambda it: it.stdin)),
    "tty": Setting(Takes.RESTART, _process(lambda it: it.tty)),
    "pre_start": Setting(Takes.NEXT_START, _process(lambda it: it.hooks.pre_start)),
    "post_start": Setting(Takes.NEXT_START, _process(lambda it: it.hooks.post_start)),
    "pre_stop": Setting(Takes.AT_ONCE, _process(lambda it: it.hooks.pre_stop)),
    "post_stop": Setting(Takes.AT_ONCE, _process(lambda it: it.hooks.post_stop)),
    "stop_signal": Setting(Takes.AT_ONCE, _stop_signal),
    "stop_command": Setting(Takes.AT_ONCE, _process(lambda it: it.stop_command)),
    "reload_signal": Setting(Takes.AT_ONCE, _process(lambda it: it.reload_signal)),
    "reload_command": Setting(Takes.AT_ONCE, _process(lambda it: it.reload_command)),
    "resume_signal": Setting(Takes.AT_ONCE, _process(lambda it: it.resume_signal)),
    "log": Setting(Takes.AT_ONCE, _log),
    # As whom it runs, and with what: all of it is given to a process when it is born.
    "user": Setting(Takes.RESTART, _identity(lambda it: (it.uid, it.name, it.home, it.shell))),
    "group": Setting(Takes.RESTART, _identity(lambda it: it.gid)),
    "groups": Setting(Takes.RESTART, _identity(lambda it: it.groups)),
    "umask": Setting(Takes.RESTART, _process(lambda it: it.attributes.umask)),
    "nice": Setting(Takes.RESTART, _process(lambda it: it.attributes.nice)),
    "oom_score_adj": Setting(Takes.RESTART, _process(lambda it: it.attributes.oom_score_adj)),
    "rlimits": Setting(Takes.RESTART, _process(lambda it: it.attributes.rlimits)),
    "memory_max": Setting(Takes.RESTART, _process(lambda it: it.resources.memory_max)),
    "cpus": Setting(Takes.RESTART, _process(lambda it: it.resources.cpus)),
    "pids_max": Setting(Takes.RESTART, _process(lambda it: it.resources.pids_max)),
    "no_new_privileges": Setting(Takes.RESTART, _process(lambda it: it.sandbox.no_new_privileges)),
    "capabilities": Setting(Takes.RESTART, _process(lambda it: it.sandbox.drop_capabilities)),
    "read_only": Setting(Takes.RESTART, _process(lambda it: it.sandbox.read_only)),
    "private_tmp": Setting(Takes.RESTART, _process(lambda it: it.sandbox.private_tmp)),
    # How requests reach it.
    "routes": Setting(Takes.AT_ONCE, lambda app: (app.routes, app.streams)),
    "port": Setting(Takes.RESTART, _port),
    "address": Setting(Takes.RESTART, _address),
    "activation": Setting(Takes.RESTART, lambda app: app.activation),
    "idle_timeout": Setting(Takes.AT_ONCE, lambda app: app.lifecycle.idle_timeout),
    "sleep": Setting(Takes.AT_ONCE, lambda app: (app.lifecycle.tier, app.lifecycle.deeper)),
    "wake_timeout": Setting(Takes.AT_ONCE, lambda app: app.lifecycle.wake_timeout),
    "drain_timeout": Setting(Takes.AT_ONCE, lambda app: app.lifecycle.drain_timeout),
    "loading_page": Setting(Takes.AT_ONCE, lambda app: app.loading_page),
    "wake_on": Setting(Takes.AT_ONCE, lambda app: app.wake_on),
    "wake_paths": Setting(Takes.AT_ONCE, lambda app: app.wake_paths),
    "ignore_bots": Setting(Takes.AT_ONCE, lambda app: app.ignore_bots),
    "rules": Setting(Takes.AT_ONCE, lambda app: app.rules),
    "min_bytes": Setting(Takes.AT_ONCE, lambda app: app.lifecycle.min_bytes),
    "websocket": Setting(Takes.AT_ONCE, lambda app: app.websocket),
    "websocket_activity": Setting(Takes.AT_ONCE, lambda app: app.websocket, told_as="websocket"),
    "stream_activity": Setting(Takes.AT_ONCE, lambda app: app.stream_activity),
    "stream_max_age": Setting(Takes.AT_ONCE, lambda app: app.stream_max_age),
    "max_waiting": Setting(Takes.AT_ONCE, lambda app: app.lifecycle.max_waiting),
    # What keeps it awake.
    "min_uptime": Setting(Takes.AT_ONCE, lambda app: app.lifecycle.min_uptime),
    "cpu_below": Setting(Takes.AT_ONCE, _question(lambda it: it.cpu_below)),
    "cpu_window": Setting(Takes.AT_ONCE, _question(lambda it: it.cpu_window)),
    "keep_awake_if": Setting(Takes.AT_ONCE, _question(lambda it: (it.probe, it.timeout))),
    "schedule": Setting(Takes.AT_ONCE, lambda app: app.schedule),
    # How it is kept running.
    "always_on": Setting(Takes.AT_ONCE, lambda app: app.lifecycle.always_on),
    "replicas": Setting(Takes.AT_ONCE, lambda app: app.replicas),
    "depends_on": Setting(Takes.AT_ONCE, lambda app: app.depends_on),
    "companions": Setting(Takes.AT_ONCE, lambda app: app.companions),
    "readiness": Setting(Takes.NEXT_START, lambda app: app.readiness),
    "start_timeout": Setting(Takes.NEXT_START, lambda app: app.lifecycle.start_timeout),
    "on_start_timeout": Setting(Takes.AT_ONCE, lambda app: app.lifecycle.on_start_timeout),
    "stop_timeout": Setting(Takes.AT_ONCE, lambda app: app.lifecycle.stop_timeout),
    "liveness": Setting(Takes.AT_ONCE, lambda app: app.liveness),
    # The program reads from its environment how often it must speak.
    "watchdog": Setting(Takes.RESTART, lambda app: app.lifecycle.watchdog),
    "on_watchdog": Setting(Takes.AT_ONCE, lambda app: app.lifecycle.on_watchdog),
    "notify": Setting(Takes.RESTART, _process(lambda it: it.notify)),
    "restart": Setting(Takes.AT_ONCE, lambda app: app.lifecycle.restart),
    "exit_codes": Setting(Takes.AT_ONCE, lambda app: app.lifecycle.exit_codes),
    "backoff": Setting(Takes.AT_ONCE, lambda app: app.lifecycle.backoff),
    "start_limit": Setting(Takes.AT_ONCE, lambda app: app.lifecycle.start_limit),
    "on_external_start": Setting(Takes.AT_ONCE, lambda app: app.lifecycle.on_external_start),
    "respect_manual_stop": Setting(Takes.AT_ONCE, lambda app: app.lifecycle.respect_manual_stop),
    "stable_after": Setting(Takes.AT_ONCE, lambda app: app.lifecycle.stable_after),
    # What it takes of what all share.
    "priority": Setting(Takes.AT_ONCE, lambda app: app.share.priority),
    "evict_busy": Setting(Takes.AT_ONCE, lambda app: app.share.evict_busy),
    "memory": Setting(Takes.AT_ONCE, lambda app: app.share.memory),
    "uses": Setting(Takes.AT_ONCE, lambda app: app.share.uses),
}
"""Every setting of an app."""

_OF_NO_APP: Mapping[str, Callable[[Settings], object]] = {
    "gateway.listen": lambda it: it.gateway.listen,
    "gateway.trusted_proxies": lambda it: it.gateway.trusted_proxies,
    "gateway.limits": lambda it: it.gateway.limits,
    "tracking_dir": lambda it: it.tracking_dir,
    "memory": lambda it: it.sharing.memory,
    "budgets": lambda it: it.sharing.budgets,
    "engines": lambda it: it.hosts.engines,
    "proxmox": lambda it: it.hosts.proxmox,
    "allow_reboot": lambda it: it.allow_reboot,
    "reboot_command": lambda it: it.reboot_command,
}
