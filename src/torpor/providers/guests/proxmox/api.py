"""The REST API of Proxmox VE: one question at a time, to whichever node answers.

Any node of a cluster answers for all of them and passes on what concerns another one.
What it could not pass on has statuses of its own: 595 (no connection), 596 (it broke), 599.
A refusal has its reason in the HTTP status line, and mostly the status 500.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Coroutine
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from torpor.config.hosts import ProxmoxHost
from torpor.errors import ProviderFailed
from torpor.providers.guests import tls

Kind = TypeVar("Kind")

_CONNECT_LIMIT = 5.0
_ANSWER_LIMIT = 30.0
_WHOLE_LIMIT = 60.0
"""Seconds for a connection, for one answer, and for a question with all that is tried for it."""
_CLOSING_LIMIT = 1.0
"""Seconds that answers under way get when all connections are let go of."""
_ROUNDS = 3
"""How often each of the URLs is tried."""
_PAUSE = 0.25
"""Seconds after the first round; twice as many after each further one."""
_LARGEST_ANSWER = 8 << 20
"""Bytes: thousands of guests."""
_SHA256 = 32
"""Bytes of a fingerprint."""

_UNREACHED = frozenset({595, 596, 599})
"""The node that was asked did not get through to the one that it concerns."""
_PASSING = _UNREACHED | {502, 503, 504}
"""Statuses that say nothing of the question.

It may have been carried out, then: asking again for a start, an end, a pause or an abort
does no harm, so that they are asked again like all else.
"""
_FINAL = ("does not exist", "not running", "guest agent", "no such")
"""Words of a reason to which asking again changes nothing."""
_HINTS = {
    401: "check the token: user@realm!name=secret, as `pveum user token add` showed it",
    403: "the token needs VM.Audit and VM.PowerMgmt on /vms/NUMBER or above; docs/proxmox.md shows how",
    595: "is that node up?",
}


class Refused(ProviderFailed):
    """The API answered, and not with what it was asked for."""

    def __init__(self, where: str, status: int, said: str, wrong: dict[str, str]) -> None:
        told = "; ".join([said, *(f"{name}: {text}" for name, text in wrong.items())])
        super().__init__(f"{where}: {told} ({status})", hint=_HINTS.get(status))
        self.answer = status
        """The HTTP status."""
        self.said = said
        """The reason, in the words of Proxmox VE."""
        self.wrong = wrong
        """What is wrong with single parameters."""

    @property
    def gone(self) -> bool:
        """Whether it is because there is no such guest on that node."""
        return self.answer == 500 and "does not exist" in self.said

    @property
    def unreached(self) -> bool:
        """Whether the node that it concerns cannot be reached from the one that was asked."""
        return self.answer in _UNREACHED


class _Unanswered(ProviderFailed):
    """Nobody answered at a URL."""


class ProxmoxApi:
    """The API of one cluster."""

    def __init__(self, host: ProxmoxHost) -> None:
        self._host = host
        self._urls = tuple(url.rstrip("/") for url in host.urls)
        self._first = 0
        """Index of the URL that answered last: the first to be asked."""
        self._session: aiohttp.ClientSession | None = None
        self._exchanges: set[asyncio.Task[Any]] = set()
        """Requests whose answers are not there yet."""

    @property
    def title(self) -> str:
        """Which host that is, for people."""
        return _called(self._urls[0])

    async def close(self) -> None:
        """Let go of all connections."""
        if self._exchanges:
            await asyncio.wait(self._exchanges, timeout=_CLOSING_LIMIT)
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def get(self, kind: type[Kind], *path: object, **parameters: object) -> Kind:
        """What there is at this path.

        Raises `Refused`, and `ProviderFailed` where nobody answers, or answers with something else.
        """
        return _as(kind, await self._ask("GET", path, parameters), self.title)

    async def post(self, *path: object, **parameters: object) -> str:
        """Ask for something to be done; the number of its task.  Raises as `get` does."""
        return _as(str, await self._ask("POST", path, parameters), self.title)

    async def delete(self, *path: object) -> None:
        """End what there is at this path.  Raises as `get` does."""
        await self._ask("DELETE", path, {})

    async def _ask(self, method: str, path: tuple[object, ...], parameters: dict[str, object]) -> Any:
        trouble = ProviderFailed(f"{self.title}: no answer within {_WHOLE_LIMIT:g} seconds")
        try:
            async with asyncio.timeout(_WHOLE_LIMIT):
                for attempt in range(_ROUNDS * len(self._urls)):
                    lap, place = divmod(attempt, len(self._urls))
                    if lap and not place:
                        await asyncio.sleep(_PAUSE * 2 ** (lap - 1))
                    try:
                        return await self._to_its_end(self._ask_once(method, path, parameters))
                    except _Unanswered as error:
                        # What a node did say of the question tells more than that another one says nothing.
                        trouble = trouble if isinstance(trouble, Refused) else error
                    except Refused as error:
                        if not _may_pass(method, error):
                            raise
                        trouble = error
                        if error.unreached:
                            continue  # this node is well; others would not get further
                    self._first = (self._first + 1) % len(self._urls)
        except TimeoutError:
            pass
        raise trouble

    async def _to_its_end(self, exchange: Coroutine[Any, Any, Any]) -> Any:
        """Its answer, which is read also when nobody waits for it any more.

        A connection that is broken off in the middle of one could not be used again, and uvloop
        reports an error of TLS for it.
        """
        task = asyncio.get_running_loop().create_task(exchange)
        self._exchanges.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, exchange: asyncio.Task[Any]) -> None:
        self._exchanges.discard(exchange)
        if not exchange.cancelled():
            exchange.exception()  # nobody may be there any more to be told

    async def _ask_once(self, method: str, path: tuple[object, ...], parameters: dict[str, object]) -> Any:
        base = self._urls[self._first]
        where = _called(base)
        # A task's number has characters that a path cannot have.
        url = URL(f"{base}/api2/json/" + "/".join(quote(str(part), safe="") for part in path), encoded=True)
        told = {name.replace("_", "-"): str(value) for name, value in parameters.items()}
        named = {"data": told} if method == "POST" else {"params": told}
        try:
            session = await self._connected()
            # A redirection would carry the token to somewhere that nobody configured.
            async with session.request(method, url, allow_redirects=False, **named) as response:  # type: ignore[arg-type]
                body = await _read(response.content)
                return _answer(body, response.status, response.reason or "", where)
        except aiohttp.ClientSSLError as error:
            raise _distrusted(where, error) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _Unanswered(f"{where} does not answer: {error or type(error).__name__}") from error

    async def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            trust = await asyncio.to_thread(_trust, self._host)
            self._session = self._session or aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=trust, limit=16),
                headers={"Authorization": f"PVEAPIToken={self._host.token}"},
                timeout=aiohttp.ClientTimeout(sock_connect=_CONNECT_LIMIT, total=_ANSWER_LIMIT),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def _called(url: str) -> str:
    return f"Proxmox VE at {url}"


def _trust(host: ProxmoxHost) -> ssl.SSLContext:
    """Raises `ProviderFailed` where the configured certificates cannot be used."""
    if host.fingerprint is not None:
        return tls.pinned(_digest(host.fingerprint))
    try:
        return tls.vouched(host.ca)
    except OSError as error:
        raise ProviderFailed(f"cannot read the certificates of {host.ca}: {error}") from error


def _digest(fingerprint: str) -> bytes:
    with contextlib.suppress(ValueError):
        digest = bytes.fromhex(fingerprint.replace(":", ""))
        if len(digest) == _SHA256:
            return digest
    raise ProviderFailed(
        f"{fingerprint!r} is no SHA-256 fingerprint",
        hint="`pvenode cert info` on the node shows it: 32 pairs of digits, with colons",
    )


def _distrusted(where: str, error: aiohttp.ClientSSLError) -> _Unanswered:
    reason = error.certificate_error if isinstance(error, aiohttp.ClientConnectorCertificateError) else error
    if isinstance(reason, tls.WrongCertificate):
        return _Unanswered(
            f"{where}: its certificate has the fingerprint {reason.digest.hex(':').upper()}",
            hint="it is not the one in `fingerprint`: somebody is in between, or it was renewed",
        )
    return _Unanswered(
        f"{where}: its certificate is not trusted: {error}",
        hint="name its `fingerprint`, or as `ca` the cluster's /etc/pve/pve-root-ca.pem",
    )


async def _read(stream: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    async for chunk in stream.iter_any():
        body += chunk
        if len(body) > _LARGEST_ANSWER:
            raise _Unanswered(f"an answer of Proxmox VE is larger than {_LARGEST_ANSWER >> 20} MiB")
    return bytes(body)


def _answer(body: bytes, status: int, reason: str, where: str) -> Any:
    """What an answer carries.  Raises `Refused` where that is a refusal."""
    try:
        answer = msgspec.json.decode(body)
    except msgspec.DecodeError:
        answer = None
    if status == 200 and isinstance(answer, dict) and "data" in answer:
        return answer["data"]
    if not isinstance(answer, dict):
        answer = {}
    wrong = answer.get("errors")
    said = str(answer.get("message") or reason).strip() or "no reason was given"
    if status == 200:
        said = "this is no answer of Proxmox VE: is the URL that of its web interface?"
    raise Refused(where, status, said, wrong if isinstance(wrong, dict) else {})


def _as(kind: type[Kind], answer: object, where: str) -> Kind:
    try:
        # Numbers have come as texts, from one version or another.
        return msgspec.convert(answer, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ProviderFailed(f"{where}: not an answer as Proxmox VE gives: {error}") from error


def _may_pass(method: str, error: Refused) -> bool:
    if error.answer in _PASSING:
        return True
    # A 500 may be a moment's trouble.  What was to be done is not asked for again: the reason is told.
    return error.answer == 500 and method == "GET" and not any(words in error.said for words in _FINAL)
