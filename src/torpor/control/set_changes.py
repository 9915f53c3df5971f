"""The endpoints that change which apps there are, and those that tell what is written of them."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import unquote

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from torpor.config.changes import Changes
from torpor.config.origin import Origin
from torpor.config.schema import json_schema
from torpor.control.query import flag, whole_body
from torpor.control.render import json_response
from torpor.control.stream import unless_gone
from torpor.control.wishes import Wishes
from torpor.core.instance import UNUSED
from torpor.errors import BadRequest, NotAllowed
from torpor.runtime.keeper import Keeper
from torpor.runtime.operator import Operator


class NewApp(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /apps`."""

    name: str
    settings: dict[str, Any]


class SetChanges:
    """The endpoints around the running set."""

    def __init__(self, keeper: Keeper, operator: Operator, wishes: Wishes) -> None:
        self._keeper = keeper
        self._operator = operator
        self._wishes = wishes

    def routes(self) -> list[Route]:
        """Their addresses."""
        return [
            Route("/apply", self.apply, methods=["POST"]),
            Route("/save", self.save, methods=["POST"]),
            Route("/apps", self.add, methods=["POST"]),
            Route("/apps/{name}", self.remove, methods=["DELETE"]),
            Route("/apps/{name}/settings", self.settings),
        ]

    async def apply(self, request: Request) -> Response:
        """Let the configuration hold as it is written now; with `dry_run`, tell what would change."""
        dry_run = flag(request, "dry_run")
        before = {app.name: app for app in self._operator.snapshot()}
        changes = await self._keeper.apply(dry_run=dry_run)
        awake = {name for name, app in before.items() if app.phase not in UNUSED}
        return json_response({"applied": not dry_run, **changes_document(changes, awake)})

    async def add(self, request: Request) -> Response:
        """Add an app and start it; with `wait`, answer when it is ready."""
        try:
            new = msgspec.json.decode(await whole_body(request), type=NewApp)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise BadRequest(f"this is no app: {error}", hint='{"name": …, "settings": {…}}') from None
        await self._keeper.add(new.name, new.settings)
        return await self._wishes.start(request, "run", new.name)

    async def remove(self, request: Request) -> Response:
        """Remove an app that was added; answers when nothing of it is alive."""
        name = unquote(request.path_params["name"])
        force, logs = flag(request, "force"), flag(request, "logs")
        # A client that leaves ends its own wait, never what it set in motion.
        removal = asyncio.ensure_future(self._keeper.remove(name, force=force, logs=logs))
        removal.add_done_callback(lambda task: task.cancelled() or task.exception())
        stays = await unless_gone(request.receive, _end_of(removal))
        place = None if stays is None else stays.place
        return json_response({"verb": "rm", "name": name, "logs": logs, "stays": place})

    async def save(self, request: Request) -> Response:
        """Move added apps, of `?app=` or all, into the configuration file."""
        saved = await self._keeper.save(request.query_params.getlist("app"))
        return json_response({"file": str(saved.file), "line": saved.line, "apps": saved.apps})

    async def settings(self, request: Request) -> Response:
        """Every setting of an app that holds, and where it comes from."""
        name = self._operator.app(unquote(request.path_params["name"])).name
        origin = self._keeper.origin(name)
        if origin is None:
            raise NotAllowed(f"{name} is being removed, nothing is configured for it any more")
        written = [asdict(one) for one in origin.written]
        named = {one.setting.partition(".")[0] for one in origin.written}
        known = await asyncio.to_thread(_defaults)
        defaults = [{"setting": key, "value": value} for key, value in known.items() if key not in named]
        document = {"name": name, "file": origin.file, "line": origin.line, "added": origin.added}
        document["container"] = origin.container
        return json_response({**document, "written": written, "defaults": defaults})


@functools.cache
def _defaults() -> Mapping[str, object]:
    """What holds for an app where nobody says otherwise.  Slow, once: it takes all declarations to pieces."""
    schema = json_schema()["definitions"]["App"]["properties"]
    return {key: each["default"] for key, each in schema.items() if "default" in each}


async def _end_of(task: asyncio.Future[Origin | None]) -> Origin | None:
    return await asyncio.shield(task)


def changes_document(changes: Changes, awake: set[str]) -> Mapping[str, object]:
    """What has changed; of each app also whether it `restarts` for it: what is not awake does not."""
    return {
        "added": changes.added,
        "changed": [
            {
                "name": change.name,
                "settings": change.settings,
                "takes": change.takes.value,
                "restarts": change.takes.value == "restart" and change.name in awake,
            }
            for change in changes.changed
        ],
        "removed": changes.removed,
        "settings": changes.settings,
    }
