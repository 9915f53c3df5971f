"""What an instance writes: one channel for stdout and stderr together, or one for each."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from pathlib import Path

from torpor.config.settings import Forward as ForwardTo
from torpor.config.settings import LogSpec, StderrLog
from torpor.core.model import InstanceId
from torpor.logs.forward import Forwarder
from torpor.logs.reader import Line
from torpor.logs.segments import Folder
from torpor.logs.writer import Retire
from torpor.providers.base import Place, Unsubscribe
from torpor.providers.channel import Channel, decode, pieces

STDOUT, STDERR = "stdout", "stderr"


class Capture:
    """The output of one instance over all its generations.  Implements `Output`."""

    def __init__(
        self,
        run: Path,
        logs: Path,
        id: InstanceId,
        name: str,
        *,
        folder: Folder | None = None,
        retire: Retire | None = None,
    ) -> None:
        """`run`: for its pipes; `logs`: for its segments; `name`: of both."""
        self._id = id
        self._forwarders: list[tuple[Forwarder, Unsubscribe]] = []
        self._channels = {
            STDOUT: Channel(run / f"{name}.out", logs / f"{name}.log", folder, retire),
            STDERR: Channel(run / f"{name}.err", logs / f"{name}.stderr.log", folder, retire),
        }
        self._out, self._err = self._channels[STDOUT], self._channels[STDERR]
        self._separate = False
        self._unforwarded = 0

    @property
    def unforwarded(self) -> int:
        """Lines that the system's log has not taken, ever."""
        return self._unforwarded + sum(forwarder.dropped for forwarder, _ in self._forwarders)

    @property
    def feed(self) -> Callable[[], bool] | None:
        """See `Channel.feed`; what a terminal says is no stream of its own."""
        return self._out.feed

    @feed.setter
    def feed(self, feed: Callable[[], bool] | None) -> None:
        self._out.feed = feed

    @property
    def lost(self) -> int:
        """Bytes that the disk refused, ever."""
        return sum(channel.writer.lost for channel in self._channels.values())

    @property
    def problem(self) -> str | None:
        """Why it refuses them now."""
        problems = (channel.writer.problem for channel in self._channels.values())
        return next((problem for problem in problems if problem is not None), None)

    def begin(self, generation: int, spec: LogSpec) -> tuple[int, int | None]:
        """Open the pipes for a new generation and read from them.

        Returns the descriptors that become the app's stdout and stderr; None: they are the
        same.  The caller closes them.  Raises `OSError`.
        """
        self._forward(spec)
        out = self._out.begin(generation, spec)
        self._separate = spec.stderr is StderrLog.SEPARATE
        if not self._separate:
            self._err.forget()
            return out, None
        try:
            return out, self._err.begin(generation, spec)
        except OSError:
            self._out.close()
            raise

    def resume(self, generation: int, spec: LogSpec) -> None:
        """Read on where an earlier daemon left off, in the same generation.  Raises `OSError`."""
        self._forward(spec)
        self._out.resume(generation, spec)
        # Whatever the settings say by now: the app that runs has the pipes that it was given.
        self._separate = self._err.was_used()
        if self._separate:
            try:
                self._err.resume(generation, spec)
            except OSError:
                self._out.close()
                raise

    def adapt(self, spec: LogSpec) -> None:
        """Keep as much of it as these settings say, from the next line on."""
        self._forward(spec)
        for channel in self._channels.values():
            channel.writer.spec = spec

    def writer(self) -> int:
        """Another descriptor like the first of `begin`, for a command beside the app.  Raises `OSError`."""
        return self._out.descriptor()

    def take(self, stream: str, data: bytes) -> None:
        """Log what a host tells that its guest wrote to STDOUT or STDERR."""
        (self._err if self._separate and stream == STDERR else self._out).take(data)

    def catch_up(self) -> None:
        """Read what lies in the pipes now: what an ended process wrote is then in the log."""
        for channel in self._channels.values():
            channel.catch_up()

    def end(self) -> None:
        """The generation is over: read the rest, and close."""
        for channel in self._channels.values():
            channel.end()
        self._forward(None)

    def close(self) -> None:
        """Stop reading.  What lies in the pipes stays there for the next daemon."""
        for channel in self._channels.values():
            channel.close()
        self._forward(None)

    def places(self) -> dict[str, Place]:
        """Where the next byte of each stream will be."""
        return {name: channel.place() for name, channel in self._present().items()}

    def tail(self, lines: int, *, previous: bool = False) -> list[str]:
        """See `Output.tail`."""
        each = [stream.tail(lines, previous=previous) for stream in self._present().values()]
        found = (
            each[0]
            if len(each) == 1
            else list(heapq.merge(*map(_dated, each), key=lambda line: line.at or 0))
        )
        return _texts(found, lines)

    def subscribe(self, callback: Callable[[str], None]) -> Unsubscribe:
        """See `Output.subscribe`."""
        # Both, whichever are used by now: a generation to come may use the other.
        ends = [channel.subscribe(callback) for channel in self._channels.values()]

        def unsubscribe() -> None:
            for end in ends:
                end()

        return unsubscribe

    def mirror(self, out: Callable[[bytes], None], err: Callable[[bytes], None]) -> None:
        """Hand every byte on from now on; `err` gets those of stderr where that is kept apart."""
        self._out.mirror, self._err.mirror = out, err

    def streams(self) -> Mapping[str, CaptureStream]:
        """See `Output.streams`."""
        return {name: CaptureStream(self, channel) for name, channel in self._present().items()}

    def _forward(self, spec: LogSpec | None) -> None:
        """Pass lines on from now on, as the settings say."""
        for forwarder, end in self._forwarders:
            end()
            forwarder.close()
            self._unforwarded += forwarder.dropped
        self._forwarders = []
        if spec is None or spec.forward is ForwardTo.NONE:
            return
        for name, channel in self._channels.items():
            forwarder = Forwarder(spec.forward, self._id.app, str(self._id), name)
            self._forwarders.append((forwarder, channel.subscribe(forwarder.send)))

    def _present(self) -> dict[str, Channel]:
        if self._separate or (not self._out.is_open and self._err.was_used()):
            return self._channels
        return {STDOUT: self._out}


class CaptureStream:
    """One of its streams.  Implements `Stream`."""

    def __init__(self, capture: Capture, channel: Channel) -> None:
        self._capture = capture  # lives on while this does: see `Outputs`
        self._channel = channel

    def recent(self, lines: int, *, previous: bool = False) -> list[tuple[float | None, str]]:
        """See `Stream.recent`."""
        found = [
            (None if line.at is None else line.at / 1e9, decode(piece))
            for line in self._channel.tail(lines, previous=previous)
            for piece in pieces(line.text)
        ]
        return found[-lines:] if lines > 0 else []

    def subscribe(self, callback: Callable[[str], None]) -> Unsubscribe:
        """See `Stream.subscribe`."""
        return self._channel.subscribe(callback)

    def place(self) -> Place:
        """See `Stream.place`."""
        return self._channel.place()


def _dated(lines: list[Line]) -> list[Line]:
    """The lines, those without a time with that of the line before."""
    dated: list[Line] = []
    for line in lines:
        at = line.at if line.at is not None else dated[-1].at if dated else None
        dated.append(Line(at, line.text))
    return dated


def _texts(lines: list[Line], count: int) -> list[str]:
    return [decode(piece) for line in lines for piece in pieces(line.text)][-count:] if count > 0 else []
