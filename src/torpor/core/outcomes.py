"""What a step of an instance asks of its app, beside the effects that go out into the world."""

from __future__ import annotations

from dataclasses import dataclass

from torpor.core.messages import Effect
from torpor.core.model import Refusal, Tier
from torpor.core.upstream import Upstream


@dataclass(frozen=True, slots=True)
class OpenGate:
    """For the app: this upstream takes requests; grant to all who wait.

    `took` is the duration of the wake in seconds, None where it was no wake.
    """

    upstream: Upstream | None
    took: float | None
    tier: Tier
    """How deep it slept before."""


@dataclass(frozen=True, slots=True)
class CloseGate:
    """For the app: this upstream takes no new requests."""

    upstream: Upstream


@dataclass(frozen=True, slots=True)
class RefuseWaiting:
    """For the app: everybody who waits gets this verdict now."""

    refusal: Refusal


Outcome = Effect | OpenGate | CloseGate | RefuseWaiting
