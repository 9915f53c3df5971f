"""What is read of a directory, and what is not even opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from projects.layout import lay_out
from torpor.projects import folder
from torpor.projects.folder import look


def test_nothing_but_plain_files_is_read(tmp_path: Path) -> None:
    """A pipe that took a file's place keeps nobody waiting; devices and large files are not read."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "large").write_bytes(b"x" * (folder.MAX_BYTES + 1))
    (tmp_path / "plain").write_bytes(b"\xef\xbb\xbfhello")
    here = look(str(tmp_path))

    assert {"large", "plain"} == here.files
    assert [None] * 4 == [here.read(name) for name in ("pipe", "zero", "large", "none")]
    assert "hello" == here.text("plain")


def test_a_directory_without_end_is_looked_at_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to a limit, and it says so."""
    monkeypatch.setattr(folder, "MAX_ENTRIES", 3)

    here = look(str(lay_out(tmp_path, dict.fromkeys("abcde", ""))))

    assert (3, True) == (len(here.files), here.cut)
