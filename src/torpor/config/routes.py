"""Routes as people write them: `notes.localhost`, `example.org/api`, `*.example.org`, `default`, `tcp://127.0.0.1:5432`."""

from __future__ import annotations

import re

from torpor.config.front import parse_address
from torpor.core.model import Route, Scheme, StreamRoute

DEFAULT = "default"
STREAMS = tuple(f"{scheme}://" for scheme in Scheme)
"""How routes begin that are read by `parse_stream`."""
MAX_HOST = 253
MAX_PATH = 1024

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_IPV6 = re.compile(r"\[[0-9a-f:.]+\]")
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")


def parse_route(text: str) -> Route:
    """The route that `host`, `host/path` or `default` stands for.  Raises `ValueError` with what to write."""
    text = text.strip()
    scheme, separator, rest = text.partition("://")
    if separator:
        hint = (
            "; `tcp://ADDRESS:PORT` and `tls://NAME:PORT` take raw connections, `udp://` datagrams"
            if scheme not in {"http", "https"}
            else ""
        )
        raise ValueError(f"a route has no scheme; write {rest!r} instead of {scheme}://…{hint}")
    host, slash, path = text.partition("/")
    meant = f"{host.rstrip(':').lower()}://"
    if meant in STREAMS and (host.endswith(":") or path.startswith("/")):
        raise ValueError(
            f"'{text}' begins like a host name and a path; did you mean {meant}{path.lstrip('/')}?"
        )
    return Route(parse_host(host), parse_path(slash + path) if slash else "/")


def parse_stream(text: str) -> StreamRoute:
    """The route that `tcp://ADDRESS:PORT`, `udp://ADDRESS:PORT` or `tls://NAME@ADDRESS:PORT` stands for.

    `tls://NAME:PORT` is short for 127.0.0.1, as everywhere.  Raises `ValueError` with what to write.
    """
    scheme, _, rest = text.strip().partition("://")
    server, at, address = rest.rpartition("@")
    if scheme == "tls" and not at:
        server, _, address = rest.rpartition(":")
    elif at and scheme != "tls":
        raise ValueError(f"'{text}': only tls:// tells servers apart by their name")
    host, port = parse_address(address)
    if not port:
        raise ValueError(f"'{text}': nobody would know the port; write one from 1 to 65535")
    if scheme != "tls":
        return StreamRoute(host, port, Scheme(scheme))
    if not server:
        raise ValueError(
            f"'{text}': write which server, as in tls://git.example.org@{address}, or '{DEFAULT}'"
        )
    return StreamRoute(host, port, Scheme.TLS, name=parse_host(server))


def parse_host(text: str) -> str | None:
    """The host as requests name it: lower case, IDNA, without a final dot.  None for `default`.

    Raises `ValueError`.
    """
    host = text.strip().lower()
    if host == DEFAULT:
        return None
    if _IPV6.fullmatch(host):
        return host
    name, colon, port = host.partition(":")
    if colon:
        raise ValueError(
            f"'{text}': a route has no port; write {name!r} (`gateway.listen` says where to listen)"
            if port.isdigit()
            else f"'{text}' is not a host name; put an IPv6 address in brackets"
        )
    if host == "*":
        raise ValueError(f"write '{DEFAULT}' for the app that gets every host that nobody names")
    name, _, last = host.rpartition(".")
    if last == "*" and "." not in name:  # that name below any domain
        return f"{_plain_host(name, text)}.*"
    plain = _plain_host(host.removeprefix("*.").removesuffix("."), text)
    return f"*.{plain}" if host.startswith("*.") else plain


def _plain_host(host: str, text: str) -> str:
    """A name without a wildcard.  Raises `ValueError`; `text` is what was written."""
    plain = _to_ascii(host, text)
    if "*" in plain:
        raise ValueError(
            f"'{text}': a wildcard stands for the first part, as in *.example.org, or for a whole domain, as in notes.*"
        )
    if len(plain) > MAX_HOST or not all(map(_LABEL.fullmatch, plain.split("."))):
        raise ValueError(f"'{text}' is not a host name")
    return plain


def parse_path(text: str) -> str:
    """A path prefix without a final slash.  Raises `ValueError`."""
    if not text.startswith("/"):
        raise ValueError(f"'{text}' is not a path; it must begin with '/'")
    if "?" in text or "#" in text:
        raise ValueError(f"'{text}': a route's path has no query and no fragment")
    if len(text) > MAX_PATH or not _PATH.fullmatch(text):
        raise ValueError(f"'{text}' is not a path; percent-encode what is not plain ASCII")
    segments = text.rstrip("/").split("/")[1:]
    if any(segment in {"", ".", ".."} for segment in segments):
        raise ValueError(f"'{text}' has an empty, '.' or '..' part, which no request ever has")
    return "/" + "/".join(segments)


def _to_ascii(host: str, text: str) -> str:
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ValueError(f"'{text}' is not a host name: {error}") from error
