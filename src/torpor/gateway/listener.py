"""Sockets to listen on, TLS contexts, and sockets that systemd hands over."""

from __future__ import annotations

import errno
import os
import socket
import ssl

from torpor.config.settings import Listen, Tls
from torpor.errors import ListenFailed

BACKLOG = 4096
"""Connections that the kernel keeps until they are accepted (it may keep fewer)."""
_FIRST_INHERITED = 3
"""The first descriptor of systemd's protocol (SD_LISTEN_FDS_START)."""

# A peer that vanished without a word is found within two minutes.  Accepted connections
# inherit these from the listening socket, which costs no call per connection.
_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
)


def bind(listen: Listen) -> socket.socket:
    """A listening socket, ready for an event loop.  Raises `ListenFailed`."""
    try:
        infos = socket.getaddrinfo(
            listen.host or None, listen.port, type=_kind(listen), flags=socket.AI_PASSIVE
        )
    except OSError as problem:
        raise ListenFailed(
            f"Cannot listen on {listen}: {problem.strerror or problem}.",
            hint="Use an address of this machine, such as 127.0.0.1:8080, or [::]:8080 for all of them.",
        ) from problem
    family, kind, protocol, _, address = infos[0]
    sock = socket.socket(family, kind, protocol)
    try:
        if not listen.udp:  # there it would let several take the same datagrams
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            everywhere = address[0] == "::"
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if everywhere else 1)
        if not listen.udp:
            for option in _KEEPALIVE:
                sock.setsockopt(*option)
        sock.setblocking(False)
        sock.bind(address)
        if not listen.udp:
            sock.listen(BACKLOG)
    except OSError as problem:
        sock.close()
        raise _failed(listen, problem) from problem
    return sock


def inherited() -> list[socket.socket]:
    """The listening sockets that systemd passed to this very process, if any.

    Clears the variables, so that no app believes they were meant for it.
    """
    pid = os.environ.pop("LISTEN_PID", "")
    count = os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdigit():
        return []
    found = []
    for descriptor in range(_FIRST_INHERITED, _FIRST_INHERITED + int(count)):
        os.set_inheritable(descriptor, False)
        sock = socket.socket(fileno=descriptor)
        sock.setblocking(False)
        found.append(sock)
    return found


def tls_context(tls: Tls) -> ssl.SSLContext:
    """A server context for HTTP/1.1, TLS 1.2 or newer.  Raises `ListenFailed`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(tls.cert, tls.key)
    except (OSError, ssl.SSLError) as problem:
        raise ListenFailed(
            f"Cannot use the certificate {tls.cert} with the key {tls.key}: {problem}.",
            hint="Both must be readable PEM files, the key without a passphrase, and belong together.",
        ) from problem
    return context


def _kind(listen: Listen) -> socket.SocketKind:
    return socket.SOCK_DGRAM if listen.udp else socket.SOCK_STREAM


def _failed(listen: Listen, problem: OSError) -> ListenFailed:
    if problem.errno == errno.EADDRINUSE:
        return ListenFailed(
            f"{listen} is taken by another program.",
            hint=f"`ss -l{'u' if listen.udp else 't'}np 'sport = :{listen.port}'` shows which; stop it or choose another port.",
        )
    if problem.errno == errno.EACCES:
        return ListenFailed(
            f"Not allowed to listen on {listen}.",
            hint="Ports below 1024 need root, CAP_NET_BIND_SERVICE or a systemd socket unit.",
        )
    if problem.errno == errno.EADDRNOTAVAIL:
        return ListenFailed(
            f"{listen.host} is not an address of this machine.",
            hint="Use one of its addresses, or 0.0.0.0 for all of them.",
        )
    return ListenFailed(f"Cannot listen on {listen}: {problem.strerror}.")
