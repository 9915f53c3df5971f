"""What keeps an app awake, or asleep, beside its requests, has changed: its hours, a pin, who needs it.

Laws of this file:

- Out of its hours it runs only while others need it, or an operator has pinned it.
- Other grounds never start what a request would be refused by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torpor.core.instance import UNUSED
from torpor.core.messages import DependencyLost, GroundsChanged, SleepRequested, WakeRequested
from torpor.core.model import Tier
from torpor.core.schedule import Hours

if TYPE_CHECKING:
    from torpor.core.app import App


def follow_schedule(app: App, hours: Hours, now: float) -> None:
    """Something else holds by the clock on the wall: be awake, or asleep, if that says so."""
    before, app.hours = app.hours, hours
    begins = hours.warm is not None and before.warm is None
    opens = hours.closed is None and before.closed is not None and bool(app.held_by)
    if (begins or opens) and app.refusal(now) is None:
        by = f"its schedule, kept warm {hours.warm}" if begins else "whoever needs it"
        app.tell_all(WakeRequested(app.spec.name, by), now)
    changed(app, now)


def changed(app: App, now: float) -> None:
    """What keeps it awake is another than before."""
    app.tell_all(GroundsChanged(app.spec.name), now)
    if not app.grounds.hold:
        reconsider_blocked(app, now)
    keep_closed(app, now)


def keep_closed(app: App, now: float) -> None:
    """Sleep while its schedule lets it not run, unless others need it."""
    if app.closed is None or app.held_by or (refusal := app.refusal(now)) is None:
        return
    app.rolling.end(refusal.reason.text)
    app.out += app.door.waiting.refuse(refusal)
    for instance in app.instances:
        if instance.phase not in UNUSED and not instance.leaving:
            app.tell(instance, SleepRequested(app.spec.name, Tier.STOP, refusal.reason), now)


def reconsider_blocked(app: App, now: float) -> None:
    """Nothing holds it any more: it was blocked for the sake of that, maybe."""
    if (lost := app.lost) is not None:
        app.tell_all(DependencyLost(app.spec.name, lost), now)
