"""Routes with a port of their own: what they come to in an app."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.test_listening import app_of, home
from torpor.config.guests import ContainerSpec
from torpor.config.load import load
from torpor.core.model import Readiness, Scheme, TcpProbe

__all__ = ["home"]


def test_a_route_may_lead_to_another_port() -> None:
    """Host names and streams of each kind; whatever names none leads to the main one."""
    app = app_of(
        "routes:",
        "  - a.localhost",
        "  - {host: a.localhost, path: /admin, port: 9001}",
        "  - {host: 'tcp://2222', port: 22, send_proxy: v2}",
        "  - {host: 'tls://a.org:443', port: 8443}",
        "  - {host: 'udp://5353', port: 53}",
    )
    assert [None, 9001] == [route.app_port for route in app.routes]
    assert [22, 8443, 53] == [stream.app_port for stream in app.streams]
    assert [22, 53, 8443, 9001] == sorted(app.further_ports)
    assert (None, Readiness((TcpProbe(),))) == (app.port, app.readiness)


def test_the_apps_own_port_is_no_further_one() -> None:
    """Also where a route names it."""
    app = app_of("port: 80", "routes: [{host: a.localhost, port: 80}, {host: 'tcp://2222', port: 80}]")
    assert (80, {}) == (app.port, app.further_ports)


@pytest.mark.parametrize(
    ("routes", "port", "further", "asked"),
    [
        ("[{host: 'tcp://2222', port: 22}, {host: a.localhost, port: 80}]", 80, [22], True),
        ("[{host: 'udp://5353', port: 53}, {host: 'tcp://5353', port: 53}]", 53, [], True),
        ("{host: 'udp://5353', port: 53}", None, [53], False),
        ("[a.localhost, {host: 'tcp://2222', port: 22}]", None, [22], True),
        ("[{host: a.localhost, port: 9001}, b.localhost]", None, [9001], True),
    ],
)
def test_who_names_all_ports_need_not_say_the_main_one(
    routes: str, port: int | None, further: list[int], asked: bool
) -> None:
    """It is the first that takes connections, of host names first; readiness is asked there."""
    app = app_of(f"routes: {routes}")
    assert (port, further) == (app.port, [*app.further_ports])
    assert Readiness((TcpProbe(),) if asked else ()) == app.readiness
    assert all(stream.scheme is Scheme.UDP or stream.app_port != port for stream in app.streams)


def test_a_container_has_ports_of_its_own() -> None:
    """Beside which other apps may have the same."""
    app = "  {0}: {{container: {0}, routes: [{{host: {0}.localhost, port: 80}}, {{host: 'tcp://{1}', port: 22}}]}}\n"
    text = "gateway: {listen: 127.0.0.1:1}\napps:\n" + app.format("a", 2222) + app.format("b", 2223)
    Path("t.yaml").write_text(text)

    for one in load("t.yaml", {}).apps:
        assert isinstance(one.workload, ContainerSpec)
        assert (80, [22]) == (one.workload.port, [*one.further_ports])
