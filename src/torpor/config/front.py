"""From the keys of `gateway` to its frozen value."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from pathlib import Path
from typing import Any

from msgspec import UNSET

from torpor.config import declarations as declared
from torpor.config.document import Document
from torpor.config.layers import absolute, unreadable
from torpor.config.problems import Problems
from torpor.config.settings import GatewaySpec, Limits, Listen, Tls

LOOPBACK = "127.0.0.1"

HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?")


def parse_address(value: str | int) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, or of a port alone, which means 127.0.0.1.

    `:8080` is refused: to some it means every interface, to others this machine.
    Port 0 lets the system choose.  Raises `ValueError`.
    """
    text = str(value).strip()
    host, colon, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or len(port) > 5 or int(port) > 65535:
        raise ValueError(f"'{text}' is not HOST:PORT, e.g. {LOOPBACK}:8080")
    if not colon:
        return LOOPBACK, int(port)
    if host in {"", "*"}:
        raise ValueError(
            f"'{text}': say which addresses: {LOOPBACK}:{port} for this machine only, 0.0.0.0:{port} for every network"
        )
    if host.startswith("[") and host.endswith("]"):
        try:
            return str(ipaddress.IPv6Address(host[1:-1])), int(port)
        except ValueError as error:
            raise ValueError(f"'{host}' is not an IPv6 address") from error
    if ":" in host:
        raise ValueError(f"'{text}': put the IPv6 address in brackets, e.g. '[::1]:{port}'")
    if not HOST.fullmatch(host):
        raise ValueError(f"'{host}' is not a host name or address")
    return host.lower(), int(port)


def build_gateway(keys: declared.Gateway, document: Document, problems: Problems) -> GatewaySpec:
    """The gateway's settings.  What is wrong goes to `problems`."""
    return _Gateway(keys, document, problems).build()


class _Gateway:
    def __init__(self, keys: declared.Gateway, document: Document, problems: Problems) -> None:
        self._keys = keys
        self._document = document
        self._problems = problems

    def build(self) -> GatewaySpec:
        return GatewaySpec(
            listen=self._listen(), limits=self._limits(), trusted_proxies=self._trusted_proxies()
        )

    def _report(self, message: str, *path: str | int) -> None:
        self._problems.add(self._document.problem(("gateway", *path), message))

    def _listen(self) -> tuple[Listen, ...]:
        value = self._keys.listen
        if value is UNSET:
            return GatewaySpec().listen
        if value == []:
            self._report("is empty; say where to listen, or remove the key", "listen")
        listeners: dict[tuple[str, int], Listen] = {}
        for position, item in enumerate(value if isinstance(value, list) else [value]):
            where: tuple[str | int, ...] = ("listen", position) if isinstance(value, list) else ("listen",)
            listener = self._listener(item, where)
            if listener is None:
                continue
            address = (listener.host, listener.port)
            if address in listeners and listener.port:
                self._report(f"listens on {listener} a second time", *where)
            listeners[address] = listener
        return tuple(listeners.values())

    def _listener(self, item: str | int | declared.Listener, where: tuple[str | int, ...]) -> Listen | None:
        listener = item if isinstance(item, declared.Listener) else declared.Listener(item)
        address, tls = listener.address, listener.tls
        certificate = None
        if tls is not UNSET:
            files = {name: absolute(self._document, getattr(tls, name)) for name in ("cert", "key")}
            for name, file in files.items():
                if (complaint := unreadable(file)) is not None:
                    self._report(complaint, *where, "tls", name)
            certificate = Tls(Path(files["cert"]), Path(files["key"]))
        try:
            host, port = parse_address(address)
        except ValueError as error:
            self._report(str(error), *where, *(["address"] if isinstance(item, declared.Listener) else []))
            return None
        return Listen(host, port, certificate, gate=listener.gate is True)

    def _limits(self) -> Limits:
        default = Limits()
        keys: Any = self._keys.limits
        if keys is UNSET:
            return default
        named = {name: getattr(keys, name) for name in keys.__struct_fields__}
        plain = {
            name: type(getattr(default, name))(value) for name, value in named.items() if value is not UNSET
        }
        limits = dataclasses.replace(default, **plain)
        if limits.request_line > limits.headers_size:
            self._report("request_line is larger than headers_size, which includes it", "limits")
        return limits

    def _trusted_proxies(self) -> tuple[str, ...]:
        value = self._keys.trusted_proxies
        networks: list[str] = []
        for position, item in enumerate(
            [] if value is UNSET else value if isinstance(value, list) else [value]
        ):
            try:
                networks.append(str(ipaddress.ip_network(item, strict=False)))
            except ValueError:
                where = (position,) if isinstance(value, list) else ()
                self._report(
                    f"'{item}' is not an address or network, e.g. 10.0.0.0/8", "trusted_proxies", *where
                )
        return tuple(networks)
