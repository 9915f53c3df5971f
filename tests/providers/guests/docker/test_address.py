"""Where the ports of a container are reached, by what its engine says."""

from __future__ import annotations

import pytest

from torpor.config.guests import ContainerSpec
from torpor.core.model import Endpoint
from torpor.providers.guests.docker.address import endpoint_of
from torpor.providers.guests.docker.container import (
    Attachment,
    Binding,
    Condition,
    Config,
    Container,
    Networking,
)

GUEST = ContainerSpec(name="app", host="docker", port=80)
PUBLISHED: dict[str, list[Binding] | None] = {
    "80/tcp": [Binding("0.0.0.0", "8080"), Binding("127.0.0.1", "8081")],
    "22/tcp": [Binding("127.0.0.1", "2222")],
    "53/udp": [Binding("", "5353")],
    "9001/tcp": None,
}


def container(gateway: str) -> Container:
    """On one network, whose gateway has this address."""
    networks = {"bridge": Attachment(gateway, "127.0.7.7")}
    return Container(
        "id", "/app", Condition("running"), Config(), network_settings=Networking(PUBLISHED, networks)
    )


@pytest.mark.parametrize(
    ("machine", "gateway", "expected"),
    [
        pytest.param(None, "203.0.113.1", ["127.0.0.1:8080", "127.0.0.1:2222", "None"], id="this machine's"),
        pytest.param(None, "127.0.0.1", ["127.0.0.1:8080", "127.0.0.1:2222", "127.0.7.7:9001"], id="bridged"),
        pytest.param("10.0.0.2", "127.0.0.1", ["10.0.0.2:8080", "None", "None"], id="another machine's"),
    ],
)
def test_each_port_has_its_own_way(machine: str | None, gateway: str, expected: list[str]) -> None:
    """As it is published, else on a network that leads there from here; never at a port of the machine's own."""
    there = container(gateway)

    endpoint = endpoint_of(GUEST, there, there, machine)

    assert expected == [str(endpoint), str(endpoint.of_port(22)), str(endpoint.of_port(9001))]
    assert Endpoint(machine or "127.0.0.1", 5353) == endpoint.of_port(53, datagrams=True)
    assert ("127.0.7.7:53" if expected[2] != "None" else "None") == str(endpoint.of_port(53))


def test_an_address_that_was_told_has_all_ports() -> None:
    """Whatever is published."""
    there = container("127.0.0.1")
    told = ContainerSpec(name="app", host="docker", port=80, address="10.9.9.9")

    assert Endpoint("10.9.9.9", 22) == endpoint_of(told, there, there, None).of_port(22)
