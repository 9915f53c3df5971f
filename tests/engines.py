"""A Docker Engine and a Podman service of the tests' own: private sockets, data and processes.

Laws:

1. Nothing of them is shared with an engine that the machine has: no bridge, no image, no container.
2. They are ended by their own pids, and leave no process, mount or network interface.
3. Others who act on containers do it by the API, as the engines' own commands do.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from e2e.harness import Process, UnixConnection, wait_for
from ports import free_port

IMAGE = "torpor-test"
APP = b"""#!/bin/sh
# What a container of the tests does, by its first argument; the second one is a port.
port=${2:-18000}
case $1 in
steady) trap 'exit 0' TERM; echo up; sleep 100000 & wait ;;
stubborn) trap '' TERM; echo up; while :; do sleep 1000; done ;;
failing) echo broken; exit 3 ;;
notifying) exec "$0" steady ;;
hearing) trap 'echo got signal 10' USR1; trap 'exit 0' TERM; echo up; while :; do sleep 1000 & wait $!; done ;;
counting) trap 'exit 0' TERM; n=0; while :; do n=$((n + 1)); echo $n; usleep 30000; done ;;
web) echo up; exec httpd -f -p "$port" -h /www ;;
late) echo up; sleep "$3"; exec httpd -f -p "$port" -h /www ;;
*) exec "$@" ;;
esac
"""
_PATIENCE = 30.0


class Refused(AssertionError):
    """An engine has refused what a test asked for."""


class Engine(ABC):
    """An engine that runs."""

    network = "host"
    """The network on which containers are made that name none."""

    def __init__(self, folder: Path) -> None:
        """`folder`: for all that it keeps; its path is short, because sockets lie there."""
        self.folder = folder
        self.socket = folder / "engine.sock"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """As the configuration names it."""
        return f"unix://{self.socket}"

    @property
    @abstractmethod
    def command(self) -> list[str]:
        """What runs it."""

    def environment(self) -> dict[str, str]:
        """What it is told besides."""
        return dict(os.environ)

    def begin(self) -> None:
        """Start it; returns when it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_for("the engine answers", self.answers, _PATIENCE)

    def crash(self) -> None:
        """End it by force; its containers go on."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """Remove all containers, and end it in order."""
        if self.answers():
            self.remove_all()
        self.clean()
        if self.process is not None:
            self.process.terminate()
            self.process.wait(_PATIENCE)

    def clean(self) -> None:  # noqa: B027  # most make nothing
        """Remove what else it made outside of its folder."""

    def import_image(self) -> None:
        """Make the image of the tests from a static busybox and the program above."""
        self.call(
            "POST", f"/images/create?fromSrc=-&repo={IMAGE}&tag=latest", _image(), kind="application/x-tar"
        )

    def create(self, name: str, *words: str, **more: Any) -> str:
        """Make a container that does as the words say; returns its id.  `more`: keys of the API's body."""
        body: dict[str, Any] = {"Image": IMAGE, "Cmd": ["/app", *words]}
        body["HostConfig"] = {"NetworkMode": self.network, "RestartPolicy": {"Name": "no"}}
        body["HostConfig"] |= more.pop("HostConfig", {})
        made = self.call("POST", f"/containers/create?name={quote(name)}", body | more)
        return str(made["Id"])

    def act(self, verb: str, name: str, query: str = "") -> None:
        """Do to a container what somebody else would do: `start`, `stop`, `kill`, `pause`."""
        self.call("POST", f"/containers/{name}/{verb}?{query}")

    def inspect(self, name: str) -> dict[str, Any] | None:
        """What the engine says of a container; None: there is none of that name."""
        try:
            return dict(self.call("GET", f"/containers/{name}/json"))
        except Refused:
            return None

    def state(self, name: str) -> dict[str, Any]:
        """What a container that there is does."""
        return dict(self.call("GET", f"/containers/{name}/json")["State"])

    def remove(self, name: str) -> None:
        """Remove a container, if there is one, and whatever it does."""
        with contextlib.suppress(Refused):
            self.call("DELETE", f"/containers/{name}?force=1")

    def remove_all(self) -> None:
        """Remove every container."""
        for container in self.call("GET", "/containers/json?all=1"):
            self.remove(container["Id"])

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """The answer to a call.  Raises `Refused`."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        with contextlib.closing(UnixConnection(self.socket, _PATIENCE)) as connection:
            connection.request(method, f"/v1.41{path}", data, {"Content-Type": kind})
            answer = connection.getresponse()
            said = answer.read()
        if answer.status >= 400:
            raise Refused(f"{method} {path}: {answer.status} {said.decode()}")
        return json.loads(said) if said.startswith((b"{", b"[")) and b"\n{" not in said else said

    def answers(self) -> bool:
        """Whether it can be spoken to."""
        with contextlib.suppress(OSError, Refused):
            return self.call("GET", "/_ping") is not None
        return False


class Docker(Engine):
    """dockerd with a containerd of its own, and one network with a bridge of its own.

    It listens on the loopback, too, for whoever has a certificate: `tls_url`, and `ca.pem`, `cert.pem` and
    `key.pem` in its folder.
    """

    network = "torpor"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.tls_url = f"tcp://127.0.0.1:{free_port()}"

    @property
    def command(self) -> list[str]:
        """Without a rule or bridge of the machine's: packets go between it and the containers, no further."""
        here = self.folder
        (here / "daemon.json").write_text("{}")
        return [
            *("dockerd", "--config-file", f"{here}/daemon.json", "--host", self.url),
            *("--data-root", f"{here}/data", "--exec-root", f"{here}/exec", "--pidfile", f"{here}/pid"),
            *(
                "--bridge",
                "none",
                "--iptables=false",
                "--ip6tables=false",
                "--ip-forward=false",
                "--ip-masq=false",
            ),
            *("--host", self.tls_url, "--tlsverify", "--tlscacert", f"{here}/ca.pem"),
            *("--tlscert", f"{here}/cert.pem", "--tlskey", f"{here}/key.pem"),
            *(
                "--default-address-pool",
                f"base=10.{100 + self._number % 100}.0.0/16,size=24",
                "--live-restore",
            ),
        ]

    def begin(self) -> None:
        """Start it; returns when it answers."""
        if not (self.folder / "ca.pem").exists():
            self._certify()
        super().begin()
        if not any(found["Name"] == self.network for found in self.call("GET", "/networks")):
            options = {"com.docker.network.bridge.name": self._bridge}
            self.call(
                "POST", "/networks/create", {"Name": self.network, "Driver": "bridge", "Options": options}
            )

    def crash(self) -> None:
        """End it by force, and its containerd with it, as the kernel does; its containers go on."""
        file = self.folder / "exec/containerd/containerd.pid"
        containerd = Process.of(int(file.read_text()))
        super().crash()
        wait_for("containerd ends with dockerd", lambda: not containerd.alive, _PATIENCE)
        # Where nobody collects dead orphans, the next one takes it for alive.
        file.unlink()
        (self.folder / "pid").unlink()

    def clean(self) -> None:
        """Remove the network, and the bridge with it."""
        with contextlib.suppress(Refused, OSError):
            self.call("DELETE", f"/networks/{self.network}")
        # For one that does not answer any more.
        with contextlib.suppress(OSError):
            subprocess.run(["ip", "link", "delete", self._bridge], stderr=subprocess.DEVNULL, check=False)

    def _certify(self) -> None:
        """Make an authority, and one certificate for both ends."""
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
        made = ("openssl", "req", "-x509", *key)
        authority = ("-subj", "/CN=tests", "-keyout", "ca.key", "-out", "ca.pem")
        both = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem")
        signed = (
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-addext",
            "basicConstraints=CA:FALSE",
            "-out",
            "cert.pem",
        )
        for command in ((*made, *authority), (*made, *both, *signed)):
            subprocess.run(command, cwd=self.folder, check=True, capture_output=True)

    @property
    def _bridge(self) -> str:
        return f"tp{self._number:x}"

    @property
    def _number(self) -> int:
        """Its own, also beside others of the same process."""
        return zlib.crc32(os.fsencode(self.folder))


class Podman(Engine):
    """Podman's service.  Its containers have monitors of their own and outlive it."""

    @property
    def command(self) -> list[str]:
        """With storage of its own."""
        here = self.folder
        return [
            *("podman", "--root", f"{here}/data", "--runroot", f"{here}/run", "--tmpdir", f"{here}/tmp"),
            *("system", "service", "--time", "0", self.url),
        ]

    def environment(self) -> dict[str, str]:
        """Limits that a root without CAP_SYS_RESOURCE may set, and nothing of systemd."""
        settings = self.folder / "containers.conf"
        settings.write_text(
            '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\nlog_driver = "k8s-file"\n'
            '[engine]\nruntime = "runc"\nevents_logger = "file"\ncgroup_manager = "cgroupfs"\n'
        )
        return {**os.environ, "CONTAINERS_CONF": str(settings)}


def why_not(kind: type[Engine]) -> str | None:
    """Why there is no such engine here; None: there can be one."""
    needed = ("dockerd", "runc", "busybox", "openssl") if kind is Docker else ("podman", "runc", "busybox")
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [name for name in needed if shutil.which(name, path=path) is None]
    if missing:
        return f"{', '.join(missing)} not installed here"
    return None if os.geteuid() == 0 else "a container engine of the tests' own needs root"


@contextlib.contextmanager
def running(kind: type[Engine], folder: Path) -> Iterator[Engine]:
    """An engine with the image of the tests, until the end of the block."""
    engine = kind(folder)
    try:
        engine.begin()
        engine.import_image()
        yield engine
    finally:
        try:
            engine.end()
        finally:
            _end_leftovers(folder)


def _image() -> bytes:
    busybox = Path(shutil.which("busybox") or "/bin/busybox")
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name in ("bin", "www", "tmp", "etc"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
        for name, data in (
            ("bin/busybox", busybox.read_bytes()),
            ("app", APP),
            ("www/index.html", b"hello\n"),
        ):
            file = tarfile.TarInfo(name)
            file.size, file.mode = len(data), 0o755
            tar.addfile(file, io.BytesIO(data))
        for applet in subprocess.run(
            [busybox, "--list"], capture_output=True, text=True, check=True
        ).stdout.split():
            if applet != "busybox":
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
    return made.getvalue()


def _end_leftovers(folder: Path) -> None:
    """End and unmount what an engine that was ended by force has left: nothing of others names this folder."""
    mark = os.fsencode(folder)
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if int(process.name) != os.getpid() and mark in (process / "cmdline").read_bytes():
                # The program of a container, whose monitor this is.
                children = (process / "task" / process.name / "children").read_text(encoding="ascii")
                for pid in (process.name, *children.split()):
                    os.kill(int(pid), signal.SIGKILL)
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    for mount in reversed([mount for mount in mounts if mount.startswith(f"{folder}/")]):
        subprocess.run(["umount", "--lazy", mount], stderr=subprocess.DEVNULL, check=False)
