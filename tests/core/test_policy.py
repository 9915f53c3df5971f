"""The policy functions."""

from __future__ import annotations

import pytest

from torpor.core.model import Backoff, ExitInfo, Lifecycle
from torpor.core.policy import retry_delay, span, succeeded, usual_wake


def test_a_signal_may_be_a_success() -> None:
    """Signals stand as negative numbers among the exit codes that are no failure."""
    lifecycle = Lifecycle(exit_codes=(0, 3, -15))

    assert succeeded(lifecycle, ExitInfo(code=3))
    assert succeeded(lifecycle, ExitInfo(signal=15))
    assert not succeeded(lifecycle, ExitInfo(signal=9))
    assert not succeeded(lifecycle, ExitInfo())


def test_the_delay_grows_up_to_its_limit() -> None:
    """Delays double from the initial one and stop at the maximum, however many failures."""
    backoff = Backoff(initial=1.0, factor=2.0, max=10.0, jitter=0.0)

    assert [1.0, 2.0, 4.0, 8.0, 10.0] == [
        retry_delay(backoff, n, was_stable=False, dice=0.5) for n in range(1, 6)
    ]
    assert 10.0 == retry_delay(backoff, 10_000, was_stable=False, dice=0.5)


def test_the_first_retry_of_what_was_stable_is_immediate() -> None:
    """Only the first: a stable app that begins to crash backs off as well."""
    assert 0.0 == retry_delay(Backoff(), 1, was_stable=True, dice=0.9)
    assert 1.0 == retry_delay(Backoff(), 2, was_stable=True, dice=0.5)


def test_the_usual_wake_is_the_median() -> None:
    """One slow wake does not spoil the estimate."""
    assert usual_wake([]) is None
    assert 2.0 == usual_wake([1.0, 99.0, 2.0])
    assert 1.5 == usual_wake([1.0, 2.0])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.48, "480 ms"),
        (1.0, "1 s"),
        (1.25, "1.2 s"),
        (60, "1m"),
        (90, "1m30s"),
        (5400, "1h30m"),
        (3600, "1h"),
    ],
)
def test_spans_read_well(seconds: float, text: str) -> None:
    """Durations are told in the unit that people would use."""
    assert text == span(seconds)


def test_what_fails_together_is_not_started_together() -> None:
    """The jitter moves the delay by its share at most, in both directions."""
    backoff = Backoff(initial=10.0, jitter=0.1)

    assert 9.0 == retry_delay(backoff, 1, was_stable=False, dice=0.0)
    assert 10.0 == retry_delay(backoff, 1, was_stable=False, dice=0.5)
    assert 11.0 > retry_delay(backoff, 1, was_stable=False, dice=0.999) > 10.9


@pytest.mark.parametrize("jitter", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("failures", [1, 5, 10_000])
def test_no_pause_is_longer_than_the_longest(jitter: float, failures: int) -> None:
    """`max` holds whatever chance says, and what rests longest is spread as well as anything else."""
    backoff = Backoff(initial=30.0, max=30.0, jitter=jitter)
    delays = [retry_delay(backoff, failures, was_stable=False, dice=n / 100) for n in range(100)]

    assert max(delays) <= backoff.max
    assert 100 == len(set(delays))
