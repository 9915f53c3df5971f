"""What Proxmox VE tells of a guest at one moment, and where the guest lives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address

import msgspec

from torpor.config.guests import MachineKind, MachineSpec
from torpor.errors import ProviderFailed
from torpor.providers.guests.driver import Health, State
from torpor.providers.guests.proxmox.api import Kind, ProxmoxApi, Refused
from torpor.providers.guests.proxmox.tasks import Task

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
        self._nodes: dict[str, str] = {}
        """Where guests were seen last; forgotten when they are not there."""
        self._runs: dict[str, str] = {}
        """Which runs of them were the last to be seen."""

    async def look(self, spec: MachineSpec) -> Look | None:
        """How it is; None: there is no such guest, or none that the token may see.  Raises `ProviderFailed`."""
        try:
            node, now = await self._where_it_is(spec, self._asking(_Current, spec, "status", "current"))
        except NotThere:
            return None
        look = Look(
            node=node,
            alive=now.status == "running",
            qemu=now.qmpstatus or now.status,
            pid=now.pid,
            lock=now.lock,
            uptime=now.uptime,
            memory=now.memhost or now.mem,
        )
        if look.run is not None:
            self._runs[spec.name] = look.run
        return look

    def last_run(self, spec: MachineSpec) -> str | None:
        """The last run of it that was seen from here: the cluster names none that has ended."""
        return self._runs.get(spec.name)

    async def note_start(self, spec: MachineSpec, task: Task) -> None:
        """It was started; what has ended before anybody saw it has been a run, too.  Raises `ProviderFailed`."""
        look = await self.look(spec)
        if look is not None and look.run is None:
            self._runs[spec.name] = task.upid

    async def act(self, spec: MachineSpec, verb: str, **parameters: object) -> Task:
        """Ask for something to be done to it.  Raises `NotThere` and `ProviderFailed`."""

        async def post(node: str) -> str:
            return await self._api.post("nodes", node, spec.kind, spec.name, "status", verb, **parameters)

        _, upid = await self._where_it_is(spec, post)
        return Task.of(upid)

    async def address(self, spec: MachineSpec) -> str | None:
        """The first address of its own by which others can reach it; None: it has none yet, or does not tell."""
        try:
            if spec.kind is MachineKind.QEMU:
                agent = self._asking(_Agent, spec, "agent", "network-get-interfaces")
                return _address((await self._where_it_is(spec, agent))[1].result)
            return _address(
                (await self._where_it_is(spec, self._asking(list[_Interface], spec, "interfaces")))[1]
            )
        except (ProviderFailed, ValueError):
            return None  # no agent in it, or the network is not up

    def _asking(self, kind: type[Kind], spec: MachineSpec, *path: str) -> Callable[[str], Awaitable[Kind]]:
        """A question of a guest, to be put to a node."""
        return lambda node: self._api.get(kind, "nodes", node, spec.kind, spec.name, *path)

    async def _where_it_is(
        self, spec: MachineSpec, ask: Callable[[str], Awaitable[Kind]]
    ) -> tuple[str, Kind]:
        """Put a question to the node that it lives on; that node, and the answer.

        A guest that is not where it was last, or whose node is out of reach, is looked for once.
        """
        node = spec.node or self._nodes.get(spec.name) or await self._found(spec)
        try:
            return node, await ask(node)
        except Refused as error:
            if not (error.gone or error.unreached):
                raise
            moved = await self._found(spec)
            if moved == node:
                raise
        return moved, await ask(moved)

    async def _found(self, spec: MachineSpec) -> str:
        """Where the cluster says that it lives."""
        self._nodes.pop(spec.name, None)
        for row in await self._api.get(list[_Resource], "cluster", "resources", type="vm"):
            if str(row.vmid) != spec.name:
                continue
            if row.type != spec.kind:
                raise NotThere(f"{spec.name} is no {spec.kind} guest, but one of {row.type}")
            if spec.node not in {None, row.node}:
                raise NotThere(f"{spec.kind} guest {spec.name} lives on {row.node}, not on {spec.node}")
            self._nodes[spec.name] = row.node
            return row.node
        raise NotThere(
            f"there is no {spec.kind} guest {spec.name} that the token may see",
            hint="the token needs VM.Audit on /vms/NUMBER or above; docs/proxmox.md shows how",
        )


class NotThere(ProviderFailed):
    """The cluster has no such guest, or the token may not know of it."""


class _Resource(msgspec.Struct):
    type: str
    vmid: int
    node: str


class _Current(msgspec.Struct):
    status: str
    qmpstatus: str | None = None
    pid: int | None = None
    lock: str = ""
    uptime: float = 0.0
    mem: int = 0
    memhost: int | None = None


class _Address(msgspec.Struct, rename={"ip": "ip-address"}):
    ip: str


class _Interface(msgspec.Struct, rename={"listed": "ip-addresses"}):
    """The agent lists addresses; for LXC guests there is one of each kind, and since 9 the list, too."""

    listed: list[_Address] | None = None
    inet: str | None = None
    inet6: str | None = None

    @property
    def addresses(self) -> list[str]:
        """Without the length of their prefixes."""
        texts = [one.ip for one in self.listed or ()] or [self.inet or "", self.inet6 or ""]
        return [text.partition("/")[0] for text in texts if text]


class _Agent(msgspec.Struct):
    result: list[_Interface]


def _address(interfaces: list[_Interface]) -> str | None:
    """The first IPv4 address that leads there from elsewhere, else the first such IPv6 address."""
    found = [ip_address(text) for one in interfaces for text in one.addresses]
    usable = [one for one in found if not (one.is_loopback or one.is_link_local or one.is_multicast)]
    return str(min(usable, key=lambda one: one.version)) if usable else None
