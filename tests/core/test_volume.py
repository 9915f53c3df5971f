"""How much must pass to keep an app awake, and requests that keep nothing awake."""

from __future__ import annotations

from dataclasses import replace

from core.story import Story
from torpor.core.messages import Announce, BecameReady, Started
from torpor.core.model import Endpoint, Lifecycle, Phase
from torpor.core.upstream import Upstream

WEIGHED = Lifecycle(idle_timeout=60.0, min_bytes=1500)


def serve(story: Story, size: int) -> None:
    """One request, whose end the gate reports as `runtime.gate` does."""
    upstream = story.enter()
    pass_by(upstream, size)
    upstream.inflight -= 1
    if upstream.volume is None or upstream.volume.suffices():
        upstream.last_active = story.now


def pass_by(upstream: Upstream, size: int) -> None:
    if upstream.volume is not None:
        upstream.volume.passed += size


def test_a_trickle_does_not_keep_an_app_awake() -> None:
    """A tab that polls every ten seconds sends too little within the idle time."""
    story = Story(WEIGHED).awake()
    ready = story.now
    while story.phase() is Phase.READY and story.now < ready + 600:
        story.wait(10.0)
        if story.phase() is Phase.READY:
            serve(story, 100)

    assert 60.0 == story.now - ready
    [said] = [said.text for said in story.all(Announce) if said.kind == "draining"]
    assert "going to sleep: fewer than 1500 bytes within 1m" == said


def test_enough_within_the_idle_time_keeps_it_awake() -> None:
    """As many small requests as make up the volume are activity, at the moment in which they do."""
    story = Story(WEIGHED).awake()
    for _ in range(30):
        story.wait(10.0)
        serve(story, 300)

    assert Phase.READY is story.phase()
    story.wait(59.0)
    assert Phase.READY is story.phase()
    story.wait(1.0)
    assert Phase.READY is not story.phase()


def test_without_the_setting_every_request_counts() -> None:
    """An app that has no min_bytes has nothing that weighs."""
    story = Story(Lifecycle(idle_timeout=60.0)).awake()
    assert story.enter().volume is None


def test_replicas_are_weighed_together() -> None:
    """Requests are spread over them: what passes at one counts for all."""
    story = Story(WEIGHED, replicas=2)
    story.arrive(1)
    for instance in story.app.instances:
        story.tell(Started(instance.id, instance.generation, Endpoint("127.0.0.1", 8501), 7))
        story.tell(BecameReady(instance.id, instance.generation))

    one, other = (instance.upstream for instance in story.app.instances)
    assert one is not None
    assert other is not None
    assert one.volume is other.volume is not None


def test_each_wake_is_weighed_anew() -> None:
    """What had passed before the app fell asleep is forgotten."""
    story = Story(WEIGHED).awake()
    serve(story, 1499)
    story.wait(60.0)
    story.exit(0)
    story.effects.clear()
    story.arrive(2)
    story.become_ready()
    [granted] = story.granted()
    story.leave(granted.upstream)
    story.wait(30.0)
    serve(story, 1)

    assert 30.0 == story.app.snapshot(story.now).instances[0].idle_in


def test_a_changed_volume_holds_at_once() -> None:
    """What serves is weighed by the settings that hold now."""
    story = Story(Lifecycle(idle_timeout=60.0)).awake()
    before = story.app.spec
    story.app.spec = replace(before, lifecycle=WEIGHED)
    story.app.change(before, story.now, renewed=False)

    upstream = story.enter()
    assert upstream.volume is not None
    assert 1500 == upstream.volume.least


def test_a_request_that_does_not_count_keeps_nothing_awake() -> None:
    """It holds up the stop for the drain time, but not the decision to sleep."""
    story = Story(Lifecycle(idle_timeout=60.0, drain_timeout=30.0)).awake()
    upstream = story.enter()
    upstream.discounted += 1

    assert story.app.snapshot(story.now).instances[0].idle_in == 60.0
    story.wait(60.0)
    assert Phase.DRAINING is story.phase()
    story.wait(30.0)
    assert Phase.STOPPING is story.phase()


def test_beside_one_that_counts_it_changes_nothing() -> None:
    """One of two requests in flight counts: the app stays awake."""
    story = Story(Lifecycle(idle_timeout=60.0)).awake()
    upstream = story.enter()
    story.enter()
    upstream.discounted += 1
    story.wait(3600.0)

    assert Phase.READY is story.phase()
