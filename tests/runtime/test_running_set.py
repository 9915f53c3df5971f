"""The running set: what can go wrong, and that nothing has changed then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runtime.house import House, house
from torpor.config.additions import Additions
from torpor.config.load import load
from torpor.config.settings import GatewaySpec, Settings
from torpor.core.model import AppSpec
from torpor.errors import (
    ConfigInvalid,
    ListenFailed,
    NameTaken,
    NotAllowed,
    StartFailed,
    StateUnusable,
    TorporError,
)
from torpor.providers.fake import Plan
from torpor.runtime.calendar import Calendar
from torpor.runtime.running_set import RunningSet

pytestmark = pytest.mark.anyio

TEXT = "apps:\n  app:\n    command: sleep 1\n    always_on: true\n"
COMMAND = {"command": "sleep 2"}


@dataclass
class Gateway:
    """Follows, or cannot listen."""

    broken: bool = False
    taken: bool = False
    """Whether an address of a stream cannot be had."""
    abandoned: int = 0
    followed: list[GatewaySpec] = field(default_factory=list)

    def prepare(self, settings: Settings) -> object:
        """Nothing needs to be prepared."""
        if self.broken:
            raise ListenFailed(f"cannot listen on {settings.gateway.listen[0]}")
        return True

    def prepare_apps(self, apps: Sequence[AppSpec]) -> object:
        """Only streams are of interest, and those only whether they can be had."""
        streams = [stream for app in apps for stream in app.streams]
        if self.taken and streams:
            raise ListenFailed(f"cannot listen on {streams[-1]}")
        return False

    def abandon(self, opened: object) -> None:
        """Note it."""
        self.abandoned += 1

    async def change(self, settings: Settings, opened: object) -> None:
        """Note it, unless only apps came and went: the routes are not looked at."""
        await asyncio.sleep(0)
        if opened:
            self.followed.append(settings.gateway)


@dataclass
class Setup:
    """A running set in a directory of its own."""

    house: House
    set: RunningSet
    gateway: Gateway
    file: Path
    additions: Additions

    @property
    def apps(self) -> list[str]:
        """The apps that there are now."""
        return list(self.house.engine.fleet.apps)


@asynccontextmanager
async def running(tmp_path: Path, text: str = TEXT) -> AsyncIterator[Setup]:
    """A set of the apps in `text`."""
    file = tmp_path / "torpor.yaml"
    file.write_text(text)
    settings, additions, gateway = load(file), Additions(tmp_path / "apps"), Gateway()
    async with house(*settings.apps) as built:
        keeper = RunningSet(
            settings,
            additions,
            engine=built.engine,
            desk=built.desk,
            journal=built.journal,
            provider=lambda _spec: built.provider,
            front=gateway,
            calendar=Calendar(lambda: (), built.engine.post),
        )
        yield Setup(built, keeper, gateway, file, additions)


async def test_an_address_that_cannot_be_had_leaves_all_as_it_was(tmp_path: Path) -> None:
    """Neither the apps nor the settings of a configuration hold whose gateway cannot."""
    async with running(tmp_path) as setup:
        before = setup.set.settings
        setup.file.write_text(TEXT + "  new: {command: sleep 3}\n")
        setup.gateway.broken = True

        with pytest.raises(ListenFailed):
            await setup.set.apply()

        assert ["app"] == setup.apps
        assert before is setup.set.settings


async def test_apps_come_and_go_behind_a_gateway_that_could_not_be_opened_anew(tmp_path: Path) -> None:
    """A certificate that is broken meanwhile is the next `apply`'s matter: nothing is half done for it."""
    async with running(tmp_path) as setup:
        await setup.set.add("old", COMMAND)
        setup.gateway.broken = True

        await setup.set.add("new", COMMAND)
        await setup.set.remove("old")

        assert ["app", "new"] == setup.apps == [app.name for app in setup.set.settings.apps]
        assert [setup.additions.path("new")] == setup.additions.files()


async def test_a_removal_that_the_disk_refuses_changes_nobody(tmp_path: Path) -> None:
    """Those that need the app keep their need of it, on the disk too."""
    async with running(tmp_path) as setup:
        await setup.set.add("base", COMMAND)
        await setup.set.add("top", {**COMMAND, "depends_on": ["base"]})
        before = setup.additions.path("top").read_bytes()
        setup.additions.path("base").rename(tmp_path / "kept")
        setup.additions.path("base").mkdir()  # a directory is no file to delete

        with pytest.raises(StateUnusable):
            await setup.set.remove("base", force=True)

        assert before == setup.additions.path("top").read_bytes()
        assert ["app", "base", "top"] == setup.apps


async def test_adding_an_app_applies_nothing_else(tmp_path: Path) -> None:
    """An edit of the file that nobody has applied yet stays where it is, and is found later."""
    async with running(tmp_path) as setup:
        setup.file.write_text(TEXT.replace("sleep 1", "sleep 5") + "  pending: {command: sleep 3}\n")

        await setup.set.add("new", COMMAND)
        assert ["app", "new"] == setup.apps
        changes = await setup.set.apply(dry_run=True)

        assert (("pending",), ["app"]) == (changes.added, [change.name for change in changes.changed])


async def test_an_app_may_not_need_what_is_not_applied_yet(tmp_path: Path) -> None:
    """It would wait for something that is not there."""
    async with running(tmp_path) as setup:
        setup.file.write_text(TEXT + "  pending: {command: sleep 3}\n")

        with pytest.raises(NotAllowed, match="no app named pending"):
            await setup.set.add("new", {**COMMAND, "depends_on": ["pending"]})

        assert [] == setup.additions.files()


async def test_an_app_may_not_have_a_port_that_another_one_still_has(tmp_path: Path) -> None:
    """Whether it is the main one of either, or a further one: the edited file has given it away already."""
    text = TEXT.replace(
        "apps:\n", "apps:\n  git: {command: sleep 1, routes: [git, {host: ssh, port: 2222}]}\n"
    )
    async with running(tmp_path, text) as setup:
        setup.file.write_text(TEXT)

        for routes in ({"port": 2222}, {"routes": ["new", {"host": "more", "port": 2222}]}):
            with pytest.raises(NotAllowed, match="2222 is the port of git"):
                await setup.set.add("new", {**COMMAND, **routes})


async def test_changes_come_one_after_the_other(tmp_path: Path) -> None:
    """Of two that want the same name at the same time one has it."""
    async with running(tmp_path) as setup:
        results = await asyncio.gather(
            setup.set.add("new", COMMAND),
            setup.set.apply(),
            setup.set.add("new", COMMAND),
            return_exceptions=True,
        )

        assert [NameTaken] == [type(result) for result in results if isinstance(result, TorporError)]
        assert ["app", "new"] == setup.apps


async def test_nothing_changes_once_the_daemon_goes_down(tmp_path: Path) -> None:
    """Whatever is asked is refused, also what waited for its turn."""
    async with running(tmp_path) as setup:
        waiting = asyncio.create_task(setup.set.add("new", COMMAND))
        await asyncio.sleep(0)
        setup.set.close()

        for asked in (waiting, setup.set.apply(), setup.set.remove("app"), setup.set.save()):
            with pytest.raises(NotAllowed, match="shutting down"):
                await asked
        assert ["app"] == setup.apps


async def test_what_can_never_start_is_not_added(tmp_path: Path) -> None:
    """Nothing is written down of it."""
    async with running(tmp_path) as setup:
        setup.house.provider.plans["new"] = Plan(refuse="command not found: sleep")

        with pytest.raises(StartFailed, match="command not found"):
            await setup.set.add("new", COMMAND)

        assert (["app"], []) == (setup.apps, setup.additions.files())


async def test_an_added_app_whose_address_is_taken_changes_nothing(tmp_path: Path) -> None:
    """Its address is opened before anything is written."""
    async with running(tmp_path) as setup:
        setup.gateway.taken = True
        with pytest.raises(ListenFailed):
            await setup.set.add("db", {**COMMAND, "routes": ["tcp://127.0.0.1:5432"]})

        assert ["app"] == setup.apps
        assert not setup.additions.files()


async def test_a_broken_file_is_told_before_anything_is_added(tmp_path: Path) -> None:
    """With its place: the next start of the daemon would fail by it."""
    async with running(tmp_path) as setup:
        setup.file.write_text("apps: 3\n")

        with pytest.raises(ConfigInvalid, match=r"torpor\.yaml:1:7"):
            await setup.set.add("new", COMMAND)

        assert ["app"] == setup.apps


async def test_what_is_saved_is_known_by_its_new_place(tmp_path: Path) -> None:
    """And what stands below it by its own."""
    text = TEXT + "\ngateway: {}\n"
    async with running(tmp_path, text) as setup:
        await setup.set.add("new", COMMAND)
        saved = await setup.set.save()

        origin = setup.set.origin("new")
        assert origin is not None
        assert (5, 5, False) == (saved.line, origin.line, origin.added)
        assert not await setup.set.apply()


async def test_a_save_that_was_cut_off_is_finished_by_the_next_apply(tmp_path: Path) -> None:
    """The app stands in the file and in its addition: the addition goes, nothing else changes."""
    async with running(tmp_path) as setup:
        await setup.set.add("new", COMMAND)
        left = setup.additions.path("new").read_bytes()
        await setup.set.save()
        setup.additions.write("new", left)

        assert not await setup.set.apply()

        assert [] == setup.additions.files()
        assert ["app", "new"] == setup.apps


async def test_who_is_taken_along_is_removed_like_who_is_needed(tmp_path: Path) -> None:
    """Not unasked; with `--force` the name goes, too, and the next start of the daemon knows nothing of it."""
    async with running(tmp_path) as setup:
        await setup.set.add("api", COMMAND)
        await setup.set.add("web", {**COMMAND, "companions": ["app", "api"]})
        with pytest.raises(NotAllowed, match="api is taken along by web"):
            await setup.set.remove("api")

        await setup.set.remove("api", force=True)

        assert ("app",) == setup.set.settings.apps[1].companions
        assert not await setup.set.apply()


async def test_an_addition_whose_name_is_taken_can_be_removed(tmp_path: Path) -> None:
    """The app that stands in the file stays, and can be applied again."""
    async with running(tmp_path) as setup:
        setup.additions.write("app", b"apps: {app: {command: sleep 9}}\n")
        with pytest.raises(ConfigInvalid, match="`torpor rm app` removes"):
            await setup.set.apply()

        stays = await setup.set.remove("app")

        assert stays is not None
        assert (str(setup.file), 2) == (stays.file, stays.line)
        assert not await setup.set.apply()
        assert ["app"] == setup.apps
        with pytest.raises(NotAllowed, match="stands in"):
            await setup.set.remove("app")


@pytest.mark.parametrize("blank", ["", "# apps:\n", "---\n", "~\n"])
async def test_a_file_without_content_ends_no_app(tmp_path: Path, blank: str) -> None:
    """It was hardly meant: `apps: {}` says so on purpose, and then there is nothing that could end."""
    async with running(tmp_path) as setup:
        setup.file.write_text(blank)
        for dry_run in (True, False):
            with pytest.raises(ConfigInvalid, match=r"torpor\.yaml:1:1: the file is empty; `apps: {}`"):
                await setup.set.apply(dry_run=dry_run)
        assert ["app"] == setup.apps

        setup.file.write_text("apps: {}\n")
        assert ("app",) == (await setup.set.apply()).removed
        setup.file.write_text(blank)
        assert not await setup.set.apply()


@pytest.mark.parametrize("need", ["base", ["base"], {"base": {}}])
async def test_a_need_that_is_gone_is_not_shown_any_more(tmp_path: Path, need: object) -> None:
    """What is told of an app's settings is what its file says now."""
    async with running(tmp_path) as setup:
        await setup.set.add("base", COMMAND)
        await setup.set.add("top", {**COMMAND, "depends_on": need})

        await setup.set.remove("base", force=True)

        told = setup.set.origin("top")
        await setup.set.apply()
        assert told is not None
        assert told == setup.set.origin("top")
        assert "base" not in repr(told)
