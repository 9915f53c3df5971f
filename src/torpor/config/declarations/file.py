"""A whole configuration file, and what neighbours call its keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import UNSET, UnsetType

from torpor.config.declarations.gateway import Gateway
from torpor.config.declarations.guests import Engine, Proxmox
from torpor.config.declarations.keys import Keys, about
from torpor.config.declarations.sharing import Budget, Memory, Shared
from torpor.config.settings import Settings

_SETTINGS = Settings(Path())


class App(Shared, frozen=True):
    """One app."""


class File(Keys, frozen=True):
    """A configuration file.  Top-level keys that begin with `x-` are ignored."""

    gateway: Annotated[Gateway, about("The front door. Only in the main file.")] | UnsetType = UNSET
    include: (
        Annotated[
            str | list[str],
            about(
                "Further files, as paths or globs relative to this file. Their `defaults` hold for their own apps and "
                "win over this file's.",
                "apps/*.yaml",
            ),
        ]
        | UnsetType
    ) = UNSET
    defaults: (
        Annotated[
            App, about("Any key of an app, for all apps that do not say otherwise.", {"idle_timeout": "15m"})
        ]
        | UnsetType
    ) = UNSET
    apps: (
        Annotated[
            dict[str, App],
            about(
                "The apps by name.",
                {"web": {"command": "python -m http.server $PORT", "routes": "web.localhost"}},
            ),
        ]
        | UnsetType
    ) = UNSET
    engines: (
        Annotated[
            dict[str, Engine],
            about(
                "Engines with containers, by the names that apps use. Only in the main file.",
                {"docker": {"discover": True}, "attic": {"url": "tcp://10.0.0.2:2376", "tls": {}}},
            ),
        ]
        | UnsetType
    ) = UNSET
    proxmox: (
        Annotated[
            dict[str, Proxmox],
            about(
                "Proxmox VE clusters, by the names that apps use. Only in the main file.",
                {"pve": {"url": "https://pve1.lan:8006", "token_file": "/etc/torpor/pve-token"}},
            ),
        ]
        | UnsetType
    ) = UNSET
    tracking_dir: (
        Annotated[
            str,
            about(
                "A directory, made if it is missing, in which a file with an app's name is touched to tell that the app is "
                "used: for traffic that does not pass the gateway. Only in the main file.",
                "/run/torpor/track",
            ),
        ]
        | UnsetType
    ) = UNSET
    memory: (
        Annotated[Memory, about("How memory is shared. Only in the main file.", {"keep_free": "10%"})]
        | UnsetType
    ) = UNSET
    budgets: (
        Annotated[
            dict[str, str | int | Budget],
            about(
                "What awake apps use up: sizes or plain numbers by name. Only in the main file.",
                {"gpu0": "24GB", "slots": 2},
            ),
        ]
        | UnsetType
    ) = UNSET
    allow_reboot: (
        Annotated[
            bool,
            about(
                "Whether an app may reboot the machine (`on_start_timeout`, `on_watchdog`). Only in the main file.",
                True,
                False,
            ),
        ]
        | UnsetType
    ) = UNSET
    reboot_command: (
        Annotated[
            str | list[str],
            about(
                "The command that reboots. Only in the main file.",
                "shutdown -r now",
                " ".join(_SETTINGS.reboot_command),
            ),
        ]
        | UnsetType
    ) = UNSET


SYNONYMS = {
    "cmd": "command",
    "exec": "command",
    "env": "environment",
    "env_vars": "environment",
    "cwd": "working_dir",
    "dir": "working_dir",
    "directory": "working_dir",
    "workdir": "working_dir",
    "host": "routes",
    "hosts": "routes",
    "domain": "routes",
    "domains": "routes",
    "healthcheck": "readiness",
    "health": "readiness",
    "idle": "idle_timeout",
    "ttl": "idle_timeout",
    "autostart": "always_on",
    "after": "depends_on",
    "needs": "depends_on",
    "requires": "depends_on",
    "wants": "depends_on",
    "instances": "replicas",
    "numprocs": "replicas",
    "scale": "replicas",
    "kill_timeout_s": "stop_timeout",
    "exitcodes": "exit_codes",
    "success_exit_status": "exit_codes",
    "failure_action": "on_start_timeout",
    "heartbeat_timeout": "watchdog",
    "watchdog_sec": "watchdog",
    "mem_limit": "memory_max",
    "cpu": "cpus",
    "pids_limit": "pids_max",
    "tasks_max": "pids_max",
    "ulimits": "rlimits",
    "limits": "rlimits",
    "cap_drop": "capabilities",
    "group_add": "groups",
    "supplementary_groups": "groups",
    "services": "apps",
    "programs": "apps",
    "bind": "listen",
    "address": "listen",
}
"""What neighbours call a key.  A guess is made only where the key exists."""
