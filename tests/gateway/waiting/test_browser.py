"""The page's script and style, tried in a real browser."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from e2e.apps import WITHOUT_FUSS
from gateway.waiting.fakes import NOTES, FakeSeam, head, snapshot
from torpor.core.model import Cause, Phase, Reason
from torpor.gateway.replies import Reply
from torpor.gateway.waiting.room import WaitingRoom

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.slow]

APP = Reply(200, (("Content-Type", "text/html"),), b"<link rel=icon href=data:,><h1>the app</h1>")

SLOW = 30_000
"""Milliseconds that a browser may take on a busy machine."""


@pytest.fixture
def anyio_backend() -> str:
    """The browser is what is tried here: one event loop is enough."""
    return "asyncio"


class Stream:
    """A response in pieces on an asyncio connection."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._callbacks: list[Callable[[], None]] = []

    def begin(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        lines = [f"HTTP/1.1 {status} -", *(f"{name}: {value}" for name, value in headers)]
        self._writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode())

    def write(self, data: bytes) -> bool:
        if self._writer.is_closing():
            return False
        self._writer.write(data)
        return True

    def end(self) -> None:
        self._writer.close()
        self.closed()

    def closed(self) -> None:
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def on_close(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)


class Site:
    """A host whose app is `notes`: the page until it is ready, the app from then on."""

    def __init__(self) -> None:
        self.seam = FakeSeam()
        self.gate = self.seam.gates["notes"]
        self.room = WaitingRoom(self.seam)
        self.status_asked = asyncio.Event()
        self.after_page: Callable[[], object] = list
        """Called once a page has been made."""
        self.mute = False
        """Whether connections are closed without an answer."""
        self.streams: list[Stream] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, as the gateway would."""
        try:
            target = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1].decode()
            if target.startswith("/_torpor/status"):
                self.status_asked.set()
            if not self.mute:
                await self._answer(target, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = head(target)
        stream = Stream(writer)
        if target.startswith("/_torpor/"):
            reply = self.room.respond(request, "notes", stream)
            if reply is None:
                self.streams.append(stream)
                await reader.read()
                stream.closed()
                return
        elif self.gate.now.phase is Phase.READY:
            reply = APP
        else:
            reply = self.room.page(self.gate, request)
            self.after_page()
        stream.begin(reply.status, [*reply.headers, ("Content-Length", str(len(reply.body)))])
        stream.write(reply.body)
        await writer.drain()

    def become(self, phase: Phase, kind: str, text: str = "", reason: Reason | None = None) -> None:
        """The app enters `phase`, which is announced as an event of that kind."""
        self.gate.now = snapshot(NOTES, phase, reason=reason, retry_in=0.1)
        self.seam.happen(kind, text)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """The host, listening on loopback."""
    host = Site()
    server = await asyncio.start_server(host.serve, "127.0.0.1", 0)
    host.port = server.sockets[0].getsockname()[1]
    yield host
    server.close()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium."""
    program = shutil.which("chromium")
    assert program is not None, "chromium is missing: scripts/test installs it"
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=program, args=WITHOUT_FUSS)
        yield chromium
        await chromium.close()


async def visit(browser: Browser, site: Site, *, script: bool = True) -> tuple[Page, list[str]]:
    """A tab that has opened the app's address, and what the browser complains about."""
    context = await browser.new_context(java_script_enabled=script)
    page = await context.new_page()
    complaints: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error" and "503" not in message.text:
            complaints.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(f"http://127.0.0.1:{site.port}/a?b=c#part")
    return page, complaints


async def shows(page: Page, text: str) -> None:
    """Wait until the page shows `text`."""
    await expect(page.get_by_text(text)).to_be_visible(timeout=SLOW)


async def test_tabs_follow_the_wake_and_arrive(browser: Browser, site: Site) -> None:
    """Two tabs see every step, then the app, at the address they asked for, fragment included."""
    site.become(Phase.STARTING, "waking")
    tabs = [await visit(browser, site) for _ in range(2)]
    site.become(Phase.STARTING, "waiting", "waiting for http /health")
    for page, _ in tabs:
        await expect(page.locator("li")).to_have_text(
            ["Woken up0.0 s", "Waiting for http /health1.0 s"], timeout=SLOW
        )
    site.become(Phase.READY, "ready")
    for page, complaints in tabs:
        await shows(page, "the app")
        assert page.url.endswith("/a?b=c#part")
        assert [] == complaints


async def test_ready_before_the_script_ran(browser: Browser, site: Site) -> None:
    """An app that becomes ready between the page and its stream is not missed."""
    site.after_page = lambda: site.become(Phase.READY, "ready")
    page, complaints = await visit(browser, site)
    await shows(page, "the app")
    assert [] == complaints


async def test_a_broken_stream(browser: Browser, site: Site) -> None:
    """When the gateway goes away and comes back, the page finds it again."""
    page, _ = await visit(browser, site)
    await shows(page, "Waking up")
    site.become(Phase.STARTING, "starting")
    await shows(page, "Starting")
    site.mute = True
    for stream in site.streams:
        stream.end()
    site.become(Phase.READY, "ready")
    await site.status_asked.wait()
    site.mute = False
    await shows(page, "the app")


async def test_a_failed_start_is_tried_again(browser: Browser, site: Site) -> None:
    """The reason is shown while the app backs off; when it has gone back to sleep the page knocks again."""
    page, complaints = await visit(browser, site)
    reason = Reason(Cause.START_FAILED, "exited with code 3")
    await shows(page, "Waking up")
    site.become(Phase.BACKOFF, "exited", "exited with code 3", reason)
    await shows(page, "Restarting: exited with code 3")
    site.after_page = lambda: site.become(Phase.READY, "ready")
    site.become(Phase.ASLEEP, "asleep", "asleep", reason)
    await shows(page, "the app")
    assert [] == complaints


async def test_without_script(browser: Browser, site: Site) -> None:
    """A browser that runs no script arrives too, even at an address with a fragment."""
    page, _ = await visit(browser, site, script=False)
    await shows(page, "Waking up")
    site.become(Phase.READY, "ready")
    await shows(page, "the app")


async def test_what_an_app_says_stays_text(browser: Browser, site: Site) -> None:
    """Markup in a step that comes over the stream is shown, not obeyed."""
    page, complaints = await visit(browser, site)
    await shows(page, "Waking up")
    site.become(Phase.STARTING, "waiting", "<img src=x onerror=alert(1)>")
    await shows(page, "<img src=x onerror=alert(1)>")
    assert 0 == await page.locator("img").count()
    assert [] == complaints
