"""Ports of the loopback for tests: what one of them is given, nobody else takes before it is used.

Laws:

1. The kernel gives them to nobody who connects or asks for any port, as Torpor does for its apps: it chooses from higher ones.
2. The test processes of one machine share none: each takes a block of them, and holds that until it ends.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

_PORTS = range(10_000, 32_768)
"""Above those of well-known services; below those from which Linux chooses, unless it was told otherwise."""
_BLOCK = 64
"""So many ports a process takes at a time."""


def free_port() -> int:
    """A port at which nobody is, for connections or datagrams; never the same again."""
    return next(port for port in _ours if _is_free(port))


def _blocks() -> Iterator[int]:
    """The ports of this process, one block after the other."""
    for first in _PORTS[::_BLOCK]:
        if _take(first):
            yield from range(first, first + _BLOCK)
    raise AssertionError("the ports for tests are used up")


def _take(first: int) -> bool:
    """Take a block, unless another process has it: by a name of which there is one, and which ends with its holder."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0torpor-test-ports-{first}")
    except OSError:
        claim.close()
        return False
    claim.detach()  # open for good
    return True


def _is_free(port: int) -> bool:
    """Also for whoever does not care for those who were there until a minute ago (`SO_REUSEADDR`)."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(type=kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


_ours = _blocks()
