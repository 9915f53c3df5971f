"""What an app may say to whoever supervises it: the sending side of sd_notify.

    from torpor import notify

    notify.ready()

Works under Torpor, systemd and anything else that sets NOTIFY_SOCKET, and does nothing
where nobody listens, so that the same program runs by hand.  Nothing here raises or waits because
of the supervisor: an app must not fail, or stand still, because it is not heard.  Only the
standard library is needed; the file may be copied into an app.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time

__all__ = [
    "extend_timeout",
    "heartbeat",
    "ready",
    "reloading",
    "send",
    "status",
    "stopping",
    "watchdog_interval",
]


_RETRY = 0.01
"""Seconds between two attempts to send while earlier messages have not been read."""
_ATTEMPTS = 3


def ready(text: str | None = None) -> bool:
    """Say that the app is ready, also after a reload.  `text`: a status to go with it.

    Like all functions here it returns whether there was somebody to tell.
    """
    return send("READY=1", *_status(text))


def heartbeat() -> bool:
    """Give a sign of life, as often as every half of `watchdog_interval`."""
    return send("WATCHDOG=1")


def status(text: str) -> bool:
    """Say in a line what the app is doing, for people."""
    return send(*_status(text))


def stopping(text: str | None = None) -> bool:
    """Say that the app is about to end by itself."""
    return send("STOPPING=1", *_status(text))


def reloading(text: str | None = None) -> bool:
    """Say that the app reads its configuration again; `ready` says when that is done."""
    microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    return send("RELOADING=1", f"MONOTONIC_USEC={microseconds}", *_status(text))


def extend_timeout(seconds: float) -> bool:
    """Ask for that much more time to start or to stop, counted from now."""
    return send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")


def watchdog_interval() -> float | None:
    """The longest silence in seconds that the supervisor allows; None: it expects no signs of life."""
    try:
        microseconds = int(os.environ.get("WATCHDOG_USEC", "0"))
        pid = int(os.environ.get("WATCHDOG_PID", "0"))
    except ValueError:
        return None
    if microseconds <= 0 or pid not in {0, os.getpid()}:
        return None
    return microseconds / 1e6


def send(*assignments: str) -> bool:
    """Send `KEY=VALUE` assignments in one message; whether there was somebody to tell.

    Gives up after a few hundredths of a second if earlier messages have not been read.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in {"/", "@"}:
        return False
    if address[0] == "@":
        # An abstract name, which begins with a zero byte.
        address = "\0" + address[1:]
    message = "\n".join(assignments).encode("utf-8", "replace")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            return _send(sock, message, address)
    except OSError:
        return False


def _send(sock: socket.socket, message: bytes, address: str) -> bool:
    """Whether there was room for it.  Raises `OSError`."""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_RETRY)
        with contextlib.suppress(BlockingIOError):
            sock.sendto(message, socket.MSG_DONTWAIT, address)
            return True
    return False


def _status(text: str | None) -> tuple[str, ...]:
    return () if text is None else (f"STATUS={' '.join(text.splitlines())}",)
