"""What providers promise of instances that take signals."""

from __future__ import annotations

import signal

import pytest

from contract.provider_contract import ID, Behaviour, Subject, wait_for_line


@pytest.mark.anyio
class HearingContract:
    """The suite, beside `ProviderContract`."""

    async def test_a_signal_reaches_the_main_process(self, subject: Subject) -> None:
        """It is delivered as it is, to the main process alone, and ends nothing by itself."""
        await subject.provider.start(subject.launch(Behaviour.HEARING))
        await subject.up()
        before = subject.alive()
        await subject.provider.signal(ID, 1, signal.SIGUSR1)
        await wait_for_line(subject, f"got signal {signal.SIGUSR1:d}")
        assert before == subject.alive()
        assert subject.facts.all == []
