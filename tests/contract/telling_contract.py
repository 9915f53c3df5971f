"""What providers promise of instances that write lines, and whose exit code is told."""

from __future__ import annotations

import pytest

from contract.provider_contract import ID, Behaviour, Subject, wait_for_line
from torpor.core.messages import Exited
from torpor.core.model import ExitInfo


@pytest.mark.anyio
class TellingContract:
    """The suite, beside `ProviderContract`."""

    async def test_an_exit_tells_its_code(self, subject: Subject) -> None:
        """An exit that nobody asked for carries the exit code, and the last lines are in the log by then."""
        await subject.provider.start(subject.launch(Behaviour.FAILING))
        fact = await subject.facts.exited()
        assert Exited(ID, 1, ExitInfo(code=3)) == fact
        assert subject.provider.output(ID).tail(1) == ["broken"]

    async def test_output_outlives_generations(self, subject: Subject) -> None:
        """The log tells the current generation's lines from those of the one before."""
        await subject.provider.start(subject.launch(Behaviour.FAILING, 1))
        await subject.facts.exited(1)
        await subject.provider.start(subject.launch(Behaviour.STEADY, 2))
        await subject.up()
        output = subject.provider.output(ID)
        assert output.tail(10) == ["up"]
        assert output.tail(10, previous=True) == ["broken"]
        assert output.tail(0) == []

    async def test_a_subscriber_hears_lines_until_it_leaves(self, subject: Subject) -> None:
        """Each line is told to who subscribed before, once, and no more after unsubscribing."""
        lines: list[str] = []
        unsubscribe = subject.provider.output(ID).subscribe(lines.append)
        await subject.provider.start(subject.launch(Behaviour.FAILING, 1))
        await subject.facts.exited(1)
        unsubscribe()
        unsubscribe()
        await subject.provider.start(subject.launch(Behaviour.FAILING, 2))
        await subject.facts.exited(2)
        assert lines == ["broken"]

    async def test_a_survivor_keeps_its_lines(self, subject: Subject) -> None:
        """What was written before its adoption stands in its log once, as does what it writes after it."""
        launch = subject.launch(Behaviour.COUNTING, 7)
        await subject.provider.start(launch)
        await wait_for_line(subject, "20")
        await subject.succeed()
        await subject.provider.survivors()
        subject.provider.adopt(launch)
        await wait_for_line(subject, "60")
        await subject.provider.kill(ID, 7)
        fact = await subject.facts.exited(7)
        if fact.leftovers:
            await subject.facts.gone(7)
        lines = subject.provider.output(ID).tail(100_000)
        assert [str(number) for number in range(1, len(lines) + 1)] == lines
