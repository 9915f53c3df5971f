"""The replies that the gateway makes itself.

Laws:
1. One function, `verdict`, maps a cause to an HTTP status and a log level.
2. Every reply of ours says so: `X-Torpor: <cause>` and `Cache-Control: no-store`.
3. Our own 503, 504 and 429 always carry `Retry-After` in whole seconds, at least 1.
4. HTML goes only to whoever names `text/html`; everybody else gets problem+json (RFC 9457).
"""

from __future__ import annotations

import html
import json
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from torpor.core.model import Cause, Refusal
from torpor.core.rules import Answer
from torpor.gateway.request import RequestHead
from torpor.gateway.waiting.text import log_lines, sentence

log = logging.getLogger(__name__)

RETRY_WITHOUT_HOPE = 60
"""`Retry-After` in seconds where only an operator can change the verdict."""
RETRY_ASLEEP = 30
"""`Retry-After` in seconds for a request that wakes nothing: others may."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole response.  Content-Length, Date and Connection are added when it is sent.

    To a HEAD request the same reply is sent without `body`.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Streaming(Protocol):
    """A response that is written piece by piece (an event stream).

    Driven on the event loop.  All methods may be called after the client left:
    they do nothing then.
    """

    def begin(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        """Send the head.  Framing headers are added by the connection."""
        ...

    def write(self, data: bytes) -> bool:
        """Send a piece; False if the client is gone or reads too slowly to be served further."""
        ...

    def end(self) -> None:
        """The response is complete."""
        ...

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when the client has left or the response has ended."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a cause means on the wire and in the log."""

    status: int
    level: int


_VERDICTS: dict[str, Verdict] = {
    # the core's
    **dict.fromkeys(Cause, Verdict(503, logging.INFO)),
    Cause.WAKE_TIMEOUT: Verdict(504, logging.WARNING),
    Cause.START_TIMEOUT: Verdict(504, logging.WARNING),
    Cause.START_FAILED: Verdict(503, logging.WARNING),
    Cause.EXITED: Verdict(503, logging.WARNING),
    Cause.FAILED: Verdict(503, logging.WARNING),
    Cause.ROOM_FULL: Verdict(503, logging.WARNING),
    Cause.NO_MEMORY: Verdict(503, logging.WARNING),
    Cause.NO_BUDGET: Verdict(503, logging.WARNING),
    # the gateway's
    "bad-request": Verdict(400, logging.DEBUG),
    "forbidden": Verdict(403, logging.INFO),
    "method-not-allowed": Verdict(405, logging.DEBUG),
    "request-timeout": Verdict(408, logging.DEBUG),
    "expectation-failed": Verdict(417, logging.DEBUG),
    "uri-too-long": Verdict(414, logging.DEBUG),
    "headers-too-large": Verdict(431, logging.DEBUG),
    "not-implemented": Verdict(501, logging.DEBUG),
    "not-found": Verdict(404, logging.DEBUG),
    "unknown-host": Verdict(404, logging.DEBUG),
    "bad-gateway": Verdict(502, logging.WARNING),
    "too-many-connections": Verdict(503, logging.WARNING),
    "too-many-streams": Verdict(503, logging.INFO),
    "internal-error": Verdict(500, logging.ERROR),
}
"""Every cause.  A test looks for those that the gateway names and this table does not."""
_UNLISTED = Verdict(503, logging.ERROR)


def verdict(cause: str) -> Verdict:
    """Status and log level of a cause.

    One that is missing here is a fault of ours, but not the client's: it is logged as an error
    and gets a 503.
    """
    found = _VERDICTS.get(cause)
    if found is None:
        log.error("no verdict is listed for the cause %s", cause)
        return _UNLISTED
    return found


def refusal(head: RequestHead | None, app: str, refused: Refusal, last_lines: Iterable[str] = ()) -> Reply:
    """The reply to a request that the core refused.

    `last_lines`: what the app wrote last, where its configuration lets visitors see that.
    """
    reason = refused.reason
    retry = RETRY_WITHOUT_HOPE if refused.retry_after is None else refused.retry_after
    output = log_lines(last_lines)
    return problem(head, reason.cause, sentence(reason.text), app=app, retry_after=retry, output=output)


def synthetic(answer: Answer) -> Reply:
    """The answer that a rule gives in a sleeping app's place.  What it says of its headers holds."""
    own = {name.lower() for name, _ in answer.headers}
    headers = [("X-Torpor", Cause.ASLEEP.value), *answer.headers]
    if "cache-control" not in own:
        headers.append(("Cache-Control", "no-store"))
    if answer.status in {429, 503, 504} and "retry-after" not in own:
        headers.append(("Retry-After", str(RETRY_ASLEEP)))
    if answer.body:
        headers.append(("Content-Type", answer.content_type))
    return Reply(answer.status, tuple(headers), answer.body.encode())


def problem(
    head: RequestHead | None,
    cause: str,
    detail: str,
    *,
    app: str | None = None,
    retry_after: float = 1.0,
    output: Sequence[str] = (),
) -> Reply:
    """A reply that says what is wrong, in the form that the client asked for.

    `head` is None where it could not be read; `retry_after` counts only for 503, 504 and 429.
    """
    status = verdict(cause).status
    headers = [("X-Torpor", cause), ("Cache-Control", "no-store")]
    if status in {429, 503, 504}:
        headers.append(("Retry-After", str(max(1, math.ceil(retry_after)))))
    if head is not None and names_html(head):
        headers.append(("Content-Type", "text/html; charset=utf-8"))
        body = _page(status, detail, output)
    else:
        headers.append(("Content-Type", "application/problem+json"))
        body = _json(status, cause, detail, app, output)
    return Reply(status, tuple(headers), body)


def names_html(head: RequestHead) -> bool:
    """Whether Accept names text/html explicitly, with a weight above zero."""
    for name, value in head.headers:
        if name == b"accept":
            for part in value.lower().split(b","):
                media, *params = (piece.strip() for piece in part.split(b";"))
                if media == b"text/html" and not any(_is_zero_weight(param) for param in params):
                    return True
    return False


def phrase(status: int) -> str:
    """The reason phrase of a status; empty for one that nobody knows."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _is_zero_weight(param: bytes) -> bool:
    name, _, weight = param.partition(b"=")
    if name.strip() != b"q":
        return False
    try:
        return float(weight) <= 0
    except ValueError:
        return True


def _json(status: int, cause: str, detail: str, app: str | None, output: Sequence[str]) -> bytes:
    document: dict[str, object] = {
        "type": "about:blank",
        "title": phrase(status),
        "status": status,
        "detail": detail,
        "cause": cause,
    }
    if app is not None:
        document["app"] = app
    if output:
        document["output"] = output
    return json.dumps(document).encode()


def _page(status: int, detail: str, output: Sequence[str]) -> bytes:
    title = f"{status} {phrase(status)}"
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title>"
        "<style>:root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;"
        "margin:15vh auto;padding:0 1rem}p{white-space:pre-wrap;overflow-wrap:anywhere}</style></head>"
        f"<body><h1>{html.escape(title)}</h1><p>{html.escape(detail)}</p>{_lines(output)}</body></html>\n"
    ).encode()


def _lines(output: Sequence[str]) -> str:
    return f"<pre>{html.escape(chr(10).join(output))}</pre>" if output else ""
