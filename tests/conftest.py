"""What every test may use."""

from __future__ import annotations

import functools
import inspect
import os
import signal
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path

import anyio
import hypothesis
import pytest

_LIMIT = 800.0 if os.environ.get("VMTEST") else 100.0
"""Seconds that an async test may take: less than pytest's own limit, which breaks the loop that the fixtures'
ends need, and does not tell where the test hung.  `scripts/vmtest` has a machine that takes ten times as long."""


# What they compare is told where it fails, as in the tests themselves.
pytest.register_assert_rewrite("contract")

_HERE = Path(__file__).parent
_LONGEST = ("soak", "histories", "e2e", "integrations", "providers")
"""Folders whose files take longest, the longest first."""

# How long an example takes says nothing: the machine may be busy.
hypothesis.settings.register_profile(
    "patient",
    parent=hypothesis.settings(),
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("patient")


def pytest_configure() -> None:
    """Let what the tests start hear a Ctrl-C: a shell's job in the background hands on that nobody does."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest: several workers come to their ends together then."""
    rank = {folder: place for place, folder in enumerate(_LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.relative_to(_HERE).parts[0], len(rank)))


@pytest.fixture(
    params=[
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    ]
)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """Run each async test on plain asyncio and on uvloop: Torpor promises to work on both."""
    return request.param


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """End an async test that hangs where it hangs, and let its fixtures clean up."""
    if inspect.iscoroutinefunction(pyfuncitem.obj):
        pyfuncitem.obj = _limited(pyfuncitem.obj)
    return (yield)


def _limited(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def limited(**arguments: object) -> None:
        with anyio.fail_after(_LIMIT):
            await test(**arguments)

    return limited
