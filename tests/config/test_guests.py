"""Apps that others made, and the hosts where they live."""

from __future__ import annotations

from pathlib import Path

import pytest

from torpor.config.guests import CommandsSpec, ContainerSpec, GuestSpec, MachineKind, MachineSpec, UnitSpec
from torpor.config.hosts import ClientTls, EngineHost, ProxmoxHost
from torpor.config.load import load
from torpor.config.settings import Hook, LogSpec, Settings
from torpor.core.model import AppSpec, ManualStop, NotifyProbe, OnExternalStart, Readiness, TcpProbe
from torpor.errors import ConfigInvalid

PVE = "proxmox: {pve: {url: 'https://pve1.lan:8006', token: 'torpor@pve!main=secret'}}\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def settings(home: Path, text: str, **environ: str) -> Settings:
    path = home / "torpor.yaml"
    path.write_text(text)
    return load(path, environ)


def app(home: Path, keys: str, top: str = "") -> AppSpec:
    return settings(home, f"{top}apps: {{web: {{{keys}}}}}\n").apps[0]


def problems(home: Path, text: str) -> list[str]:
    with pytest.raises(ConfigInvalid) as caught:
        settings(home, text)
    return [str(problem) for problem in caught.value.problems]


def complaint(home: Path, keys: str, top: str = "") -> str:
    (found,) = problems(home, f"{top}apps: {{web: {{{keys}}}}}\n")
    return found


@pytest.mark.parametrize(
    ("keys", "workload"),
    [
        ("container: c", ContainerSpec(name="c", host="docker")),
        (
            "container: {name: c, engine: podman, network: n}, port: 80, stop_signal: INT, address: 10.0.0.9",
            ContainerSpec(name="c", host="podman", network="n", port=80, stop_signal=2, address="10.0.0.9"),
        ),
        ("lxc: 105", MachineSpec(name="105", host="pve")),
        (
            "vm: {id: 200, host: pve, node: pve1}",
            MachineSpec(name="200", host="pve", kind=MachineKind.QEMU, node="pve1"),
        ),
        (
            "container: c, address: 'unix:/srv/c.sock'",
            ContainerSpec(name="c", host="docker", socket="/srv/c.sock"),
        ),
        ("unit: grafana", UnitSpec(name="grafana.service", host="system")),
        ("unit: {name: a.socket, manager: user}", UnitSpec(name="a.socket", host="user")),
        ("container: c, log: {keep: 9}", ContainerSpec(name="c", host="docker", log=LogSpec(keep=9))),
    ],
)
def test_each_kind_is_named_by_a_key(home: Path, keys: str, workload: GuestSpec) -> None:
    """Short, or as a map."""
    found = app(home, keys, PVE)
    assert (workload, True, None, 1) == (found.workload, found.guest, found.port, found.replicas)


def test_commands_are_hooks(home: Path) -> None:
    """With the limits and the shell of hooks, and run where the app says."""
    found = app(
        home,
        "commands: {start: ./up, stop: [./down, now], status: {command: 'a | b', shell: true}, interval: 1m}",
    )
    assert isinstance(found.workload, CommandsSpec)
    assert (Hook(("./up",)), Hook(("./down", "now"))) == (found.workload.start, found.workload.stop)
    assert Hook(("a | b",), shell=True) == found.workload.status
    assert (60.0, home, "web") == (found.workload.interval, found.workload.working_dir, found.workload.name)


def test_a_guest_is_ready_when_its_port_and_its_own_check_say_so(home: Path) -> None:
    """What the configuration names is all, as for any app."""
    assert Readiness((TcpProbe(), NotifyProbe())) == app(home, "container: c, routes: a.test").readiness
    assert Readiness((NotifyProbe(),)) == app(home, "container: c").readiness
    assert Readiness((TcpProbe(),)) == app(home, "container: c, readiness: {tcp: true}").readiness


def test_what_others_do_is_taken_as_configured(home: Path) -> None:
    """For all guests at once, too: processes do not mind."""
    found = settings(
        home,
        "defaults: {on_external_start: stop, respect_manual_stop: always}\n"
        "apps: {a: {container: a}, b: {command: 'true'}}\n",
    )
    lifecycle = found.apps[0].lifecycle
    assert (OnExternalStart.STOP, ManualStop.ALWAYS) == (
        lifecycle.on_external_start,
        lifecycle.respect_manual_stop,
    )


def test_two_guests_may_have_the_same_port(home: Path) -> None:
    """It is a port of theirs, not of this machine."""
    found = settings(home, "apps: {a: {container: a, port: 80}, b: {container: b, port: 80}}\n")
    assert [80, 80] == [one.workload.port for one in found.apps if isinstance(one.workload, GuestSpec)]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("container: c, command: 'true'", "says what the app is, and so does `command`"),
        ("container: c, unit: u", "says what the app is, and so does `container`"),
        ("container: c, working_dir: /", "is for processes; the app is a container"),
        ("container: c, user: nobody", "is for processes; the app is a container"),
        ("container: c, replicas: 2", "is for processes; the app is a container"),
        ("unit: u, stop_signal: INT", "is for processes; the app is a unit of systemd"),
        ("command: 'true', on_external_start: stop", "is for what others made"),
        ("container: 'a b'", "is no name of a container"),
        ("container: {name: c, engine: dokcer}", "there is no engine 'dokcer'"),
        ("lxc: 105", "there is no Proxmox host"),
        ("unit: 'a b'", "is no name of a unit"),
        ("unit: {name: a, manager: root}", "is no manager"),
        ("commands: {start: a, stop: b, status: c, pause: d}", "one of `pause` and `resume`"),
        ("container: c, address: 'http://x'", "is not a host name or address"),
        ("port: 80", "has no command; say how to start it"),
    ],
)
def test_what_makes_no_sense_is_told(home: Path, keys: str, said: str) -> None:
    """With the key that is meant."""
    assert said in complaint(home, keys)


def test_the_proxmox_host_has_to_be_said_where_there_are_two(home: Path) -> None:
    """And be one of them."""
    two = PVE.replace("}}\n", "}, attic: {url: 'https://b:8006', token: 'a@pve!b=c'}}\n")
    assert "say on which `host` it lives: pve, attic" in complaint(home, "lxc: 105", two)
    assert "there is no Proxmox host 'atic'" in complaint(home, "lxc: {id: 105, host: atic}", two)


def test_engines_have_their_usual_places(home: Path) -> None:
    """The environment that docker's own client takes counts for us."""
    assert "unix:///var/run/docker.sock" == settings(home, "apps: {}").hosts.engines["docker"].url
    found = settings(home, "engines: {docker: {discover: true}}\napps: {}", DOCKER_HOST="unix:///x.sock")
    assert EngineHost("unix:///x.sock", discover=True) == found.hosts.engines["docker"]
    assert found.hosts.engines["podman"].url.endswith("/podman/podman.sock")


def test_hosts_are_read_with_their_files(home: Path) -> None:
    """Paths are relative to the file; a token may lie in one of its own."""
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (home / name).write_text("-")
    (home / "token").write_text("torpor@pve!main=secret\n")
    fingerprint = ":".join(["ab"] * 32)
    found = settings(
        home,
        f"engines: {{attic: {{url: 'tcp://h:2376', tls: {{ca: ca.pem, cert: cert.pem, key: key.pem}}}}}}\n"
        f"proxmox: {{pve: {{url: ['https://a:8006/', 'https://b:8006'], token_file: token, fingerprint: '{fingerprint}'}}}}\n"
        "apps: {}\n",
    ).hosts
    tls = ClientTls(home / "ca.pem", home / "cert.pem", home / "key.pem")
    assert EngineHost("tcp://h:2376", tls) == found.engines["attic"]
    pve = ProxmoxHost(("https://a:8006", "https://b:8006"), "torpor@pve!main=secret", fingerprint.upper())
    assert pve == found.proxmox["pve"]
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("top", "said"),
    [
        ("engines: {attic: {}}", "say where it is"),
        ("engines: {docker: {url: 'http://x'}}", "is neither unix:///PATH nor tcp://HOST:PORT"),
        ("engines: {docker: {url: 'tcp://x:99999'}}", "is neither unix:///PATH nor tcp://HOST:PORT"),
        ("engines: {docker: {url: 'unix:///x', tls: {}}}", "is for TCP; a unix socket needs none"),
        ("engines: {docker: {url: 'tcp://x:1', tls: {ca: nowhere.pem}}}", "cannot be read"),
        ("proxmox: {pve: {url: 'http://x:8006', token: 'a@b!c=d'}}", "is not https://HOST:PORT"),
        ("proxmox: {pve: {url: 'https://[::1', token: 'a@b!c=d'}}", "is not https://HOST:PORT"),
        ("proxmox: {pve: {url: 'https://x:99999', token: 'a@b!c=d'}}", "is not https://HOST:PORT"),
        ("proxmox: {pve: {url: 'https://me:pass@x', token: 'a@b!c=d'}}", "is not https://HOST:PORT"),
        ("proxmox: {pve: {url: 'https://x:8006'}}", "needs one of `token` and `token_file`"),
        ("proxmox: {pve: {url: 'https://x:8006', token: secret}}", "holds no API token"),
        (
            "proxmox: {pve: {url: 'https://x', token: 'a@b!c=d', fingerprint: ab}}",
            "is no SHA-256 fingerprint",
        ),
        ("proxmox: {pve: {url: [], token: 'a@b!c=d'}}", "is empty"),
    ],
)
def test_a_host_that_cannot_be_reached_so_is_told(home: Path, top: str, said: str) -> None:
    """Before anything is asked of it."""
    (found,) = problems(home, f"{top}\napps: {{}}\n")
    assert said in found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("container: c", "container: {name: c, network: n}, port: 80"),
        ("lxc: 105", "lxc: {id: 105, node: pve1}"),
        ("unit: nginx", "unit: nginx.service"),
    ],
)
def test_two_apps_cannot_be_the_same_guest(home: Path, one: str, other: str) -> None:
    """One would end it while the other is in use; it is told where the first one stands."""
    (found,) = problems(home, f"{PVE}apps:\n  a: {{{one}}}\n  b: {{{other}}}\n")
    assert "is what the app 'a' is made of already" in found
    assert "torpor.yaml:3:" in found


def test_guests_of_other_hosts_may_have_the_same_name(home: Path) -> None:
    """Each host gives names of its own."""
    apps = "{a: {container: c}, b: {container: {name: c, engine: podman}}, c: {unit: c}}"
    assert 3 == len(settings(home, f"apps: {apps}\n").apps)
