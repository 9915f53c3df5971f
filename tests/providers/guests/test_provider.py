"""What the provider of guests makes of a host that is slow, deaf, down, or told by others what to do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from contract.provider_contract import ID, Behaviour, wait_for_line
from providers.guests.fake import FakeDriver, FakeGuest
from providers.guests.fake_world import FakeWorld
from torpor.config.guests import GuestSpec
from torpor.config.settings import LogSpec, StderrLog
from torpor.core.messages import Exited, FoundRunning, FoundUnhealthy, Froze, StatusChanged, Thawed
from torpor.core.model import ExitInfo, Tier
from torpor.errors import NotAllowed, ProviderFailed, StartFailed
from torpor.providers.base import UNASKED
from torpor.providers.guests import attempt, scribe
from torpor.providers.guests.driver import Health, State, Status, Usage
from torpor.providers.guests.life import guest_of
from torpor.providers.guests.record import Records

pytestmark = pytest.mark.anyio


@pytest.fixture
async def subject(tmp_path: Path, anyio_backend: object) -> AsyncIterator[FakeWorld]:
    """A host in memory."""
    world = FakeWorld(tmp_path)
    async with world.opened():
        yield world


def guest(subject: FakeWorld) -> FakeGuest:
    """The guest of `ID`, past all drivers."""
    return subject.host.guests[str(ID)]


def driver(subject: FakeWorld) -> FakeDriver:
    """The driver that the provider has now."""
    found = subject.provider._driver
    assert isinstance(found, FakeDriver)
    return found


async def started(subject: FakeWorld, behaviour: Behaviour = Behaviour.STEADY, generation: int = 1) -> None:
    """Start it, and have it followed."""
    await subject.provider.start(subject.launch(behaviour, generation))
    subject.follow()
    await calm(subject)


async def calm(subject: FakeWorld) -> None:
    """Return when nobody looks at it."""
    looking = subject.provider._wards[ID]._looking
    assert looking is not None
    await asyncio.wait([looking])


async def test_an_end_that_no_notice_tells_of(subject: FakeWorld) -> None:
    """Whoever has asked for an end looks whether it came."""
    await started(subject)
    subject.host.deaf = True
    await subject.provider.stop(ID, 1)
    assert not (await subject.facts.exited()).by_hand


async def test_a_look_that_was_put_off_is_given_up_at_the_end(subject: FakeWorld) -> None:
    """It would connect to the host anew, and nobody would let go of that."""
    await started(subject)
    await subject.provider.freeze(ID, 1, Tier.PAUSE)
    before = subject.host.questions
    await subject.resume_by_others()
    while subject.host.questions == before:
        await asyncio.sleep(0)
    await calm(subject)
    await subject.provider.close()
    before = subject.host.questions
    await asyncio.sleep(0.3)
    assert subject.host.questions == before


async def test_what_answers_where_it_was_is_not_taken_for_it(subject: FakeWorld) -> None:
    """Its host may have given its address to another one: whether it lives is asked once more, and told before."""
    await started(subject)
    await subject.provider.ensure_end_noticed(ID)
    assert not [fact for fact in subject.facts.all if isinstance(fact, Exited)]
    subject.host.deaf = True
    subject.host.end(str(ID), ExitInfo(code=1))
    await subject.provider.ensure_end_noticed(ID)
    assert [1] == [fact.generation for fact in subject.facts.all if isinstance(fact, Exited)]


async def test_a_host_that_is_away_denies_nothing(subject: FakeWorld) -> None:
    """What answers is taken for what was started there, until its host says otherwise."""
    await started(subject)
    subject.host.lose()
    await subject.provider.ensure_end_noticed(ID)
    subject.host.down = False
    assert not [fact for fact in subject.facts.all if isinstance(fact, Exited)]


async def test_a_kill_does_not_wait_for_its_turn(subject: FakeWorld) -> None:
    """A guest that is just being paused by a host that hangs can be killed."""
    await started(subject)
    ward = subject.provider._wards[ID]
    async with ward._turn:
        await subject.provider.kill(ID, 1)
        assert subject.alive() == 0
    await subject.facts.exited()


async def test_many_notices_are_few_questions(subject: FakeWorld) -> None:
    """One question at a time, and one more for all the news that came meanwhile."""
    await started(subject)
    before = subject.host.questions
    for _ in range(1000):
        subject.host.tell(str(ID))
    await asyncio.sleep(0)
    subject.host.tell(None)
    await subject.provider.settled(ID)
    await subject.provider.settled(ID)
    assert subject.host.questions - before < 10


async def test_what_happens_while_the_host_is_down_is_told_after_it(
    subject: FakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, when the host answers again; and that it was down is said once."""
    caplog.set_level(logging.INFO)
    await started(subject)
    subject.host.lose()
    await subject.crash()
    await subject.provider.settled(ID, limit=0.3)
    assert subject.facts.all == []
    subject.host.down = False
    fact = await subject.facts.exited()
    assert ExitInfo(signal=9) == fact.info
    await subject.provider.settled(ID)
    assert [fact] == subject.facts.all
    said = [record.message for record in caplog.records if "host in memory" in record.message]
    assert 1 == sum("trying again" in line for line in said)
    while not any("answers again" in record.message for record in caplog.records):
        await asyncio.sleep(0.01)


async def test_an_end_that_the_host_has_not_heard_of_is_asked_for_again(subject: FakeWorld) -> None:
    """It was down: what is to end gets its time to do so, and no kill."""
    await started(subject)
    subject.host.lose()
    with pytest.raises(ProviderFailed):
        await subject.provider.stop(ID, 1)
    subject.host.down = False
    assert ExitInfo(signal=15) == (await subject.facts.exited()).info


async def test_a_start_that_hangs_is_given_up(subject: FakeWorld) -> None:
    """The host has begun it and does not say so: what it has begun is ended when that is known."""
    driver(subject).hung.clear()
    start = asyncio.ensure_future(subject.provider.start(subject.launch(Behaviour.STEADY)))
    while not subject.alive():
        await asyncio.sleep(0.001)
    start.cancel()
    await asyncio.sleep(0.01)
    assert not start.done()
    driver(subject).hung.set()
    await asyncio.wait([start])
    assert start.cancelled()
    assert subject.alive() == 0
    assert subject.facts.all == []


async def test_a_start_that_hangs_for_ever_is_given_up(
    subject: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that never says that it has started something keeps nobody from stopping it."""
    monkeypatch.setattr(attempt, "_PATIENCE", 0.05)
    driver(subject).hung.clear()
    start = asyncio.ensure_future(subject.provider.start(subject.launch(Behaviour.STEADY)))
    while not subject.alive():
        await asyncio.sleep(0.001)
    start.cancel()
    await asyncio.wait([start], timeout=5)
    assert start.cancelled()
    assert subject.alive() == 0
    driver(subject).hung.set()
    await subject.provider.start(subject.launch(Behaviour.STEADY, generation=2))
    assert subject.facts.all == []


async def test_a_guest_to_which_no_way_leads(subject: FakeWorld) -> None:
    """The start fails at once and says why; what it has begun is ended."""
    driver(subject).unreachable = "it exposes no port"
    with pytest.raises(StartFailed, match="no way to it: it exposes no port"):
        await subject.provider.start(subject.launch(Behaviour.STEADY))
    assert subject.alive() == 0
    assert subject.facts.all == []


async def test_a_start_waits_for_what_is_changing(subject: FakeWorld) -> None:
    """And starts it once it has stopped."""
    launch = subject.launch(Behaviour.STEADY)
    guest(subject).state = State.CHANGING
    start = asyncio.ensure_future(subject.provider.start(launch))
    await asyncio.sleep(0.05)
    assert not start.done()
    guest(subject).state = State.STOPPED
    subject.host.tell(str(ID))
    await start
    assert subject.alive()


async def test_a_start_waits_for_an_address(subject: FakeWorld) -> None:
    """What runs and cannot be reached yet would be of no use to anybody."""
    launch = subject.launch(Behaviour.STEADY)
    driver(subject).unaddressed = True
    start = asyncio.ensure_future(subject.provider.start(launch))
    while not subject.alive():
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)
    assert not start.done()
    driver(subject).unaddressed = False
    assert (await start).endpoint is not None


async def test_a_guest_at_a_unix_socket(subject: FakeWorld) -> None:
    """It is reached there whatever its host says, and is handed nothing."""
    driver(subject).unreachable = "it exposes no port"
    launch = subject.launch(Behaviour.STEADY)
    spec = replace(launch.spec, workload=replace(guest_of(launch.spec), socket="/srv/app.sock"))
    at = (await subject.provider.start(replace(launch, spec=spec))).endpoint
    assert "unix:/srv/app.sock" == str(at)
    with pytest.raises(ProviderFailed, match="handed no socket"):
        subject.provider.take_back_socket(ID, 1)


async def test_what_is_not_there_cannot_be_started(subject: FakeWorld) -> None:
    """The error names it, and what to do."""
    with pytest.raises(StartFailed, match="no guest app at the host in memory") as caught:
        await subject.provider.start(subject.launch(Behaviour.MISSING))
    assert caught.value.hint


async def test_what_is_taken_away_has_ended(subject: FakeWorld) -> None:
    """A guest that is deleted while it runs: somebody wanted that, and nothing brings it back."""
    await started(subject)
    del subject.host.guests[str(ID)]
    subject.host.tell(str(ID))
    fact = await subject.facts.exited()
    assert "gone" in fact.info.note
    assert fact.by_hand


async def test_the_last_words_of_who_ends_while_its_host_is_down(
    subject: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in the log before its end is told, however long the host was away."""
    for name in ("_SHORTEST_PAUSE", "_LONGEST_PAUSE"):
        monkeypatch.setattr(scribe, name, 60.0)
    await started(subject)
    await wait_for_line(subject, "up")
    subject.host.lose()
    await asyncio.sleep(0.05)
    subject.host.write(guest(subject), "last words")
    await subject.crash()
    subject.host.down = False
    await subject.facts.exited()
    assert "last words" in subject.provider.output(ID).tail(10)


async def test_health_that_is_lost(subject: FakeWorld) -> None:
    """It is told once each time that it is lost, and not before it was there."""
    await started(subject, Behaviour.NOTIFYING)
    await subject.provider.wait_for_notify(ID, 1)
    for health in (Health.UNHEALTHY, Health.UNHEALTHY, Health.HEALTHY, Health.UNHEALTHY):
        guest(subject).health = health
        await subject.provider.settled(ID)
    assert [FoundUnhealthy(ID, 1, "its health check fails")] * 2 == subject.facts.all


async def test_health_that_is_lost_without_ever_having_been_told(subject: FakeWorld) -> None:
    """A host that checks nothing, but knows of some errors, calls it ill for the first time."""
    await started(subject)
    guest(subject).health = Health.UNHEALTHY
    await subject.provider.settled(ID)
    assert [FoundUnhealthy(ID, 1, "its health check fails")] == subject.facts.all


async def test_health_that_is_lost_between_two_daemons(subject: FakeWorld) -> None:
    """It was ready, and is not well when it is taken on: that is told once."""
    launch = subject.launch(Behaviour.NOTIFYING)
    await subject.provider.start(launch)
    await subject.provider.wait_for_notify(ID, 1)
    await subject.close()
    guest(subject).health = Health.UNHEALTHY
    await subject.succeed()
    await subject.provider.survivors()
    subject.provider.adopt(launch)
    await subject.provider.settled(ID)
    await subject.provider.settled(ID)
    assert [FoundUnhealthy(ID, 1, "its health check fails")] == subject.facts.all


async def test_what_its_host_says_of_it_is_told(subject: FakeWorld) -> None:
    """Each time that it is something else: it is what people see while they wait."""
    await started(subject)
    for words in ("", "booting", "booting", ""):
        driver(subject).words = words
        await subject.provider.settled(ID)
    assert [StatusChanged(ID, 1, "booting"), StatusChanged(ID, 1, "")] == subject.facts.all


async def test_it_is_not_ready_before_its_host_says_so(subject: FakeWorld) -> None:
    """A health check that has come to no result, or to a bad one, is waited for."""
    launch = subject.launch(Behaviour.STEADY)
    await subject.start_by_others()
    guest(subject).health = Health.PENDING
    await subject.provider.start(launch)
    waiting = asyncio.ensure_future(subject.provider.wait_for_notify(ID, 1))
    for health in (Health.PENDING, Health.UNHEALTHY):
        guest(subject).health = health
        await subject.provider.settled(ID)
        assert not waiting.done()
    guest(subject).health = Health.HEALTHY
    subject.host.tell(str(ID))
    await waiting
    assert subject.facts.all == []


async def test_each_start_by_others_is_told(subject: FakeWorld) -> None:
    """Also where the host calls all runs alike."""
    subject.launch(Behaviour.STEADY)
    subject.follow()
    for count in (1, 2):
        await subject.start_by_others()
        guest(subject).number = 1
        await subject.provider.settled(ID)
        assert count == len(subject.facts.all)
        await subject.stop_by_others()
        await subject.provider.settled(ID)


async def test_a_guest_that_is_followed_no_more_is_nobodys(subject: FakeWorld) -> None:
    """What others do to it is of no interest."""
    subject.launch(Behaviour.STEADY)
    subject.follow()
    subject.specs.clear()
    subject.follow()
    await subject.start_by_others()
    await subject.provider.settled(ID)
    assert subject.facts.all == []


async def test_an_end_that_we_asked_for_is_ours(subject: FakeWorld) -> None:
    """Whatever the host says of a hand."""
    await started(subject)
    await subject.provider.kill(ID, 1)  # of which this host says that it was by hand
    assert Exited(ID, 1, ExitInfo(signal=9)) == await subject.facts.exited()


async def test_a_hand_is_remembered_until_its_end_is_seen(subject: FakeWorld) -> None:
    """The notice may be all that tells of it, and the host may not answer just then."""
    await started(subject)
    subject.host.down = True
    subject.host.end(str(ID), ExitInfo(code=0))
    subject.host.tell(str(ID), by_hand=True)
    await subject.provider.settled(ID, limit=0.1)
    assert subject.facts.all == []
    subject.host.down = False
    assert Exited(ID, 1, ExitInfo(code=0), by_hand=True) == await subject.facts.exited()


async def test_what_runs_unasked_gets_its_time_to_end(subject: FakeWorld) -> None:
    """It is asked to end before it is killed."""
    subject.launch(Behaviour.STEADY)
    await subject.start_by_others()
    subject.follow()
    await subject.facts.first(FoundRunning)
    await subject.provider.discard(ID, UNASKED)
    assert ExitInfo(signal=15) == guest(subject).exit


async def test_what_we_answer_for_is_not_discarded_as_unasked(subject: FakeWorld) -> None:
    """It was taken on in the meantime."""
    await started(subject)
    await subject.provider.discard(ID, UNASKED)
    assert subject.alive()


async def test_others_pause_it_before_we_do(subject: FakeWorld) -> None:
    """Then it is frozen as we wanted, and nothing is told."""
    await started(subject)
    subject.host.deaf = True
    await subject.pause_by_others()
    await subject.provider.freeze(ID, 1, Tier.PAUSE)
    await subject.provider.settled(ID)
    assert subject.facts.all == []
    await subject.resume_by_others()
    await subject.provider.settled(ID)  # in doubt for a moment, and then told
    await subject.facts.first(Thawed)
    assert [Thawed(ID, 1)] == subject.facts.all


async def test_a_host_that_tells_late_of_our_own_pauses(
    subject: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It calls it paused for a moment after we have let it go on: nobody else has paused it."""
    await subject.provider.start(subject.launch(Behaviour.STEADY))
    status, late = FakeDriver.status, [State.PAUSED, State.PAUSED]

    async def telling_late(self: FakeDriver, guest: GuestSpec) -> Status:
        found = await status(self, guest)
        return replace(found, state=late.pop()) if late else found

    await subject.provider.freeze(ID, 1, Tier.PAUSE)
    monkeypatch.setattr(FakeDriver, "status", telling_late)
    await subject.provider.thaw(ID, 1)
    while late:
        await asyncio.sleep(0.01)
    await subject.provider.settled(ID)
    assert subject.facts.all == []


async def test_what_others_have_paused_is_left_alone(subject: FakeWorld) -> None:
    """It was never ours: it sleeps until somebody knocks, or they let it go on."""
    subject.launch(Behaviour.STEADY)
    await subject.start_by_others()
    await subject.pause_by_others()
    subject.follow()
    await subject.provider.settled(ID)
    assert subject.facts.all == []
    await subject.resume_by_others()
    await subject.facts.first(FoundRunning)


async def test_a_pause_tells_how_much_it_keeps(subject: FakeWorld) -> None:
    """By others, and by us: its memory stays where it is."""
    await started(subject)
    frozen = await subject.provider.freeze(ID, 1, Tier.HIBERNATE)
    assert (Tier.PAUSE, 1 << 20, 1 << 20) == (frozen.tier, frozen.before, frozen.after)
    assert frozen.note
    await subject.provider.thaw(ID, 1)
    await subject.pause_by_others()
    assert Froze(ID, 1, Tier.PAUSE, 1 << 20, 1 << 20, "paused by others") == await subject.facts.first(Froze)


async def test_commands_are_run_inside(subject: FakeWorld) -> None:
    """A probe is what exits 0 in time; what cannot be run at all is told as such."""
    launch = subject.launch(Behaviour.STEADY)
    await subject.provider.start(launch)
    assert await subject.provider.run_probe(launch, ("true",), 1.0)
    assert not await subject.provider.run_probe(launch, ("false",), 1.0)
    assert not await subject.provider.run_probe(launch, ("sleep",), 0.01)
    assert ExitInfo(code=1) == await subject.provider.run_command(launch, ("false",), 1.0)
    with pytest.raises(NotAllowed):
        await subject.provider.run_probe(launch, ("dance",), 1.0)
    with pytest.raises(ProviderFailed):
        await subject.provider.run_command(replace(launch, generation=2), ("true",), 1.0)


async def test_the_usage_is_asked_for_now_and_then(
    subject: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often somebody wants to know it."""
    questions = 0
    usage = driver(subject).usage

    async def count(spec: GuestSpec) -> Usage | None:
        nonlocal questions
        questions += 1
        return await usage(spec)

    monkeypatch.setattr(driver(subject), "usage", count)
    await started(subject)
    for _ in range(100):
        subject.provider.stats(ID)
        await asyncio.sleep(0)
    assert questions <= 2


class TestLog:
    """Its output stands in the log that all apps have."""

    async def test_stderr_apart(self, subject: FakeWorld) -> None:
        """Where the settings want it so."""
        launch = subject.launch(Behaviour.STEADY)
        workload = replace(guest_of(launch.spec), log=LogSpec(stderr=StderrLog.SEPARATE))
        driver(subject).complains = True
        await subject.provider.start(replace(launch, spec=replace(launch.spec, workload=workload)))
        await subject.up()
        await subject.provider.kill(ID, 1)
        await subject.facts.exited()
        streams = subject.provider.output(ID).streams()
        assert ["up"] == [line for _, line in streams["stdout"].recent(10)]
        assert ["complaint"] == [line for _, line in streams["stderr"].recent(10)]

    async def test_the_last_words_come_late(self, subject: FakeWorld) -> None:
        """An exit is told when they are in the log."""
        driver(subject).late = 0.1
        await subject.provider.start(subject.launch(Behaviour.FAILING))
        await subject.facts.exited()
        assert ["broken"] == subject.provider.output(ID).tail(10)

    async def test_a_daemon_that_dies_before_its_bookmark_is_written(self, subject: FakeWorld) -> None:
        """What stands in the log behind the bookmark is not written again."""
        launch = subject.launch(Behaviour.COUNTING)
        await subject.provider.start(launch)
        await wait_for_line(subject, "20")
        bookmark = subject.folder / "state/guests/app.bookmark"
        before = bookmark.read_bytes()
        await wait_for_line(subject, "40")
        await subject.close()
        bookmark.write_bytes(before)
        await subject.succeed()
        await subject.provider.survivors()
        subject.provider.adopt(launch)
        await wait_for_line(subject, "60")
        lines = subject.provider.output(ID).tail(1000)
        assert [str(number) for number in range(1, len(lines) + 1)] == lines

    async def test_a_generation_that_takes_an_earlier_ones_run(self, subject: FakeWorld) -> None:
        """The host was down when the daemon started: what was copied by the one before is not copied again."""
        await subject.provider.start(subject.launch(Behaviour.COUNTING, 7))
        await wait_for_line(subject, "20")
        await subject.provider.close()
        subject.host.lose()
        await subject.succeed()
        assert [] == await subject.provider.survivors()
        subject.follow()
        subject.host.down = False
        told = await subject.facts.first(FoundRunning)
        assert told.ours
        assert "earlier daemon" in told.text
        await subject.provider.start(subject.launch(Behaviour.COUNTING, 8))
        await wait_for_line(subject, "60")
        lines = [
            *subject.provider.output(ID).tail(1000, previous=True),
            *subject.provider.output(ID).tail(1000),
        ]
        assert [str(number) for number in range(1, len(lines) + 1)] == lines

    async def test_another_run_begins_at_its_beginning(self, subject: FakeWorld) -> None:
        """The bookmark of one run says nothing of the next."""
        for generation in (1, 2):
            await subject.provider.start(subject.launch(Behaviour.COUNTING, generation))
            await wait_for_line(subject, "10")
            await subject.provider.kill(ID, generation)
            await subject.facts.exited(generation)
            assert "1" == subject.provider.output(ID).tail(1000)[0]

    async def test_more_than_a_pipe_holds(self, subject: FakeWorld) -> None:
        """A piece of any size is in the log as it was told."""
        await started(subject)
        text = "x" * 300_000
        subject.host.write(guest(subject), text)
        subject.host.write(guest(subject), "end")
        await wait_for_line(subject, "end")
        await subject.provider.kill(ID, 1)
        await subject.facts.exited()
        assert len(text) == sum(len(line) for line in subject.provider.output(ID).tail(100) if "x" in line)


class TestRecords:
    """What is written down for the next daemon."""

    async def test_what_cannot_be_understood(
        self, subject: FakeWorld, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It is named and removed; the guest is found as one that others have started."""
        launch = subject.launch(Behaviour.STEADY)
        await subject.provider.start(launch)
        await subject.close()
        path = subject.folder / "state/guests/app.json"
        path.write_bytes(path.read_bytes()[:50])
        await subject.succeed()
        assert [] == await subject.provider.survivors()
        assert "cannot understand" in caplog.text
        assert not path.exists()
        subject.follow()
        await subject.facts.first(FoundRunning)

    async def test_one_that_cannot_be_read(
        self, subject: FakeWorld, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It is left alone: the trouble may be a moment's."""
        folder = subject.folder / "state/guests"
        (folder / "app.json").mkdir(parents=True)
        assert [] == Records(folder).read_all()
        assert "cannot read" in caplog.text
        assert (folder / "app.json").exists()

    async def test_one_that_cannot_be_written(
        self, subject: FakeWorld, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The guest runs all the same, and it is said once."""
        (subject.folder / "state/guests").write_text("in the way")
        await started(subject)
        subject.provider.remember(ID, 1, "fact")
        assert subject.provider.remembers(ID, 1, "fact")
        assert 1 == caplog.text.count("cannot write")

    async def test_an_ended_guest_leaves_nothing(self, subject: FakeWorld) -> None:
        """Neither a record nor a bookmark."""
        await started(subject, Behaviour.FAILING)
        await subject.facts.exited()
        assert [] == list((subject.folder / "state/guests").iterdir())

    async def test_other_hosts_are_not_touched(self, subject: FakeWorld) -> None:
        """A provider finds its own survivors, and leaves the records of others alone."""
        await started(subject)
        records = Records(subject.folder / "state/guests")
        (own,) = records.read_all()
        records.write(own.but(app="other", host="elsewhere"))
        await subject.succeed()
        assert [ID] == [survivor.id for survivor in await subject.provider.survivors()]
        assert 2 == len(records.read_all())

    async def test_a_survivor_whose_app_is_another_guest_now(self, subject: FakeWorld) -> None:
        """It is not taken for that one, and can be discarded."""
        launch = subject.launch(Behaviour.STEADY)
        await subject.provider.start(launch)
        await subject.succeed()
        await subject.provider.survivors()
        other = replace(launch.spec, workload=replace(guest_of(launch.spec), name="another"))
        with pytest.raises(ProviderFailed, match="another"):
            subject.provider.adopt(replace(launch, spec=other))
        await subject.provider.discard(ID, 1)
        assert subject.alive() == 0
