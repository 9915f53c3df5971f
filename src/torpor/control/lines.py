"""The items of streams as text: log lines, events, and the notice of a gap between them."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from torpor.control.render import encode, event_document
from torpor.core.model import Event, InstanceId
from torpor.core.wake_events import wake_event
from torpor.providers.base import Place


@dataclass(frozen=True, slots=True)
class Voice:
    """Whose lines they are."""

    id: InstanceId
    stream: str

    def json_line(self, at: float | None, line: str) -> bytes:
        """A log line as NDJSON; `at`: seconds since the epoch."""
        return encode({**self._who(), "at": at, "line": line}) + b"\n"

    def json_place(self, place: Place | None) -> bytes:
        """Where its lines are kept, as NDJSON."""
        where = asdict(place) if place else {"path": None, "segment": None, "offset": None}
        return encode({**self._who(), **where}) + b"\n"

    def _who(self) -> dict[str, object]:
        return {"app": self.id.app, "instance": str(self.id), "stream": self.stream}


def json_listening() -> bytes:
    """The notice that from now on nothing of any stream is missed, as NDJSON."""
    return encode({"listening": True}) + b"\n"


def plain_line(line: str) -> bytes:
    """A log line as it was written."""
    return line.encode(errors="replace") + b"\n"


def json_event(event: Event) -> bytes:
    """An event as NDJSON."""
    return encode(event_document(event)) + b"\n"


def sse_event(event: Event) -> bytes:
    """An event as a server-sent event with its number as id."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (
        event.seq,
        event.kind.encode(),
        encode(event_document(event)),
    )


def json_wake_event(event: Event) -> bytes:
    """An event of a wake, in the words of those, as NDJSON."""
    return encode(wake_event(event, str(event))) + b"\n"


def sse_wake_event(event: Event) -> bytes:
    """The same as a server-sent event without a name, as the waiting page gets it."""
    return b"id: %d\ndata: %s\n\n" % (event.seq, encode(wake_event(event, str(event))))


def json_gap(dropped: int) -> bytes:
    """The notice that a slow reader missed items, as NDJSON."""
    return encode({"dropped": dropped}) + b"\n"


def plain_gap(dropped: int) -> bytes:
    """The same among plain log lines."""
    return f"[torpor: {dropped} lines left out, the reader is too slow]\n".encode()


def sse_gap(dropped: int) -> bytes:
    """The same as a server-sent event."""
    return b"event: gap\ndata: %s\n\n" % encode({"dropped": dropped})
