"""Who has asked for the end of a container, by what an engine tells; without an engine."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol

from torpor.providers.guests.docker.events import Actor, Endings, Event, _read


@pytest.fixture
def endings() -> Endings:
    """Of a Docker Engine that is listened to."""
    endings = Endings()
    endings.begin(is_podman=False)
    return endings


def told(endings: Endings, *actions: str) -> None:
    """The engine tells these of the container `app`."""
    for action in actions:
        list(endings.take(Event(action, Actor("1", {"name": "app"})), 0.0))


def test_a_stop_by_others_is_one_by_hand(endings: Endings) -> None:
    """Docker says so after the end."""
    told(endings, "start", "kill", "die")
    assert endings.was_by_hand("1", "app") is None
    told(endings, "stop")
    assert endings.was_by_hand("1", "app") is True


def test_an_end_that_torpor_asked_for_is_not(endings: Endings) -> None:
    """Nor is it left open."""
    told(endings, "start")
    endings.expect("app")
    told(endings, "kill", "die", "stop")
    assert endings.was_by_hand("1", "app") is False


def test_an_end_may_be_asked_for_before_its_beginning_is_told(endings: Endings) -> None:
    """Podman tells its events late."""
    endings.expect("app")
    told(endings, "start")
    assert endings.was_by_hand("1", "app") is False
    told(endings, "kill", "die", "stop")
    assert endings.was_by_hand("1", "app") is False


def test_an_end_that_nobody_heard_of_does_not_hide_the_next_one(endings: Endings) -> None:
    """Torpor asked for it, and the engine was not listened to when it came."""
    told(endings, "start")
    endings.expect("app")
    endings.end()
    endings.begin(is_podman=False)
    told(endings, "start", "kill", "die", "stop")
    assert endings.was_by_hand("1", "app") is True


def test_nor_does_one_that_is_asked_for_once_more(endings: Endings) -> None:
    """Nothing was alive by then."""
    told(endings, "start")
    assert endings.expect("app")
    assert not endings.expect("app")
    endings.end()
    endings.begin(is_podman=False)
    assert endings.expect("app")
    endings.forget("app")
    told(endings, "start", "kill", "die", "stop")
    assert endings.was_by_hand("1", "app") is True


@pytest.mark.anyio
async def test_a_loop_that_is_late_looks_what_has_come() -> None:
    """Only where there is nothing has the time to say more run out."""
    loop = asyncio.get_running_loop()
    protocol = BaseProtocol(loop)
    protocol.connection_made(asyncio.Transport())
    content = StreamReader(protocol, 1 << 16, loop=loop)
    long_ago = loop.time() - 1
    loop.call_later(0.001, content.feed_data, b"stop")
    assert await _read(content, long_ago) == b"stop"
    assert await _read(content, long_ago) is None
