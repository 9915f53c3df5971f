"""Apps of containers: they come and go with these, and harm nobody else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runtime.test_running_set import TEXT, Setup, running
from torpor.config.hosts import EngineHost
from torpor.config.labels import reading
from torpor.config.labels.container import Container
from torpor.config.labels.reading import read_labels
from torpor.errors import ConfigInvalid, NameTaken, NotAllowed, ProviderFailed
from torpor.runtime import discovery
from torpor.runtime.discovery import Discovery

pytestmark = pytest.mark.anyio

ON = {"torpor.enable": "true"}


def made(name: str, **labels: str) -> Container:
    """A container that is to be an app; `__` stands for a dot."""
    own = {f"torpor.{label.replace('__', '.')}": text for label, text in labels.items()}
    return Container(name=name, labels={**ON, **own})


@dataclass
class Engine:
    """A catalogue that says what it is told to."""

    title: str = "the engine"
    there: list[Container] = field(default_factory=list)
    broken: bool = False
    closed: bool = False
    asked: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def have(self, *containers: Container) -> None:
        """From now on it has these."""
        self.there = [*containers]
        self.news.set()

    async def close(self) -> None:
        """Note it."""
        self.closed = True

    async def containers(self) -> Sequence[Container]:
        """What it was told to have."""
        self.asked += 1
        if self.broken:
            raise ProviderFailed("nobody answers")
        return self.there

    async def appearances(self) -> AsyncGenerator[None, None]:
        """One at the beginning, then one for each call of `have`."""
        while True:
            yield
            await self.news.wait()
            self.news.clear()


@dataclass
class Found:
    """A running set that follows an engine."""

    setup: Setup
    engine: Engine
    discovery: Discovery

    async def until(self, *apps: str) -> None:
        """Wait until there are these apps beside the one of the file."""
        await self.setup.house.until(lambda: sorted(self.setup.apps) == sorted(["app", *apps]))

    def container(self, app: str) -> str | None:
        origin = self.setup.set.origin(app)
        return None if origin is None else origin.container


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "SETTLE", 0.0)
    monkeypatch.setattr(discovery, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(discovery, "AGAIN", 0.05)


@asynccontextmanager
async def discovering(tmp_path: Path, *containers: Container, text: str = TEXT) -> AsyncIterator[Found]:
    """A set that follows an engine with these containers."""
    async with running(tmp_path, text) as setup:
        engine = Engine(there=[*containers])
        follows = Discovery(lambda _name, _host: engine)
        setup.set.left_out = follows.tell_left_out
        follows.follow({"docker": EngineHost("unix:///nowhere", discover=True)})
        follows.begin(setup.set.take_on)
        try:
            yield Found(setup, engine, follows)
        finally:
            await follows.close()


async def test_a_container_with_labels_is_an_app(tmp_path: Path) -> None:
    """It says where it comes from, setting by setting, and nothing is written to disk for it."""
    async with discovering(tmp_path, made("web", idle_timeout="7m"), Container(name="bare")) as found:
        await found.until("web")

        origin = found.setup.set.origin("web")
        assert origin is not None
        assert ("container web", False, "web") == (origin.place, origin.added, origin.container)
        assert {"container": "", "idle_timeout": "torpor.idle_timeout"} == {
            one.setting: one.label for one in origin.written
        }
        assert [] == found.setup.additions.files()


async def test_apps_go_with_their_containers_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is made anew within the time keeps its app; what is not, leaves."""
    async with discovering(tmp_path, made("web"), made("other")) as found:
        await found.until("web", "other")
        before = found.setup.house.engine.fleet.apps["web"]
        found.engine.have(made("other"), made("third"))
        await found.until("web", "other", "third")
        found.engine.have(made("web"), made("other"), made("fourth"))
        await found.until("web", "other", "third", "fourth")
        assert before is found.setup.house.engine.fleet.apps["web"]

        monkeypatch.setattr(discovery, "GRACE", 0.01)
        found.engine.have(made("other"))

        await found.until("other", "third")  # which has its ten seconds still


async def test_other_labels_make_another_app_of_it(tmp_path: Path) -> None:
    """Compose makes the container anew when they change."""
    async with discovering(tmp_path, made("web", priority="10")) as found:
        await found.until("web")
        found.engine.have(made("web", priority="90"))

        await found.setup.house.until(
            lambda: found.setup.house.engine.fleet.apps["web"].spec.share.priority == 90
        )


async def test_a_label_that_is_wrong_leaves_out_its_container_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And whoever needs it; each is told once, with its label and what was probably meant."""
    with caplog.at_level(logging.ERROR, "torpor.runtime.discovery"):
        async with discovering(
            tmp_path,
            made("bad", idle_timout="5m"),
            made("worse", readiness__http="healthz"),
            made("needy", depends_on="bad"),
            made("good"),
        ) as found:
            await found.until("good")
            found.engine.have(*found.engine.there, made("more"))
            await found.until("good", "more")
            found.engine.have(*found.engine.there, made("most"))
            await found.until("good", "more", "most")

    said = [record.getMessage() for record in caplog.records]
    assert 3 == len(said), said
    assert any(
        "container bad: torpor.idle_timout: unknown key 'idle_timout' (did you mean 'torpor.idle_timeout'?)"
        == one
        for one in said
    )
    assert any(one.startswith("container worse: torpor.readiness.http: ") for one in said)
    assert any(one.startswith("container needy: torpor.depends_on: there is no app") for one in said)


async def test_what_a_file_says_wins(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A container that would be an app of the same name is none, and that is told."""
    async with discovering(tmp_path, made("app"), made("web")) as found:
        await found.until("web")

        assert found.container("app") is None
        told = "container app: there is an app of this name at"
        await found.setup.house.until(lambda: told in caplog.text)


async def test_a_file_that_comes_to_name_the_app_takes_it_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With the `apply` that makes the file hold, and not before."""
    async with discovering(tmp_path, made("web"), made("other")) as found:
        await found.until("web", "other")
        found.setup.file.write_text(TEXT + "  web: {command: sleep 3}\n")
        found.engine.have(made("web"), made("other"), made("more"))
        await found.until("web", "other", "more")
        assert "web" == found.container("web")

        await found.setup.set.apply()

        assert [None, "other", "more"] == [found.container(name) for name in ("web", "other", "more")]
        assert "container web: there is an app of this name at" in caplog.text


async def test_applying_leaves_the_apps_of_containers_be(tmp_path: Path) -> None:
    """A file that says nothing of them does not end them."""
    async with discovering(tmp_path, made("web")) as found:
        await found.until("web")
        found.setup.file.write_text(TEXT + "  new: {command: sleep 3}\n")

        changes = await found.setup.set.apply()

        assert (("new",), ()) == (tuple(changes.added), tuple(changes.removed))
        assert ["app", "new", "web"] == sorted(found.setup.apps)


async def test_nothing_is_taken_on_while_the_file_is_broken(tmp_path: Path) -> None:
    """What is there stays as it is, and the file's mistakes are told by whoever applies it."""
    async with running(tmp_path) as setup:
        setup.file.write_text("apps: [")

        with pytest.raises(ConfigInvalid):
            await setup.set.take_on(read_labels([made("web")]))

        assert ["app"] == setup.apps


async def test_an_engine_that_cannot_be_reached_takes_no_app_away(tmp_path: Path) -> None:
    """It is asked again and again."""
    async with discovering(tmp_path, made("web")) as found:
        await found.until("web")
        found.engine.broken = True
        asked = found.engine.asked
        found.engine.have()
        await asyncio.wait_for(_come(lambda: found.engine.asked > asked + 2), 10)
        assert ["app", "web"] == sorted(found.setup.apps)

        found.engine.broken = False
        found.engine.have(made("web"), made("new"))
        await asyncio.wait_for(_come(lambda: "new" in found.setup.apps), 10)


async def _come(fact: Callable[[], bool]) -> None:
    while not fact():
        await asyncio.sleep(0.005)


async def test_an_address_that_cannot_be_had_leaves_out_one_container(tmp_path: Path) -> None:
    """The others come."""
    async with discovering(tmp_path) as found:
        found.setup.gateway.taken = True
        found.engine.have(made("stream", routes="tcp://127.0.0.1:5432"), made("web"))

        await found.until("web")
        found.setup.gateway.taken = False
        await found.until("web", "stream")  # it is tried again


async def test_an_app_of_a_container_is_not_removed_by_hand(tmp_path: Path) -> None:
    """It would be back with the next look; nor does anybody else get its name."""
    async with discovering(tmp_path, made("web")) as found:
        await found.until("web")

        with pytest.raises(NotAllowed, match="web stands in container web"):
            await found.setup.set.remove("web")
        with pytest.raises(NameTaken, match="container web"):
            await found.setup.set.add("web", {"command": "sleep 2"})
        with pytest.raises(ConfigInvalid, match="web"):  # the next daemon may find no container
            await found.setup.set.add("user", {"command": "sleep 2", "depends_on": ["web"]})


async def test_containers_that_need_each_other_come_and_go_together(tmp_path: Path) -> None:
    """In the order of their needs, whatever order the engine has."""
    async with discovering(tmp_path, made("a", depends_on="z"), made("z")) as found:
        await found.until("a", "z")

        assert ["z"] == [need.app for need in found.setup.house.engine.fleet.apps["a"].spec.depends_on]


async def test_companions_come_and_go_and_harm_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may name each other, and whoever names one that has gone wakes without it."""
    web, api = made("web", companions="api"), made("api", companions="web")
    async with discovering(tmp_path, web, api, made("app2", companions="web, ap1")) as found:
        await found.until("web", "api", "app2")
        await found.setup.set.apply()
        assert ["api", "app", "app2", "web"] == sorted(found.setup.apps)
        monkeypatch.setattr(discovery, "GRACE", 0.01)
        found.engine.have(web, made("third"))
        await found.until("web", "third")
        assert () == found.setup.house.engine.fleet.apps["web"].goes_with


async def test_nobody_stays_whose_need_has_gone(tmp_path: Path) -> None:
    """A container that is made anew with a wrong label takes along who needs it, and brings it back later."""
    async with discovering(tmp_path, made("db"), made("web", depends_on="db")) as found:
        await found.until("db", "web")

        found.engine.have(made("db", idle_timout="5m"), made("web", depends_on="db"))
        await found.until()

        found.engine.have(made("db"), made("web", depends_on="db"))
        await found.until("db", "web")


async def test_an_engine_that_is_not_to_be_looked_at_any_more_loses_its_apps(tmp_path: Path) -> None:
    """As `engines.docker.discover: false` says."""
    async with discovering(tmp_path, made("web")) as found:
        await found.until("web")

        found.discovery.follow({"docker": EngineHost("unix:///nowhere")})

        await found.until()
        await found.setup.house.until(lambda: found.engine.closed)


def test_an_engine_that_cannot_be_looked_at_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Each `apply` asks for it again, and the library that it needs is still missing."""

    def fail(_name: str, _host: EngineHost) -> Engine:
        raise ProviderFailed("the library is missing", hint="install it")

    follows = Discovery(fail)
    follows.follow({"docker": EngineHost("unix:///nowhere", discover=True)})
    follows.follow({"docker": EngineHost("unix:///nowhere", discover=True)})

    assert ["the library is missing; install it"] == caplog.messages


async def test_a_defect_in_reading_labels_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told, and containers are apps again once they can be read."""
    async with discovering(tmp_path, made("web")) as found:
        await found.until("web")
        with monkeypatch.context() as patch:
            patch.setattr(reading, "read_labels", lambda _: 1 / 0)
            found.engine.have(made("web"), made("more"))
            await found.setup.house.until(lambda: "ZeroDivisionError" in caplog.text)
            assert sorted(found.setup.apps) == ["app", "web"]

        await found.until("more", "web")


async def test_a_container_whose_address_is_taken_keeps_nobody_from_applying(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is left out and told, whatever else an edit says, and tried again when there may be room."""
    async with discovering(tmp_path) as found:
        found.setup.gateway.taken = True
        found.engine.have(made("greedy", routes="tcp://127.0.0.1:5432"), made("web"))
        await found.until("web")
        found.setup.file.write_text(TEXT + "  new: {command: sleep 3}\n")

        await found.setup.set.apply()

        await found.until("new", "web")
        assert "container greedy: cannot listen" in caplog.text
        found.setup.gateway.taken = False
        await found.until("greedy", "new", "web")


async def test_what_an_edit_leaves_out_is_tried_again(tmp_path: Path) -> None:
    """Though its container says nothing else than before."""
    async with discovering(tmp_path, made("web", routes="tcp://127.0.0.1:5432")) as found:
        await found.until("web")
        found.setup.gateway.taken = True
        await found.setup.set.apply()
        await found.until()

        found.setup.gateway.taken = False
        await found.until("web")
