"""Engines that are lent to tests, which are skipped where there is none."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import engines


@contextlib.contextmanager
def lent(kind: type[engines.Engine]) -> Iterator[engines.Engine]:
    """An engine in a folder of its own, until the end of the block."""
    if (reason := engines.why_not(kind)) is not None:
        pytest.skip(reason)
    with (
        tempfile.TemporaryDirectory(prefix="torpor-engine-", ignore_cleanup_errors=True) as folder,
        engines.running(kind, Path(folder)) as engine,
    ):
        yield engine
