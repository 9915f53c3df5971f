"""What Proxmox VE tells of a guest at one moment, and where the guest lives."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from torpor.config.guests import MachineKind, MachineSpec
from torpor.errors import ProviderFailed
from torpor.providers.guests.driver import Health, State
from torpor.providers.guests.proxmox.api import ProxmoxApi, Refused

_STATES = {
    "running": State.RUNNING,
    "paused": State.PAUSED,
    "suspended": State.PAUSED,
    "guest-panicked": State.RUNNING,
    "internal-error": State.RUNNING,
    "io-error": State.RUNNING,
    "watchdog": State.RUNNING,
}
"""What QEMU says of itself while its process is there; whatever else it says, it is on its way."""
_ILL = frozenset({"guest-panicked", "internal-error", "io-error", "watchdog"})
"""What it says when the machine has come to a halt by an error."""
_MOVING = frozenset({"migrate", "rollback", "create", "clone"})
"""Locks of what is stopped now and may not be so after they go.  A backup's is none of them: it takes hours."""


@dataclass(frozen=True, slots=True)
class Look:
    """One guest at one moment."""

    node: str
    alive: bool
    qemu: str
    """What QEMU says of itself; for an LXC guest: `running` or `stopped`."""
    pid: int | None
    """Its main process, on its node."""
    lock: str
    """What holds it: `backup`, `migrate`; mostly nothing."""
    uptime: float
    """Seconds."""
    memory: int
    """Bytes on its node; what it was given of them, where the node does not tell."""

    @property
    def state(self) -> State:
        """What it is."""
        # To back up a machine that is stopped, a process is made for it that does not run the machine.
        if not self.alive or (self.qemu == "prelaunch" and self.lock == "backup"):
            return State.CHANGING if self.lock in _MOVING else State.STOPPED
        return _STATES.get(self.qemu, State.CHANGING)

    @property
    def run(self) -> str | None:
        """Which run it is; None: it does not run.

        By its main process, of which each start makes another.  Not by when it began: that is told
        as whole seconds of uptime, which taken from the clock give now this second and now the next.
        Numbers of processes are given out anew after 4 million, or when the node was booted;
        that the same guest gets the same one then is as good as never.
        A live migration makes another process, too, and therefore counts as another run.
        """
        return f"{self.node}:{self.pid}" if self.alive and self.pid is not None else None

    @property
    def health(self) -> Health:
        """Whether QEMU knows of an error that holds it."""
        return Health.UNHEALTHY if self.alive and self.qemu in _ILL else Health.UNCHECKED

    @property
    def note(self) -> str:
        """What else there is to say of it."""
        told = [f"locked ({self.lock})"] if self.lock else []
        if self.health is Health.UNHEALTHY:
            told.append(f"QEMU says {self.qemu}")
        return ", ".join(told)


class Machines:
    """The guests of a cluster."""

    def __init__(self, api: ProxmoxApi) -> None:
        self._api = api
        self._nodes: dict[tuple[MachineKind, str], str] = {}
        """Where guests were seen last; forgotten when they are not there."""

    async def look(self, spec: MachineSpec) -> Look | None:
        """How it is; None: there is no such guest, or none that the token may see.  Raises `ProviderFailed`."""
        try:
            node, told = await self.ask(spec, "GET", "status", "current")
        except NotThere:
            return None
        return _look(node, told)

    async def ask(self, spec: MachineSpec, method: str, *path: str, **parameters: object) -> tuple[str, Any]:
        """Put a question of one guest to the node that it lives on; that node, and the answer.

        A guest that is not where it was last, or whose node is out of reach, is looked for once.
        Raises `NotThere` and `ProviderFailed`.
        """
        node = await self._node(spec)
        try:
            return node, await self._ask(spec, node, method, path, parameters)
        except Refused as error:
            if not (error.gone or error.unreached):
                raise
            moved = await self._found(spec)
            if moved == node:
                raise
        return moved, await self._ask(spec, moved, method, path, parameters)

    async def address(self, spec: MachineSpec) -> str | None:
        """The first address of its own by which others can reach it; None: it has none yet, or does not tell."""
        agent = ("agent", "network-get-interfaces")
        try:
            _, told = await self.ask(
                spec, "GET", *(agent if spec.kind is MachineKind.QEMU else ("interfaces",))
            )
        except ProviderFailed:
            return None  # no agent in it, or the network is not up
        if isinstance(told, dict):
            told = told.get("result")
        return _address([one for one in told or () if isinstance(one, dict)])

    async def _ask(
        self, spec: MachineSpec, node: str, method: str, path: tuple[str, ...], parameters: dict[str, object]
    ) -> Any:
        whole = ("nodes", node, spec.kind.value, spec.name, *path)
        return await (self._api.get if method == "GET" else self._api.post)(*whole, **parameters)

    async def _node(self, spec: MachineSpec) -> str:
        return spec.node or self._nodes.get((spec.kind, spec.name)) or await self._found(spec)

    async def _found(self, spec: MachineSpec) -> str:
        """Where the cluster says that it lives."""
        self._nodes.pop((spec.kind, spec.name), None)
        for row in await self._api.get("cluster", "resources", type="vm"):
            if str(row.get("vmid")) != spec.name:
                continue
            if row.get("type") != spec.kind.value:
                raise NotThere(f"{spec.name} is no {spec.kind.value} guest, but one of {row.get('type')}")
            node = str(row["node"])
            if spec.node not in {None, node}:
                raise NotThere(f"{spec.kind.value} guest {spec.name} lives on {node}, not on {spec.node}")
            self._nodes[spec.kind, spec.name] = node
            return node
        raise NotThere(
            f"there is no {spec.kind.value} guest {spec.name} that the token may see",
            hint="the token needs VM.Audit on /vms/NUMBER or above; docs/proxmox.md shows how",
        )


class NotThere(ProviderFailed):
    """The cluster has no such guest, or the token may not know of it."""


def _look(node: str, told: dict[str, Any]) -> Look:
    status = str(told.get("status", ""))
    return Look(
        node=node,
        alive=status == "running",
        qemu=str(told.get("qmpstatus") or status),
        pid=int(told["pid"]) if told.get("pid") else None,
        lock=str(told.get("lock") or ""),
        uptime=float(told.get("uptime") or 0.0),
        memory=int(told.get("memhost") or told.get("mem") or 0),
    )


def _address(interfaces: list[dict[str, Any]]) -> str | None:
    """The first IPv4 address that leads there from elsewhere, else the first such IPv6 address."""
    found = [ip_address(text) for one in interfaces for text in _addresses(one)]
    usable = [one for one in found if not (one.is_loopback or one.is_link_local or one.is_multicast)]
    return str(min(usable, key=lambda one: one.version)) if usable else None


def _addresses(interface: dict[str, Any]) -> list[str]:
    """LXC guests' have `inet` and `inet6` with a prefix length, and since 9 the list that the agent gives, too."""
    listed = [str(one.get("ip-address", "")) for one in interface.get("ip-addresses") or ()]
    plain = [str(interface.get(name) or "") for name in ("inet", "inet6")]
    return [text for each in (listed or plain) if (text := each.partition("/")[0])]
