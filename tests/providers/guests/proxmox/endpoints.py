"""What the endpoints of Proxmox VE that Torpor uses do, and answer by their documented schema.

A missing privilege is 403, a value that makes no sense 400, and whatever cannot be done 500.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from providers.guests.proxmox.cluster import ALL, OPERATOR, Cluster, Guest, Job


class Refusal(Exception):
    """An answer that is none."""

    def __init__(self, status: int, reason: str, errors: dict[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.errors = errors


@dataclass
class Question:
    """One request, understood."""

    entry: str
    node: str
    rest: tuple[str, ...]
    parameters: dict[str, str]
    user: str

    def flag(self, name: str) -> bool:
        """A boolean parameter."""
        return self.parameters.get(name) == "1"


class Api:
    """The endpoints."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    async def version(self, _: Question) -> Any:
        major, minor = self.cluster.version
        return {"version": f"{major}.{minor}.1", "release": f"{major}.{minor}", "repoid": "0123abcd"}

    async def resources(self, question: Question) -> Any:
        """The list that is ten seconds old in the real one: that of who runs is useless here, too."""
        if question.parameters.get("type", "vm") not in {"vm", "storage", "node", "sdn"}:
            raise wrong("type", "value does not have a value in the enumeration 'vm, storage, node, sdn'")
        return [
            {
                "id": f"{guest.kind}/{guest.vmid}",
                "vmid": guest.vmid,
                "type": guest.kind,
                "node": guest.node,
                "status": "unknown",
            }
            for guest in self.cluster.guests.values()
            if "VM.Audit" in self._privileges(guest.vmid)
        ]

    async def current(self, question: Question) -> Any:
        guest = self._guest(question, "VM.Audit")
        alive = guest.alive
        told: dict[str, Any] = {
            "vmid": guest.vmid,
            "name": f"guest{guest.vmid}",
            "status": "running" if alive else "stopped",
            "uptime": int(time.time() - guest.began) if alive else 0,
            "cpus": 1,
            "cpu": 0.01 if alive else 0,
            "mem": 50 << 20 if alive else 0,
            "maxmem": 512 << 20,
            "ha": {"managed": int(guest.managed)},
        }
        if alive:
            told["pid"] = guest.pid
        if guest.lock:
            told["lock"] = guest.lock
        if guest.kind == "qemu":
            told["qmpstatus"] = guest.qemu if alive else "stopped"
        return told

    async def interfaces(self, question: Question) -> Any:
        guest = self._guest(question, "VM.Audit")
        if not guest.alive:
            return None
        found = {"inet6" if ":" in one else "inet": one for one in reversed(guest.addresses)}
        return [
            {"name": "lo", "hwaddr": "00:00:00:00:00:00", "inet": "127.0.0.1/8", "inet6": "::1/128"},
            {"name": "eth0", "hwaddr": "bc:24:11:aa:bb:cc", **found},
        ]

    async def agent(self, question: Question) -> Any:
        guest = self._guest(question, "VM.GuestAgent.Audit")
        if not guest.agent:
            raise Refusal(500, "No QEMU guest agent configured")
        if not guest.alive or guest.qemu != "running":
            raise Refusal(500, f"VM {guest.vmid} is not running")
        listed = [
            {
                "ip-address": one.partition("/")[0],
                "ip-address-type": "ipv6" if ":" in one else "ipv4",
                "prefix": 24,
            }
            for one in guest.addresses
        ]
        home = {"ip-address": "127.0.0.1", "ip-address-type": "ipv4", "prefix": 8}
        return {
            "result": [
                {"name": "lo", "ip-addresses": [home]},
                {"name": "eth0", "hardware-address": "bc:24:11:aa:bb:cc", "ip-addresses": listed},
            ]
        }

    async def start(self, question: Question) -> Any:
        guest = self._guest(question, "VM.PowerMgmt")
        if guest.alive:
            raise Refusal(500, f"{guest.called} already running")

        async def work(job: Job) -> None:
            async with self._guarded(guest):
                self._check_lock(guest)
                await asyncio.sleep(guest.boot)
                if guest.breaks:
                    job.log += ["lxc-start: 105: conf.c: the rootfs is not there", "startup failed"]
                    raise Refusal(500, guest.breaks)
                guest.begin()

        return self._high_availability(question, guest, "hastart", work) or self._fork(
            question, guest, "start", work
        )

    async def stop(self, question: Question) -> Any:
        guest = self._guest(question, "VM.PowerMgmt")
        if guest.kind == "lxc" and not guest.alive:
            raise Refusal(500, f"{guest.called} not running")
        if guest.managed and question.flag("overrule-shutdown"):
            raise wrong("overrule-shutdown", "Not applicable for HA resources.")

        async def work(job: Job) -> None:
            if question.flag("overrule-shutdown"):
                self._abort(guest, job)
            async with self._guarded(guest):
                self._check_lock(guest)
                await asyncio.sleep(guest.boot)
                guest.end()

        return self._high_availability(question, guest, "hastop", work) or self._fork(
            question, guest, "stop", work
        )

    async def shutdown(self, question: Question) -> Any:
        guest = self._guest(question, "VM.PowerMgmt")
        if not guest.alive:
            raise Refusal(500, f"{guest.called} not running")
        if guest.kind == "qemu" and guest.qemu == "paused":
            raise Refusal(500, "VM is paused - cannot shutdown")
        limit = float(question.parameters.get("timeout", 60))

        async def work(_: Job) -> None:
            async with self._guarded(guest):
                self._check_lock(guest)
                deadline = time.monotonic() + limit
                await asyncio.sleep(guest.boot)
                while not guest.obeys and guest.alive:
                    if time.monotonic() > deadline and not question.flag("forceStop"):
                        raise Refusal(500, "VM quit/powerdown failed - got timeout")
                    await asyncio.sleep(0.02)
                guest.end()

        return self._high_availability(question, guest, "hastop", work) or self._fork(
            question, guest, "shutdown", work
        )

    async def suspend(self, question: Question) -> Any:
        guest = self._guest(question, "VM.PowerMgmt")
        if not guest.alive:
            raise Refusal(500, f"{guest.called} not running")

        async def work(_: Job) -> None:
            async with self._guarded(guest):
                self._check_lock(guest)
                if guest.kind == "lxc":
                    raise Refusal(
                        500, f"command 'lxc-checkpoint -n {guest.vmid} -s -D /var/lib/vz/dump' failed"
                    )
                guest.qemu = "paused"

        return self._fork(question, guest, "pause" if guest.kind == "qemu" else "suspend", work)

    async def resume(self, question: Question) -> Any:
        guest = self._guest(question, "VM.PowerMgmt")
        if guest.kind == "qemu" and not guest.alive:
            raise Refusal(500, f"{guest.called} not running")

        async def work(_: Job) -> None:
            async with self._guarded(guest):
                guest.qemu = "running"

        return self._fork(question, guest, "resume", work)

    async def tasks(self, question: Question) -> Any:
        source = question.parameters.get("source", "archive")
        if source not in {"archive", "active", "all"}:
            raise wrong("source", "value does not have a value in the enumeration 'archive, active, all'")
        limit = int(question.parameters.get("limit", 50))
        vmid = question.parameters.get("vmid")
        rows = [
            job.row()
            for job in reversed(self.cluster.jobs)
            if job.node == question.node
            and (vmid is None or str(job.vmid) == vmid)
            and (self.cluster.auditor or job.user == question.user)
            and (source == "all" or (not job.listed) == (source == "active"))
        ]
        return rows[:limit]

    async def task_status(self, question: Question) -> Any:
        job = self._job(question)
        row = job.row() | {"status": "running" if job.exit is None else "stopped"}
        row.pop("endtime", None)
        return row | ({"exitstatus": job.exit} if job.exit is not None else {})

    async def task_log(self, question: Question) -> Any:
        job = self._job(question)
        lines = job.log + ([f"TASK {'OK' if job.exit == 'OK' else f'ERROR: {job.exit}'}"] if job.exit else [])
        limit = int(question.parameters.get("limit", 50))
        return [{"n": number, "t": line} for number, line in enumerate(lines or ["no content"], 1)][:limit]

    async def abort(self, question: Question) -> Any:
        job = self._job(question)
        if job.work is not None:
            job.work.cancel()
        return None

    def _privileges(self, vmid: int) -> frozenset[str]:
        return self.cluster.privileges.get(vmid, ALL)

    def _guest(self, question: Question, privilege: str) -> Guest:
        kind, vmid = question.rest[0], int(question.rest[1])
        if privilege not in self._privileges(vmid):
            raise Refusal(403, f"Permission check failed (/vms/{vmid}, {privilege})")
        guest = self.cluster.guests.get(vmid)
        if guest is None or guest.node != question.node or guest.kind != kind:
            folder = "lxc" if kind == "lxc" else "qemu-server"
            raise Refusal(
                500, f"Configuration file 'nodes/{question.node}/{folder}/{vmid}.conf' does not exist"
            )
        return guest

    def _job(self, question: Question) -> Job:
        for job in self.cluster.jobs:
            if job.upid == question.rest[1] and job.node == question.node:
                if job.user != question.user and not self.cluster.auditor:
                    raise Refusal(403, f"Permission check failed (/nodes/{job.node}, Sys.Audit)")
                return job
        raise wrong("upid", "no such task")

    @asynccontextmanager
    async def _guarded(self, guest: Guest) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self.cluster.patience):
                await guest.guard.acquire()
        except TimeoutError:
            path = f"/run/lock/{guest.kind}/pve-config-{guest.vmid}.lock"
            raise Refusal(500, f"can't lock file '{path}' - got timeout") from None
        try:
            yield
        finally:
            guest.guard.release()

    def _check_lock(self, guest: Guest) -> None:
        if guest.lock:
            raise Refusal(500, f"{guest.called.split()[0]} is locked ({guest.lock})")

    def _abort(self, guest: Guest, by: Job) -> None:
        for job in self.cluster.jobs:
            if (
                job.vmid == guest.vmid
                and job.kind.endswith("shutdown")
                and job.work is not None
                and job.exit is None
            ):
                by.log.append(f"overruled {job.kind} tasks: {job.upid}")
                job.work.cancel()

    def _high_availability(
        self, question: Question, guest: Guest, kind: str, work: Callable[[Job], Awaitable[None]]
    ) -> str | None:
        """A task that only asks, if high availability is to do it."""
        if not guest.managed:
            return None

        async def ask(_: Job) -> None:
            later = self.cluster.job(guest.node, f"{_prefix(guest)}{kind[2:]}", guest.vmid, OPERATOR)
            later.work = asyncio.get_running_loop().create_task(_run(later, work, 0.2))

        return self._fork(question, guest, kind, ask)

    def _fork(
        self, question: Question, guest: Guest, verb: str, work: Callable[[Job], Awaitable[None]]
    ) -> str:
        kind = verb if verb.startswith("ha") else _prefix(guest) + verb
        job = self.cluster.job(guest.node, kind, guest.vmid, question.user)
        job.work = asyncio.get_running_loop().create_task(_run(job, work, 0.0))
        return job.upid


def _prefix(guest: Guest) -> str:
    return "vz" if guest.kind == "lxc" else "qm"


async def _run(job: Job, work: Callable[[Job], Awaitable[None]], delay: float) -> None:
    try:
        await asyncio.sleep(delay)
        await work(job)
        job.exit = "OK"
    except Refusal as refusal:
        job.exit = refusal.reason
    except asyncio.CancelledError:
        job.exit = "unexpected status"
    job.ended = int(time.time())


def wrong(name: str, text: str) -> Refusal:
    """What a parameter is refused with."""
    return Refusal(400, "Parameter verification failed.", {name: text})
