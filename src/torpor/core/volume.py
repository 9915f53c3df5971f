"""How much must pass at an app's door before it counts as used (`min_bytes`).

A front end that polls, or a tab that somebody forgot, sends few bytes for ever.  With
`min_bytes` the end of a request is activity only once so many bytes came together since
the last activity, which lies at most `idle_timeout` back while the app is awake.  The
app thus falls asleep when fewer passed within that time, and not a moment later: the
idle clock itself knows nothing of bytes.

An app without `min_bytes` has no `Volume`, and pays for none.
"""

from __future__ import annotations


class Volume:
    """The bytes of one app, all replicas together.  Owned by its `App`; the gateway adds to `passed`."""

    __slots__ = ("least", "passed", "since", "window")

    def __init__(self, least: int, window: float, now: float) -> None:
        self.least = least
        """Bytes that are activity."""
        self.window = window
        """Seconds within which they must pass."""
        self.begin(now)

    def begin(self, now: float) -> None:
        """Count from here on."""
        self.since = now
        self.passed = 0
        """Bytes of bodies since then, both ways."""

    def suffices(self, now: float) -> bool:
        """Whether what has passed is activity; then, and when it took too long, counting begins anew."""
        enough = self.passed >= self.least
        if enough or now - self.since > self.window:
            self.begin(now)
        return enough
