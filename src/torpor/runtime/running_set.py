"""The running set: the apps of the configuration, those that `torpor run` added, and those of containers with labels.

Laws:

1. One change after the other; none of them once the daemon goes down.
2. Everything is read, checked and opened before anything changes, and what is to outlive the
   daemon is on the disk before it holds.  Then all of it holds from one step to the next.
3. Adding and removing an app touches no other one: edits of the configuration file that
   nobody has applied yet stay where they are.
4. What is on the disk can be loaded: no removal leaves somebody behind who needs what is gone, and
   nobody there needs the app of a container, which exists only as long as that does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from torpor.config.additions import Additions, in_use
from torpor.config.apps import NAME
from torpor.config.changes import Changes, Takes, differences
from torpor.config.labels.draft import Remark
from torpor.config.labels.joining import fitting, join, seated, unchanged, with_unfit
from torpor.config.load import load
from torpor.config.origin import Origin
from torpor.config.saving import addition_text, in_words, save_into, take_out
from torpor.config.settings import Settings
from torpor.core.messages import DAEMON, Announce, Applied
from torpor.core.model import AppSpec
from torpor.errors import (
    BadRequest,
    ConfigInvalid,
    NameTaken,
    NotAllowed,
    RunsAlone,
    StateUnusable,
    TorporError,
)
from torpor.providers.base import Provider
from torpor.runtime.calendar import Calendar
from torpor.runtime.desk import Desk
from torpor.runtime.engine import Engine
from torpor.runtime.fit import check_fit, check_meant, check_users
from torpor.runtime.journal import Journal
from torpor.runtime.keeper import Saved

if TYPE_CHECKING:
    from torpor.config.labels.reading import Reading


class Front(Protocol):
    """Whoever carries requests, and has to follow."""

    def prepare(self, settings: Settings) -> object:
        """Open what these settings need.  Raises `ListenFailed`; nothing has changed then."""
        ...

    def prepare_apps(self, apps: Sequence[AppSpec]) -> object:
        """As `prepare`, where only apps come and go."""
        ...

    def abandon(self, opened: object) -> None:
        """Those settings will not hold after all.  Cannot fail."""
        ...

    async def change(self, settings: Settings, opened: object) -> None:
        """Let what was opened hold, and the routes of the apps that there are now.  Cannot fail."""
        ...


class Watch(Protocol):
    """Whoever measures memory, and has to follow."""

    def follow(self) -> None:
        """Let other rules hold.  Cannot fail."""
        ...


class LeftOut(Protocol):
    """Called with the containers whose labels make no app beside the others, and why."""

    def __call__(self, left: Mapping[str, Sequence[Remark]], *, again: bool) -> None:
        """`again`: it is to be tried again whether they can be apps."""
        ...


class RunningSet:
    """See `runtime.keeper.Keeper` for the promises."""

    def __init__(
        self,
        settings: Settings,
        additions: Additions,
        *,
        engine: Engine,
        desk: Desk,
        journal: Journal,
        provider: Callable[[AppSpec], Provider],
        front: Front,
        calendar: Calendar,
        memory: Watch | None = None,
        readings: Sequence[Reading] = (),
        alone: str | None = None,
    ) -> None:
        """`readings`: the containers whose apps are in the settings; `alone`: the app besides which there are none, ever."""
        self.settings = settings
        """What holds now."""
        self.changed: Callable[[Settings], None] = lambda _: None
        """Called with the settings that hold from now on."""
        self.left_out: LeftOut = lambda _left, *, again: None  # noqa: ARG005  # which is its name for callers
        self._additions = additions
        self._engine = engine
        self._desk = desk
        self._journal = journal
        self._provider = provider
        self._front = front
        self._calendar = calendar
        self._memory = memory
        self._alone = alone
        self._readings = tuple(readings)
        """What the labels of containers say, as they were seen last."""
        self._lock = asyncio.Lock()
        self._closed = False

    def close(self) -> None:
        """The daemon goes down: nothing changes any more."""
        self._closed = True

    def origin(self, name: str) -> Origin | None:
        """Where an app is written."""
        return self.settings.origins.get(name)

    async def apply(self, *, dry_run: bool = False) -> Changes:
        """Read the configuration again and let it hold."""
        async with self._turn():
            new = await self._load()
            check_meant(new, self.settings)
            left: Mapping[str, Sequence[Remark]] = {}
            unfit: Mapping[str, str] = {}
            if self._readings:
                new, left = await asyncio.to_thread(join, new.source, self._additions.files(), self._readings)
                new, unfit = seated(new, self._objection)
            changes = await asyncio.to_thread(differences, self.settings, new)
            if not dry_run:
                await self._take(new, changes)
                self.forget_spare()
                self.left_out(with_unfit(left, unfit, self._readings), again=bool(unfit))
            return changes

    def forget_spare(self) -> None:
        """Delete the files of added apps that stand in the configuration by now, before that is edited again."""
        for file in self.settings.spare:
            with contextlib.suppress(StateUnusable):  # it says nothing new, and is met again
                self._additions.remove(file.stem)

    async def add(self, name: str, settings: Mapping[str, object]) -> None:
        """Add an app, for good."""
        if not NAME.fullmatch(name):
            raise BadRequest(
                f"{name!r} is no name for an app",
                hint="Up to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit.",
            )
        async with self._turn():
            self._check_free(name)
            # Its own file will not lie where it lies now: a directory that is only implied would change with that.
            here = {} if "working_dir" in settings else {"working_dir": str(self.settings.source.parent)}
            text = addition_text(name, {**settings, **here})
            path = self._additions.path(name)
            try:
                new = await self._load(path, texts={path: text})
            except ConfigInvalid as invalid:
                raise in_words(invalid, name, path, "Nothing was added.") from None
            spec = next(app for app in new.apps if app.name == name)
            check_fit(spec, self.settings.apps)
            self._provider(spec).check(spec)
            apps = (*self.settings.apps, spec)
            opened = self._front.prepare_apps(apps)
            try:
                await asyncio.to_thread(self._additions.write, name, text)
                if self._closed:
                    self._additions.remove(name)
                    self._check_open()
            except BaseException:
                self._front.abandon(opened)
                raise
            origins = {**self.settings.origins, name: new.origins[name]}
            await self._hold(apps, origins, opened)

    async def remove(self, name: str, *, force: bool = False, logs: bool = False) -> Origin | None:
        """Remove an app that was added."""
        async with self._turn():
            origin = self.origin(name)
            if self._is_left_out(name) and self._additions.remove(name):
                return origin
            ids = [one.id for one in self._desk.app(name).instances]
            provider = self._provider(self._desk.app(name).spec)
            if origin is not None:
                if not origin.added:
                    raise NotAllowed(f"{name} stands in {origin.place}", hint=_how_to_remove(origin))
                users = check_users(name, self.settings, force=force)
                others = {app: each for app, each in self.settings.origins.items() if app != name}
                moved = take_out(self._additions, name, {user: others[user] for user in users})
                apps = [
                    _without(app, name) if app.name in users else app
                    for app in self.settings.apps
                    if app.name != name
                ]
                await self._hold(apps, {**others, **moved}, self._front.prepare_apps(apps))
        await self._gone(name)
        if logs:
            for id in ids:
                provider.erase_output(id)
        return None

    async def save(self, names: Sequence[str] = ()) -> Saved:
        """Move added apps into the configuration file."""
        async with self._turn():
            added = [name for name, origin in self.settings.origins.items() if origin.added]
            for name in names:
                if self._desk.app(name).name not in added:
                    origin = self.origin(name)
                    where = f" in {origin.place}" if origin is not None else ""
                    raise NotAllowed(f"{name} was not added by `torpor run`: it stands{where} already")
            chosen = [name for name in added if not names or name in names]
            source = self.settings.source
            if not chosen:
                return Saved(source, 0, ())
            after, line = await asyncio.to_thread(save_into, source, self._additions, chosen)
            for name in chosen:
                with contextlib.suppress(StateUnusable):  # it stands in the file now, and is spare
                    self._additions.remove(name)
            # The others may stand some lines further down now.
            moved = {
                app.name: after.origins[app.name]
                for app in self.settings.apps
                if app in after.apps and app.name in after.origins
            }
            origins = {**self.settings.origins, **moved}
            self.settings = replace(self.settings, origins=MappingProxyType(origins))
            return Saved(source, line, tuple(chosen))

    async def take_on(self, readings: Sequence[Reading]) -> bool:
        """Let those containers be apps, in place of the ones before; False: some cannot be, but maybe later.

        Whoever says the same as before stays what it is, whatever stands in files by now that nobody has
        applied yet.  Raises `ConfigInvalid` while the files themselves cannot be loaded, and
        `NotAllowed` as all changes do; nothing has changed then.
        """
        async with self._turn():
            before = {app.name: app for app in self.settings.apps if self._is_of_a_container(app)}
            held = {name: before[name] for name in unchanged(self._readings, readings) if name in before}
            files = in_use(self.settings)
            joined, left = await asyncio.to_thread(join, self.settings.source, files, readings)
            kept = [app for app in self.settings.apps if app.name not in before]
            found = {app.name: app for app in joined.apps if joined.origins[app.name].container is not None}
            apps, unfit = fitting(kept, found, held, self._objection)
            origins = {app.name: self.settings.origins[app.name] for app in kept}
            origins |= {
                name: self.settings.origins[name] if name in held else joined.origins[name] for name in apps
            }
            opened = self._front.prepare_apps([*kept, *apps.values()])
            self._readings = tuple(readings)
            await self._hold([*kept, *apps.values()], origins, opened)
            self.left_out(with_unfit(left, unfit, readings), again=False)
            return not unfit

    # --- inside ----------------------------------------------------------------

    def _is_of_a_container(self, app: AppSpec) -> bool:
        return self.settings.origins[app.name].container is not None

    def _objection(self, spec: AppSpec, others: Sequence[AppSpec]) -> str | None:
        """Why the app of a container cannot be beside the others; None if it can."""
        try:
            check_fit(spec, others)
            self._provider(spec).check(spec)
            if spec.streams:
                self._front.abandon(self._front.prepare_apps([spec]))
        except TorporError as error:
            return error.message
        return None

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        async with self._lock:
            self._check_open()
            yield

    def _check_open(self) -> None:
        if self._alone is not None:
            raise RunsAlone(
                f"this daemon runs one program alone, {self._alone}, and has no configuration",
                hint="`torpor run -- COMMAND` runs another one beside it; `torpor up` runs what a torpor.yaml names.",
            )
        if self._closed:
            raise NotAllowed("the daemon is shutting down", hint="Ask again once it is up.")

    async def _load(self, *more: Path, texts: Mapping[Path, bytes] = MappingProxyType({})) -> Settings:
        files = [*self._additions.files(), *more]
        # Off the loop: the apps' requests go on while a thousand apps are read.
        return await asyncio.to_thread(load, self.settings.source, additions=files, texts=texts)

    async def _hold(self, apps: Sequence[AppSpec], origins: Mapping[str, Origin], opened: object) -> None:
        """Let other apps hold behind the gateway as it is.  The disk knows of them: nothing may fail here."""
        new = replace(self.settings, apps=tuple(apps), origins=MappingProxyType(dict(origins)))
        self._begin(new, differences(self.settings, new))
        await self._front.change(new, opened)

    async def _take(self, new: Settings, changes: Changes) -> None:
        """Let `new` hold.  Raises `ListenFailed`, `NotAllowed`."""
        self._check_open()
        opened = self._front.prepare(new)
        self._begin(new, changes)
        await self._front.change(new, opened)

    def _begin(self, new: Settings, changes: Changes) -> None:
        before, self.settings = self.settings.origins, new
        for name in changes.added:
            self._announce(name, "added", "added")
        for change in changes.changed:
            self._announce(change.name, "changed", f"changed: {', '.join(change.settings)}")
        for name in changes.removed:
            gone = before[name].container is not None
            text = "its container is gone, or is to be no app" if gone else "removed from the configuration"
            self._announce(name, "leaving", text)
        if changes.settings:
            self._announce(DAEMON, "changed", f"changed: {', '.join(changes.settings)}")
        renewed = frozenset(change.name for change in changes.changed if change.takes is Takes.RESTART)
        self._engine.post(Applied(new.apps, renewed, new.sharing, self._calendar.closed(new.apps)))
        self.changed(new)
        self._calendar.look()
        if self._memory is not None and {"memory", "budgets"} & set(changes.settings):
            self._memory.follow()

    def _announce(self, app: str, kind: str, text: str) -> None:
        self._journal.announce(Announce(app, app, kind, text))

    async def _gone(self, name: str) -> None:
        """Return when nothing of a removed app is alive, or it is configured again."""

        def gone() -> bool:
            app = self._engine.fleet.apps.get(name)
            return app is None or not app.leaving

        await self._journal.wait_until(name, gone)

    def _check_free(self, name: str) -> None:
        app, origin = self._engine.fleet.apps.get(name), self.origin(name)
        if app is not None and app.leaving:
            raise NameTaken(f"an app named {name} is being removed", hint="Try again in a moment.")
        if app is not None:
            where = "`torpor run` added it" if origin is None or origin.added else origin.place
            raise NameTaken(f"there is an app named {name} already ({where})", hint="Choose another --name.")
        if self._additions.path(name).exists():
            raise NameTaken(
                f"{self._additions.path(name)} is there already, and could not be used",
                hint=f"`torpor rm {name}` removes it.",
            )

    def _is_left_out(self, name: str) -> bool:
        """Whether the file of an added app, if there is one, was of no use when the daemon came up."""
        files = {origin.file for origin in self.settings.origins.values() if origin.added}
        return not NAME.fullmatch(name) or os.path.abspath(self._additions.path(name)) not in files


def _how_to_remove(origin: Origin) -> str:
    if origin.container is not None:
        return f"`torpor.enable=false` among the labels of {origin.place} says that it is to be no app."
    return "Delete it there, and then `torpor apply`; `torpor stop` only stops it."


def _without(app: AppSpec, other: str) -> AppSpec:
    return replace(
        app,
        depends_on=tuple(need for need in app.depends_on if need.app != other),
        companions=tuple(name for name in app.companions if name != other),
    )
