"""Take the pictures of the front page from a real run: docs/images/*.png.

Needs what the tests need (`scripts/test` installs it):  .venv/bin/python docs/make_pictures.py
"""

from __future__ import annotations

import html
import io
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
EXAMPLES = ROOT / "examples"
WIDTH = 880
COLOURS = 64
"""Enough for flat pages; keeps each picture at some ten kilobytes."""

sys.path.insert(0, str(ROOT / "tests"))

from e2e.apps import WITHOUT_FUSS  # noqa: E402  # the tests' harness lies beside the package
from e2e.client import Client  # noqa: E402
from e2e.harness import Daemon  # noqa: E402

TERMINAL = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; padding: 16px 20px; background: #16181d; color: #d7dae0; width: max-content; }}
pre {{ font: 14px/1.45 "DejaVu Sans Mono", monospace; margin: 0; }}
</style><pre>{}</pre>"""
PALETTE = {
    1: "font-weight:bold",
    2: "opacity:.65",
    31: "color:#ff7b72",
    32: "color:#7ee787",
    33: "color:#e3b341",
    34: "color:#79c0ff",
    35: "color:#d2a8ff",
    36: "color:#76e3ea",
    90: "color:#8b949e",
}
"""How SGR codes look."""


def main() -> None:
    """Run the examples, take both pictures, end them."""
    IMAGES.mkdir(exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="torpor-"))
    text = (EXAMPLES / "torpor.yaml").read_text(encoding="utf-8")
    text = text.replace("127.0.0.1:8080", "GATEWAY").replace("working_dir: ./", f"working_dir: {EXAMPLES}/")
    # A warm Streamlit is up before a camera is: let it settle, so that there is something to see.
    text = text.replace("{http: /_stcore/health}", "{http: /_stcore/health, settle: 3s}")
    daemon = Daemon(home, text)
    daemon.start()
    try:
        with chromium() as browser:
            picture_the_waiting_page(daemon, browser)
            picture_the_status(daemon, browser)
    finally:
        daemon.stop()
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser."""
    program = shutil.which("chromium")
    if program is None:
        sys.exit("chromium is missing: sudo apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=WITHOUT_FUSS)
        yield browser
        browser.close()


def picture_the_waiting_page(daemon: Daemon, browser: Browser) -> None:
    """Wake the Streamlit app once, so that there is an estimate; then catch the page during the second wake."""
    daemon.cli("wake", "notes")
    daemon.cli("sleep", "notes")
    page = browser.new_page(viewport={"width": WIDTH, "height": 600}, color_scheme="light")
    page.goto(f"http://notes.localhost:{daemon.port}/", wait_until="domcontentloaded")
    expect(page.get_by_text("/_stcore/health")).to_be_visible()
    page.wait_for_timeout(1500)
    save(page, "waiting-page")
    page.close()
    daemon.wait_for_state("notes", "ready")


def picture_the_status(daemon: Daemon, browser: Browser) -> None:
    """`torpor status` as a terminal shows it, with apps in several states."""
    Client(daemon.port, "api.localhost").request()
    daemon.cli("stop", "chat")
    daemon.wait_for_state("worker", "ready")
    page = browser.new_page(viewport={"width": WIDTH, "height": 100})
    page.set_content(TERMINAL.format("<b>$ torpor status</b>\n" + in_terminal(daemon, "status")))
    width, height = page.evaluate("[document.body.offsetWidth, document.body.offsetHeight]")
    page.set_viewport_size({"width": width, "height": height})
    save(page, "status")
    page.close()


def in_terminal(daemon: Daemon, *arguments: str) -> str:
    """What a command prints on a terminal, as HTML."""
    ours, theirs = pty.openpty()
    environment = daemon.environment | {"TERM": "xterm-256color", "COLUMNS": "110"}
    environment.pop("NO_COLOR")
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        done = subprocess.run(
            [sys.executable, "-m", "torpor", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            check=True,
        )
        assert done.returncode == 0
        os.close(theirs)
        said = b""
        while True:
            try:
                piece = terminal.read(65536)
            except OSError:  # how Linux says that nobody holds the other end any more
                break
            if not piece:
                break
            said += piece
    return with_colours(said.decode().replace("\r\n", "\n"))


def with_colours(text: str) -> str:
    """SGR sequences as spans."""
    out, opened = [], 0
    for piece in re.split(r"(\x1b\[[0-9;]*m)", text):
        code = re.fullmatch(r"\x1b\[([0-9;]*)m", piece)
        if code is None:
            out.append(html.escape(piece))
            continue
        numbers = [int(number or 0) for number in code[1].split(";")]
        if 0 in numbers:
            out.append("</span>" * opened)
            opened = 0
        styles = ";".join(PALETTE[number] for number in numbers if number in PALETTE)
        if styles:
            out.append(f'<span style="{styles}">')
            opened += 1
    return "".join(out) + "</span>" * opened


def save(page: Page, name: str) -> None:
    """Keep what the page shows, small."""
    picture = Image.open(io.BytesIO(page.screenshot()))
    picture.convert("RGB").quantize(COLOURS).save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
