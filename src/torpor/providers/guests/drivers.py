"""Which driver drives which kind of guests, and what it has to be given.

A driver's libraries are imported when the first app needs it: whoever has no such guests
need not install them, and does not wait for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from torpor.config.guests import CommandsSpec, ContainerSpec, GuestSpec, MachineSpec, UnitSpec
from torpor.providers.guests.absent import AbsentDriver
from torpor.providers.guests.driver import Driver
from torpor.providers.guests.means import Means


@dataclass(frozen=True, slots=True)
class _Kind:
    module: str
    driver: str
    extra: str | None
    """The extra of Torpor that installs what it needs."""
    given: Callable[[Means, str], tuple[Any, ...] | None]
    """What its constructor takes, for the host of this name; None: no such host is configured."""


def _engine(means: Means, name: str) -> tuple[Any, ...] | None:
    found = means.hosts.engines.get(name)
    return None if found is None else (found,)


def _cluster(means: Means, name: str) -> tuple[Any, ...] | None:
    found = means.hosts.proxmox.get(name)
    return None if found is None else (found,)


_GUESTS = "torpor.providers.guests"
_KINDS: Mapping[type[GuestSpec], _Kind] = {
    ContainerSpec: _Kind(f"{_GUESTS}.docker.driver", "DockerDriver", "containers", _engine),
    MachineSpec: _Kind(f"{_GUESTS}.proxmox.driver", "ProxmoxDriver", "containers", _cluster),
    UnitSpec: _Kind(
        f"{_GUESTS}.systemd.driver",
        "SystemdDriver",
        "systemd",
        lambda means, name: (name, means.run, means.environment),
    ),
    CommandsSpec: _Kind(
        f"{_GUESTS}.commands", "CommandDriver", None, lambda means, _: (means.run, means.environment)
    ),
}


def new_driver(kind: type[GuestSpec], name: str, means: Means) -> Driver:
    """The driver of the host of this name.  Where there can be none, one that says why."""
    row = _KINDS.get(kind)
    if row is None:
        return AbsentDriver(name, f"nobody here can drive a {kind.__name__}")
    given = row.given(means, name)
    if given is None:
        return AbsentDriver(name, f"no host named {name!r} is configured", "name it in the configuration")
    try:
        make = getattr(import_module(row.module), row.driver)
    except ImportError as error:
        return AbsentDriver(
            name,
            f"{error.name or error} is not installed; `pip install 'torpor[{row.extra}]'` installs it, "
            "and the daemon finds it when it starts again",
        )
    driver: Driver = make(*given)
    return driver


def what_it_is(kind: type[GuestSpec], name: str, means: Means) -> object:
    """What a driver was made of, to be compared: another answer asks for another driver."""
    row = _KINDS.get(kind)
    return None if row is None else row.given(means, name)
