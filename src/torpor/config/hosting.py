"""From the keys of `engines` and `proxmox` to their frozen values."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from msgspec import UNSET, UnsetType

from torpor.config import declarations as declared
from torpor.config.document import Document
from torpor.config.hosts import DOCKER, PODMAN, ClientTls, EngineHost, Hosts, ProxmoxHost
from torpor.config.layers import absolute, given, unreadable
from torpor.config.problems import KeyPath, Problems

_TOKEN = re.compile(r"[^\s@!=]+@[^\s@!=]+![^\s@!=]+=\S+")
_FINGERPRINT = re.compile(r"[0-9A-F]{2}(?::[0-9A-F]{2}){31}")
_DOCKER_SOCKET = "unix:///var/run/docker.sock"
_PODMAN_SOCKET = "/podman/podman.sock"
_LARGEST_TOKEN = 4096
"""Bytes of a file."""


def usual_hosts(environ: Mapping[str, str]) -> Hosts:
    """Those that exist without being configured."""
    return Hosts(
        engines=MappingProxyType({name: EngineHost(_usual(name, environ)) for name in (DOCKER, PODMAN)})
    )


def build_hosts(
    keys: declared.File, document: Document, environ: Mapping[str, str], problems: Problems
) -> Hosts:
    """What the main file says of them.  What is wrong goes to `problems`."""
    return _Hosting(document, environ, problems).build(keys)


class _Hosting:
    def __init__(self, document: Document, environ: Mapping[str, str], problems: Problems) -> None:
        self._document = document
        self._environ = environ
        self._problems = problems

    def build(self, keys: declared.File) -> Hosts:
        engines = dict(usual_hosts(self._environ).engines)
        for name, engine in given(keys.engines, {}).items():
            engines[name] = self._engine(name, engine)
        proxmox = {name: self._proxmox(name, host) for name, host in given(keys.proxmox, {}).items()}
        return Hosts(MappingProxyType(engines), MappingProxyType(proxmox))

    def _report(self, message: str, *path: str | int) -> None:
        where: KeyPath = path
        self._problems.add(self._document.problem(where, message))

    def _engine(self, name: str, keys: declared.Engine) -> EngineHost:
        url = given(keys.url, None)
        if url is None:
            url = _usual(name, self._environ)
            if not url:
                self._report("say where it is: `url: unix:///PATH` or `tcp://HOST:PORT`", "engines", name)
        elif (complaint := _engine_complaint(url)) is not None:
            self._report(complaint, "engines", name, "url")
        tls = None
        if keys.tls is not UNSET:
            files = {
                part: self._file(getattr(keys.tls, part), "engines", name, "tls", part)
                for part in ("ca", "cert", "key")
            }
            tls = ClientTls(**files)
            if (tls.cert is None) != (tls.key is None):
                self._report("one of `cert` and `key` is of no use without the other", "engines", name, "tls")
            if url.startswith("unix:"):
                self._report("is for TCP; a unix socket needs none", "engines", name, "tls")
        return EngineHost(url, tls, keys.discover is True)

    def _proxmox(self, name: str, keys: declared.Proxmox) -> ProxmoxHost:
        urls = (keys.url,) if isinstance(keys.url, str) else tuple(keys.url)
        for url in urls:
            if not _is_address(url, "https"):
                self._report(
                    f"'{url}' is not https://HOST:PORT, e.g. https://pve1.lan:8006", "proxmox", name, "url"
                )
        if not urls:
            self._report("is empty; say where its API is, e.g. https://pve1.lan:8006", "proxmox", name, "url")
        fingerprint = given(keys.fingerprint, None)
        if fingerprint is not None:
            fingerprint = fingerprint.upper()
            if not _FINGERPRINT.fullmatch(fingerprint):
                message = "is no SHA-256 fingerprint: 32 pairs of hexadecimal digits with colons between them"
                self._report(message, "proxmox", name, "fingerprint")
        return ProxmoxHost(
            tuple(url.rstrip("/") for url in urls),
            self._token(name, keys),
            fingerprint,
            self._file(keys.ca, "proxmox", name, "ca"),
        )

    def _token(self, name: str, keys: declared.Proxmox) -> str:
        if (keys.token is UNSET) == (keys.token_file is UNSET):
            self._report("needs one of `token` and `token_file`", "proxmox", name)
            return ""
        if keys.token is not UNSET:
            token, key = keys.token, "token"
        else:
            key = "token_file"
            file = self._file(keys.token_file, "proxmox", name, key)
            if file is None:
                return ""
            with file.open("rb") as content:
                token = content.read(_LARGEST_TOKEN).decode(errors="replace").strip()
        if not _TOKEN.fullmatch(token):
            self._report("holds no API token, which is USER@REALM!NAME=SECRET", "proxmox", name, key)
        return token

    def _file(self, value: str | UnsetType, *path: str) -> Path | None:
        if value is UNSET:
            return None
        file = absolute(self._document, value)
        if (complaint := unreadable(file)) is not None:
            self._report(complaint, *path)
            return None
        return Path(file)


def _usual(name: str, environ: Mapping[str, str]) -> str:
    if name == DOCKER:
        return environ.get("DOCKER_HOST") or _DOCKER_SOCKET
    if name == PODMAN:
        run = "/run" if os.geteuid() == 0 else environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
        return f"unix://{run}{_PODMAN_SOCKET}"
    return ""


def _engine_complaint(url: str) -> str | None:
    if url.startswith("unix:///") or _is_address(url, "tcp", needs_port=True):
        return None
    return f"'{url}' is neither unix:///PATH nor tcp://HOST:PORT"


def _is_address(url: str, scheme: str, *, needs_port: bool = False) -> bool:
    """Whether it names a host, perhaps a port, and nothing else."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    more = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    return parts.scheme == scheme and bool(parts.hostname) and not more and not (needs_port and port is None)
