"""Allotting ports."""

from __future__ import annotations

import socket

import pytest

from torpor.core.model import AppSpec, InstanceId, Route, Scheme, StreamRoute
from torpor.errors import StartFailed
from torpor.runtime.ports import Ports

ID = InstanceId("app")
SPEC = AppSpec("app")


def test_an_instance_gets_its_port_again() -> None:
    """The same port as long as it is free, so that what remembers it goes on working."""
    ports = Ports()

    assert ports.allot(ID, SPEC) == ports.allot(ID, SPEC)


def test_a_taken_port_is_replaced() -> None:
    """Where somebody else listens by now, another port is allotted."""
    ports = Ports()
    before = ports.allot(ID, SPEC)

    with socket.create_server(("127.0.0.1", before)):
        assert before != ports.allot(ID, SPEC)


def test_two_instances_never_share() -> None:
    """Ports that are allotted but not yet listened on are not given twice."""
    ports = Ports()

    allotted = [ports.allot(InstanceId("app", number), SPEC) for number in range(200)]

    assert 200 == len(set(allotted))


def test_a_fixed_port_that_is_taken_ends_the_attempt() -> None:
    """A foreign program must not pass for the app."""
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        port = foreign.getsockname()[1]

        with pytest.raises(StartFailed, match=f"port {port}: another program listens there"):
            Ports().allot(ID, AppSpec("app", port=port))


def test_a_port_for_datagrams_is_free_for_them() -> None:
    """Where somebody has the port for datagrams only, an app that gets some is given another."""
    ports = Ports()
    datagrams = AppSpec("app", streams=(StreamRoute("127.0.0.1", 53, Scheme.UDP),))
    before = ports.allot(ID, datagrams)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as foreign:
        foreign.bind(("127.0.0.1", before))
        assert before == ports.allot(ID, SPEC)
        elsewhere = AppSpec("app", streams=(StreamRoute("127.0.0.1", 53, Scheme.UDP, app_port=5353),))
        assert before == ports.allot(ID, elsewhere)
        assert before != ports.allot(ID, datagrams)


def test_a_further_port_that_is_taken_ends_the_attempt() -> None:
    """Whoever listens there would be given the app's visitors; only what is taken for the same kind is in the way."""
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        port = foreign.getsockname()[1]
        datagrams = AppSpec("app", streams=(StreamRoute("127.0.0.1", 53, Scheme.UDP, app_port=port),))
        Ports().allot(ID, datagrams)

        with pytest.raises(StartFailed, match=f"port {port}: another program listens there") as caught:
            Ports().allot(ID, AppSpec("app", routes=(Route("ssh.localhost", app_port=port),)))
    assert "and ssh.localhost lead there" in (caught.value.hint or "")
