"""Where an app listens, and who binds that: each key's value, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from torpor.config.load import load
from torpor.core.model import AppSpec, Readiness, TcpProbe
from torpor.errors import ConfigInvalid

APP = "gateway: {listen: 127.0.0.1:1}\napps:\n  a:\n    command: x\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def app_of(*keys: str) -> AppSpec:
    Path("t.yaml").write_text(APP + "".join(f"    {key}\n" for key in keys))
    return load("t.yaml", {}).apps[0]


def problems_of(*keys: str) -> list[str]:
    with pytest.raises(ConfigInvalid) as caught:
        app_of(*keys)
    return [str(problem) for problem in caught.value.problems]


def test_a_socket_that_torpor_binds_proves_nothing() -> None:
    """It accepts at once, so that the app counts as ready when it runs, unless something else is named."""
    assert Readiness((TcpProbe(),)) == app_of("routes: [a.localhost]").readiness
    activated = app_of("routes: [a.localhost]", "activation: true")
    assert (True, True, Readiness(())) == (activated.activation, activated.listens, activated.readiness)
    assert 1 == len(app_of("activation: true", "readiness: /healthz").readiness.probes)
    assert app_of("activation: true").listens


@pytest.mark.parametrize("written", ["unix:./run/a.sock", "unix:run/a.sock", "unix://run/a.sock"])
def test_a_unix_socket_takes_the_place_of_the_port(home: Path, written: str) -> None:
    """Relative to the file; the app gets no port, and is ready once it accepts there."""
    app = app_of(f"address: {written}", "routes: [a.localhost]")
    assert (str(home / "run" / "a.sock"), False) == (app.socket, app.listens)
    assert Readiness((TcpProbe(),)) == app.readiness


def test_an_absolute_path() -> None:
    """With the slashes of a URL, or without."""
    assert "/run/a.sock" == app_of("address: unix:/run/a.sock").socket
    assert "/run/a.sock" == app_of("address: unix:///run/a.sock").socket


@pytest.mark.parametrize(
    ("expected", "keys"),
    [
        ("listens on 127.0.0.1", ("address: 10.0.0.1",)),
        ("is a directory", ("address: 'unix:'",)),
        ("at most 107 bytes", (f"address: unix:/{'x' * 107}",)),
        ("write one of them", ("address: unix:a.sock", "port: 5")),
        ("2 replicas cannot share one socket", ("address: unix:a.sock", "replicas: 2")),
        ("brings datagrams", ("address: unix:a.sock", "routes: ['udp://5353']")),
        ("udp:// routes bring none", ("activation: true", "routes: ['udp://5353']")),
        ("past the sandbox of `private_tmp`", ("activation: true", "private_tmp: true")),
        ("past the sandbox of `read_only`", ("activation: true", "read_only: true")),
    ],
)
def test_what_cannot_be(expected: str, keys: tuple[str, ...]) -> None:
    """One mistake is one problem, at its key."""
    (problem,) = problems_of(*keys)
    assert expected in problem


def test_two_apps_cannot_share_a_path() -> None:
    """The second one would take the place of the first."""
    other = "  b: {command: x, address: unix:./a.sock}"
    (problem,) = problems_of("address: unix:./a.sock", f"\n{other}")
    assert "is the socket of the app 'a' already (t.yaml:5:5)" in problem
