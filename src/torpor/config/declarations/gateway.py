"""The keys of `gateway`."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, UnsetType

from torpor.config.declarations.keys import Keys, about
from torpor.config.settings import GatewaySpec, Limits
from torpor.config.units import PositiveDuration, Size, duration_text, size_text

_LIMITS = Limits()


class Tls(Keys, frozen=True):
    """The certificate of a listener."""

    cert: Annotated[str, about("File with the certificate and its chain, PEM.", "./tls/cert.pem")]
    key: Annotated[str, about("File with the private key, PEM.", "./tls/key.pem")]


class Listener(Keys, frozen=True):
    """An address of the gateway with its options."""

    address: Annotated[str | int, about("`HOST:PORT`, or a port on 127.0.0.1.", "0.0.0.0:8443")]
    tls: Annotated[Tls, about("Speak TLS with this certificate.")] | UnsetType = UNSET
    gate: (
        Annotated[
            bool,
            about(
                "Carry no requests here, but tell proxies whether they may pass one on to an app themselves, once it is "
                "awake. Answers only this machine and `trusted_proxies`.",
                True,
                False,
            ),
        ]
        | UnsetType
    ) = UNSET


class GatewayLimits(Keys, frozen=True):
    """What a stranger can make the gateway hold."""

    request_line: (
        Annotated[Size, about("Longest request line.", "16K", size_text(_LIMITS.request_line))] | UnsetType
    ) = UNSET
    headers_size: (
        Annotated[
            Size,
            about("Largest request head, request line included.", "128K", size_text(_LIMITS.headers_size)),
        ]
        | UnsetType
    ) = UNSET
    headers_count: (
        Annotated[int, about("Most header fields of a request.", 200, _LIMITS.headers_count, ge=1, le=10_000)]
        | UnsetType
    ) = UNSET
    header_timeout: (
        Annotated[
            PositiveDuration,
            about(
                "From the first byte of a request head to its end.",
                "5s",
                duration_text(_LIMITS.header_timeout),
            ),
        ]
        | UnsetType
    ) = UNSET
    idle_timeout: (
        Annotated[
            PositiveDuration,
            about(
                "How long a connection without a request is kept open.",
                "2m",
                duration_text(_LIMITS.idle_timeout),
            ),
        ]
        | UnsetType
    ) = UNSET
    body_timeout: (
        Annotated[
            PositiveDuration,
            about(
                "Longest pause between two pieces of a request body.",
                "30s",
                duration_text(_LIMITS.body_timeout),
            ),
        ]
        | UnsetType
    ) = UNSET
    connections: (
        Annotated[int, about("Most open client connections.", 2000, _LIMITS.connections, ge=1, le=1_000_000)]
        | UnsetType
    ) = UNSET


class Gateway(Keys, frozen=True):
    """The front door."""

    listen: (
        Annotated[
            str | int | Listener | list[str | int | Listener],
            about(
                "Where the gateway listens: `HOST:PORT`, a port on 127.0.0.1, a map with `tls`, or a list of these.",
                "127.0.0.1:8080",
                str(GatewaySpec().listen[0]),
            ),
        ]
        | UnsetType
    ) = UNSET
    trusted_proxies: (
        Annotated[
            str | list[str],
            about(
                "Addresses or networks whose `Forwarded` and `X-Forwarded-*` headers are believed and extended.",
                ["10.0.0.0/8"],
            ),
        ]
        | UnsetType
    ) = UNSET
    limits: Annotated[GatewayLimits, about("Limits on what a client may use up.")] | UnsetType = UNSET
