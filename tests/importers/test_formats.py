"""Whose file is it; and what holds for all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from importers.imports import imported
from torpor.cli.importing import NAMES
from torpor.errors import CannotImport
from torpor.importers import place
from torpor.importers.formats import FORMATS, import_files, recognise


@pytest.mark.parametrize(
    ("name", "text", "format"),
    [
        ("supervisord.conf", "", "supervisord"),
        ("site.conf", "; x\n[program:x]\ncommand=a\n", "supervisord"),
        ("x.ini", "[supervisord]\n", "supervisord"),
        ("x.service", "", "systemd"),
        ("no-name", "[Unit]\n[Service]\nExecStart=/x\n", "systemd"),
        ("Procfile", "", "procfile"),
        ("Procfile.dev", "", "procfile"),
        ("dev.procfile", "", "procfile"),
        ("tasks", "web: ./x\n# y\nworker: ./y\n", "procfile"),
        ("docker-compose.prod.yml", "", "compose"),
        ("compose.yaml", "", "compose"),
        ("stack.yml", "services: {x: {image: y}}\n", "compose"),
        ("ecosystem.config.js", "", "pm2"),
        ("api.config.cjs", "", "pm2"),
        ("some.json", '{"apps": [{"script": "a"}]}', "pm2"),
        ("prog.yaml", "", "pm_tiny"),
        ("prog.cfg", "", "pm_tiny"),
        ("list.yaml", "- {name: a, executable: b}\n", "pm_tiny"),
        ("streamlit-launcher", "", "streamlit-launcher"),
        ("backup", "config global 'global'\n\toption memory_threshold '100'\n", "streamlit-launcher"),
    ],
)
def test_a_file_is_recognised(tmp_path: Path, name: str, text: str, format: str) -> None:
    """By its name, or else by what is in it."""
    (tmp_path / name).write_text(text)

    assert format == recognise(str(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.conf", "a b c"),
        ("x.yaml", "a: 1"),
        ("x", ""),
        ("x", "\n" * 10_000 + "?"),
        ("torpor.yaml", "apps: {a: {command: b}}"),
    ],
)
def test_what_cannot_be_told_has_to_be_said(tmp_path: Path, name: str, text: str) -> None:
    """With the words that --format takes."""
    (tmp_path / name).write_text(text)
    with pytest.raises(CannotImport, match="cannot tell whose file this is") as raised:
        recognise(str(tmp_path / name))

    assert "--format: supervisord, pm2" in (raised.value.hint or "")


def test_the_command_line_knows_all_formats() -> None:
    """It names them without loading the importers."""
    assert tuple(FORMATS) == NAMES


def test_several_files_become_one(tmp_path: Path) -> None:
    """Also of several managers."""
    (tmp_path / "Procfile").write_text("web: ./x\n")
    result = imported(tmp_path, "supervisord.conf", "[program:web]\ncommand=y\n", "Procfile")

    assert ["web", "web-2"] == result.apps


@pytest.mark.parametrize(
    "name",
    [
        "Procfile",
        "supervisord.conf",
        "prog.yaml",
        "compose.yml",
        "x.service",
        "ecosystem.json",
        "streamlit-launcher",
    ],
)
def test_a_file_that_is_too_large_is_refused(tmp_path: Path, name: str) -> None:
    """Before it is parsed."""
    (tmp_path / name).write_bytes(b"#" * (place.MAX_BYTES + 1))
    with pytest.raises(CannotImport, match="is larger than 10 MB"):
        import_files([str(tmp_path / name)], str(tmp_path / "torpor.yaml"))


@pytest.mark.parametrize(
    "name",
    [
        "Procfile",
        "supervisord.conf",
        "prog.yaml",
        "compose.yml",
        "x.service",
        "ecosystem.json",
        "streamlit-launcher",
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, name: str) -> None:
    """A missing file, and one that is no text."""
    with pytest.raises(CannotImport, match="cannot be read: no such file"):
        import_files([str(tmp_path / name)], str(tmp_path / "torpor.yaml"))
    (tmp_path / name).write_bytes(b"a\n\xff")
    with pytest.raises(CannotImport, match=":2: is not UTF-8 text"):
        import_files([str(tmp_path / name)], str(tmp_path / "torpor.yaml"))


def test_a_hostile_yaml_is_refused(tmp_path: Path) -> None:
    """Aliases that expand without end are not expanded."""
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{here}: &{here} [{', '.join(['*' + before] * 9)}]\n"
        for before, here in zip("abcdefgh", "bcdefghi", strict=True)
    )
    (tmp_path / "compose.yml").write_text(bomb)
    with pytest.raises(CannotImport, match="holds too much"):
        import_files([str(tmp_path / "compose.yml")], str(tmp_path / "torpor.yaml"))


def test_what_the_machine_lacks_is_a_problem_not_a_refusal(tmp_path: Path) -> None:
    """The text is there, and why it cannot be loaded here is told with its line."""
    file = tmp_path / "Procfile"
    file.write_text("web: x\n")
    (tmp_path / "supervisord.conf").write_text(
        "[program:x]\ncommand=x\nuser=nobody-of-this-name\ndirectory=/not/there\n"
    )
    found = import_files([str(tmp_path / "supervisord.conf")], str(tmp_path / "torpor.yaml"))

    assert "user: nobody-of-this-name" in found.text
    assert 2 == len(found.problems)
    assert "apps.x.working_dir: there is no such directory" in found.problems[0]
