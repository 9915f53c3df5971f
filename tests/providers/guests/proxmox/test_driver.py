"""The driver for Proxmox VE does what it promises, also where the cluster does not."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from providers.guests.proxmox.cluster import Cluster
from torpor.config.guests import MachineKind, MachineSpec
from torpor.config.hosts import ProxmoxHost
from torpor.core.model import Endpoint
from torpor.errors import NotAllowed, ProviderFailed, StartFailed
from torpor.providers.guests.driver import Health, Notice, State
from torpor.providers.guests.proxmox import api as api_module
from torpor.providers.guests.proxmox.driver import ProxmoxDriver

pytestmark = pytest.mark.anyio

LXC = MachineSpec(name="105", host="pve", port=8080)
VM = MachineSpec(name="200", host="pve", port=8080, kind=MachineKind.QEMU)


async def until(driver: ProxmoxDriver, spec: MachineSpec, state: State) -> None:
    """Return when it is so."""
    while (await driver.status(spec)).state is not state:
        await asyncio.sleep(0.02)


class TestLife:
    """From a start to an end."""

    @pytest.mark.parametrize("spec", [LXC, VM], ids=["lxc", "vm"])
    async def test_it_is_started_and_shut_down(
        self, driver: ProxmoxDriver, cluster: Cluster, spec: MachineSpec
    ) -> None:
        """A start returns when it runs; a stop when it was asked for; each start is another run."""
        guest = cluster.add(int(spec.name), kind=spec.kind.value)
        runs = set()
        for _ in range(2):
            assert (await driver.status(spec)).state is State.STOPPED
            await driver.start(spec)
            status = await driver.status(spec)
            assert (State.RUNNING, Endpoint("10.0.0.5", 8080)) == (status.state, status.endpoint)
            assert status.run == f"pve1:{guest.pid}"
            runs.add(status.run)
            await driver.stop(spec)
            await until(driver, spec, State.STOPPED)
            assert status.run == (await driver.status(spec)).run
        assert len(runs) == 2

    async def test_what_ends_at_once_was_a_run(self, driver: ProxmoxDriver, cluster: Cluster) -> None:
        """Though nobody has seen it run."""
        guest = cluster.add(105, lives=False)
        runs = {(await driver.status(LXC)).run}
        for _ in range(2):
            await driver.start(LXC)
            assert not guest.alive
            runs.add((await driver.status(LXC)).run)
        assert len(runs) == 3

    async def test_what_runs_or_is_ended_already_is_no_error(
        self, driver: ProxmoxDriver, cluster: Cluster
    ) -> None:
        """Of neither verb, nor for what does not exist."""
        guest = cluster.add(105)
        await driver.stop(LXC)
        await driver.kill(LXC)
        await driver.resume(LXC)
        await driver.start(LXC)
        await driver.start(LXC)
        assert guest.starts == 1
        gone = replace(LXC, name="999")
        await driver.stop(gone)
        await driver.kill(gone)
        assert (await driver.status(gone)).state is State.MISSING

    @pytest.mark.parametrize("spec", [LXC, VM], ids=["lxc", "vm"])
    @pytest.mark.parametrize("version", [(9, 0), (7, 4)], ids=["9", "7"])
    async def test_a_kill_ends_what_does_not_obey(
        self, driver: ProxmoxDriver, cluster: Cluster, spec: MachineSpec, version: tuple[int, int]
    ) -> None:
        """While a shutdown holds its lock, too, which older versions do not overrule by themselves."""
        cluster.version = version
        guest = cluster.add(int(spec.name), kind=spec.kind.value, obeys=False)
        await driver.start(spec)
        await driver.stop(spec)
        await driver.stop(spec)
        assert 1 == sum(job.kind.endswith("shutdown") for job in cluster.jobs)
        assert guest.alive
        await driver.kill(spec)
        assert not guest.alive

    async def test_an_old_list_of_tasks(self, driver: ProxmoxDriver, cluster: Cluster) -> None:
        """It says for ten seconds of a shutdown that is over that it runs: another one is needed all the same."""
        guest = cluster.add(105)
        await driver.start(LXC)
        await driver.stop(LXC)
        await until(driver, LXC, State.STOPPED)
        guest.begin()
        await driver.stop(LXC)
        await until(driver, LXC, State.STOPPED)

    async def test_a_vm_is_paused_and_goes_on(self, driver: ProxmoxDriver, cluster: Cluster) -> None:
        """As the same run; what is paused can be shut down, and killed."""
        guest = cluster.add(200, kind="qemu")
        await driver.start(VM)
        run = (await driver.status(VM)).run
        for _ in range(2):
            await driver.pause(VM)
        status = await driver.status(VM)
        assert (State.PAUSED, run) == (status.state, status.run)
        for _ in range(2):
            await driver.resume(VM)
        assert (await driver.status(VM)).state is State.RUNNING
        await driver.pause(VM)
        await driver.stop(VM)
        await until(driver, VM, State.STOPPED)
        await driver.start(VM)
        await driver.pause(VM)
        await driver.kill(VM)
        assert not guest.alive

    async def test_an_lxc_guest_cannot_be_paused(self, driver: ProxmoxDriver, cluster: Cluster) -> None:
        """Nor does any guest take signals or commands: all of it is said, and none is tried."""
        cluster.add(105)
        await driver.start(LXC)
        asked = len(cluster.asked)
        with pytest.raises(NotAllowed, match="105 cannot be paused"):
            await driver.pause(LXC)
        with pytest.raises(NotAllowed, match="signal 10"):
            await driver.signal(LXC, 10)
        with pytest.raises(NotAllowed, match="pg_isready"):
            await driver.execute(LXC, ("pg_isready",), 1.0)
        assert [] == [piece async for piece in driver.logs(LXC, "run", None)]
        assert asked == len(cluster.asked)

    async def test_it_says_what_it_uses(self, driver: ProxmoxDriver, cluster: Cluster) -> None:
        """Memory, while it runs."""
        cluster.add(105)
        assert await driver.usage(LXC) is None
        await driver.start(LXC)
        usage = await driver.usage(LXC)
        assert usage is not None
        assert usage.rss == 50 << 20

    async def test_high_availability_is_waited_for(self, driver: ProxmoxDriver, cluster: Cluster) -> None:
        """Its tasks only ask: a start returns when the guest runs all the same, and a kill kills."""
        guest = cluster.add(105, managed=True)
        await driver.start(LXC)
        assert guest.alive
        await driver.kill(LXC)
        await until(driver, LXC, State.STOPPED)


class TestWhatItSays:
    """Of odd states."""

    @pytest.mark.parametrize(
        ("qemu", "lock", "state", "health"),
        [
            ("prelaunch", "backup", State.STOPPED, Health.UNCHECKED),
            ("prelaunch", "", State.CHANGING, Health.UNCHECKED),
            ("inmigrate", "migrate", State.CHANGING, Health.UNCHECKED),
            ("running", "backup", State.RUNNING, Health.UNCHECKED),
            ("io-error", "", State.RUNNING, Health.UNHEALTHY),
            ("guest-panicked", "", State.RUNNING, Health.UNHEALTHY),
        ],
    )
    async def test_what_qemu_says(
        self, driver: ProxmoxDriver, cluster: Cluster, *, qemu: str, lock: str, state: State, health: Health
    ) -> None:
        """A machine that is only there to be backed up is not running; one that has halted is ill."""
        guest = cluster.add(200, kind="qemu")
        guest.begin()
        guest.qemu, guest.lock = qemu, lock
        status = await driver.status(VM)
        assert (state, health) == (status.state, status.health)

    @pytest.mark.parametrize(("lock", "state"), [("migrate", State.CHANGING), ("backup", State.STOPPED)])
    async def test_what_is_stopped_and_locked(
        self, driver: ProxmoxDriver, cluster: Cluster, lock: str, state: State
    ) -> None:
        """A migration ends soon; a backup takes hours, and the guest sleeps meanwhile."""
        cluster.add(105, lock=lock)
        status = await driver.status(LXC)
        assert (state, f"locked ({lock})") == (status.state, status.note)

    async def test_who_ended_it(self, driver: ProxmoxDriver, cluster: Cluster) -> None:
        """An end that somebody asked for is told from one that nobody did, after one that was, too."""
        guest = cluster.add(105)
        assert not (await driver.status(LXC)).by_hand
        await driver.start(LXC)
        cluster.by_hand(105, "vzshutdown")
        status = await driver.status(LXC)
        assert (True, "vzshutdown by root@pam") == (status.by_hand, status.exit.note)
        await driver.start(LXC)
        guest.end()
        assert not (await driver.status(LXC)).by_hand
        cluster.by_hand(105, "vzstart")
        cluster.by_hand(105, "vzstop")
        cluster.auditor = False
        assert not (await driver.status(LXC)).by_hand

    @pytest.mark.parametrize("spec", [LXC, VM], ids=["lxc", "vm"])
    @pytest.mark.parametrize(
        ("addresses", "expected"),
        [
            (("fe80::1/64", "2001:db8::5/64"), "2001:db8::5"),
            (("2001:db8::5/64", "192.168.1.7/24"), "192.168.1.7"),
            (("169.254.1.1/16",), None),
            ((), None),
        ],
    )
    async def test_where_it_is_reached(
        self,
        driver: ProxmoxDriver,
        cluster: Cluster,
        spec: MachineSpec,
        addresses: tuple[str, ...],
        expected: str | None,
    ) -> None:
        """By its first address that leads there, IPv4 before IPv6; never by one of its own link."""
        if spec is LXC and len(addresses) == 2 and expected == "2001:db8::5":
            addresses = addresses[1:]  # an interface of an LXC guest has one of each
        cluster.add(int(spec.name), kind=spec.kind.value, addresses=addresses)
        await driver.start(spec)
        endpoint = (await driver.status(spec)).endpoint
        assert expected == (endpoint.host if endpoint is not None else None)

    async def test_where_it_is_told_to_be_reached(self, driver: ProxmoxDriver, cluster: Cluster) -> None:
        """An address that is configured is taken, without an agent in the guest; without a port there is none."""
        cluster.add(200, kind="qemu", agent=False)
        await driver.start(VM)
        assert (await driver.status(VM)).endpoint is None
        endpoint = (await driver.status(replace(VM, address="db.lan"))).endpoint
        assert Endpoint("db.lan", 8080) == endpoint
        assert (await driver.status(replace(VM, address="db.lan", port=None))).endpoint is None


class TestTrouble:
    """What a cluster may answer instead."""

    async def test_a_start_that_fails_says_why(self, driver: ProxmoxDriver, cluster: Cluster) -> None:
        """With what the task's log says."""
        cluster.add(105, breaks="startup for container '105' failed")
        with pytest.raises(
            StartFailed, match=r"LXC guest 105: .*startup for container.*the rootfs is not there"
        ):
            await driver.start(LXC)

    async def test_a_lock_is_waited_for(self, driver: ProxmoxDriver, cluster: Cluster) -> None:
        """A little; then it is said who holds it."""
        guest = cluster.add(105, lock="backup")
        with pytest.raises(StartFailed, match=r"CT is locked \(backup\)") as caught:
            await driver.start(LXC)
        assert "pct unlock" in str(caught.value.hint)
        assert 4 == sum(job.kind == "vzstart" for job in cluster.jobs)
        start = asyncio.ensure_future(driver.start(LXC))
        while len(cluster.jobs) < 5:
            await asyncio.sleep(0.01)
        guest.lock = ""
        await start
        guest.lock = "snapshot"
        with pytest.raises(ProviderFailed, match=r"CT is locked \(snapshot\)"):
            await driver.stop(LXC)
        with pytest.raises(ProviderFailed, match=r"CT is locked \(snapshot\)"):
            await driver.kill(LXC)

    @pytest.mark.parametrize(
        "fault",
        [
            (595, "No route to host"),
            (596, "Connection timed out"),
            (599, "Too many redirections"),
            (503, "Service Unavailable"),
            (500, "got timeout"),
        ],
    )
    async def test_a_moment_of_trouble_passes(
        self, driver: ProxmoxDriver, cluster: Cluster, fault: tuple[int, str]
    ) -> None:
        """Questions are asked again, a few times."""
        cluster.add(105)
        cluster.faults = [fault]
        assert (await driver.status(LXC)).state is State.STOPPED
        cluster.faults = [fault] * 100
        with pytest.raises(ProviderFailed, match=fault[1]):
            await driver.status(LXC)
        assert len(cluster.faults) > 80
        cluster.faults = []

    async def test_another_node_answers(self, driver: ProxmoxDriver, cluster: Cluster) -> None:
        """When the one that is asked is down."""
        cluster.add(105, node="pve2")
        cluster.down = {"pve1"}
        await driver.start(LXC)
        assert (await driver.status(LXC)).state is State.RUNNING
        cluster.down = {"pve1", "pve2"}
        with pytest.raises(ProviderFailed, match="does not answer"):
            await driver.status(LXC)
        cluster.down = set()
        assert (await driver.status(LXC)).state is State.RUNNING

    async def test_a_node_that_is_down_is_no_end_of_its_guests(
        self, driver: ProxmoxDriver, cluster: Cluster
    ) -> None:
        """It is not known what they do."""
        cluster.add(105, node="pve2")
        await driver.start(LXC)
        cluster.down = {"pve2"}
        with pytest.raises(ProviderFailed, match="No route to host") as caught:
            await driver.status(LXC)
        assert caught.value.hint == "is that node up?"

    async def test_a_guest_that_has_moved_is_found(self, driver: ProxmoxDriver, cluster: Cluster) -> None:
        """Unless its node is configured."""
        guest = cluster.add(105)
        assert (await driver.status(LXC)).state is State.STOPPED
        guest.node = "pve2"
        await driver.start(LXC)
        assert guest.alive
        cluster.down = {"pve2"}
        guest.node = "pve1"
        assert (await driver.status(LXC)).state is State.RUNNING
        cluster.down = set()
        assert (await driver.status(replace(LXC, node="pve2"))).state is State.MISSING
        with pytest.raises(StartFailed, match="lives on pve1, not on pve2"):
            await driver.start(replace(LXC, node="pve2"))
        with pytest.raises(StartFailed, match="105 is no qemu guest"):
            await driver.start(replace(LXC, kind=MachineKind.QEMU))

    async def test_a_wrong_token(self, host: ProxmoxHost, cluster: Cluster) -> None:
        """Is told at once, and never in words."""
        cluster.add(105)
        driver = ProxmoxDriver(replace(host, token="torpor@pve!home=hunter2"))
        with pytest.raises(ProviderFailed, match="401") as caught:
            await driver.status(LXC)
        assert "check the token" in str(caught.value.hint)
        assert "hunter2" not in f"{caught.value} {caught.value.hint} {driver.title} {host!r}"
        assert len(cluster.asked) == 1
        await driver.close()

    async def test_a_redirection(self, driver: ProxmoxDriver, cluster: Cluster) -> None:
        """Is not followed: the token is for nobody but who is configured."""
        cluster.add(105)
        cluster.faults = [(302, "Found")]
        with pytest.raises(ProviderFailed, match="302"):
            await driver.status(LXC)
        assert [entry for entry, _, _ in cluster.asked] == ["pve1"]

    async def test_a_missing_privilege(self, driver: ProxmoxDriver, cluster: Cluster) -> None:
        """Is named; without any a guest is as good as missing."""
        cluster.add(105)
        cluster.privileges[105] = frozenset({"VM.Audit"})
        with pytest.raises(StartFailed, match=r"/vms/105, VM.PowerMgmt") as caught:
            await driver.start(LXC)
        assert "docs/proxmox.md" in str(caught.value.hint)
        cluster.privileges[105] = frozenset()
        with pytest.raises(ProviderFailed, match=r"VM.Audit"):
            await driver.status(LXC)
        status = await driver.status(replace(LXC, name="106"))
        assert (State.MISSING, True) == (status.state, "VM.Audit" in status.note)

    async def test_no_signal_ends_it(self, driver: ProxmoxDriver, cluster: Cluster) -> None:
        """A `stop_signal` is refused where it is noticed."""
        cluster.add(105)
        with pytest.raises(StartFailed, match="takes no signals"):
            await driver.start(replace(LXC, stop_signal=2))

    async def test_a_slow_cluster(
        self, driver: ProxmoxDriver, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Is not waited for without end."""
        monkeypatch.setattr(api_module, "_WHOLE_LIMIT", 0.2)
        cluster.add(105)
        cluster.slow = 5.0
        with pytest.raises(ProviderFailed, match="no answer within"):
            await driver.status(LXC)

    async def test_something_else_at_its_place(
        self, driver: ProxmoxDriver, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An answer that is too large, or none of Proxmox VE, is no answer."""
        cluster.faults = [(200, "OK")] * 9
        with pytest.raises(StartFailed, match="not an answer as Proxmox VE gives"):
            await driver.start(LXC)
        cluster.faults = []
        cluster.add(105)
        monkeypatch.setattr(api_module, "_LARGEST_ANSWER", 20)
        with pytest.raises(ProviderFailed, match="larger than"):
            await driver.status(LXC)


class TestTrust:
    """Who is believed to be the cluster."""

    async def test_a_stranger_is_not(self, host: ProxmoxHost, cluster: Cluster) -> None:
        """A certificate that nobody vouches for is refused before the token is sent."""
        driver = ProxmoxDriver(replace(host, ca=None))
        with pytest.raises(ProviderFailed, match="not trusted") as caught:
            await driver.status(LXC)
        assert "fingerprint" in str(caught.value.hint)
        assert cluster.asked == []
        await driver.close()

    @pytest.mark.parametrize("write", [str.upper, str.lower, lambda text: text.replace(":", "")])
    async def test_a_fingerprint_is(
        self, host: ProxmoxHost, cluster: Cluster, certificate: tuple[Path, Path], write: Callable[[str], str]
    ) -> None:
        """However it is written; another one is not."""
        cluster.add(105)
        der = ssl.PEM_cert_to_DER_cert(certificate[0].read_text())
        fingerprint = hashlib.sha256(der).hexdigest()
        driver = ProxmoxDriver(replace(host, ca=None, fingerprint=write(":".join(_pairs(fingerprint)))))
        assert (await driver.status(LXC)).state is State.STOPPED
        await driver.close()
        cluster.asked.clear()
        driver = ProxmoxDriver(replace(host, ca=None, fingerprint="00" * 32))
        with pytest.raises(ProviderFailed, match=":".join(_pairs(fingerprint)).upper()):
            await driver.status(LXC)
        assert cluster.asked == []
        await driver.close()

    @pytest.mark.parametrize("told", ["nothing hexadecimal", "00" * 20])
    async def test_what_is_no_fingerprint(self, host: ProxmoxHost, told: str) -> None:
        """Nor is what is none: SHA-1 is none either."""
        driver = ProxmoxDriver(replace(host, ca=None, fingerprint=told))
        with pytest.raises(ProviderFailed, match="is no SHA-256 fingerprint"):
            await driver.status(LXC)
        await driver.close()

    async def test_certificates_that_cannot_be_read(self, host: ProxmoxHost, tmp_path: Path) -> None:
        """Are named."""
        driver = ProxmoxDriver(replace(host, ca=tmp_path / "none.pem"))
        with pytest.raises(ProviderFailed, match=r"none\.pem"):
            await driver.status(LXC)
        await driver.close()


def _pairs(digest: str) -> list[str]:
    return [digest[at : at + 2] for at in range(0, len(digest), 2)]


@asynccontextmanager
async def watching(driver: ProxmoxDriver, *specs: MachineSpec) -> AsyncIterator[AsyncIterator[Notice]]:
    """The driver's notices of these, after the first one."""
    async with aclosing(driver.watch(lambda: specs)) as notices:  # type: ignore[type-var]
        assert Notice() == await anext(notices)
        yield notices


class TestNews:
    """What is noticed of others' doings."""

    async def test_whatever_happens_is_told(self, driver: ProxmoxDriver, cluster: Cluster) -> None:
        """A start, a restart too quick to be seen, a pause, an illness, an end, a removal."""
        guest = cluster.add(200, kind="qemu")
        cluster.add(105)

        def pause() -> None:
            guest.qemu = "paused"

        def fall_ill() -> None:
            guest.qemu = "io-error"

        async with watching(driver, LXC, VM) as notices:
            for happening in (
                guest.begin,
                guest.begin,
                pause,
                fall_ill,
                guest.end,
                lambda: cluster.guests.pop(200),
            ):
                happening()
                assert Notice("200") == await anext(notices)

    async def test_what_was_undone_at_once_is_told(self, driver: ProxmoxDriver, cluster: Cluster) -> None:
        """Whoever has paused it knows of no resume, though a look before and one after it are the same."""
        guest = cluster.add(200, kind="qemu")
        guest.begin()
        async with watching(driver, VM) as notices:
            await driver.pause(VM)
            guest.qemu = "running"
            assert Notice("200") == await anext(notices)

    async def test_an_address_that_comes_late_is_told(self, driver: ProxmoxDriver, cluster: Cluster) -> None:
        """A guest that has just started may have none yet."""
        guest = cluster.add(105, addresses=())
        async with watching(driver, LXC) as notices:
            guest.begin()
            assert Notice("105") == await anext(notices)
            assert (await driver.status(LXC)).endpoint is None
            guest.addresses = ("10.0.0.9/24",)
            assert Notice("105") == await anext(notices)
            assert Endpoint("10.0.0.9", 8080) == (await driver.status(LXC)).endpoint

    async def test_a_node_that_is_down_hides_its_own_guests_alone(
        self, driver: ProxmoxDriver, cluster: Cluster
    ) -> None:
        """The others' news go on; they have changed when it is back."""
        here, there = cluster.add(105), cluster.add(200, kind="qemu", node="pve2")
        async with watching(driver, LXC, VM) as notices:
            cluster.down = {"pve2"}
            assert Notice("200") == await anext(notices)
            here.begin()
            assert Notice("105") == await anext(notices)
            there.begin()
            cluster.down = set()
            assert Notice("200") == await anext(notices)

    async def test_a_cluster_that_is_down_ends_the_news(
        self, driver: ProxmoxDriver, cluster: Cluster
    ) -> None:
        """So that all is asked for when it is back."""
        cluster.add(105)
        async with watching(driver, LXC) as notices:
            cluster.down = {"pve1", "pve2"}
            with pytest.raises(ProviderFailed, match="does not answer"):
                await anext(notices)
        cluster.down = set()
        async with watching(driver, LXC):
            pass

    async def test_nobody_is_asked_for_nobody(self, driver: ProxmoxDriver, cluster: Cluster) -> None:
        """Without guests there is no traffic."""
        async with watching(driver):
            assert cluster.asked == []


async def test_the_server_is_as_strict_as_the_real_one(driver: ProxmoxDriver, cluster: Cluster) -> None:
    """What it would not take there is not taken here."""
    cluster.add(105)
    cases: list[tuple[str, tuple[object, ...], dict[str, object], str]] = [
        ("post", ("nodes", "pve1", "lxc", "105", "status", "start"), {"force": 1}, "not defined in schema"),
        ("post", ("nodes", "pve1", "lxc", "105", "status", "shutdown"), {"timeout": "soon"}, "type check"),
        ("get", (str, "nodes", "pve1", "lxc", "105", "status", "start"), {}, "501"),
        ("post", ("nodes", "pve1", "lxc", "105", "status", "current"), {}, "501"),
        ("get", (str, "nodes", "pve1", "lxc", "105", "exec"), {}, "501"),
        ("get", (str, "nodes", "pve3", "lxc", "105", "status", "current"), {}, "hostname lookup"),
        ("get", (str, "cluster", "resources"), {"type": "guest"}, "enumeration"),
    ]
    for method, path, parameters, told in cases:
        with pytest.raises(ProviderFailed, match=told):
            await getattr(driver._api, method)(*path, **parameters)
    version = await driver._api.get(dict[str, str], "version")
    assert version["release"] == "9.0"
