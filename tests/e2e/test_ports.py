"""Apps with several ports, each led to by a route of its own: a process, and containers on a Docker Engine."""

from __future__ import annotations

import json
import socket
import sys
from typing import Any

import pytest

import engines
from e2e.apps import E2E, app, config
from e2e.client import Client
from e2e.harness import Daemon, Launch
from e2e.test_streams import ask, connect, read_line
from ports import free_port

FORGE = E2E / "programs" / "forge.py"


def forge(stream: int, ssh: int, late: str = "0", *, leads: int | None = None, **settings: object) -> str:
    """See `programs/forge.py`.  `leads`: the port to which the stream leads, if not to that at which it listens."""
    routes = ["forge.localhost", {"host": f"tcp://127.0.0.1:{stream}", "port": leads or ssh}]
    return app("forge", [sys.executable, str(FORGE), str(ssh), late], **{"routes": routes, **settings})


def page(daemon: Daemon, host: str = "forge.localhost") -> str:
    """What a browser gets of an app."""
    answer = Client(daemon.port, host).request()
    assert 200 == answer.status, answer.text
    return answer.text


def test_a_process_is_woken_by_either_of_its_ports(launch: Launch) -> None:
    """Also by the one that it opens last, and use of each keeps it awake."""
    stream, ssh = free_port(), free_port()
    daemon = launch(config(forge(stream, ssh, "0.5", idle_timeout="1s")))

    with connect(stream) as client:
        assert "SSH-2.0-forge" == read_line(client)
        assert "page" == page(daemon)
    daemon.wait_for_state("forge", "asleep")

    assert "page" == page(daemon)
    with connect(stream) as client:
        assert "SSH-2.0-forge" == read_line(client)
        assert "you said hello" == ask(client, "hello")
    assert 2 == daemon.apps()["forge"]["generation"]
    events = daemon.cli("events", "--json").out
    assert "refused a connection" not in events, "the door stays open while a further port opens"
    shown = daemon.cli("show", "forge").out
    assert f"forge.localhost, tcp://127.0.0.1:{stream} (port {ssh})" in shown
    assert "only one replica can have" in daemon.cli("scale", "forge", "2").err
    assert {f"tcp://127.0.0.1:{stream}": ssh} == json.loads(daemon.cli("show", "forge", "--json").out)[
        "route_ports"
    ]


def test_a_process_does_not_start_while_somebody_else_has_its_port(launch: Launch) -> None:
    """Its visitors are not given to whoever that is."""
    stream, ssh = free_port(), free_port()
    daemon = launch(config(forge(stream, ssh, restart="no")))
    with socket.create_server(("127.0.0.1", ssh)):
        assert 503 == Client(daemon.port, "forge.localhost").request().status
        why = daemon.cli("why", "forge").out
        assert f"cannot use port {ssh}: another program listens there" in why


def test_a_changed_port_holds_at_once(launch: Launch) -> None:
    """For what runs, which is not started again."""
    stream, ssh = free_port(), free_port()
    daemon = launch(config(forge(stream, ssh, leads=free_port())))
    assert "page" == page(daemon)

    daemon.write_config(config(forge(stream, ssh)))
    assert 0 == daemon.cli("apply").code
    with connect(stream) as client:
        assert "SSH-2.0-forge" == read_line(client)
    assert 1 == daemon.apps()["forge"]["generation"]


PUBLISHED = {
    "ExposedPorts": {"80/tcp": {}, "81/tcp": {}},
    "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "0"}], "81/tcp": [{"HostPort": "0"}]}},
}
STORE = (
    "mkdir /console; echo console >/console/index.html; httpd -p 81 -h /console; exec httpd -f -p 80 -h /www"
)
"""Once it answers at its main port, it does so at the other one."""


def _on(docker: engines.Engine, discover: bool = False) -> str:
    return f"engines: {{docker: {{url: '{docker.url}', discover: {json.dumps(discover)}}}}}\n"


def _sleep(daemon: Daemon) -> None:
    assert 0 == daemon.cli("sleep", "store").code
    daemon.wait_for_state("store", "asleep")


@pytest.mark.parametrize("more", [{}, PUBLISHED], ids=["by its address", "published"])
def test_a_container_is_woken_by_either_of_its_ports(
    docker: engines.Engine, launch: Launch, more: dict[str, Any]
) -> None:
    """A store and its console, by host name and as a raw connection."""
    docker.create("store", "sh", "-c", STORE, **more)
    stream = free_port()
    routes = [
        "store.localhost",
        {"host": "console.localhost", "port": 81},
        {"host": f"tcp://127.0.0.1:{stream}", "port": 81},
    ]
    settings = {"container": "store", "port": 80, "routes": routes, "stop_timeout": "1s", "sleep": "kill"}
    daemon = launch(f"{_on(docker)}gateway: {{listen: GATEWAY}}\napps: {json.dumps({'store': settings})}\n")

    assert "console\n" == page(daemon, "console.localhost")
    assert "hello\n" == page(daemon, "store.localhost")
    _sleep(daemon)
    with connect(stream) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert client.makefile("rb").read().endswith(b"console\n")
    assert 2 == daemon.apps()["store"]["generation"]

    daemon.kill()
    daemon.start()
    assert ["console\n", "hello\n"] == [page(daemon, f"{one}.localhost") for one in ("console", "store")]
    assert 2 == daemon.apps()["store"]["generation"], "it was taken on as it ran"


def test_aliases_of_godoxy_have_ports_of_their_own(docker: engines.Engine, launch: Launch) -> None:
    """As they stand on the container."""
    labels = {
        "proxy.idle_timeout": "1m",
        "proxy.stop_method": "kill",
        "proxy.aliases": "store,console",
        "proxy.stop_timeout": "1s",
        "proxy.#1.port": "80",
        "proxy.console.port": "81",
    }
    docker.create("store", "sh", "-c", STORE, Labels=labels)
    daemon = launch(f"{_on(docker, discover=True)}gateway: {{listen: GATEWAY}}\napps: {{}}\n")

    assert "console\n" == page(daemon, "console.any.test")
    assert "hello\n" == page(daemon, "store.any.test")


def test_each_port_of_a_group_of_lazytainer_wakes_its_member(docker: engines.Engine, launch: Launch) -> None:
    """Torpor listens at each of them itself."""
    first, second = free_port(), free_port()
    group = {"lazytainer.group.g.ports": f"{first},{second}", "lazytainer.group.g.inactiveTimeout": "60"}
    docker.create("lazytainer", "steady", Labels=group)
    program = f"httpd -p {first} -h /www; exec httpd -f -p {second} -h /www"
    docker.create("store", "sh", "-c", program, Labels={"lazytainer.group": "g"})
    daemon = launch(f"{_on(docker, discover=True)}gateway: {{listen: GATEWAY}}\napps: {{}}\n")

    for port in (second, first):
        with connect(port) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert client.makefile("rb").read().endswith(b"hello\n")
        if port == second:
            _sleep(daemon)
    assert 2 == daemon.apps()["store"]["generation"]
