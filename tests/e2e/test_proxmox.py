"""Guests of Proxmox VE are woken by requests, and sleep again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.client import Client
from e2e.harness import Daemon, Launch, wait_for
from ports import free_port
from providers.guests.proxmox.cluster import TOKEN, Cluster
from providers.guests.proxmox.server import Server, make_certificate

CONFIG = """
gateway: {{listen: GATEWAY}}
proxmox:
  pve: {{url: "{url}", token: "{token}", ca: {ca}}}
apps:
  web:
    lxc: 105
    address: 127.0.0.1
    port: {web}
    routes: [web.localhost]
    idle_timeout: 1h
    depends_on: [db]
  db:
    vm: 200
    address: 127.0.0.1
    port: {db}
    routes: [db.localhost]
    sleep: {{pause: 1h}}
"""


@pytest.fixture
def cluster() -> Cluster:
    """Two guests with a real program each."""
    cluster = Cluster("pve1")
    cluster.add(105, serves=("127.0.0.1", free_port()))
    cluster.add(200, kind="qemu", serves=("127.0.0.1", free_port()))
    return cluster


@pytest.fixture
def daemon(launch: Launch, home: Path, cluster: Cluster) -> Iterator[Daemon]:
    """A daemon with an app for each of them."""
    certificate = make_certificate(home)
    with Server(cluster, certificate) as server:
        ports = {
            name: serves[1]
            for name, vmid in (("web", 105), ("db", 200))
            if (serves := cluster.guests[vmid].serves)
        }
        daemon = launch(CONFIG.format(url=server.url("pve1"), token=TOKEN, ca=certificate[0], **ports))
        yield daemon
        if daemon.running:
            daemon.stop()


def test_a_request_wakes_a_guest_and_the_one_that_it_needs(daemon: Daemon, cluster: Cluster) -> None:
    """Each by its own kind of task; both sleep again, one of them paused, from where it goes on."""
    web, db = cluster.guests[105], cluster.guests[200]
    assert {"asleep"} == {app["state"] for app in daemon.apps().values()}
    assert b"hello\n" == Client(daemon.port, "web.localhost").request().body
    assert [True, True] == [guest.alive for guest in (web, db)]

    assert daemon.cli("sleep", "web").code == 0
    daemon.wait_for_state("web", "asleep")
    assert [False, True] == [guest.alive for guest in (web, db)]
    assert "vzshutdown" in {job.kind for job in cluster.jobs}

    assert daemon.cli("sleep", "db").code == 0
    daemon.wait_for_state("db", "paused")
    assert "paused" == db.qemu
    before = db.pid
    assert b"hello\n" == Client(daemon.port, "db.localhost").request().body
    assert (before, 1) == (db.pid, db.starts)


def test_guests_outlive_the_daemon(daemon: Daemon, cluster: Cluster) -> None:
    """The next one takes them on as they run."""
    assert b"hello\n" == Client(daemon.port, "web.localhost").request().body
    daemon.kill()
    daemon.start()
    daemon.wait_for_state("web", "ready")
    assert {1} == {app["generation"] for app in daemon.apps().values()}
    assert b"hello\n" == Client(daemon.port, "web.localhost").request().body
    assert {1} == {guest.starts for guest in cluster.guests.values()}


def test_a_guest_that_cannot_be_started_says_why(daemon: Daemon, cluster: Cluster) -> None:
    """To the client in short, to the operator in full."""
    cluster.guests[200].breaks = "start failed: QEMU exited with code 1"
    assert Client(daemon.port, "db.localhost").request().status in {502, 503}
    assert "QEMU exited with code 1" in daemon.cli("why", "db").out


def test_the_web_interface_may_be_used_beside_it(daemon: Daemon, cluster: Cluster) -> None:
    """What is stopped there sleeps until it is asked for again; what is started there is awake."""
    assert b"hello\n" == Client(daemon.port, "web.localhost").request().body
    cluster.by_hand(105, "vzshutdown")
    daemon.wait_for_state("web", "asleep")
    assert b"hello\n" == Client(daemon.port, "web.localhost").request().body
    cluster.by_hand(105, "vzshutdown")
    daemon.wait_for_state("web", "asleep")
    cluster.by_hand(105, "vzstart")
    wait_for("web is awake", lambda: daemon.apps()["web"]["state"] == "ready")
    assert 3 == cluster.guests[105].starts
