"""The keys of apps that others made: containers, machines, units, and what commands reach."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, UnsetType

from torpor.config.declarations.keys import Keys, about
from torpor.config.declarations.program import HookCommand, Program
from torpor.config.guests import POLL_INTERVAL
from torpor.config.hosts import DOCKER
from torpor.config.units import PositiveDuration, duration_text
from torpor.core.model import Lifecycle, ManualStop, OnExternalStart

_LIFECYCLE = Lifecycle()
_INTERVAL = duration_text(POLL_INTERVAL)


class Container(Keys, frozen=True):
    """A container of Docker or Podman, whoever made it."""

    name: Annotated[str, about("Its name.", "notes-postgres")]
    engine: (
        Annotated[str, about("Whose it is: `docker`, `podman`, or one of `engines`.", "podman", DOCKER)]
        | UnsetType
    ) = UNSET
    network: (
        Annotated[
            str,
            about(
                "The network on which it is reached; unsaid: a published port, or any that leads there.",
                "web",
            ),
        ]
        | UnsetType
    ) = UNSET


class Machine(Keys, frozen=True):
    """An LXC guest or a virtual machine of Proxmox VE."""

    id: Annotated[int, about("Its number.", 105, ge=100, le=999_999_999)]
    host: (
        Annotated[str, about("Which of `proxmox` it belongs to; unsaid: the only one.", "pve")] | UnsetType
    ) = UNSET
    node: (
        Annotated[str, about("The node that it stays on; unsaid: it is looked up, and may move.", "pve1")]
        | UnsetType
    ) = UNSET


class Unit(Keys, frozen=True):
    """A unit of systemd."""

    name: Annotated[str, about("Its name; `.service` may be left out.", "grafana-server.service")]
    manager: (
        Annotated[str, about("`system`, or `user`: the manager of Torpor's own user.", "user", "system")]
        | UnsetType
    ) = UNSET


class Commands(Keys, frozen=True):
    """Whatever can be started, stopped and asked after by a command.  See [By commands](by-commands.md)."""

    start: Annotated[str | list[str] | HookCommand, about("Starts it.", "wakeonlan 00:11:22:33:44:55")]
    stop: Annotated[str | list[str] | HookCommand, about("Asks it to end.", "ssh nas poweroff")]
    status: Annotated[
        str | list[str] | HookCommand,
        about("Exits 0 while it is alive, and else when it is not.", "nc -z nas 22"),
    ]
    kill: (
        Annotated[
            str | list[str] | HookCommand,
            about("Ends it by force; unsaid: `stop`, again.", "virsh destroy nas"),
        ]
        | UnsetType
    ) = UNSET
    pause: (
        Annotated[str | list[str] | HookCommand, about("Freezes it; needs `resume`.", "virsh suspend nas")]
        | UnsetType
    ) = UNSET
    resume: (
        Annotated[str | list[str] | HookCommand, about("Lets it go on; needs `pause`.", "virsh resume nas")]
        | UnsetType
    ) = UNSET
    ready: (
        Annotated[
            str | list[str] | HookCommand,
            about("Exits 0 once it is ready; unsaid: as soon as it is alive.", "curl -fs http://nas:5000/"),
        ]
        | UnsetType
    ) = UNSET
    interval: (
        Annotated[
            PositiveDuration,
            about("How often `status` is asked while nothing is under way.", "1m", _INTERVAL),
        ]
        | UnsetType
    ) = UNSET


class Guests(Program, frozen=True):
    """What an app is if it is no process of Torpor's."""

    container: (
        Annotated[
            str | Container,
            about("A container, in place of `command`. See [Containers](containers.md).", "notes-postgres"),
        ]
        | UnsetType
    ) = UNSET
    lxc: (
        Annotated[
            int | Machine,
            about("An LXC guest of Proxmox VE, in place of `command`. See [Proxmox](proxmox.md).", 105),
        ]
        | UnsetType
    ) = UNSET
    vm: (
        Annotated[
            int | Machine, about("A virtual machine of Proxmox VE, in place of `command`.", {"id": 200})
        ]
        | UnsetType
    ) = UNSET
    unit: (
        Annotated[
            str | Unit,
            about(
                "A unit of systemd, in place of `command`. See [Units](units.md).", "grafana-server.service"
            ),
        ]
        | UnsetType
    ) = UNSET
    commands: (
        Annotated[
            Commands,
            about(
                "Commands that start it, stop it and ask after it, in place of `command`.",
                {"start": "virsh start nas", "stop": "virsh shutdown nas", "status": "./is-up nas"},
            ),
        ]
        | UnsetType
    ) = UNSET
    on_external_start: (
        Annotated[
            OnExternalStart,
            about(
                "What becomes of it when others start it: `adopt` takes it on as if it had been woken, `stop` ends it "
                "again, `ignore` leaves it alone until somebody knocks.",
                "stop",
                _LIFECYCLE.on_external_start.value,
            ),
        ]
        | UnsetType
    ) = UNSET
    respect_manual_stop: (
        Annotated[
            ManualStop,
            about(
                "What it means when others stop it: `until_wake`: it sleeps; `always`: it is down until "
                "`torpor start`; `never`: it has crashed.",
                "always",
                _LIFECYCLE.respect_manual_stop.value,
            ),
        ]
        | UnsetType
    ) = UNSET


class ClientCertificates(Keys, frozen=True):
    """How an engine that is reached over TCP is known, and Torpor to it.  Files relative to this one."""

    ca: (
        Annotated[str, about("Who vouches for it; unsaid: whoever the system trusts.", "./ca.pem")]
        | UnsetType
    ) = UNSET
    cert: Annotated[str, about("Torpor's certificate.", "./cert.pem")] | UnsetType = UNSET
    key: Annotated[str, about("Its key.", "./key.pem")] | UnsetType = UNSET


class Engine(Keys, frozen=True):
    """A Docker Engine, or Podman's service."""

    url: (
        Annotated[
            str,
            about(
                "Where it is: `unix:///PATH` or `tcp://HOST:PORT`. Unsaid, `docker` is at `$DOCKER_HOST`, else "
                "`/var/run/docker.sock`, and `podman` at its usual socket of root or of Torpor's user.",
                "tcp://10.0.0.2:2376",
            ),
        ]
        | UnsetType
    ) = UNSET
    tls: Annotated[ClientCertificates, about("Speak TLS to it.")] | UnsetType = UNSET
    discover: (
        Annotated[
            bool,
            about(
                "Make apps of its containers that have labels for it. See [Containers](containers.md).",
                True,
                False,
            ),
        ]
        | UnsetType
    ) = UNSET


class Proxmox(Keys, frozen=True):
    """A Proxmox VE cluster, or a single node."""

    url: Annotated[
        str | list[str],
        about(
            "Where its API is; more of the cluster's nodes stand in for one that is down.",
            "https://pve1.lan:8006",
        ),
    ]
    token: (
        Annotated[str, about("An API token: `USER@REALM!NAME=SECRET`.", "torpor@pve!main=${PVE_SECRET}")]
        | UnsetType
    ) = UNSET
    token_file: Annotated[str, about("A file that holds it.", "/etc/torpor/pve-token")] | UnsetType = UNSET
    fingerprint: (
        Annotated[
            str,
            about(
                "SHA-256 of its certificate; unsaid: somebody who is trusted must vouch for it.",
                ":".join(["AB"] * 32),
            ),
        ]
        | UnsetType
    ) = UNSET
    ca: (
        Annotated[str, about("Who vouches for it; unsaid: whoever the system trusts.", "./pve-root-ca.pem")]
        | UnsetType
    ) = UNSET
