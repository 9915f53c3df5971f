"""What an app is: a process, or one of the kinds that others made, and which settings mean something for which."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from msgspec import UNSET

from torpor.config.command import hook_of
from torpor.config.declarations import Guests, Privileges, Program
from torpor.config.front import HOST
from torpor.config.guests import (
    POLL_INTERVAL,
    CommandsSpec,
    ContainerSpec,
    GuestSpec,
    MachineKind,
    MachineSpec,
    UnitSpec,
)
from torpor.config.hosts import DOCKER
from torpor.config.layers import Layers, given
from torpor.config.listening import UNIX
from torpor.config.logs import build_log
from torpor.config.problems import near_miss
from torpor.config.settings import Hook
from torpor.config.variables import build_environment

_CONTAINER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}")
_MANAGERS = ("system", "user")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of app."""

    noun: str
    build: Callable[[Layers, dict[str, Any]], GuestSpec | None]
    """From the keys, and what all guests have."""
    takes: frozenset[str] = frozenset()
    """Keys that it takes beside those that every app has."""


_FOR_ALL = frozenset({"member_of", "log"})
_OF_PROCESSES = (
    {*Program.__struct_fields__} - _FOR_ALL
    | {*Privileges.__struct_fields__} - {*Guests.__struct_fields__}
    | {"watchdog", "on_watchdog", "notify", "replicas", "activation"}
)
"""Keys that say how a process is started, and mean nothing for what others made."""
_OF_GUESTS = ("on_external_start", "respect_manual_stop")


def guest_kind(keys: Layers) -> str | None:
    """The key that says what others made it to be; None: it is a process, or nobody says what it is."""
    first, *_ = _saying_what_it_is(keys) or ["command"]
    return None if first == "command" else first


def check_kind(keys: Layers) -> None:
    """Report what says once more what the app is."""
    first, *others = _saying_what_it_is(keys) or ["command"]
    for other in others:
        keys.report(other, f"says what the app is, and so does `{first}`; write one of them")


def build_guest(keys: Layers, key: str, port: int | None, socket: str | None) -> GuestSpec | None:
    """What others made, reached at a port or a Unix socket.  None after a report."""
    kind, own = KINDS[key], keys.own.keys
    for name in sorted(_OF_PROCESSES - kind.takes):
        if getattr(own, name) is not UNSET:
            keys.report(name, f"is for processes; the app is {kind.noun}", at_key=True)
    stop_signal = keys.get("stop_signal", None) if "stop_signal" in kind.takes else None
    common = {
        "address": None if socket is not None else _address(keys),
        "socket": socket,
        "port": port,
        "stop_signal": None if stop_signal is None else int(stop_signal),
        "log": build_log(keys),
    }
    return None if keys.broken(key) else kind.build(keys, common)


def refuse_guest_keys(keys: Layers) -> None:
    """Report what means nothing for a process."""
    for name in _OF_GUESTS:
        if getattr(keys.own.keys, name) is not UNSET:
            keys.report(name, "is for what others made; the app is a process of Torpor's", at_key=True)
    value = keys.get("address", UNIX)
    if not value.startswith(UNIX):
        text = f"'{value}': a program of Torpor's listens on 127.0.0.1; unix:./app.sock names a Unix socket instead"
        keys.report("address", text)


def _saying_what_it_is(keys: Layers) -> list[str]:
    """The keys that do so in the first layer in which any does."""
    for layer in keys.layers:
        named = [
            key for key in ("command", *KINDS) if getattr(layer.keys, key) is not UNSET or layer.refused(key)
        ]
        if named:
            return named
    return []


def _address(keys: Layers) -> str | None:
    value = keys.get("address", None)
    if value is not None and value.startswith(UNIX):
        return None  # it could not be read, and was reported
    if value is not None and not HOST.fullmatch(value.strip("[]").replace(":", ".")):
        keys.report("address", f"'{value}' is not a host name or address; the port is a key of its own")
    return None if value is None else value.strip("[]")


def _container(keys: Layers, common: dict[str, Any]) -> GuestSpec | None:
    value = keys.get("container", None)
    plain = isinstance(value, str)
    name = value if plain else value.name
    engine = DOCKER if plain else given(value.engine, DOCKER)
    inner = () if plain else ("name",)
    if not _CONTAINER.fullmatch(name):
        keys.report("container", f"'{name}' is no name of a container", *inner)
    if engine not in keys.hosts.engines:
        guess = near_miss(engine, keys.hosts.engines)
        message = f"there is no engine '{engine}'; `engines` at the top of the main file names them"
        keys.report("container", message, "engine", suggestion=guess)
    network = None if plain else given(value.network, None)
    return ContainerSpec(name=name, host=engine, network=network, **common)


def _machine(key: str, kind: MachineKind) -> Callable[[Layers, dict[str, Any]], GuestSpec | None]:
    def build(keys: Layers, common: dict[str, Any]) -> GuestSpec | None:
        value, known = keys.get(key, None), keys.hosts.proxmox
        plain = isinstance(value, int)
        host = None if plain else given(value.host, None)
        if not known:
            keys.report(key, "there is no Proxmox host; name one in `proxmox` at the top of the main file")
        elif host is None and len(known) > 1:
            keys.report(key, f"say on which `host` it lives: {', '.join(known)}")
        elif host is not None and host not in known:
            guess = near_miss(host, known)
            message = f"there is no Proxmox host '{host}'; `proxmox` at the top of the main file names them"
            keys.report(key, message, "host", suggestion=guess)
        if plain and not 100 <= value <= 999_999_999:
            keys.report(key, f"{value} is no number of a guest; they begin at 100")
        return MachineSpec(
            name=str(value if plain else value.id),
            host=host or next(iter(known), ""),
            kind=kind,
            node=None if plain else given(value.node, None),
            **common,
        )

    return build


def _unit(keys: Layers, common: dict[str, Any]) -> GuestSpec | None:
    value = keys.get("unit", None)
    plain = isinstance(value, str)
    name = value if plain else value.name
    manager = _MANAGERS[0] if plain else given(value.manager, _MANAGERS[0])
    if not _UNIT.fullmatch(name):
        keys.report("unit", f"'{name}' is no name of a unit", *(() if plain else ("name",)))
    if manager not in _MANAGERS:
        guess = near_miss(manager, _MANAGERS)
        keys.report(
            "unit", f"'{manager}' is no manager; they are `system` and `user`", "manager", suggestion=guess
        )
    if "." not in name:
        name += ".service"
    return UnitSpec(name=name, host=manager, **common)


def _commands(keys: Layers, common: dict[str, Any]) -> GuestSpec | None:
    value = keys.get("commands", None)
    default = Hook(())

    def hook(name: str) -> Hook | None:
        words = getattr(value, name)
        return None if words is UNSET else hook_of(keys, words, "commands", name)

    if (value.pause is UNSET) != (value.resume is UNSET):
        keys.report("commands", "one of `pause` and `resume` is of no use without the other")
    layer = keys.find("working_dir") or keys.own
    return CommandsSpec(
        name=keys.name,
        host="",
        start=hook("start") or default,
        stop=hook("stop") or default,
        status=hook("status") or default,
        kill=hook("kill"),
        pause=hook("pause"),
        resume=hook("resume"),
        ready=hook("ready"),
        interval=float(given(value.interval, POLL_INTERVAL)),
        working_dir=Path(layer.absolute(keys.get("working_dir", "."))),
        environment=MappingProxyType(build_environment(keys)),
        **common,
    )


KINDS: Mapping[str, Kind] = {
    "container": Kind("a container", _container, frozenset({"stop_signal"})),
    "lxc": Kind("an LXC guest", _machine("lxc", MachineKind.LXC)),
    "vm": Kind("a virtual machine", _machine("vm", MachineKind.QEMU)),
    "unit": Kind("a unit of systemd", _unit),
    "commands": Kind(
        "something behind commands",
        _commands,
        frozenset({"working_dir", "environment", "env_file", "clean_env"}),
    ),
}
"""By the key that names it."""
