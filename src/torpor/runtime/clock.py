"""The one place where the monotonic clock is named."""

from time import monotonic

now = monotonic
"""Seconds on a clock that nobody can set.  `CLOCK_MONOTONIC`, as both event loops use."""
