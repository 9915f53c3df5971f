"""The configuration is looked for where people expect it, and root is careful."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from torpor.config import find
from torpor.config.find import distrust, find_config
from torpor.errors import ConfigNotFound


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A file in each place, best first, by name."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setattr(find, "SYSTEM_FILE", str(tmp_path / "etc.yaml"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    files = {
        "named": tmp_path / "named.yaml",
        "variable": tmp_path / "variable.yaml",
        "cwd": Path("torpor.yaml"),
        "user": tmp_path / "xdg" / "torpor" / "torpor.yaml",
        "system": tmp_path / "etc.yaml",
    }
    for file in files.values():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o644)
    return files


def test_the_best_place_wins(places: dict[str, Path], tmp_path: Path) -> None:
    """-c, $TORPOR_CONFIG, the current directory, the user's, the system's, in this order."""
    environ = {"TORPOR_CONFIG": str(places["variable"]), "XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    assert places["named"] == find_config(str(places["named"]), environ)
    assert places["variable"] == find_config(None, environ)
    del environ["TORPOR_CONFIG"]
    for name in ("cwd", "user", "system"):
        assert places[name] == find_config(None, environ)
        places[name].unlink()
    with pytest.raises(
        ConfigNotFound, match=r"looked for ./torpor.yaml, .*/xdg/torpor/torpor.yaml and .*/etc.yaml"
    ):
        find_config(None, environ)


@pytest.mark.parametrize(("named", "environ"), [("nope.yaml", {}), (None, {"TORPOR_CONFIG": "nope.yaml"})])
def test_a_named_file_must_be_there(
    places: dict[str, Path], named: str | None, environ: dict[str, str]
) -> None:
    """Another file is never taken in its place."""
    with pytest.raises(ConfigNotFound, match=r"no such file: nope\.yaml"):
        find_config(named, environ)


def test_without_xdg_the_home_is_used(places: dict[str, Path], tmp_path: Path) -> None:
    """`~/.config` is the user's place where no variable says otherwise; a relative one does not count."""
    places["cwd"].unlink()
    file = tmp_path / ".config" / "torpor" / "torpor.yaml"
    file.parent.mkdir(parents=True)
    file.touch()
    assert file == find_config(None, {"HOME": str(tmp_path), "XDG_CONFIG_HOME": "xdg"})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
@pytest.mark.parametrize(
    ("owner", "mode", "trusted"),
    [(0, 0o644, True), (1000, 0o644, False), (0, 0o664, False), (0, 0o646, False)],
)
def test_root_trusts_only_its_own_file(tmp_path: Path, owner: int, mode: int, trusted: bool) -> None:
    """A file that somebody else owns or may write gives root no orders, nor does a link to it or of theirs."""
    file, link = tmp_path / "torpor.yaml", tmp_path / "link.yaml"
    file.touch()
    os.chown(file, owner, 0)
    file.chmod(mode)
    link.symlink_to(file)
    assert trusted == (distrust(str(file)) is None)
    assert trusted == (distrust(str(link)) is None)
    os.lchown(link, 1000, 0)
    assert None is not distrust(str(link))


def test_root_goes_on_past_a_file_it_does_not_trust(
    places: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next place is taken; if there is none the message says why the file was left."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    places["cwd"].chmod(0o666)
    assert places["system"] == find_config(None, {"HOME": "/nonexistent"})
    places["system"].unlink()
    with pytest.raises(ConfigNotFound, match="root does not trust it"):
        find_config(None, {"HOME": "/nonexistent"})
