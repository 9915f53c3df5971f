"""The other end of the control socket: HTTP/1.1 over a unix socket in little code.

The command line lives by its start-up time, so this imports `socket` and `json` and
nothing heavier.  It speaks to our own daemon only and understands what that sends.
"""

from __future__ import annotations

import errno
import json
import os
import select
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from io import BufferedReader, RawIOBase
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

from torpor.config.paths import log_path
from torpor.errors import DaemonUnreachable, TorporError

DEFAULT_TIMEOUT = 10.0
"""Seconds without a byte after which the daemon counts as hung."""
LOOK_TIMEOUT = 3.0
"""The same for who only looks: that is answered from memory."""
MAX_LINE = 64 * 1024
"""Bytes of one header or chunk-size line."""

Params = Mapping[str, str | int | float | list[str]]


class Problem(TorporError):
    """The daemon refused; `document` is its RFC 9457 problem."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        super().__init__(str(document.get("detail", "refused")), hint=document.get("hint"))
        self.document = document


class ReaderLeft(Exception):
    """Nobody reads any more what the answer is printed to."""


class Answer:
    """One response.  Close it, or use it as a context manager."""

    def __init__(self, stream: socket.socket, path: str, output: int | None = None) -> None:
        self._socket = stream
        self._path = path
        self._file: BufferedReader = (
            stream.makefile("rb") if output is None else BufferedReader(_Watching(stream, output))
        )
        self.status = 0
        self.headers: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()

    def hang_up(self) -> None:
        """End it for a thread that waits for more: that one finds its end, and may then close it."""
        with suppress(OSError):  # the daemon was quicker
            self._socket.shutdown(socket.SHUT_RDWR)

    def document(self) -> Any:
        """The whole JSON body.  Raises `Problem` where the daemon refused."""
        self._read_head()
        text = b"".join(self._pieces())
        self._check(text)
        try:
            return json.loads(text)
        except ValueError:
            raise _stranger(self._path) from None

    def lines(self) -> Iterator[bytes]:
        """The body line by line, as it comes, without the line ends.  Raises `Problem`."""
        yield from self.lines_from_now()

    def lines_from_now(self) -> Iterator[bytes]:
        """Like `lines`, once the answer has begun: a stream then has all that comes.  Raises `Problem`."""
        self._read_head()
        if self.status >= 400:
            self._check(b"".join(self._pieces()))
        return self._lines()

    def _lines(self) -> Iterator[bytes]:
        rest = b""
        for piece in self._pieces():
            *whole, rest = (rest + piece).split(b"\n")
            yield from whole
        if rest:
            yield rest

    def _check(self, text: bytes) -> None:
        if self.status < 400:
            return
        try:
            document = json.loads(text)
        except ValueError:
            document = {"detail": text.decode(errors="replace").strip() or f"HTTP {self.status}"}
        raise Problem(document)

    def _read_head(self) -> None:
        status_line = self._line()
        try:
            version, status, *_ = status_line.split(b" ", 2)
            self.status = int(status)
            if not version.startswith(b"HTTP/1."):
                raise ValueError(version)
        except ValueError:
            raise _stranger(self._path) from None
        while line := self._line():
            name, _, value = line.decode("latin-1").partition(":")
            self.headers[name.lower()] = value.strip()

    def _pieces(self) -> Iterator[bytes]:
        if "chunked" in self.headers.get("transfer-encoding", ""):
            while size := self._number(self._line().split(b";")[0], 16):
                yield self._exactly(size)
                self._line()
            self._line()
        elif length := self._number(self.headers.get("content-length", "0"), 10):
            yield self._exactly(length)

    def _number(self, text: str | bytes, base: int) -> int:
        try:
            return int(text, base)
        except ValueError:
            raise _stranger(self._path) from None

    def _line(self) -> bytes:
        with _translated(self._path):
            line = self._file.readline(MAX_LINE)
        if not line.endswith(b"\n"):
            raise _hung_up(self._path)
        return line.rstrip(b"\r\n")

    def _exactly(self, size: int) -> bytes:
        with _translated(self._path):
            data = self._file.read(size)
        if len(data) < size:
            raise _hung_up(self._path)
        return data


class Client:
    """Asks the daemon on `path`; each request is a connection of its own."""

    def __init__(self, path: str | os.PathLike[str], timeout: float = DEFAULT_TIMEOUT) -> None:
        self._path = os.fspath(path)
        self._timeout = timeout

    def get(self, *segments: str, **params: str | float | list[str]) -> Any:
        """The document at `/api/v1/SEGMENTS…?PARAMS`.  Raises `DaemonUnreachable`, `Problem`."""
        with self.send("GET", *segments, params=params) as answer:
            return answer.document()

    def post(self, *segments: str, **params: str | float | list[str]) -> Any:
        """Like `get`, with POST."""
        with self.send("POST", *segments, params=params) as answer:
            return answer.document()

    def delete(self, *segments: str, **params: str | float | list[str]) -> Any:
        """Like `get`, with DELETE; waits as long as it takes."""
        with self.send("DELETE", *segments, params=params, patience=None) as answer:
            return answer.document()

    def send(
        self,
        method: str,
        *segments: str,
        params: Params | None = None,
        body: object = None,
        accept: str = "application/json",
        patience: float | None = -1,
        output: int | None = None,
    ) -> Answer:
        """Send a request, with a JSON document as `body`; the answer is read when it is asked for.

        `patience` is how many seconds the daemon may be silent; None: for ever, -1: as long as usual.
        `output` is the descriptor to which the answer is printed: reading raises `ReaderLeft`
        as soon as that has no other end any more, also while the daemon has nothing to say.
        Raises `DaemonUnreachable`.
        """
        target = "/api/v1/" + "/".join(quote(segment, safe="") for segment in segments)
        if params:
            target += "?" + urlencode(params, doseq=True)
        content = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {target} HTTP/1.1\r\nHost: torpor\r\nAccept: {accept}\r\n"
            f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
        )
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            stream.settimeout(self._timeout)
            with _translated(self._path):
                stream.connect(self._path)
                stream.sendall(head.encode("ascii") + content)
            if patience == -1:
                patience = min(self._timeout, LOOK_TIMEOUT) if method == "GET" else self._timeout
            stream.settimeout(patience)
            return Answer(stream, self._path, output)
        except BaseException:
            stream.close()
            raise


class _Watching(RawIOBase):
    """Reads from a socket, but waits for the end of `output` too."""

    def __init__(self, stream: socket.socket, output: int) -> None:
        self._stream = stream
        self._output = output
        self._poll = select.poll()
        self._poll.register(stream, select.POLLIN)
        # No event is asked for: an error and a hang-up are always told.
        self._poll.register(output, 0)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what a BufferedReader hands over
        """Bytes received; 0 at the end.  Raises `ReaderLeft`, `OSError`."""
        limit = self._stream.gettimeout()
        ready = [number for number, _ in self._poll.poll(None if limit is None else limit * 1000)]
        if self._output in ready:
            raise ReaderLeft
        if not ready:
            raise TimeoutError
        return self._stream.recv_into(buffer)


class _translated:  # noqa: N801  # a context manager, used like a function
    """Turns the operating system's errors into `DaemonUnreachable`, with what to do."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if not isinstance(error, OSError):
            return
        path = self._path
        if error.errno in {errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR}:
            raise DaemonUnreachable(
                f"no daemon answers on {path}",
                hint="Start it with `torpor up`, or set TORPOR_SOCKET to its socket.",
            ) from error
        if error.errno in {errno.EACCES, errno.EPERM}:
            raise DaemonUnreachable(
                f"not allowed to open {path}", hint="Run this as the user whom the daemon runs as."
            ) from error
        if isinstance(error, TimeoutError):
            log = log_path()
            raise DaemonUnreachable(
                f"the daemon on {path} does not answer",
                hint=f"Its log may tell why: {log}" if os.path.exists(log) else "Its log may tell why.",
            ) from error
        if error.errno in {errno.ECONNRESET, errno.EPIPE}:
            raise _hung_up(path) from error
        raise DaemonUnreachable(f"cannot talk to {path}: {error.strerror or error}") from error


def _hung_up(path: str) -> DaemonUnreachable:
    return DaemonUnreachable(f"the daemon on {path} hung up before its answer was complete")


def _stranger(path: str) -> DaemonUnreachable:
    return DaemonUnreachable(f"what answers on {path} is no torpor daemon")
