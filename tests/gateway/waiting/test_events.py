from __future__ import annotations

from typing import Any

import anyio
import pytest

from gateway.waiting.fakes import FakeSeam, FakeStream, head, snapshot, with_page
from torpor.core.model import AppSpec, Cause, Dependency, Phase, Reason, Want
from torpor.gateway.waiting import events
from torpor.gateway.waiting.room import WaitingRoom

pytestmark = pytest.mark.anyio


def follow(room: WaitingRoom, stream: FakeStream | None = None, **headers: str) -> FakeStream:
    stream = stream or FakeStream()
    assert room.respond(head("/_torpor/events", **headers), "notes", stream) is None
    return stream


async def test_head_of_the_stream() -> None:
    """Proxies neither buffer nor keep the stream, and the browser knows when to come back."""
    room = WaitingRoom(FakeSeam())
    stream = follow(room)
    assert 200 == stream.status
    assert "text/event-stream; charset=utf-8" == stream.headers["Content-Type"]
    assert "no-store" == stream.headers["Cache-Control"]
    assert "no" == stream.headers["X-Accel-Buffering"]
    assert stream.sent.startswith(b"retry: 1000\n\n")
    stream.leave()


async def test_earlier_steps_come_first() -> None:
    """A tab that opens late sees the wake from its beginning, then how the app is."""
    seam = FakeSeam()
    seam.happen("waking")
    seam.happen("waiting", "waiting for http /health")
    stream = follow(WaitingRoom(seam))
    assert ["begin", "message", "message", "state"] == [name for name, _, _ in stream.messages]
    assert [101, 102] == stream.ids
    assert {
        "seq": 102,
        "timestamp": 1_700_000_102.0,
        "level": "info",
        "category": "notes",
        "action": "waiting_ready",
        "data": {"message": "Waiting for http /health"},
    } == stream.messages[2][2]
    stream.leave()


async def test_nothing_lost_or_doubled_between_replay_and_subscription() -> None:
    """What happens while the earlier steps are read arrives once, after them."""
    seam = FakeSeam()
    seam.happen("waking")
    seam.on_wake_steps.append(lambda: seam.happen("starting"))
    stream = follow(WaitingRoom(seam))
    seam.happen("waiting", "waiting for tcp")
    assert [101, 102, 103] == stream.ids
    stream.leave()


async def test_happening_both_in_replay_and_live_is_told_once() -> None:
    """An event that is among the earlier steps and is also announced is one step."""
    seam = FakeSeam()
    event = seam.happen("waking")
    seam.on_wake_steps.append(lambda: [callback(event) for callback in seam.callbacks])
    stream = follow(WaitingRoom(seam))
    assert [101] == stream.ids
    stream.leave()


async def test_goes_on_where_the_browser_was() -> None:
    """After a broken connection the browser gets only what it missed."""
    seam = FakeSeam()
    for kind in ("waking", "starting", "started"):
        seam.happen(kind)
    stream = follow(WaitingRoom(seam), last_event_id="101")
    assert [102, 103] == stream.ids
    assert "begin" not in [name for name, _, _ in stream.messages]
    stream.leave()


@pytest.mark.parametrize("sent", ["999", "-1", "x", "", "1" * 30, "1" * 5000, "²"])
async def test_a_number_nobody_gave_means_everything(sent: str) -> None:
    """A number from an earlier daemon, or nonsense, is answered with all steps."""
    seam = FakeSeam()
    seam.happen("waking")
    stream = follow(WaitingRoom(seam), last_event_id=sent)
    assert [101] == stream.ids
    assert "begin" == stream.messages[0][0]
    stream.leave()


async def test_ready_ends_the_stream() -> None:
    """The step and the verdict come in one go when the app is ready, and then the stream is over."""
    seam = FakeSeam()
    stream = follow(WaitingRoom(seam))
    seam.happen("ready", "ready after 1.2 s", phase=Phase.READY)
    assert ["starting", "ready"] == stream.states
    assert 1 == stream.ended
    assert [] == seam.callbacks
    seam.happen("draining", phase=Phase.DRAINING)
    assert ["starting", "ready"] == stream.states


async def test_ready_before_the_browser_asked() -> None:
    """An app that became ready between page and stream is told as ready at once."""
    seam = FakeSeam()
    seam.gates["notes"].now = snapshot(phase=Phase.READY)
    stream = follow(WaitingRoom(seam))
    assert ["ready"] == stream.states
    assert stream.messages[-1][2]["final"] is True
    assert 1 == stream.ended


@pytest.mark.parametrize(
    ("facts", "state", "retry"),
    [
        ({"phase": Phase.FAILED, "retry_in": 30.0}, "failed", 30.0),
        ({"phase": Phase.FAILED}, "failed", None),
        ({"phase": Phase.ASLEEP, "want": Want.DOWN}, "down", None),
        ({"phase": Phase.STOPPING, "want": Want.DOWN}, "down", None),
        ({"phase": Phase.ASLEEP, "reason": Reason(Cause.OPERATOR, "put to sleep")}, "asleep", None),
        ({"phase": Phase.ASLEEP, "reason": Reason(Cause.START_FAILED, "exited")}, "failed", 2.0),
        ({"phase": Phase.ASLEEP, "reason": Reason(Cause.DEPENDENCY, "needs db: no program")}, "failed", 2.0),
        ({"phase": Phase.ASLEEP, "reason": Reason(Cause.IDLE, "no request for 30m")}, "asleep", 0.5),
        ({"phase": Phase.ASLEEP}, "asleep", 0.5),
    ],
)
async def test_every_verdict_ends_the_stream(facts: dict[str, Any], state: str, retry: float | None) -> None:
    """A verdict says whether and when the page comes back by itself; an operator's is final."""
    seam = FakeSeam()
    stream = follow(WaitingRoom(seam))
    seam.gates["notes"].now = snapshot(**facts)
    seam.happen("whatever", "something else")
    (*_, last) = stream.messages
    assert (state, True, retry) == (last[2]["state"], last[2]["final"], last[2]["retry"])
    assert 1 == stream.ended


async def test_a_failed_attempt_is_told_and_goes_on() -> None:
    """Between two attempts the reason is shown and the stream stays open."""
    spec = with_page(show_logs=True)
    seam = FakeSeam(spec)
    seam.lines = ["boom"]
    stream = follow(WaitingRoom(seam))
    reason = Reason(Cause.START_FAILED, "exited with code 3 before it was ready")
    seam.gates["notes"].now = snapshot(spec, Phase.BACKOFF, reason=reason, retry_in=2.0)
    seam.happen("exited", "exited with code 3 before it was ready")
    state = stream.messages[-1][2]
    assert "backoff" == state["state"]
    assert "Restarting: exited with code 3 before it was ready" == state["reason"]
    assert ["boom"] == state["logs"]
    assert 0 == stream.ended
    stream.leave()


NEEDY = AppSpec("notes", depends_on=(Dependency("api"), Dependency("mail", optional=True)))


async def test_what_is_waited_for_is_told_too() -> None:
    """What the app waits for, and what that waits for, is part of its wake; nothing else of those apps is."""
    seam = FakeSeam(NEEDY, AppSpec("api", depends_on=(Dependency("db"),)), AppSpec("db"), AppSpec("mail"))
    seam.happen("dep-ready", "found vm ready", app="db", dependency="vm")
    seam.happen("waking")
    seam.happen("waking-dep", "waking api", dependency="api")
    seam.happen("waking", app="api")
    seam.happen("waking-dep", "waking db", app="api", dependency="db")
    stream = follow(WaitingRoom(seam))
    seam.happen("waking-dep", "waking vm", app="mail", dependency="vm")
    seam.happen("start-failed", app="db")
    seam.happen("dep-ready", "found db ready", app="api", dependency="db")
    seam.happen("dep-ready", "found api ready", dependency="api")
    seam.happen("started", phase=Phase.STARTING)
    assert [
        ("notes", "starting", None),
        ("notes", "waking_dep", "api"),
        ("api", "waking_dep", "db"),
        ("api", "dep_ready", "db"),
        ("notes", "dep_ready", "api"),
        ("notes", "container_woke", None),
    ] == [
        (data["category"], data["action"], data["data"].get("dependency"))
        for name, _, data in stream.messages
        if name == "message"
    ]
    stream.leave()


async def test_a_new_attempt_begins_anew() -> None:
    """What went wrong before the knock is not told to whoever follows what comes of it, early or late."""
    seam = FakeSeam()
    seam.happen("waking")
    stream = follow(WaitingRoom(seam))
    seam.happen("start-failed", "not ready within 2m")
    seam.happen("waking")
    assert ["begin", "begin"] == [name for name, _, _ in stream.messages if name == "begin"]
    late, back = follow(WaitingRoom(seam)), follow(WaitingRoom(seam), last_event_id="102")
    assert [[103], [103]] == [late.ids, back.ids]
    assert ["begin"] == [name for name, _, _ in back.messages if name == "begin"]
    for each in (stream, late, back):
        each.leave()


async def test_a_nap_clears_what_was_told() -> None:
    """Once it sleeps again after it was ready there is nothing to tell."""
    seam = FakeSeam()
    for kind in ("waking", "ready", "draining", "asleep"):
        seam.happen(kind)
    assert [] == follow(WaitingRoom(seam)).ids


async def test_an_error_says_so() -> None:
    """A program tells what went wrong from what goes on, without reading sentences."""
    seam = FakeSeam()
    stream = follow(WaitingRoom(seam))
    seam.happen("start-failed", "not ready within 2m")
    told = next(data for name, _, data in stream.messages if name == "message")
    assert ("error", "error") == (told["level"], told["action"])
    assert {"message": "Not ready within 2m", "error": "start-failed"} == told["data"]
    stream.leave()


async def test_what_belongs_to_no_wake_is_not_told() -> None:
    """What an operator does to the app meanwhile is nobody's business."""
    seam = FakeSeam()
    stream = follow(WaitingRoom(seam))
    seam.happen("signal", "got SIGUSR1 from the operator")
    assert [] == stream.ids
    stream.leave()


async def test_tabs_share_and_other_apps_are_silent() -> None:
    """Every tab of an app hears the same; an app's events stay its own."""
    seam = FakeSeam(AppSpec("notes"), AppSpec("other"))
    room = WaitingRoom(seam)
    first, second = follow(room), follow(room)
    assert 1 == len(seam.callbacks)
    seam.happen("starting", app="other")
    seam.happen("starting")
    assert [102] == first.ids
    assert first.sent == second.sent
    first.leave()
    assert 1 == len(seam.callbacks)
    second.leave()
    assert [] == seam.callbacks


async def test_no_raw_line_break_reaches_the_stream() -> None:
    """Whatever an event says, it stays one field of the protocol."""
    seam = FakeSeam()
    stream = follow(WaitingRoom(seam))
    seam.happen("waiting", "one\r\n\nevent: state\ndata: {}\x1b[31m\u2028\ud800")
    name, _, data = stream.messages[-2]
    assert ("message", {"message": "One"}) == (name, data["data"])
    stream.leave()


async def test_streams_are_bounded() -> None:
    """One stream too many of an app is refused; another app's visitors do not suffer."""
    seam = FakeSeam(AppSpec("notes"), AppSpec("other"))
    room = WaitingRoom(seam)
    streams = [follow(room) for _ in range(events.STREAMS_PER_APP)]
    refused = room.respond(head("/_torpor/events"), "notes", FakeStream())
    assert refused is not None
    assert 503 == refused.status
    assert ("Retry-After", "5") in refused.headers
    other = FakeStream()
    assert room.respond(head("/_torpor/events"), "other", other) is None
    streams[0].leave()
    streams[0] = follow(room)
    for stream in [*streams, other]:
        stream.leave()


async def test_who_does_not_read_is_dropped() -> None:
    """A stream whose client is gone or too slow ends and is forgotten; the others go on."""
    seam = FakeSeam()
    room = WaitingRoom(seam)
    slow, good = follow(room), follow(room)
    slow.reads = False
    seam.happen("starting")
    before = slow.sent
    seam.happen("started")
    assert before == slow.sent
    assert 1 == slow.ended
    assert [101, 102] == good.ids
    good.leave()
    assert [] == seam.callbacks


async def test_a_client_gone_from_the_start_is_forgotten() -> None:
    """A client that left before the first byte leaves nothing behind."""
    seam = FakeSeam()
    seam.happen("waking")
    follow(WaitingRoom(seam), FakeStream(reads=False))
    assert [] == seam.callbacks


async def test_one_stream_carries_a_bounded_amount() -> None:
    """A stream that has carried its share ends; the browser comes back for the rest."""
    seam = FakeSeam()
    stream = follow(WaitingRoom(seam))
    for _ in range(2000):
        seam.happen("waiting", "x" * 10_000)
    assert events.STREAM_BYTES >= len(stream.sent)
    assert 1 == stream.ended
    assert [] == seam.callbacks


async def test_only_the_last_steps_are_replayed() -> None:
    """A wake with a thousand steps costs a new tab no more than the last forty."""
    seam = FakeSeam()
    for _ in range(1000):
        seam.happen("waiting", "waiting")
    stream = follow(WaitingRoom(seam))
    assert list(range(1061, 1101)) == stream.ids
    stream.leave()


async def test_pings() -> None:
    """Every stream gets a comment now and then, for as long as it is open."""
    seam = FakeSeam()
    room = WaitingRoom(seam, ping_seconds=0.001)
    first = follow(room)
    pinged = anyio.Event()
    write = first.write

    def watched(data: bytes) -> bool:
        if first.sent.count(b": ping\n\n") == 2:
            pinged.set()
        return write(data)

    first.write = watched  # type: ignore[method-assign]
    await pinged.wait()
    first.leave()


async def test_an_app_that_is_taken_away() -> None:
    """When an app leaves the configuration its streams end."""
    seam = FakeSeam()
    stream = follow(WaitingRoom(seam))
    steps = seam.happen("removed", "removed")
    del seam.gates["notes"]
    for callback in list(seam.callbacks):
        callback(steps)
    assert 1 == stream.ended
    assert [] == seam.callbacks


async def test_closing_ends_every_stream() -> None:
    """A gateway that goes down is not held up by those who only watch."""
    seam = FakeSeam(AppSpec("notes"), AppSpec("other"))
    room = WaitingRoom(seam)
    streams = [follow(room), follow(room), FakeStream()]
    room.respond(head("/_torpor/events"), "other", streams[2])
    room.close()
    assert [1, 1, 1] == [stream.ended for stream in streams]
    assert [] == seam.callbacks
