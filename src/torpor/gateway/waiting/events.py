"""The live events of a wake, sent to every browser that watches it (server-sent events).

Laws of this file:

- A viewer sees each event of the present attempt exactly once and in order, also those from before it came;
  nothing of an earlier attempt.
- A stream ends with its verdict: after a final state nothing more is sent.
- Nothing a stranger does grows memory without limit: streams per app, bytes per
  stream and text per event are bounded, and who reads too slowly is dropped.
- Watching is not using: nothing here wakes an app or counts as activity.

What happens are messages without a name, each a `core.wake_events.WakeEvent` with its number
as id.  Beside them there is `begin`: the messages that follow are all there are, from the first
on.  And `state`: how the app is now; `final` says that the stream ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from torpor.core.model import Event
from torpor.core.wake_events import Attempts, begins, resumed, wake_event
from torpor.errors import UnknownApp
from torpor.gateway.replies import Streaming
from torpor.gateway.waiting import view
from torpor.gateway.waiting.status import status
from torpor.runtime.seam import Seam

STREAMS_PER_APP = 256
STREAM_BYTES = 128 * 1024
"""What one stream may carry.  A browser that needs more connects again and goes on where it was."""
PING_SECONDS = 15.0
"""Between two comments on every stream, so that no proxy takes it for dead."""
RECONNECT_MILLISECONDS = 1000

HEADERS = (
    ("Content-Type", "text/event-stream; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("X-Accel-Buffering", "no"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Torpor", "events"),
)

_BEGIN = b"event: begin\ndata: {}\n\n"
_PING = b": ping\n\n"


class WakeEvents:
    """All open event streams of the gateway."""

    def __init__(self, seam: Seam, attempts: Attempts, *, ping_seconds: float = PING_SECONDS) -> None:
        self._seam = seam
        self._attempts = attempts
        self._ping_seconds = ping_seconds
        self._viewers: dict[str, list[_Viewer]] = {}
        self._unsubscribe: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def count(self, app: str) -> int:
        """How many streams of this app are open."""
        return len(self._viewers.get(app, ()))

    def full(self, app: str) -> bool:
        """Whether one more stream of this app would be too many."""
        return self.count(app) >= STREAMS_PER_APP

    def open(self, app: str, last_id: int, stream: Streaming) -> None:
        """Send the events after number `last_id` (0: all), then everything that happens until the verdict."""
        viewer = _Viewer(app, stream)
        self._viewers.setdefault(app, []).append(viewer)
        stream.on_close(lambda: self._forget(viewer))
        stream.begin(200, HEADERS)
        # Listen before looking: what happens between the two is kept in `viewer.early`.
        self._listen()
        events = self._attempts.events(app)
        last_id = resumed(events, last_id)
        head = b"retry: %d\n\n" % RECONNECT_MILLISECONDS
        self._send(viewer, head if last_id else head + _BEGIN)
        viewer.seen = last_id
        missed = [event for event in events if event.seq > last_id]
        for event in missed[-view.STEPS :]:
            self._tell(viewer, event)
        early, viewer.early = viewer.early, None
        for event in early or ():
            self._tell(viewer, event)
        self._state([viewer], app)

    def ping(self) -> None:
        """Send a comment on every stream."""
        self._timer = None
        for viewers in list(self._viewers.values()):
            for viewer in list(viewers):
                self._send(viewer, _PING)
        self._rest_or_rearm()

    def close(self) -> None:
        """End all streams: the gateway goes down, and browsers ask again once it is back."""
        for viewers in list(self._viewers.values()):
            for viewer in list(viewers):
                self._end(viewer)

    # --- what happens --------------------------------------------------------

    def _happened(self, event: Event) -> None:
        for app in list(self._viewers):
            if not self._attempts.concerns(app, event):
                continue
            for viewer in list(self._viewers[app]):
                if viewer.early is None:
                    self._tell(viewer, event)
                else:
                    viewer.early.append(event)
        viewers = self._viewers.get(event.app, ())
        self._state([viewer for viewer in viewers if viewer.early is None], event.app)

    def _tell(self, viewer: _Viewer, event: Event) -> None:
        if event.seq <= viewer.seen:
            return
        if viewer.seen and event.app == viewer.app and begins(event):
            self._send(viewer, _BEGIN)
        viewer.seen = event.seq
        self._send(viewer, _encode(event))

    def _state(self, viewers: Sequence[_Viewer], app: str) -> None:
        """Tell them how the app is now; if that is a verdict, it is the last they hear."""
        if not viewers:
            return
        try:
            now = status(self._seam, app)
        except UnknownApp:  # taken out of the configuration meanwhile
            for viewer in viewers:
                self._end(viewer)
            return
        data = b"event: state\ndata: %b\n\n" % now.encode()
        for viewer in viewers:
            self._send(viewer, data)
            if now.final:
                self._end(viewer)

    # --- the streams ---------------------------------------------------------

    def _send(self, viewer: _Viewer, data: bytes) -> None:
        if viewer.closed:
            return
        viewer.budget -= len(data)
        if viewer.budget < 0 or not viewer.stream.write(data):
            self._end(viewer)

    def _end(self, viewer: _Viewer) -> None:
        if not viewer.closed:
            self._forget(viewer)
            viewer.stream.end()

    def _forget(self, viewer: _Viewer) -> None:
        if viewer.closed:
            return
        viewer.closed = True
        viewers = self._viewers[viewer.app]
        viewers.remove(viewer)
        if not viewers:
            del self._viewers[viewer.app]
        self._rest_or_rearm()

    def _listen(self) -> None:
        if self._unsubscribe is None:
            self._unsubscribe = self._seam.subscribe(self._happened)
        self._rest_or_rearm()

    def _rest_or_rearm(self) -> None:
        """Without a viewer there is no timer and no subscription."""
        if self._viewers:
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(self._ping_seconds, self.ping)
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None


class _Viewer:
    """One open stream."""

    __slots__ = ("app", "budget", "closed", "early", "seen", "stream")

    def __init__(self, app: str, stream: Streaming) -> None:
        self.app = app
        self.stream = stream
        self.seen = 0
        """The number of the last event sent."""
        self.early: list[Event] | None = []
        """What happened while the earlier events were being sent; None once they are."""
        self.budget = STREAM_BYTES
        self.closed = False


def _encode(event: Event) -> bytes:
    message = msgspec.json.encode(wake_event(event, view.step(event).text))
    return b"id: %d\ndata: %b\n\n" % (event.seq, message)
