"""State and socket lie where the standards say, and asking costs nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from torpor.config.paths import LONGEST_SOCKET_PATH, socket_path, state_dir
from torpor.errors import StateUnusable

USER = {"HOME": "/home/u"}


@pytest.mark.parametrize(
    ("expected", "uid", "environ"),
    [
        ("/srv/t", 1000, {"TORPOR_HOME": "/srv/t", "XDG_STATE_HOME": "/x"}),
        ("/srv/t", 0, {"TORPOR_HOME": "/srv/t"}),
        ("/var/lib/torpor", 0, {"XDG_STATE_HOME": "/x"}),
        ("/x/torpor", 1000, {"XDG_STATE_HOME": "/x"}),
        ("/home/u/.local/state/torpor", 1000, USER),
        ("/home/u/.local/state/torpor", 1000, USER | {"XDG_STATE_HOME": "relative"}),
    ],
)
def test_where_the_state_lies(
    expected: str, uid: int, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """$TORPOR_HOME, root's place, the user's."""
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert expected == state_dir(environ)


@pytest.mark.parametrize(
    ("expected", "uid", "environ"),
    [
        ("/tmp/s", 1000, {"TORPOR_SOCKET": "/tmp/s", "XDG_RUNTIME_DIR": "/run/user/1"}),
        ("/tmp/s", 0, {"TORPOR_SOCKET": "/tmp/s"}),
        ("/run/torpor/torpor.sock", 0, {"XDG_RUNTIME_DIR": "/run/user/0"}),
        ("/run/user/1/torpor/torpor.sock", 1000, {"XDG_RUNTIME_DIR": "/run/user/1"}),
        ("/home/u/.local/state/torpor/torpor.sock", 1000, USER),
        ("/srv/t/torpor.sock", 1000, {"TORPOR_HOME": "/srv/t"}),
    ],
)
def test_where_the_socket_lies(
    expected: str, uid: int, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """$TORPOR_SOCKET, root's place, the runtime directory, else beside the state."""
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert expected == socket_path(environ)


def test_a_path_that_no_socket_can_have_is_refused() -> None:
    """The kernel's limit is told with a way out, before anything is bound."""
    assert "/" + "x" * 106 == socket_path({"TORPOR_SOCKET": "/" + "x" * (LONGEST_SOCKET_PATH - 1)})
    with pytest.raises(StateUnusable, match="has 109 bytes") as caught:
        socket_path({"TORPOR_SOCKET": "/" + "é" * 54})
    assert "Set TORPOR_SOCKET to a shorter path." == caught.value.hint


def test_asking_imports_nothing_heavy() -> None:
    """The command line's fast path pays for no parser."""
    code = "import sys, torpor.config.paths; print(*sorted({'yaml', 'msgspec', 'asyncio', 'pathlib'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "" == done.stdout.strip()
