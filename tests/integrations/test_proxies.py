"""Torpor behind proxies that people have already, by the very files of `integrations/`."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from socket import create_connection

import pytest
from websockets.sync.client import ClientConnection, connect

from e2e.harness import wait_for
from integrations.proxies import NOTES, WIKI, Setup

Behind = Callable[[str], Setup]

ALL = ["nginx", "caddy", "traefik", "haproxy", "mitmproxy"]
WITH_BOTH = ["nginx", "caddy", "traefik", "haproxy"]


@pytest.mark.parametrize("proxy", WITH_BOTH)
def test_through_torpor(behind: Behind, proxy: str) -> None:
    """A proxy in front of the gateway changes nothing: pages wait in the browser, programs are held."""
    setup = behind(proxy)
    page = setup.client(WIKI).navigate("/a?b")
    assert (503, "waking") == (page.status, page.headers["x-torpor"])
    assert f"http://{WIKI}" not in page.text

    answer = setup.client(WIKI).request("/x", "POST", b"y" * 100_000)

    seen = answer.json
    assert (200, "POST", "/x", 100_000) == (answer.status, seen["method"], seen["path"], seen["length"])
    assert seen["headers"]["x-forwarded-for"].startswith("127.0.0.1")
    assert "forwarded" in seen["headers"]
    assert 1 == setup.facts("wiki")["generation"]


@pytest.mark.parametrize("proxy", ALL)
def test_a_browser_sees_the_waiting_page_of_an_app_past_torpor(behind: Behind, proxy: str) -> None:
    """And what the page follows the wake by is reached by the same name."""
    setup = behind(proxy)

    page = setup.client(NOTES).navigate("/a?b")

    assert (503, "waking") == (page.status, page.headers["x-torpor"])
    assert page.headers["content-type"].startswith("text/html")
    assert int(page.headers["retry-after"]) > 0
    status = setup.client(NOTES).request("/_torpor/status?app=notes")
    assert (200, "notes") == (status.status, status.json["app"])
    events = setup.client(NOTES).request("/_torpor/events?app=notes", headers={"Accept": "text/event-stream"})
    assert '"state":"ready"' in events.text.replace(" ", "")
    wait_for("the page is the app's", lambda: setup.client(NOTES).navigate("/a").status == 200)


@pytest.mark.parametrize("proxy", ALL)
def test_a_program_is_held_until_the_app_past_torpor_is_awake(behind: Behind, proxy: str) -> None:
    """Its body comes through whole; what it says reaches the app without Torpor once that is awake."""
    setup = behind(proxy)
    body = os.urandom(300_000)

    first = setup.client(NOTES).request("/x", "POST", body)

    assert (200, len(body), "POST") == (first.status, first.json["length"], first.json["method"])
    assert 1 == setup.facts("notes")["generation"]
    wait_for("it is reached past Torpor", lambda: "forwarded" not in seen(setup)["headers"])
    assert seen(setup)["headers"]["host"].startswith(NOTES)


def seen(setup: Setup, path: str = "/") -> dict[str, dict[str, str]]:
    """A request as the app sees it."""
    answer = setup.client(NOTES).request(path)
    assert 200 == answer.status, (answer, setup.log)
    document: dict[str, dict[str, str]] = answer.json
    return document


@pytest.mark.parametrize("proxy", ALL)
def test_use_past_torpor_is_use(behind: Behind, proxy: str) -> None:
    """Requests that Torpor does not carry begin the idle clock anew."""
    setup = behind(proxy)
    wait_for("it is reached past Torpor", lambda: "forwarded" not in seen(setup)["headers"])
    before = setup.daemon.apps()["notes"]
    wait_for("time passes", lambda: setup.daemon.apps()["notes"]["idle_in"] < before["idle_in"] - 1)
    low = setup.daemon.apps()["notes"]["idle_in"]

    # The clock is looked at once it has run on: somebody who is slow to do so has to come again.
    wait_for("the clock begins anew", lambda: seen(setup) and setup.daemon.apps()["notes"]["idle_in"] > low)


@pytest.mark.parametrize("proxy", ALL)
def test_the_apps_own_errors_are_its_own(behind: Behind, proxy: str) -> None:
    """A 500 of the app's reaches the client as it is, and sends nobody to Torpor."""
    setup = behind(proxy)
    wait_for("it is reached past Torpor", lambda: "forwarded" not in seen(setup)["headers"])

    answer = setup.client(NOTES).request("/500", "POST", b"once")

    assert (500, 4) == (answer.status, answer.json["length"])
    assert "x-torpor" not in answer.headers


@pytest.mark.parametrize("proxy", ALL)
def test_websockets_past_torpor(behind: Behind, proxy: str) -> None:
    """The handshake wakes the app as any request does, and messages go both ways."""
    setup = behind(proxy)
    with chat(setup) as socket:
        for text in ("hello", "again"):
            socket.send(text)
            assert text == socket.recv(timeout=30)
    assert 1 == setup.facts("notes")["generation"]


def chat(setup: Setup) -> ClientConnection:
    """A WebSocket to the app past Torpor."""
    return connect(f"ws://{NOTES}/", sock=create_connection(("127.0.0.1", setup.port), 30), open_timeout=30)


@pytest.mark.parametrize(("proxy", "texts"), [("haproxy", []), ("mitmproxy", ["hello"])])
def test_an_open_websocket_past_torpor_is_use(behind: Behind, proxy: str, texts: list[str]) -> None:
    """HAProxy's agent sees that it is open, mitmproxy's addon what is said on it."""
    setup = behind(proxy)
    wait_for("it is reached past Torpor", lambda: "forwarded" not in seen(setup)["headers"])
    with chat(setup) as socket:
        low: float = setup.daemon.apps()["notes"]["idle_in"]

        def anew() -> bool:
            nonlocal low
            for text in texts:
                socket.send(text)
                socket.recv(timeout=30)
            before, low = low, setup.daemon.apps()["notes"]["idle_in"]
            return low > before

        for _ in range(3):
            wait_for("the clock begins anew", anew)


@pytest.mark.parametrize("proxy", ALL)
def test_a_field_in_any_letters_is_passed_on(behind: Behind, proxy: str) -> None:
    """What is no Latin-1 wakes an app as anything else does: no proxy lets it pass unasked."""
    setup = behind(proxy)

    answer = setup.client(NOTES).request(headers={"User-Agent": "日本".encode().decode("latin-1")})

    assert 200 == answer.status, (answer, setup.log)
    assert 1 == setup.facts("notes")["generation"]


@pytest.mark.parametrize("proxy", ALL)
def test_many_first_requests_are_one_start(behind: Behind, proxy: str) -> None:
    """And each gets its answer."""
    setup = behind(proxy)
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda _: setup.client(NOTES).request(), range(40)))
    assert [200] * 40 == [answer.status for answer in answers]
    assert 1 == setup.facts("notes")["generation"]


@pytest.mark.parametrize("proxy", ALL)
def test_it_is_woken_again_after_it_has_slept(behind: Behind, proxy: str) -> None:
    """However lately the proxy has reached it."""
    setup = behind(proxy)
    for _ in range(2):
        wait_for("it is reached past Torpor", lambda: "forwarded" not in seen(setup)["headers"])
        assert 0 == setup.daemon.cli("sleep", "notes").code
        assert 200 == setup.client(NOTES).request("/", "POST", b"x").status
    assert 3 == setup.facts("notes")["generation"]


@pytest.mark.parametrize("proxy", ALL)
def test_an_app_that_is_down_says_so(behind: Behind, proxy: str) -> None:
    """What Torpor refuses is refused in its words."""
    setup = behind(proxy)
    assert 0 == setup.daemon.cli("stop", "notes").code

    answer = setup.client(NOTES).request()

    assert (503, "down", "notes") == (answer.status, answer.headers["x-torpor"], answer.json["app"])
    assert "retry-after" in answer.headers
