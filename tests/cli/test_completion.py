"""Completion in the shells themselves: a Tab is pressed, and what appears is looked at."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.harness import environment, torpor

SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}
LOAD = {
    "bash": "PS1='> '; bind 'set enable-bracketed-paste off'; source completion.bash; echo load''ed\n",
    "zsh": "PS1='> '; autoload -U compinit; compinit -u -D; source completion.zsh; echo load''ed\n",
}
PATIENCE = 20.0
KILL_LINE = "\x15"
"""Ctrl-U: nothing of what was typed before is left."""


class Shell:
    """A shell on a terminal of its own, with our completion loaded."""

    def __init__(self, name: str, directory: Path, socket: Path) -> None:
        variables = prepare(name, directory, socket)
        self._terminal, theirs = pty.openpty()
        self._process = subprocess.Popen(
            SHELLS[name],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**variables, "TERM": "dumb"},
            cwd=directory,
            start_new_session=True,
        )
        os.close(theirs)
        self.type(LOAD[name])
        self.wait_for("loaded")

    def type(self, keys: str) -> None:
        """Press keys."""
        self.seen = ""
        os.write(self._terminal, keys.encode())

    def wait_for(self, text: str) -> None:
        """Return when it has appeared since the last key."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.seen:
            ready, _, _ = select.select([self._terminal], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{text!r} did not appear: {self.seen!r}"
            self.seen += os.read(self._terminal, 4096).decode(errors="replace")

    def end(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)


def prepare(name: str, directory: Path, socket: Path) -> dict[str, str]:
    """Put the script for a shell, and a `torpor` to be found, into the directory; the shell's environment."""
    script = torpor(socket, "completion", name).stdout
    (directory / f"completion.{name}").write_text(script, encoding="utf-8")
    program = directory / "torpor"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m torpor "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    variables = environment(socket, HOME=str(directory))
    return {**variables, "PATH": f"{directory}:{variables['PATH']}"}


def shell_named(name: str) -> object:
    """A parameter that is skipped where the shell is missing."""
    missing = pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed here")
    return pytest.param(name, marks=missing)


@pytest.fixture(params=[shell_named("bash"), shell_named("zsh")], scope="module")
def shell(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, shared_daemon: Path
) -> Iterator[Shell]:
    """A shell beside the shared daemon."""
    shell = Shell(request.param, tmp_path_factory.mktemp("shell"), shared_daemon)
    yield shell
    shell.end()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "appears"),
    [
        ("torpor resta\t", "torpor restart "),
        ("torpor status no\t", "torpor status notes "),
        ("torpor restart notes cra\t", "torpor restart notes crashy "),
        ("torpor down --keep\t", "torpor down --keep-apps "),
        ("torpor signal notes WIN\t", "torpor signal notes WINCH "),
        ("torpor init --template streaml\t", "torpor init --template streamlit "),
        ("torpor config sche\t", "torpor config schema "),
        ("torpor up -c ./compl\t", "torpor up -c ./completion."),
    ],
)
def test_a_tab_completes(shell: Shell, typed: str, appears: str) -> None:
    """Verbs, names of apps, options, values and files."""
    shell.type(f"{KILL_LINE}{typed}")

    shell.wait_for(appears.removeprefix(typed.rstrip("\t")))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed here")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("torpor resta", "restart\tStop apps and start them afresh."),
        ("torpor status no", "notes\tready"),
        ("torpor down --keep", "--keep-apps\tLeave the apps running, for the next daemon to take on."),
        ("torpor signal notes WIN", "WINCH"),
    ],
)
def test_fish_offers(tmp_path: Path, shared_daemon: Path, typed: str, offered: str) -> None:
    """The same, with what each is, to the end of the sentence."""
    variables = prepare("fish", tmp_path, shared_daemon)
    said = subprocess.run(
        ["fish", "--no-config", "-c", f"source completion.fish; complete -C '{typed}'"],
        env=variables,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert offered in said.stdout.splitlines()
