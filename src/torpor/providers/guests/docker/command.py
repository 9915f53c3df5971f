"""Runs a command inside a container."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import msgspec

from torpor.core.model import ExitInfo
from torpor.providers.guests.docker.api import EngineApi, container_path
from torpor.providers.guests.docker.frames import Frames

_KEPT = 500
"""Bytes of the last that it says."""


class _Made(msgspec.Struct, rename="pascal"):
    id: str


class _Ended(msgspec.Struct, rename="pascal"):
    running: bool = False
    exit_code: int | None = None


async def run_inside(api: EngineApi, name: str, command: tuple[str, ...], timeout: float) -> ExitInfo | None:
    """How it ended, with the last that it said; None: not within `timeout` seconds.

    No engine has a call to end it, so that it goes on then.  Raises `Refused` and `ProviderFailed`.
    """
    wanted = {"Cmd": list(command), "AttachStdout": True, "AttachStderr": True}
    made = msgspec.json.decode(await api.post(container_path(name, "exec"), wanted), type=_Made)
    path = f"/exec/{quote(made.id, safe='')}"
    said = b""
    frames = Frames()
    try:
        async with (
            asyncio.timeout(timeout),
            api.opened("POST", f"{path}/start", params={}, body={"Detach": False, "Tty": False}) as answer,
        ):
            async for chunk in answer.content.iter_any():
                said = (said + b"".join(message.data for message in frames.feed(chunk)))[-_KEPT:]
            ended = await api.get(f"{path}/json", _Ended)
    except TimeoutError:
        return None
    note = said.decode("utf-8", "replace").strip()
    return ExitInfo(code=ended.exit_code, note=note)
