"""The examples as the README runs them."""

from __future__ import annotations

from pathlib import Path

from e2e.apps import EXAMPLES
from e2e.client import Client
from e2e.harness import Daemon, Launch


def test_the_examples_run_as_they_are_shipped(launch: Launch) -> None:
    """examples/torpor.yaml is valid as it stands; its worker works and its web apps wake."""
    text = (EXAMPLES / "torpor.yaml").read_text(encoding="utf-8")
    assert "127.0.0.1:8080" in text
    # Another port, and elsewhere than beside its apps: nothing else is changed.
    text = text.replace("127.0.0.1:8080", "GATEWAY").replace("working_dir: ./", f"working_dir: {EXAMPLES}/")
    daemon = launch(text)

    daemon.wait_for_state("worker", "ready")
    assert ["at work"] == daemon.cli("logs", "worker").out.splitlines()[:1]
    assert {"hello": "you"} == Client(daemon.port, "api.localhost").request("/hello/you").json
    for name in ("chat", "notes"):  # only a page load may wake these
        Client(daemon.port, f"{name}.localhost").navigate()
        daemon.wait_for_state(name, "ready")
    assert "<title>Chat</title>" in Client(daemon.port, "chat.localhost").request().text
    assert "<title>Clock</title>" in Client(daemon.port, "clock.localhost").request().text
    assert "Streamlit" in Client(daemon.port, "notes.localhost", timeout=60).request().text


def test_the_examples_file_passes_its_own_check(home: Path) -> None:
    """`torpor config check` finds nothing to say about the file that newcomers copy from."""
    daemon = Daemon(home, "")

    ran = daemon.cli("config", "check", str(EXAMPLES / "torpor.yaml"))

    assert (0, "") == (ran.code, ran.err)


def test_the_readme_names_the_address_that_the_examples_listen_on() -> None:
    """A newcomer opens what the README says."""
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")

    assert "http://notes.localhost:8080" in readme
