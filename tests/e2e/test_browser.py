"""The main job: a Streamlit app that sleeps until a person opens it in a real browser.

The screenshots that it takes are kept in `.artifacts/screens/`.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from e2e.apps import WITHOUT_FUSS, app, config, example, notes
from e2e.harness import Daemon, Launch
from e2e.test_supervision import member

pytestmark = pytest.mark.browser

SCREENS = Path(__file__).parents[2] / ".artifacts" / "screens"
SLOW = 60_000
"""Milliseconds that a cold Streamlit may take to draw its page on a busy machine."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, headless, that talks to nobody on its own account."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium is not None, "chromium is missing: scripts/test installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=WITHOUT_FUSS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh tab with no past."""
    context = browser.new_context(viewport={"width": 900, "height": 700})
    context.set_default_timeout(SLOW)
    yield context.new_page()
    context.close()


def shoot(page: Page, name: str) -> None:
    """Keep what the browser shows now."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENS / f"{name}.png")


def state_and_generation(daemon: Daemon, app: str) -> tuple[str, int]:
    """How the app is, and how often it was started."""
    facts = daemon.apps()[app]
    return facts["state"], facts["generation"]


@pytest.mark.timeout(240)
def test_a_streamlit_app_sleeps_until_a_browser_knocks(launch: Launch, home: Path, page: Page) -> None:
    """Cold page, waiting page, the app and its WebSocket, idle, asleep, and awake again on reload."""
    daemon = launch(config(notes(home / "notes.txt", idle_timeout="3s", wake_on="navigation")))
    url = f"http://notes.localhost:{daemon.port}/"
    assert "asleep" == daemon.apps()["notes"]["state"]

    first = page.goto(url, wait_until="domcontentloaded")
    assert first is not None
    assert 503 == first.status
    assert "waking" == first.headers["x-torpor"]
    expect(page.get_by_text("notes").first).to_be_visible()
    shoot(page, "1-waiting")

    # Nobody presses anything: the waiting page gives way to the app.
    expect(page.get_by_role("heading", name="Notes", exact=True)).to_be_visible(timeout=SLOW)
    page.get_by_role("button", name="Click me").click()
    expect(page.get_by_text("Clicked 1 times")).to_be_visible(timeout=SLOW)
    page.get_by_label("New note").fill("buy milk")
    page.get_by_role("button", name="Keep it").click()
    expect(page.get_by_text("buy milk")).to_be_visible(timeout=SLOW)
    shoot(page, "2-app")

    # The tab stays open with its WebSocket; nobody touches it.  It tries to reconnect, in vain.
    with page.expect_response(lambda reply: reply.headers.get("x-torpor") == "asleep"):
        asleep = daemon.wait_for_state("notes", "asleep")
    assert ("idle", None) == (asleep["cause"], asleep["pid"])
    assert ("asleep", asleep["generation"]) == state_and_generation(daemon, "notes")
    shoot(page, "3-asleep")

    page.goto(url, wait_until="domcontentloaded")
    expect(page.get_by_text("buy milk")).to_be_visible(timeout=SLOW)
    shoot(page, "4-awake-again")
    assert asleep["generation"] < daemon.apps()["notes"]["generation"]
    assert 0 == daemon.apps()["notes"]["restarts"], "waking up is no restart"


def test_two_tabs_share_one_wake(launch: Launch, browser: Browser) -> None:
    """Both tabs see the waiting page and both arrive, after one start."""
    daemon = launch(config(example("api")))
    context = browser.new_context()
    tabs = [context.new_page(), context.new_page()]

    for tab in tabs:
        tab.goto(f"http://api.localhost:{daemon.port}/", wait_until="commit")

    for tab in tabs:
        expect(tab.get_by_text("awake_for_seconds")).to_be_visible(timeout=SLOW)
    context.close()
    assert 1 == daemon.apps()["api"]["generation"]


def test_the_waiting_page_works_without_javascript(launch: Launch, browser: Browser) -> None:
    """The page refreshes itself by its Refresh header alone."""
    daemon = launch(config(example("api")))
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()

    tab.goto(f"http://api.localhost:{daemon.port}/", wait_until="commit")

    expect(tab.get_by_text("awake_for_seconds")).to_be_visible(timeout=SLOW)
    context.close()


def test_a_chat_works_in_the_browser_and_a_stale_tab_leaves_it_asleep(launch: Launch, page: Page) -> None:
    """Typing travels over the WebSocket; after the goodbye the open tab does not wake the app."""
    daemon = launch(config(example("chat", idle_timeout="2s", wake_on="navigation")))
    page.goto(f"http://chat.localhost:{daemon.port}/", wait_until="commit")
    expect(page.get_by_text("connected", exact=True)).to_be_visible(timeout=SLOW)

    page.get_by_placeholder("Say something").fill("hello")
    page.keyboard.press("Enter")
    expect(page.get_by_text("hello")).to_be_visible(timeout=SLOW)
    shoot(page, "chat")
    generation = daemon.wait_for_state("chat", "asleep")["generation"]

    expect(page.get_by_text("the room sleeps")).to_be_visible(timeout=SLOW)
    page.evaluate("connect()")
    expect(page.get_by_text("connection lost")).to_be_visible(timeout=SLOW)
    assert ("asleep", generation) == state_and_generation(daemon, "chat")


def test_the_waiting_page_tells_of_all_that_is_waited_for(launch: Launch, home: Path, page: Page) -> None:
    """The chain of dependencies appears step by step, and the page gives way to the app."""
    diary = home / "diary"
    daemon = launch(
        config(
            member("web", diary, "--warm-up=0.3", depends_on=["api"]),
            member("api", diary, "--warm-up=0.3", depends_on=["db"]),
            member("db", diary, "--warm-up=3"),
        )
    )
    page.goto(f"http://web.localhost:{daemon.port}/", wait_until="domcontentloaded")

    steps = page.locator("[data-torpor=steps] li")
    expect(steps).to_contain_text(["Woken up", "Waking api", "Waking db"])
    expect(page.locator("[data-torpor=reason]")).to_have_text("Waiting for api to be ready")
    expect(page.locator("[data-torpor=limit]")).to_contain_text("at most")
    shoot(page, "waiting-for-others")
    expect(page.locator("body")).to_have_text(re.compile(r"^0 \d+$"), timeout=SLOW)


def test_the_waiting_page_tells_why_something_else_cannot_come(launch: Launch, page: Page) -> None:
    """The visitor reads the reason of the dependency itself, and only that of the present attempt."""
    daemon = launch(
        config(
            app("web", ["sleep", "60"], depends_on=["db"]),
            app("db", ["sh", "-c", "sleep 0.5; exit 3"], start_limit={"failures": 1, "cool_off": "1h"}),
        )
    )
    page.goto(f"http://web.localhost:{daemon.port}/", wait_until="domcontentloaded")

    error = page.locator("[data-torpor=steps] li.error")
    expect(error).to_contain_text("Needs db: exited with code 3")
    expect(page.locator("[data-torpor=reason]")).to_contain_text("Needs db: exited with code 3")
    shoot(page, "cannot-come")
    page.reload(wait_until="domcontentloaded")
    expect(page.locator("[data-torpor=reason]")).to_contain_text("Needs db: exited with code 3")
    expect(error).to_have_count(1)
