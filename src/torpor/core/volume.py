"""How much must pass at an app's door before it counts as used (`min_bytes`).

A front end that polls, or a tab that somebody forgot, sends few bytes for ever.  With
`min_bytes` the end of a request is activity only once so many bytes have passed since the
last activity.  That lies at most `idle_timeout` back, or the app would be asleep: so it
falls asleep exactly when fewer passed within that time.  The idle clock itself knows
nothing of bytes.  (Where something else keeps the app awake for longer, it all counts
together: in doubt an app is used.)

An app without `min_bytes` has no `Volume`, and pays for none.
"""

from __future__ import annotations


class Volume:
    """The bytes of one app, all replicas together.  Owned by its `App`; the gateway adds to `passed`."""

    __slots__ = ("least", "passed")

    def __init__(self, least: int) -> None:
        self.least = least
        """Bytes that are activity."""
        self.passed = 0
        """Bytes of bodies since the last activity, both ways."""

    def suffices(self) -> bool:
        """Whether what has passed is activity; counting begins anew then."""
        enough = self.passed >= self.least
        if enough:
            self.passed = 0
        return enough
