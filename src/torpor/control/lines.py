"""The items of streams as text: log lines, events, and the notice of a gap between them."""

from __future__ import annotations

from torpor.control.render import encode, event_document
from torpor.core.model import Event


def json_line(app: str, line: str) -> bytes:
    """A log line as NDJSON."""
    return encode({"app": app, "line": line}) + b"\n"


def plain_line(_app: str, line: str) -> bytes:
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


def json_gap(dropped: int) -> bytes:
    """The notice that a slow reader missed items, as NDJSON."""
    return encode({"dropped": dropped}) + b"\n"


def plain_gap(dropped: int) -> bytes:
    """The same among plain log lines."""
    return f"[torpor: {dropped} lines left out, the reader is too slow]\n".encode()


def sse_gap(dropped: int) -> bytes:
    """The same as a server-sent event."""
    return b"event: gap\ndata: %s\n\n" % encode({"dropped": dropped})
