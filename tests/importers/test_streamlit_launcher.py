"""The Streamlit launcher's file as a torpor.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from importers.imports import Result, imported
from torpor.errors import CannotImport
from torpor.importers.uci import parse_uci
from torpor.importers.values import from_yaml

NAME = "streamlit-launcher"
CLASSIC = """
config global 'global'
\t# Enable the launcher daemon
\toption enabled '1'
\toption on_demand '1'
\toption idle_timeout '10'
\toption check_interval '60'
\toption memory_threshold '150'
\toption startup_timeout '45'
\toption tracking_dir '/run/access'
\toption log_level 'info'

config priority 'control'
\toption app 'control'
\toption value '100'
\toption always_on '1'

config priority 'ytdownload'
\toption app 'ytdownload'
\toption value '30'
"""


def uncommented(result: Result, *names: str) -> Any:
    """The apps, with the mark of each line taken away."""
    lines = result.text.partition("apps: {}\n")[2].splitlines()
    text = "\n".join(line.replace("  # ", "  ", 1) for line in lines if "Not an app yet" not in line)
    apps: Any = from_yaml(text, "result")
    assert list(names) == list(apps)
    return apps


def test_the_classic_file(tmp_path: Path) -> None:
    """What holds for all is carried; each app is there but for its script."""
    result = imported(tmp_path, NAME, CLASSIC)

    assert "/run/access" == str(result.settings.tracking_dir)
    assert {"idle_timeout": "10m", "start_timeout": "45s"} == result.file["defaults"]
    control, ytdownload = uncommented(result, "control", "ytdownload").values()
    assert ("true", ["control.localhost"]) == (control["always_on"], control["routes"])
    assert "--server.port $PORT" in control["command"]
    assert "always_on" not in ytdownload
    assert "log_level info: Torpor tells all that happens" in result.comments
    assert [
        f"{name} comes out as a comment: its script is not named; slforge knows it"
        for name in ("control", "ytdownload")
    ] == result.warnings


def test_priorities(tmp_path: Path) -> None:
    """The higher ones stay longer here, too."""
    result = imported(tmp_path, NAME, CLASSIC.replace("'30'", "'0'"))
    apps = uncommented(result, "control", "ytdownload")

    assert ["100", "1"] == [app["priority"] for app in apps.values()]


def test_the_memory_to_keep_free(tmp_path: Path) -> None:
    """In MiB of what the kernel calls available."""
    result = imported(tmp_path, NAME, CLASSIC)

    assert {"keep_free": "150M", "check_interval": "60s"} == result.file["memory"]


def test_what_the_file_leaves_out_is_as_the_launcher_has_it(tmp_path: Path) -> None:
    """Its defaults are not Torpor's."""
    result = imported(tmp_path, NAME, "config global\n")

    assert {"idle_timeout": "30m", "start_timeout": "30s"} == result.file["defaults"]
    assert "/tmp/streamlit-access" == result.file["tracking_dir"]
    assert {} == (result.file["apps"] or {})


def test_the_last_of_several_sections_is_taken_and_told(tmp_path: Path) -> None:
    """As the launcher does it, also where the last one is about all apps."""
    text = """
config priority
\toption app a
\toption value 80
\toption always_on 1
config priority
\toption app '*'
\toption value 20
config priority
\toption app b
\toption value 30
config priority
\toption app b
\toption value 40
"""
    result = imported(tmp_path, NAME, text)
    a, b = uncommented(result, "a", "b").values()

    assert ("false", "false") == (a["always_on"], b["always_on"])
    told = [warning for warning in result.warnings if "takes the last one" in warning]
    assert 2 == len(told)
    assert told[0].startswith("a: config priority at line 2 (value 80, always_on 1) and line 6 (value 20,")
    assert told[1].startswith("b: config priority at line 9 (value 30, always_on 0) and line 12 (value 40,")
    assert "line 9 (value 30, always_on 0)" in result.comments


def test_a_section_for_all_that_comes_first_is_no_conflict(tmp_path: Path) -> None:
    """It says what holds for those that say nothing themselves."""
    text = "config priority\n\toption app '*'\n\toption always_on 1\nconfig priority\n\toption app a\n"
    result = imported(tmp_path, NAME, text)

    assert "true" == result.file["defaults"]["always_on"]
    assert "false" == uncommented(result, "a")["a"]["always_on"]
    assert not any("last one" in warning for warning in result.warnings)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("option enabled '0'", "enabled 0: Torpor has no such switch"),
        ("option on_demand 0", "on_demand 0: a request wakes every app that has `routes`"),
        ("option enabled maybe", "enabled maybe: 'maybe' is neither yes nor no"),
        ("option idle_timeout soon", "idle_timeout soon: 'soon' is not a whole number"),
        ("option tracking_dir track", "tracking_dir track: is not the path of a directory"),
        ("list colour 'a b'", "colour a b: Torpor has no such setting"),
    ],
)
def test_what_cannot_be_carried_is_told(tmp_path: Path, line: str, told: str) -> None:
    """With the reason."""
    assert told in imported(tmp_path, NAME, f"config global\n\t{line}\n").comments


def test_sections_without_meaning_are_told(tmp_path: Path) -> None:
    """Those that the launcher skips, and those of others."""
    text = "config priority 'nobody'\n\toption value 5\nconfig interface lan\n"
    comments = imported(tmp_path, NAME, text).comments

    assert ":1 config priority nobody: names no app, so the launcher skips it" in comments
    assert ":3 config interface: Torpor knows no such section" in comments


def test_uci_is_read_as_libuci_reads_it() -> None:
    """Quotes of both kinds, comments, lists, and a section that stands twice."""
    text = (
        "package x\n# nothing\nconfig 'a' \"b\" # here\n option one 'it''s' # x\n option two \"q\\\"#\"\n"
        " option three a#b\\ c\n list four 1\n list four '2 3'\nconfig c\nconfig a b\n option one again\n"
    )
    c, a = parse_uci(text, "f")

    assert ("c", "", {}) == (c.type, c.name, c.settings)
    assert {"one": "again", "two": 'q"#', "three": "a#b c", "four": ["1", "2 3"]} == a.settings


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("config a\noption b 'c\n", "f:2: a quote is not closed"),
        ("option a b\n", "f:1: a setting stands before the first section"),
        ("config a\n\noption b c d\n", "f:3: is none of"),
        ("a: b\n", "f:1: is none of"),
    ],
)
def test_what_is_no_uci_is_refused(text: str, complaint: str) -> None:
    """With the line."""
    with pytest.raises(CannotImport, match=complaint):
        parse_uci(text, "f")
