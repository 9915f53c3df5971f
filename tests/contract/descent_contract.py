"""What providers promise of instances that are trees of processes."""

from __future__ import annotations

import signal

import pytest

from contract.provider_contract import ID, Behaviour, Subject, wait_for_line
from torpor.core.messages import Exited, Gone
from torpor.core.model import ExitInfo, Tier
from torpor.errors import NotAllowed


@pytest.mark.anyio
class DescentContract:
    """The suite, beside `ProviderContract`."""

    async def test_leftovers_are_stopped(self, subject: Subject) -> None:
        """Descendants that outlive the main process are told of, reached by stop, and their end is reported."""
        await subject.provider.start(subject.launch(Behaviour.LEAVING))
        fact = await subject.facts.exited()
        assert Exited(ID, 1, ExitInfo(code=0), leftovers=True) == fact
        assert subject.alive() > 0
        await subject.provider.stop(ID, 1)
        assert Gone(ID, 1) == await subject.facts.gone()
        assert subject.alive() == 0
        assert [fact, Gone(ID, 1)] == subject.facts.all

    async def test_stubborn_leftovers_are_killed(self, subject: Subject) -> None:
        """Descendants that ignore the stop request do not survive kill."""
        await subject.provider.start(subject.launch(Behaviour.LEAVING_STUBBORN))
        await subject.facts.exited()
        await subject.provider.stop(ID, 1)
        assert subject.alive() > 0
        await subject.provider.kill(ID, 1)
        await subject.facts.gone()
        assert subject.alive() == 0

    async def test_a_reload_is_what_the_app_says(self, subject: Subject) -> None:
        """The app is told in the way that it names, and goes on in the same generation."""
        await subject.provider.start(subject.launch(Behaviour.HEARING))
        await subject.up()
        await subject.provider.reload(ID, 1)
        await wait_for_line(subject, "reloaded")
        assert subject.facts.all == []


@pytest.mark.anyio
class FrozenDescentContract:
    """The suite, beside `FreezeContract`."""

    async def test_a_signal_waits_for_the_thaw(self, subject: Subject) -> None:
        """A signal is kept for what is frozen, and a reload, which wants an answer, is refused."""
        await subject.provider.start(subject.launch(Behaviour.HEARING))
        await subject.up()
        await subject.provider.freeze(ID, 1, Tier.PAUSE)
        await subject.provider.signal(ID, 1, signal.SIGUSR1)
        with pytest.raises(NotAllowed, match="frozen"):
            await subject.provider.reload(ID, 1)
        assert subject.provider.output(ID).tail(10) == ["up"]
        await subject.provider.thaw(ID, 1)
        await wait_for_line(subject, f"got signal {signal.SIGUSR1:d}")
        await subject.provider.reload(ID, 1)
        await wait_for_line(subject, "reloaded")
