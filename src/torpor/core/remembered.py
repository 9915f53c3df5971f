"""What is remembered of one app: the operator's wishes, and what was found out about it.

Laws of this file:

- The operator's word goes before the configuration, until the configuration has a newer one.
- Every change comes with `Remember`, so that it outlives the daemon.
"""

from __future__ import annotations

from dataclasses import replace

from torpor.core.messages import Announce, Effect, PriorityRequested, Remember
from torpor.core.model import AppMemory, AppSpec, Pin, Want
from torpor.core.replicas import Replicas
from torpor.core.wakes import Wakes

SIZE_GRAIN = 0.1
"""Share by which a size must differ from the one remembered to be written down."""


class Remembered:
    """Of one app.  Owned by its `App`, which lets it know the settings that hold."""

    __slots__ = ("_kept", "wakes")

    def __init__(self, memory: AppMemory, now: float) -> None:
        over = memory.pin is not None and memory.pin.until is not None and memory.pin.until <= now
        self._kept = replace(memory, pin=None) if over else memory
        self.wakes = Wakes(memory)

    # --- what holds ----------------------------------------------------------

    def want(self, spec: AppSpec) -> Want:
        """What the operator asks for, or else the configuration."""
        if self._kept.want is not None:
            return self._kept.want
        return Want.UP if self.always_on(spec) else Want.AUTO

    def always_on(self, spec: AppSpec) -> bool:
        """Whether it is to be kept running; never with hours in which it does not run."""
        if spec.schedule is not None and spec.schedule.limits:
            return False
        return spec.lifecycle.always_on if self._kept.always_on is None else self._kept.always_on

    def priority(self, spec: AppSpec) -> int:
        """The same for its priority."""
        return spec.share.priority if self._kept.priority is None else self._kept.priority

    def replicas(self, spec: AppSpec) -> int:
        """How many instances there are to be, also where the configuration has changed since an operator said so."""
        scaled = self._kept.replicas
        return spec.replicas if scaled is None or spec.single else scaled

    def size(self, spec: AppSpec) -> int | None:
        """Bytes that it is known to take when it is awake."""
        return self._kept.size if spec.share.memory is None else spec.share.memory

    @property
    def pin(self) -> Pin | None:
        """By which an operator keeps it awake."""
        return self._kept.pin

    @property
    def unpinned_at(self) -> float | None:
        """When its pin is over; None: it has none, or one that only the operator ends."""
        return None if self._kept.pin is None else self._kept.pin.until

    def memory(self, replicas: Replicas, *, anew: bool) -> AppMemory:
        """What is to be remembered over a restart of the daemon; `anew`: what has ended, and failed, is not."""
        remaining = () if anew else replicas.remaining
        return replace(
            self._kept,
            generation=self.generation(replicas),
            restarts=sum(instance.restarts for instance in replicas),
            wakes=self.wakes.cold,
            thaws=self.wakes.thaws,
            completed=tuple(instance.completed for instance in remaining),
            failures=tuple(tuple(instance.failures) for instance in remaining),
        )

    def generation(self, replicas: Replicas) -> int:
        """The latest one, of those replicas or of one that has left."""
        return max([self._kept.generation, *(instance.generation for instance in replicas)])

    # --- what changes --------------------------------------------------------

    def set_want(self, want: Want | None, spec: AppSpec) -> list[Effect]:
        """The operator asks for that; None: for nothing but what the configuration says."""
        if self._kept.want == want:
            return []
        self._kept = replace(self._kept, want=want)
        text = "stopped: requests are refused until a start" if want is Want.DOWN else "may run again"
        said = Announce(spec.name, spec.name, "want", text, None, {"want": self.want(spec)})
        return [Remember(spec.name), said]

    def set_pin(self, pin: Pin | None, text: str, spec: AppSpec) -> list[Effect]:
        """It is pinned, or not any more."""
        if pin == self._kept.pin:
            return []
        self._kept = replace(self._kept, pin=pin)
        kind = "unpinned" if pin is None else "pinned"
        return [Remember(spec.name), Announce(spec.name, spec.name, kind, text)]

    def prefer(self, message: PriorityRequested, spec: AppSpec) -> list[Effect]:
        """The operator says how much it matters."""
        always_on = self._kept.always_on if message.always_on is None else message.always_on
        self._kept = replace(self._kept, priority=message.priority, always_on=always_on)
        name, words = spec.name, ", always on" if self.always_on(spec) else ""
        data = {"priority": message.priority, "always_on": self.always_on(spec)}
        text = f"has priority {message.priority}{words}"
        return [Remember(name), Announce(name, name, "priority", text, None, data)]

    def scale(self, replicas: int, spec: AppSpec) -> list[Effect]:
        """The operator wants so many replicas."""
        self._kept = replace(self._kept, replicas=None if replicas == spec.replicas else replicas)
        return [Remember(spec.name)]

    def follow(self, before: AppSpec, spec: AppSpec) -> list[Effect]:
        """The configuration has changed: where it did, the operator's word is the older one."""
        effects: list[Effect] = []
        if spec.replicas != before.replicas and self._kept.replicas is not None:
            self._kept = replace(self._kept, replicas=None)
            effects.append(Remember(spec.name))
        if (
            spec.share.priority != before.share.priority
            or spec.lifecycle.always_on != before.lifecycle.always_on
        ):
            self._kept = replace(self._kept, priority=None, always_on=None)
            effects.append(Remember(spec.name))
        return effects

    def measured(self, size: int, spec: AppSpec) -> list[Effect]:
        """It takes so many bytes, awake."""
        known = self._kept.size
        if known is not None and abs(size - known) <= known * SIZE_GRAIN:
            return []
        self._kept = replace(self._kept, size=size)
        return [Remember(spec.name)]

    def keep_generation(self, replicas: Replicas) -> None:
        """One of them leaves: its generations must not come again."""
        self._kept = replace(self._kept, generation=self.generation(replicas))
