"""Three containers that need each other: a page, its API, and PostgreSQL behind that.

Laws:

1. Their image is made of what this machine has installed: Debian's PostgreSQL, busybox, and the libraries of both.
2. They know each other only by Torpor: its gateway is `api` for them, and its stream is `db`.
3. Each visit is counted in the database, so that one that is lost, doubled or forgotten is seen.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from engines import Docker, Engine
from lending import lent
from ports import free_port

IMAGE = "torpor-trio"
NAMES = ("web", "api", "db")
"""In the order in which they sleep."""
_VOLUME = "trio"
_SECOND = 1_000_000_000
_PROGRAM = b"""#!/bin/sh
# What a container does, by its first argument; the second one is the port that it listens on.
export ROLE=$1
case $ROLE in
db)
  if [ ! -e /data/PG_VERSION ]; then
    chown postgres /data && chmod 700 /data
    su postgres -c 'initdb -D /data -N -A trust' >/dev/null || exit
    echo "host all all all trust" >>/data/pg_hba.conf
    echo "create table visits (number serial)" | su postgres -c 'postgres --single -D /data postgres' >/dev/null || exit
  fi
  exec su postgres -c "exec postgres -D /data -p $2 -k '' -c listen_addresses=* -c fsync=off -c log_statement=all"
  ;;
*)
  # Process 1 has to say itself that it ends.
  trap 'echo $ROLE ends; exit 0' TERM
  echo "$ROLE begins"
  httpd -f -p "$2" -h /www & wait
  ;;
esac
"""
_ANSWER = b"""#!/bin/sh
# What web and api answer.
case $ROLE in
web) said=$(wget -q -O - "http://api:$DOOR/") ;;
api) said=$(psql -h db -p "$STREAM" -U postgres -qtA \\
  -c 'insert into visits default values' -c 'select count(*) from visits') ;;
esac && status="200 OK" || status="502 Bad Gateway"
printf 'HTTP/1.0 %s\\r\\nContent-Type: text/html\\r\\n\\r\\n' "$status"
case $ROLE in
web) printf '<title>Visits</title><h1>Visit number %s</h1>\\n' "$said" ;;
*) printf '%s' "$said" ;;
esac
"""
_FILES = {
    "app": _PROGRAM,
    "www/cgi-bin/index.cgi": _ANSWER,
    "etc/passwd": b"root:x:0:0::/:/bin/sh\npostgres:x:70:70::/data:/bin/sh\n",
    "etc/group": b"root:x:0:\npostgres:x:70:\n",
    "etc/nsswitch.conf": b"hosts: files dns\n",
}
_FOLDERS = ("bin", "tmp", "etc", "data", "www/cgi-bin", "usr/share/zoneinfo")


def why_not() -> str | None:
    """Why the image cannot be made here; None: it can."""
    there = _home_of_postgres() is not None and shutil.which("psql") is not None
    return None if there else "postgresql is not installed here"


def running(kind: type[Engine]) -> Iterator[Engine]:
    """An engine with the image of the three, until it is asked for another one.  Skips where there is none."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    with lent(kind) as engine:
        where = f"/images/create?fromSrc=-&repo={IMAGE}&tag=latest"
        engine.call("POST", where, image(), kind="application/x-tar")
        yield engine


def query(port: int, sql: str, host: str = "127.0.0.1") -> str:
    """What psql prints for a statement."""
    command = ["psql", "-h", host, "-p", str(port), "-U", "postgres", "-qtAc", sql]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert 0 == done.returncode, done.stderr
    return done.stdout.strip()


class Trio:
    """The containers on one engine, and how Torpor is to be configured for them."""

    def __init__(self, engine: Engine) -> None:
        """The engine has the image of `image()`."""
        self.engine = engine
        self.door, self.stream = free_port(), free_port()
        """Where they reach Torpor's gateway, and the database's stream."""
        self._alone = isinstance(engine, Docker)
        """Whether each has an address of its own."""
        self.address = _bridge_of(engine) if self._alone else "127.0.0.1"
        self.ports = (
            {"web": 80, "api": 80, "db": 5432} if self._alone else {name: free_port() for name in NAMES}
        )

    def make(self, *names: str, **more: Any) -> None:
        """Make containers, all without a word; none of them runs.  `more`: keys of the API's body."""
        for name in names or NAMES:
            host = {
                "ExtraHosts": [f"api:{self.address}", f"db:{self.address}"],
                "Binds": [f"{_VOLUME}:/data"] if name == "db" else [],
            }
            body = {"Env": [f"DOOR={self.door}", f"STREAM={self.stream}", "PATH=/bin"], "HostConfig": host}
            if name == "db":
                body |= {"StopSignal": "SIGINT"}
                if self._alone:
                    test = ["CMD", "pg_isready", "-q", "-h", "127.0.0.1", "-U", "postgres"]
                    times = {"Interval": _SECOND // 4, "Timeout": 3 * _SECOND, "StartPeriod": 30 * _SECOND}
                    body |= {"Healthcheck": {"Test": test, **times}}
            self.engine.create(name, name, str(self.ports[name]), Image=IMAGE, **(body | more))

    def config(self, *more: str, idle: str = "1s", needs: bool = True, **settings: dict[str, Any]) -> str:
        """The configuration.  `needs`: with `depends_on`; `settings`: of apps by name, None unsays one; `more`: further apps."""
        engine = "docker" if self._alone else "podman"
        hosts = sorted({"127.0.0.1", self.address})
        apps: dict[str, dict[str, Any]] = {
            "web": {"routes": ["web.localhost"], "depends_on": ["api"]},
            "api": {"routes": ["api", "api.localhost"], "depends_on": {"db": "healthy"}},
            "db": {"routes": [f"tcp://{address}:{self.stream}" for address in hosts]},
        }
        if not self._alone:  # Nobody runs a Podman's health check here.
            apps["db"]["readiness"] = {
                "exec": f"pg_isready -q -h 127.0.0.1 -U postgres -p {self.ports['db']}"
            }
        lines = [
            f"gateway: {{listen: [GATEWAY, {', '.join(f'{host}:{self.door}' for host in hosts)}]}}",
            f"engines: {{{engine}: {{url: '{self.engine.url}'}}}}",
            "apps:",
        ]
        for name, known in apps.items():
            if not needs:
                known.pop("depends_on", None)
            container = {"name": name, "engine": engine}
            said = {
                "container": container,
                "port": self.ports[name],
                "idle_timeout": idle,
                "stop_timeout": "20s",
            }
            said |= known | settings.get(name, {})
            lines.append(f"  {name}: {json.dumps({key: it for key, it in said.items() if it is not None})}")
        return "\n".join([*lines, *more]) + "\n"

    def runs(self, name: str) -> bool:
        """Whether a container does."""
        found = self.engine.inspect(name)
        return found is not None and bool(found["State"]["Running"])

    def began(self, name: str) -> str:
        """The moment of its last start; such moments compare as text."""
        return str(self.engine.state(name)["StartedAt"])

    def ended(self, name: str) -> str:
        """The moment of its last end."""
        return str(self.engine.state(name)["FinishedAt"])

    def clear(self) -> None:
        """Remove the containers; what the database has kept stays for the next ones."""
        for name in NAMES:
            self.engine.remove(name)


@cache
def image() -> bytes:
    """The file system of all three, as a tar file."""
    home = _home_of_postgres()
    busybox = shutil.which("busybox")
    assert home is not None
    assert busybox is not None
    libraries = [home / "lib/plpgsql.so", home / "lib/dict_snowball.so"]
    programs = [home / "bin" / name for name in ("postgres", "initdb", "pg_isready", "psql")]
    share = Path("/usr/share/postgresql") / home.name
    shared = [path for path in share.rglob("*") if path.is_file() and not path.is_relative_to(share / "man")]
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for folder in _FOLDERS:
            _add(tar, folder, kind=tarfile.DIRTYPE)
        for name, data in _FILES.items():
            _add(tar, name, data)
        _add(tar, "bin/busybox", Path(busybox).read_bytes())
        for applet in _output(busybox, "--list").split():
            if applet != "busybox":
                _add(tar, f"bin/{applet}", kind=tarfile.SYMTYPE, target="busybox")
        for program in programs:
            _add(tar, f"bin/{program.name}", kind=tarfile.SYMTYPE, target=str(program))
        for path in {*programs, *libraries, *shared, *_needed_by(*programs, *libraries)}:
            _add(tar, str(path).lstrip("/"), path.read_bytes())
    return made.getvalue()


def _home_of_postgres() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parents[1] if found else None


def _needed_by(*files: Path) -> set[Path]:
    """The libraries of programs, and their loader."""
    words = _output("ldd", *map(str, files)).split()
    return {Path(word) for word in words if word.startswith("/") and not word.endswith(":")}


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _add(
    tar: tarfile.TarFile, name: str, data: bytes = b"", *, kind: bytes = tarfile.REGTYPE, target: str = ""
) -> None:
    file = tarfile.TarInfo(name)
    file.type, file.mode, file.size, file.linkname = kind, 0o755, len(data), target
    tar.addfile(file, io.BytesIO(data))


def _bridge_of(engine: Engine) -> str:
    """The address of this machine on the network of the containers."""
    network = engine.call("GET", f"/networks/{engine.network}")
    return str(network["IPAM"]["Config"][0]["Gateway"])
