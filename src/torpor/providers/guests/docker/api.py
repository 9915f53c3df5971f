"""The Engine API of Docker, which Podman speaks too, over a unix socket, TCP or TLS.

On aiohttp alone.  aiodocker, which stands on it, was read and left: it makes text of logs line by
line without saying of which stream they are, ends them without a word when the connection breaks,
and queues events without a limit.  Just these parts matter here; the rest of it is the addresses of calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from torpor.config.hosts import EngineHost
from torpor.errors import ProviderFailed
from torpor.providers.guests.docker.moments import SECOND
from torpor.providers.guests.docker.place import connector_to, place_of

_OLDEST, _NEWEST = (1, 40), (1, 51)
"""The versions of the API that are spoken here: from Docker 19.03 and Podman 3 on."""
_CONNECT = 5.0
_ANSWER = 30.0
"""Seconds for a call that is answered from what the engine knows."""
_SAME = 2.0
"""Seconds by which the date of an answer, which is rounded down, may differ from our time without being another."""

T = TypeVar("T")


class Refused(Exception):
    """The engine has answered, with an error.  Stays within this package."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


class EngineApi:
    """Calls of one engine.  Connects at the first of them."""

    def __init__(self, host: EngineHost) -> None:
        self.title = f"the container engine at {host.url}"
        self.version = (0, 0)
        """Of the API, as it is spoken with this engine; known after the first call."""
        self.is_podman = False
        """Known after the first call."""
        self._host = host
        self._session: aiohttp.ClientSession | None = None
        self._base = ""
        self._ahead = 0.0
        """Seconds by which its clock is ahead of ours, by its last answer."""
        self._greeting = asyncio.Lock()

    async def close(self) -> None:
        """Let go of all connections; what waits on them fails."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def get(self, path: str, shape: type[T], /, **params: str | int) -> T:
        """What it says there.  Raises `Refused` and `ProviderFailed`."""
        async with self.opened("GET", path, params=params, limit=_ANSWER) as answer:
            return self._read(await answer.read(), shape)

    async def post(
        self, path: str, body: object = None, /, *, limit: float | None = _ANSWER, **params: str | int
    ) -> bytes:
        """Ask it for something.  `limit`: seconds; None: none.  Raises `Refused` and `ProviderFailed`."""
        async with self.opened("POST", path, params=params, body=body, limit=limit) as answer:
            return await answer.read()

    async def clock(self) -> int:
        """What time it is there, in seconds since the epoch, rounded down.  Raises `Refused` and `ProviderFailed`."""
        async with self.opened("GET", "/_ping", params={}, limit=_ANSWER) as answer:
            return int(_date_of(answer))

    def now(self) -> int:
        """What time it was there at its last answer and is since, in nanoseconds since the epoch.

        Ours, unless the clocks of both differ: another machine's may, and ours may just have been set.
        """
        return time.time_ns() + int(self._ahead * SECOND)

    @contextlib.asynccontextmanager
    async def opened(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int],
        body: object = None,
        limit: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer that is still to be read, for at most `limit` seconds (None: as long as it lasts).

        Raises `Refused` and `ProviderFailed`, from within its body too.
        """
        await self._greet()
        async with self._answered(
            method, f"/v{self.version[0]}.{self.version[1]}{path}", params, body, limit
        ) as got:
            yield got

    async def _greet(self) -> None:
        """Agree on a version of the API, once for each engine that has come up there."""
        async with self._greeting:
            if self.version != (0, 0):
                return
            # Not by `/version`: Podman runs a lot of programs for that, which takes seconds on a busy machine.
            async with self._answered("GET", "/_ping", {}, None, _ANSWER) as answer:
                said = answer.headers.get("Api-Version", "none")
                self.is_podman = "Libpod-Api-Version" in answer.headers
            version = min(_NEWEST, _numbers(said))
            if version < _OLDEST:
                raise ProviderFailed(
                    f"{self.title} speaks version {said} of its API, which is too old",
                    hint="Docker 19.03 and Podman 3 are the oldest that Torpor knows",
                )
            self.version = version

    @contextlib.asynccontextmanager
    async def _answered(
        self, method: str, path: str, params: Mapping[str, str | int], body: object, limit: float | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        session = self._connected()
        timeout = aiohttp.ClientTimeout(total=limit, sock_connect=_CONNECT)
        data = None if body is None else msgspec.json.encode(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            async with session.request(
                method,
                URL(self._base + path, encoded=True),
                params=dict(params),
                data=data,
                headers=headers,
                timeout=timeout,
            ) as answer:
                ahead = _date_of(answer) - time.time()
                self._ahead = ahead if abs(ahead) > _SAME else 0.0
                # 304: it is so already.
                if answer.status >= 400:
                    raise Refused(answer.status, _words(await answer.read()) or str(answer.reason))
                yield answer
        except (aiohttp.ClientError, OSError) as error:
            # The one that comes up there next may be of another version.
            self.version = (0, 0)
            raise self._unreachable(error, limit) from error

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            place = place_of(self._host)
            self._base = place.base
            self._session = aiohttp.ClientSession(
                connector=connector_to(self._host, place), cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session

    def _unreachable(self, error: Exception, limit: float | None) -> ProviderFailed:
        if isinstance(error, aiohttp.ServerTimeoutError | TimeoutError):
            waited = f" within {limit:g} s" if limit is not None else ""
            return ProviderFailed(
                f"{self.title} does not answer{waited}", hint="look at the engine's own log"
            )
        if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
            return ProviderFailed(
                f"{self.title} cannot be spoken to: {error}",
                hint="`tls` says who vouches for it (`ca`), and what is shown to it (`cert` and `key`)",
            )
        number = error.errno if isinstance(error, OSError) else None
        if number == errno.EACCES:
            return ProviderFailed(
                f"Torpor may not speak to {self.title}",
                hint="its socket's group may (`ls -l` shows it); whoever may can become root of that machine",
            )
        if number in (errno.ENOENT, errno.ECONNREFUSED):
            return ProviderFailed(
                f"nothing answers for {self.title}",
                hint="start it (`systemctl start docker`, `systemctl start podman.socket`), or set `engines`",
            )
        return ProviderFailed(f"{self.title} cannot be spoken to: {error or type(error).__name__}")

    def _read(self, answer: bytes, shape: type[T]) -> T:
        try:
            # Podman leaves an answer empty of which there is nothing to tell.
            return msgspec.json.decode(answer or b"{}", type=shape)
        except msgspec.DecodeError as error:
            raise ProviderFailed(f"{self.title} says what nobody understands: {error}") from error


def container_path(name: str, verb: str) -> str:
    """The path of what is asked of a container."""
    return f"/containers/{quote(name, safe='')}/{verb}"


def _words(answer: bytes) -> str:
    """What an engine says of an error."""
    with contextlib.suppress(msgspec.DecodeError):
        said = msgspec.json.decode(answer)
        if isinstance(said, dict):
            return str(said.get("message") or said.get("cause") or "")
    return answer[:500].decode("utf-8", "replace").strip()


def _date_of(answer: aiohttp.ClientResponse) -> float:
    """When it was given, in seconds since the epoch, rounded down by whoever gave it."""
    try:
        return parsedate_to_datetime(answer.headers.get("Date", "")).timestamp()
    except ValueError:
        return time.time()


def _numbers(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    try:
        return int(major), int(minor or 0)
    except ValueError:
        return 0, 0
