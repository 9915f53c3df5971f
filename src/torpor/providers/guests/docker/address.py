"""Where a container is reached: told, on a network, by a published port, or on the machine itself."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import replace

from torpor.config.guests import ContainerSpec
from torpor.core.model import Endpoint, Ways
from torpor.providers.guests.docker.container import Attachment, Binding, Container

LOOPBACK = "127.0.0.1"
_ANY = ("", "0.0.0.0", "::")  # noqa: S104  # compared with, not bound to


class Unreachable(Exception):
    """There is no way to it, or which one is meant is not clear.  Stays within this package."""


def endpoint_of(guest: ContainerSpec, own: Container, net: Container, machine: str | None) -> Endpoint:
    """Where it is reached while it runs.

    `net`: the container whose network it shares, mostly itself.  `machine`: the engine's, None for this one.
    Raises `Unreachable`.
    """
    port = _port(guest, own)
    networks = net.network_settings.networks or {}
    if guest.address is not None:
        return Endpoint(guest.address, port)
    if guest.network is not None:
        if guest.network == "host":
            return Endpoint(machine or LOOPBACK, port)
        if (named := networks.get(guest.network)) is None or not (address := _address(named)):
            raise Unreachable(
                f"it has no address on the network {guest.network}, only on: {_listed(networks)}"
            )
        return Endpoint(address, port)
    if net.host_config.network_mode == "host":
        return Endpoint(machine or LOOPBACK, port)
    ways = _ways(net, networks.values(), machine)
    if (found := ways.to(port, datagrams=False)) is not None:
        return replace(found, ways=ways)
    raise Unreachable(
        f"its port {port} is not published, and none of its networks leads there from here "
        f"({_listed(networks)}); publish it, or set `network` or `address`"
    )


def _port(guest: ContainerSpec, own: Container) -> int:
    """The port inside.  Raises `Unreachable`."""
    if guest.port is not None:
        return guest.port
    named = {*(own.config.exposed_ports or {}), *(own.network_settings.ports or {})}
    ports = sorted(
        int(number) for number, _, kind in (name.partition("/") for name in named) if kind != "udp"
    )
    if len(ports) == 1:
        return ports[0]
    if not ports:
        raise Unreachable("it exposes no port; set `port` to the one that it listens on")
    raise Unreachable(f"it exposes the ports {_listed(map(str, ports))}; set `port` to one of them")


def _ways(net: Container, networks: Iterable[Attachment], machine: str | None) -> Ways:
    """By what is published, and by its address on a network that leads there from here."""
    published = []
    for name, bindings in (net.network_settings.ports or {}).items():
        found = (_bound(binding, machine) for binding in bindings or ())
        published += [(name, endpoint) for endpoint in found if endpoint is not None][:1]
    # The bridge of a network is this machine's own where the network can be reached from here.
    direct = (_address(one) for one in networks if machine is None and _address(one) and _is_ours(one))
    return Ways(next(direct, None), tuple(published))


def _bound(binding: Binding, machine: str | None) -> Endpoint | None:
    """Where a published port is reached; None: not from here."""
    number = int(binding.host_port or 0)
    if number and binding.host_ip in _ANY:
        return Endpoint(machine or LOOPBACK, number)
    # What is published on another machine's loopback is for that machine alone.
    if number and (machine is None or not ipaddress.ip_address(binding.host_ip).is_loopback):
        return Endpoint(binding.host_ip, number)
    return None


def _address(attachment: Attachment) -> str:
    return attachment.ip_address or attachment.ipv6_address


def _is_ours(attachment: Attachment) -> bool:
    """Whether the network's gateway is an address of this machine: such a one can be bound to."""
    for address in (attachment.gateway, attachment.ipv6_gateway):
        if not address:
            continue
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
            return True
    return False


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
