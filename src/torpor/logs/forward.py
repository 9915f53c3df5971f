"""Passes lines on to the system's own log: journald or syslog.

Datagrams on a socket that is never waited for: what the other side does not take at once is
counted and gone.  The segments have it all.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable

from torpor.config.settings import Forward

ADDRESSES = {Forward.JOURNALD: "/run/systemd/journal/socket", Forward.SYSLOG: "/dev/log"}
_USER = 1 << 3
_INFO, _ERR = 6, 3
_LONGEST_SYSLOG = 8 * 1024


class Forwarder:
    """Sends the lines of one stream of one instance."""

    def __init__(
        self, kind: Forward, app: str, instance: str, stream: str, *, address: str | None = None
    ) -> None:
        """Connects to nothing before the first line.  `address`: of a socket in place of the system's."""
        self.dropped = 0
        """Lines that were not taken."""
        self._address = address or ADDRESSES[kind]
        self._encode: Callable[[str], bytes] = self._journald if kind is Forward.JOURNALD else self._syslog
        self._app = app
        self._tag = "".join(char if 32 < ord(char) < 127 and char not in "[]:" else "_" for char in instance)
        self._priority = _ERR if stream == "stderr" else _INFO
        self._fields = b"".join(
            _field(name, value)
            for name, value in (
                ("PRIORITY", str(self._priority)),
                ("SYSLOG_IDENTIFIER", app),
                ("TORPOR_APP", app),
                ("TORPOR_INSTANCE", instance),
                ("TORPOR_STREAM", stream),
            )
        )
        self._socket: socket.socket | None = None

    def send(self, line: str) -> None:
        """Send a line, or count it.  Never waits, never raises."""
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            # By name each time: the other side may have been restarted.
            self._socket.sendto(self._encode(line), self._address)
        except OSError:
            self.dropped += 1

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _journald(self, line: str) -> bytes:
        return self._fields + _field("MESSAGE", line)

    def _syslog(self, line: str) -> bytes:
        # RFC 3164 as the C library's syslog(3) writes it to /dev/log.
        stamp = time.strftime("%b %e %H:%M:%S")
        head = f"<{_USER | self._priority}>{stamp} {self._tag}[{os.getpid()}]: "
        return (head + line.replace("\0", "␀")).encode("utf-8", "replace")[:_LONGEST_SYSLOG]


def _field(name: str, value: str) -> bytes:
    data = value.encode("utf-8", "replace")
    if b"\n" not in data:
        return name.encode() + b"=" + data + b"\n"
    return name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"
