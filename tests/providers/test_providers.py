"""Which provider an app gets, and when those of guests are made."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from contract.provider_contract import Behaviour, Facts
from providers.guests.fake import FakeDriver, FakeGuest, FakeHost
from torpor.config.guests import ContainerSpec, GuestSpec, UnitSpec
from torpor.config.hosts import EngineHost, Hosts
from torpor.config.settings import ProcessSpec
from torpor.core.model import AppSpec, InstanceId
from torpor.errors import StartFailed
from torpor.providers.base import Launch
from torpor.providers.guests import drivers
from torpor.providers.guests.driver import Driver
from torpor.providers.guests.means import Means
from torpor.providers.providers import Providers

pytestmark = pytest.mark.anyio

ID = InstanceId("app")
NEW_DRIVER = drivers.new_driver
HOSTS = Hosts(engines=MappingProxyType({"docker": EngineHost("unix:///nowhere")}))


def an_app(guest: GuestSpec) -> AppSpec:
    """An app that is this guest."""
    return AppSpec("app", workload=guest, guest=True)


class House:
    """The providers of a daemon, whose drivers are all of one host in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts = Facts()
        self.host = FakeHost()
        self.made: list[tuple[type[GuestSpec], str]] = []
        self.providers = self.new()

    def new(self) -> Providers:
        """Those of a daemon."""
        return Providers(self.folder, self.facts, {}, HOSTS)

    def driver(self, kind: type[GuestSpec], name: str, _means: Means) -> Driver:
        """In place of real ones."""
        self.made.append((kind, name))
        return FakeDriver(self.host)


@pytest.fixture
async def house(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anyio_backend: object
) -> AsyncIterator[House]:
    """Opened."""
    house = House(tmp_path)
    monkeypatch.setattr(drivers, "new_driver", house.driver)
    await house.providers.open()
    yield house
    await house.providers.close()


async def test_one_provider_for_each_host(house: House) -> None:
    """It is made for the first app that needs it."""
    of = house.providers.of
    process = AppSpec("p", workload=ProcessSpec(("true",), house.folder))
    assert of(process) is house.providers.process
    assert [] == house.made
    first = of(an_app(ContainerSpec(name="a", port=80, host="docker")))
    assert first is of(an_app(ContainerSpec(name="b", port=80, host="docker")))
    assert first is not of(an_app(ContainerSpec(name="b", port=80, host="podman")))
    assert first is not of(an_app(UnitSpec(name="b", port=80, host="docker")))
    assert [(ContainerSpec, "docker"), (ContainerSpec, "podman"), (UnitSpec, "docker")] == house.made


async def test_all_share_one_store_of_logs(house: House) -> None:
    """An app's log stays the same whatever it is made of."""
    guest = house.providers.of(an_app(ContainerSpec(name="a", port=80, host="docker")))
    assert guest.output(ID) is house.providers.process.output(ID)


async def test_survivors_of_hosts_that_no_app_needs_now(house: House) -> None:
    """They are found by their records, told of, and can be ended."""
    house.host.guests["a"] = FakeGuest(Behaviour.STEADY)
    app = an_app(ContainerSpec(name="a", port=80, host="docker"))
    await house.providers.of(app).start(Launch(ID, 3, app, None))
    await house.providers.close()
    house.providers = house.new()
    await house.providers.open()
    (survivor,) = await house.providers.survivors()
    assert (ID, 3) == (survivor.id, survivor.generation)
    await house.providers.discard(survivor)
    assert not house.host.guests["a"].alive
    assert house.facts.all == []


async def test_another_address_for_a_host(house: House) -> None:
    """Its driver is made anew when nothing of it is alive, and not before."""
    house.host.guests["a"] = FakeGuest(Behaviour.STEADY)
    app = an_app(ContainerSpec(name="a", port=80, host="docker"))
    other = replace(HOSTS, engines={"docker": EngineHost("unix:///elsewhere")})
    before = house.providers.of(app)
    await before.start(Launch(ID, 1, app, None))
    house.providers.follow(other, [(ID, app)])
    assert house.providers.of(app) is before
    await before.kill(ID, 1)
    await house.facts.exited()
    house.providers.follow(other, [(ID, app)])
    assert house.providers.of(app) is not before
    after = house.providers.of(app)
    house.providers.follow(other, [(ID, app)])
    assert house.providers.of(app) is after


@pytest.mark.parametrize(
    ("guest", "said"),
    [
        (ContainerSpec(name="a", port=80, host="unheard-of"), "unheard-of"),
        (UnitSpec(name="a", port=80, host="system"), r"torpor\[systemd\]"),
        (GuestSpec(name="a", port=80, host="system"), "nobody here can drive"),
    ],
)
async def test_a_host_that_cannot_be_spoken_to(
    house: House, monkeypatch: pytest.MonkeyPatch, guest: GuestSpec, said: str
) -> None:
    """A start says why; nothing else is disturbed."""
    monkeypatch.setattr(drivers, "new_driver", NEW_DRIVER)
    row = replace(drivers._KINDS[UnitSpec], module="no_such_library")
    monkeypatch.setattr(drivers, "_KINDS", {**drivers._KINDS, UnitSpec: row})
    app = an_app(guest)
    house.providers.follow(HOSTS, [(ID, app)])
    provider = house.providers.of(app)
    assert provider.stats(ID) is None
    assert provider.output(ID).tail(10) == []
    with pytest.raises(StartFailed, match=said):
        await provider.start(Launch(ID, 1, app, None))
