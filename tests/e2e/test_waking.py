"""What a client sees of an app that was asleep when it knocked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from e2e.apps import config, example, web
from e2e.client import Client
from e2e.harness import Launch, wait_for


def test_500_first_requests_cause_one_start_and_get_500_answers(launch: Launch) -> None:
    """However many clients come at once to a sleeping ASGI app, it starts once and all are served."""
    daemon = launch(config(example("api")))

    answers = Client(daemon.port, "api.localhost", timeout=60).together(500)

    assert [200] * 500 == [answer.status for answer in answers]
    assert 1 == len({answer.json["pid"] for answer in answers})
    assert 1 == daemon.apps()["api"]["generation"]


def test_a_body_travels_intact_through_a_wake(launch: Launch) -> None:
    """A POST to a sleeping app is held with its body unread and arrives whole."""
    daemon = launch(config(example("api")))
    body = os.urandom(1_500_000)

    answer = Client(daemon.port, "api.localhost").request("/echo", "POST", body)

    assert 200 == answer.status
    assert body == answer.body


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        pytest.param("GET", {"Accept": "*/*"}, id="tool"),
        pytest.param("GET", {"Accept": "application/json"}, id="json"),
        pytest.param("GET", {"Accept": "*/*", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors"}, id="xhr"),
        pytest.param("GET", {"Accept": "image/*", "Sec-Fetch-Dest": "image"}, id="asset"),
        pytest.param("HEAD", {}, id="head"),
        pytest.param(
            "OPTIONS",
            {"Origin": "http://elsewhere.example", "Access-Control-Request-Method": "PUT"},
            id="preflight",
        ),
    ],
)
def test_whoever_is_not_a_navigating_browser_is_held(
    launch: Launch, method: str, headers: dict[str, str]
) -> None:
    """A request that no person looks at gets the app's own answer, never a waiting page."""
    daemon = launch(config(example("api")))

    answer = Client(daemon.port, "api.localhost").request("/", method, headers=headers)

    assert (405 if method == "OPTIONS" else 200) == answer.status
    assert "x-torpor" not in answer.headers
    assert 1 == daemon.apps()["api"]["generation"]


def test_a_navigating_browser_gets_the_waiting_page_at_once(launch: Launch, home: Path) -> None:
    """A page load is answered while the app cannot answer yet, and the answer says what it is."""
    go = home / "go"
    daemon = launch(config(web("web", f"--listen-after={go}")))
    client = Client(daemon.port, "web.localhost")

    page = client.navigate()

    assert 503 == page.status
    assert "waking" == page.headers["x-torpor"]
    assert "no-store" == page.headers["cache-control"]
    assert int(page.headers["retry-after"]) > 0
    assert page.headers["content-type"].startswith("text/html")
    assert "web" in page.text
    go.touch()
    daemon.wait_for_state("web", "ready")
    assert 200 == client.navigate().status


def test_a_wake_that_takes_too_long_is_a_504(launch: Launch, home: Path) -> None:
    """A held client waits for `wake_timeout` and is told so as problem+json."""
    daemon = launch(config(web("web", f"--listen-after={home / 'never'}", wake_timeout="300ms")))

    answer = Client(daemon.port, "web.localhost").request()

    assert 504 == answer.status
    assert "wake-timeout" == answer.headers["x-torpor"]
    assert "application/problem+json" == answer.headers["content-type"]
    assert int(answer.headers["retry-after"]) > 0
    assert 504 == answer.json["status"]


def test_a_full_waiting_room_is_a_503(launch: Launch, home: Path) -> None:
    """One client more than `max_waiting` is refused at once; the others keep their places."""
    go = home / "go"
    daemon = launch(config(web("web", f"--listen-after={go}", max_waiting=2)))
    client = Client(daemon.port, "web.localhost")
    held = [client.in_background(), client.in_background()]
    wait_for("both are held", lambda: daemon.apps()["web"]["waiting"] == 2)

    refused = client.request()

    assert 503 == refused.status
    assert "waiting-room-full" == refused.headers["x-torpor"]
    assert int(refused.headers["retry-after"]) > 0
    go.touch()
    assert [200, 200] == [one.result().status for one in held]


def test_an_app_that_exits_while_starting_fails_all_its_waiters_with_the_reason(
    launch: Launch, home: Path
) -> None:
    """Nobody waits for a dead app: each client learns the exit code long before its own limit."""
    die = home / "die"
    daemon = launch(config(web("web", "--exit=3", f"--exit-after={die}", wake_timeout="10m")))
    client = Client(daemon.port, "web.localhost")
    held = [client.in_background() for _ in range(5)]
    wait_for("all are held", lambda: daemon.apps()["web"]["waiting"] == 5)
    die.touch()

    answers = [one.result() for one in held]

    assert [503] * 5 == [answer.status for answer in answers]
    assert {"start-failed"} == {answer.headers["x-torpor"] for answer in answers}
    for answer in answers:
        assert "code 3" in answer.text
    assert "no database here" in daemon.cli("logs", "web").out


def test_the_wake_goes_on_when_its_client_leaves(launch: Launch, home: Path) -> None:
    """Who knocked may go away; the app becomes ready all the same."""
    go = home / "go"
    daemon = launch(config(web("web", f"--listen-after={go}")))
    knocking = Client(daemon.port, "web.localhost").send()
    wait_for("the client is held", lambda: daemon.apps()["web"]["waiting"] == 1)

    knocking.close()
    wait_for("the client is gone", lambda: daemon.apps()["web"]["waiting"] == 0)
    go.touch()

    assert 1 == daemon.wait_for_state("web", "ready")["generation"]


@pytest.mark.parametrize("habit", ["--unready-for=2", "--mute-for=2"])
def test_an_app_that_listens_before_it_answers_leaks_no_error(launch: Launch, habit: str) -> None:
    """A port that accepts, or a 503 of the app's first two seconds, is not taken for readiness."""
    daemon = launch(config(web("web", habit, readiness={"http": "/"})))

    answers = Client(daemon.port, "web.localhost").together(10)

    assert [200] * 10 == [answer.status for answer in answers]


def test_a_request_while_the_app_stops_gets_the_next_generation(launch: Launch, home: Path) -> None:
    """Who comes while the app is stopping waits for a fresh start; two never run at once."""
    starts, end = home / "starts", home / "end"
    daemon = launch(config(web("web", f"--starts={starts}", f"--stop-after={end}", stop_timeout="1m")))
    client = Client(daemon.port, "web.localhost")
    first = client.request().text
    daemon.cli("sleep", "--no-wait", "web")
    daemon.wait_for_state("web", "stopping")

    late = client.in_background()
    wait_for("the late client is held", lambda: daemon.apps()["web"]["waiting"] == 1)
    assert 1 == len(starts.read_text().split())
    end.touch()

    assert 200 == late.result().status
    assert first != late.result().text
    assert 2 == daemon.apps()["web"]["generation"]


def test_an_awake_app_is_not_delayed_by_the_wake_of_another(launch: Launch, home: Path) -> None:
    """While one app never gets ready, with clients waiting for it, the next one answers as ever."""
    daemon = launch(config(example("api"), web("web", f"--listen-after={home / 'go'}")))
    api = Client(daemon.port, "api.localhost")
    api.request()
    held = Client(daemon.port, "web.localhost").in_background()
    wait_for("the other client is held", lambda: daemon.apps()["web"]["waiting"] == 1)

    answers = api.together(20, "/hello/you")

    assert [200] * 20 == [answer.status for answer in answers]
    assert 1 == daemon.apps()["web"]["waiting"]
    (home / "go").touch()
    assert 200 == held.result().status


def test_an_unknown_host_is_a_404_that_names_it(launch: Launch) -> None:
    """A name without a route is told back to the client, who may have mistyped it."""
    daemon = launch(config(example("api")))

    answer = Client(daemon.port, "nobody.localhost").request()

    assert 404 == answer.status
    assert "nobody.localhost" in answer.text
    assert "x-torpor" in answer.headers


def test_a_stopped_app_refuses_until_it_is_started(launch: Launch) -> None:
    """`stop` is a decision: requests get a 503 that says so, and wake nothing, until `start`."""
    daemon = launch(config(example("api")))
    client = Client(daemon.port, "api.localhost")
    assert 0 == daemon.cli("stop", "api").code

    refused = client.request()

    assert 503 == refused.status
    assert "down" == refused.headers["x-torpor"]
    assert 503 == client.navigate().status
    assert ("asleep", 0) == (daemon.apps()["api"]["state"], daemon.apps()["api"]["generation"])
    assert 0 == daemon.cli("start", "api").code
    assert 200 == client.request().status


@pytest.mark.parametrize("path", ["/_torpor/anything", "/favicon.ico"])
def test_what_nobody_meant_for_the_app_does_not_wake_it(launch: Launch, path: str) -> None:
    """The waiting page's own requests and a browser's hunt for an icon leave the app asleep."""
    daemon = launch(config(example("api")))

    answer = Client(daemon.port, "api.localhost").request(path)

    assert answer.status < 500
    assert ("asleep", 0) == (daemon.apps()["api"]["state"], daemon.apps()["api"]["generation"])
