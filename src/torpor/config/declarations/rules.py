"""The keys of rules about requests."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, UnsetType

from torpor.config.declarations.keys import Keys, about
from torpor.core.rules import Answer as Default

_ANSWER = Default()


class Answer(Keys, frozen=True):
    """What is answered in a sleeping app's place."""

    status: Annotated[int, about("HTTP status.", 200, _ANSWER.status, ge=200, le=599)] | UnsetType = UNSET
    body: Annotated[str, about("Text of the body.", "resting")] | UnsetType = UNSET
    content_type: (
        Annotated[
            str,
            about(
                "Media type of the body.",
                "application/json",
                _ANSWER.content_type,
            ),
        ]
        | UnsetType
    ) = UNSET
    headers: (
        Annotated[
            dict[str, str],
            about("More headers. `X-Torpor: asleep` is always among them.", {"Retry-After": "120"}),
        ]
        | UnsetType
    ) = UNSET


class Rule(Keys, frozen=True):
    """Which requests it meets, and what they mean for the app."""

    name: (
        Annotated[
            str,
            about(
                "What events call it; otherwise its place, as in `rules.0`.",
                "uptime robot",
            ),
        ]
        | UnsetType
    ) = UNSET
    path: (
        Annotated[
            str | list[str],
            about(
                "The path as it is sent, without the query; `*` stands for any characters.",
                ["/api/*", "/health"],
            ),
        ]
        | UnsetType
    ) = UNSET
    method: Annotated[str | list[str], about("The method.", ["HEAD", "OPTIONS"])] | UnsetType = UNSET
    user_agent: (
        Annotated[
            str | list[str],
            about(
                "A part of `User-Agent`, or with `*` the whole of it; upper and lower case are the same.",
                "UptimeRobot",
            ),
        ]
        | UnsetType
    ) = UNSET
    cidr: (
        Annotated[
            str | list[str],
            about(
                "Networks or addresses of the client, behind all `gateway.trusted_proxies`.",
                ["10.0.0.0/8", "fd00::/8"],
            ),
        ]
        | UnsetType
    ) = UNSET
    header: (
        Annotated[
            str | list[str],
            about(
                "A header that is there (`Name`), or whose value fits (`Name: value`, with `*` for any characters).",
                "Sec-Purpose: prefetch*",
            ),
        ]
        | UnsetType
    ) = UNSET
    wake: Annotated[bool, about("Whether such a request wakes the app.", False, True)] | UnsetType = UNSET
    activity: (
        Annotated[
            bool, about("Whether it keeps the app awake: `false` leaves the idle clock alone.", False, True)
        ]
        | UnsetType
    ) = UNSET
    answer: (
        Annotated[
            Annotated[int, about("Its status alone.", ge=200, le=599)] | Answer,
            about(
                "What it gets as long as the app is not awake: a status, or a map. Otherwise one that does not wake "
                "the app gets 503 with `X-Torpor: asleep`.",
                204,
            ),
        ]
        | UnsetType
    ) = UNSET
