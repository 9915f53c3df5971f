"""TLS contexts for the hosts of guests: whom they trust, and that their connections end when we end them.

A connection of asyncio waits up to half a minute for the other side's farewell, and aiohttp forgets it
meanwhile: it would outlive whoever has closed it, as many of them as a host that says nothing likes.
Nothing is lost by an end without it: each answer says how long it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import ssl
from pathlib import Path


class WrongCertificate(ssl.SSLCertVerificationError):
    """The other side has another certificate than the one that is known."""

    def __init__(self, digest: bytes) -> None:
        """`digest`: the SHA-256 digest of the one that it has."""
        super().__init__("its certificate is another one")
        self.digest = digest


class _Brief(ssl.SSLObject):
    """Says farewell, and does not wait for an answer to that."""

    def unwrap(self) -> None:
        # An error is that the farewell of the other side is not there, or something else that it still had to say.
        with contextlib.suppress(ssl.SSLError):
            super().unwrap()


def vouched(ca: Path | None) -> ssl.SSLContext:
    """Trusts whom the certificates in this file vouch for; None: those of the system.

    Raises `OSError`, of which `ssl.SSLError` is one.
    """
    context = ssl.create_default_context(cafile=ca)
    context.sslobject_class = _Brief
    return context


def pinned(digest: bytes) -> ssl.SSLContext:
    """Trusts one certificate, known by its SHA-256 digest, whoever vouches for it, under any name.

    With another one the handshake fails, before anything else is sent: by `WrongCertificate`.
    That holds for connections of an event loop; nothing else may be made of it.
    """

    class Pinned(_Brief):
        def do_handshake(self) -> None:
            super().do_handshake()
            got = hashlib.sha256(self.getpeercert(binary_form=True) or b"").digest()
            if got != digest:
                raise WrongCertificate(got)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.sslobject_class = Pinned
    return context
