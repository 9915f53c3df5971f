"""How a stream counts for its app: whether it keeps it awake.

Nobody can tell from bytes that pass whether somebody waits.  But people and programs take turns: while the
client was the last to speak, it waits for an answer, and the app is at work, be it for an hour (a long
query).  Once the app has spoken, the next word is the client's: an open connection that nobody uses
(a pool's) lets the app sleep.  What either says is activity, so an app that speaks on is in use as well.

Law: from the moment it is made until `end`, a stay holds one lease or one parking, never both.
"""

from __future__ import annotations

from torpor.core.model import SocketActivity
from torpor.core.upstream import Upstream
from torpor.runtime.seam import Gate


class Stay:
    """A stream that is carried to an instance."""

    __slots__ = ("_counts", "_gate", "_leased", "upstream", "waits", "words")

    def __init__(self, gate: Gate, upstream: Upstream, activity: SocketActivity) -> None:
        """Takes over the lease with which the client was let in."""
        self.upstream = upstream
        self.waits = False
        """Whether the client was the last to speak."""
        self.words = 0
        """How often the app has spoken."""
        self._gate = gate
        self._counts = activity is SocketActivity.DATA
        self._leased = True
        if activity is not SocketActivity.OPEN:
            self._park()

    def client_spoke(self, size: int) -> None:
        """So many bytes came from the client."""
        self.waits = True
        if self._counts:
            self._weigh(size)
            if not self._leased:
                self._gate.engage(self.upstream)
                self._leased = True
            elif self.upstream.frozen:  # it could not be woken for what the client said before
                self._gate.touch(self.upstream)

    def app_spoke(self, size: int) -> None:
        """So many bytes came from the app."""
        self.waits = False
        self.words += 1
        if self._counts:
            self._weigh(size)
            if self._leased:
                self._park()
            else:
                self._gate.touch(self.upstream)

    def end(self) -> None:
        """It is over."""
        if self._leased:
            self._gate.leave(self.upstream)
        else:
            self._gate.unpark(self.upstream)

    def _park(self) -> None:
        # In this order: between the two it is neither unused nor gone.
        self._gate.park(self.upstream)
        self._gate.leave(self.upstream)
        self._leased = False

    def _weigh(self, size: int) -> None:
        if self.upstream.volume is not None:
            self.upstream.volume.passed += size
