"""What a request brings along: its query parameters, read strictly (a wrong value is refused, never guessed), and its body."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TypeVar

from starlette.requests import Request

from torpor.control.problems import BodyTooLarge
from torpor.errors import BadRequest

Choice = TypeVar("Choice", bound=StrEnum)

MAX_BODY = 1024 * 1024
"""Bytes; an app that is added may bring a whole environment along."""
_FLAGS = {"": True, "1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


async def whole_body(request: Request) -> bytes:
    """All of it, also where its head tells no length.  Raises `BodyTooLarge`, `ClientDisconnect`."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            raise BodyTooLarge(MAX_BODY)
    return bytes(body)


def flag(request: Request, name: str, *, default: bool = False) -> bool:
    """`?name`, `?name=true` or `?name=false`.  Raises `BadRequest`."""
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        return _FLAGS[text.lower()]
    except KeyError:
        raise BadRequest(f"{name}={text!r} is neither true nor false") from None


def count(request: Request, name: str, *, default: int, limit: int) -> int:
    """`?name=N` with 0 <= N; more than `limit` means `limit`.  Raises `BadRequest`."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()):
        raise BadRequest(f"{name}={text!r} is not a whole number")
    return min(int(text[:18]), limit)


def last_seen(request: Request) -> int | None:
    """The number of the last event that the reader has, by `Last-Event-ID`; None where that says nothing."""
    text = request.headers.get("last-event-id", "")
    return int(text[:18]) if text.isascii() and text.isdigit() else None


def required(request: Request, name: str) -> str:
    """`?name=TEXT`, which must be given.  Raises `BadRequest`."""
    text = request.query_params.get(name)
    if not text:
        raise BadRequest(f"{name} is missing", hint=f"Add ?{name}=… to the address.")
    return text


def whole_number(request: Request, name: str) -> int:
    """`?name=N` with 0 <= N, which must be given.  Raises `BadRequest`."""
    text = required(request, name)
    if not (text.isascii() and text.isdigit()):
        raise BadRequest(f"{name}={text!r} is not a whole number")
    return int(text[:18])


def choice(request: Request, name: str, kind: type[Choice]) -> Choice | None:
    """`?name=WORD`, one of the words of `kind`; None if it is not given.  Raises `BadRequest`."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        return kind(text)
    except ValueError:
        words = ", ".join(word.value for word in kind)
        raise BadRequest(f"{name}={text!r} is none of {words}") from None


def seconds(request: Request, name: str) -> float | None:
    """`?name=SECONDS`; None if it is not given.  Raises `BadRequest`."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise BadRequest(f"{name}={text!r} is not a number of seconds", hint=f"For example {name}=60.")
    return value
