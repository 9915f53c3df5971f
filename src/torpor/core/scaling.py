"""How many replicas an app has, and how they are renewed.

Laws of this file:

- One that is superfluous leaves once it has ended, and what was counted of it counts on.
- Those that come are woken if the others are awake: no replica sleeps alone.
- Of several replicas one after the other is renewed, so that somebody serves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torpor.core.instance import Instance
from torpor.core.messages import Announce, ForgetInstance, ProgramChanged, StopRequested, WakeRequested
from torpor.core.model import InstanceId, Phase, Want
from torpor.core.moves import CHANGED

if TYPE_CHECKING:
    from torpor.core.app import App


def resize(app: App, replicas: int, now: float, by: str) -> None:
    """Have that many instances."""
    staying = app.instances.remaining
    if len(staying) == replicas:
        return
    name = app.spec.name
    app.out.append(Announce(name, name, "scaled", f"scaled to {replicas}", None, {"replicas": replicas}))
    awake = wanted(app) or bool(app.door.waiting)
    there = {instance.id.replica: instance for instance in app.instances}
    superfluous = [there[number] for number in there if number >= replicas and not there[number].leaving]
    for instance in superfluous:
        instance.leaving = True
        instance.want = Want.DOWN
    missing = [number for number in range(replicas) if number not in there]
    newcomers = [there[number] for number in range(replicas) if number in there and there[number].leaving]
    newcomers += [add(app, number, now) for number in missing]
    for instance in newcomers:
        instance.leaving = False
        instance.want = app.want
        if awake:
            app.tell(instance, WakeRequested(name, by), now)
    if superfluous and app.door.waiting:
        app.tell_all(WakeRequested(name, "whoever waits"), now)
    for instance in superfluous:
        app.tell(instance, StopRequested(name, "one replica too many"), now)


def renew(app: App, now: float) -> None:
    """Start what runs afresh: of several replicas one after the other, so that somebody serves."""
    staying = app.instances.remaining
    ready = [instance for instance in staying if instance.phase is Phase.READY]
    rolling = ready if len(staying) > 1 else []
    app.rolling.begin(rolling, CHANGED.text)
    for instance in staying:
        if instance not in rolling:
            app.tell(instance, ProgramChanged(app.spec.name), now)


def forget(app: App, instance: Instance) -> None:
    """It has left: what was counted of it counts on."""
    app.remembered.keep_generation(app.instances)
    app.instances.remove(instance)
    app.instances[0].restarts += instance.restarts
    app.out.append(ForgetInstance(instance.id))


def wanted(app: App) -> bool:
    """Whether a replica that sleeps is to be woken, now that it is one of those that are to be there."""
    if app.closing or app.leaving or app.want is Want.DOWN:
        return False
    needed = bool(app.held_by) and app.holding
    return app.want is Want.UP or needed or any(i.in_use for i in app.instances.remaining)


def add(app: App, number: int, now: float) -> Instance:
    """One more, which sleeps."""
    instance = Instance(InstanceId(app.spec.name, number), app.spec.lifecycle, now, want=app.want)
    instance.generation = app.remembered.generation(app.instances)
    instance.peers = app.instances
    app.instances.append(instance)
    app.instances.sort(key=_number)
    return instance


def _number(instance: Instance) -> int:
    return instance.id.replica
