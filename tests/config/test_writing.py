"""Lines of YAML that we write, alone and among those of a person."""

from __future__ import annotations

import os
import random
import stat
from pathlib import Path
from typing import Any

import pytest

from torpor.config.additions import Additions, load_all
from torpor.config.document import read_document
from torpor.config.inserting import insert, replace_file
from torpor.config.load import load
from torpor.config.problems import Problems
from torpor.config.saving import addition_text, save_into
from torpor.config.writing import app_lines, literal
from torpor.errors import ConfigInvalid, ConfigUnwritable, StateUnusable

NEW = app_lines("new", {"command": "sleep 9"})


def _read(text: str) -> Any:
    problems = Problems()
    document = read_document("x", text.encode(), {"HOME": "/root"}, problems)
    assert not problems, problems.sorted()
    assert document is not None
    return document.data


TRICKY = ["yes", "1", "1.5", "~", "", " a", "a ", "a: b", "a #b", "#a", "- a", "{a}", "[a]", "*a", "&a", "!a", "|", ">", "'", '"', "\\", "a\nb", "\t", "\x00", "\x7f", "\x85", "\u2028", "\ufeff", "é", "😀", "null", "true", "0x10", "0o7", ".5", ".inf", "a:", "@a", "`a", "%a", "a\\nb", "$PORT", "${PORT}", "${HOME}", "$$", "$${HOME}", "${", "$", "a, b", "? a", "---", "...", "<<"]  # fmt: skip


@pytest.mark.parametrize("text", TRICKY)
def test_text_is_read_back_as_it_was(text: str) -> None:
    """As a value, as a key, and inside of a list, with no variable filled in."""
    settings = {"a": literal(text), "list": [literal(text), "x"], "map": {"k" + literal(text): literal(text)}}

    data = _read("apps:\n" + "\n".join(app_lines("web", settings)) + "\n")

    assert text == data["apps"]["web"]["a"]
    assert [text, "x"] == data["apps"]["web"]["list"]
    assert text in data["apps"]["web"]["map"].values()


def test_any_text_is_read_back_as_it_was() -> None:
    """Random text of the characters that mean something to YAML or to us."""
    dice = random.Random(7)
    for _ in range(3000):
        text = "".join(dice.choices("ab01 .:#-{}[]$'\"\\\n\t,&*!|>%@`~?=é\x01", k=dice.randint(0, 8)))
        data = _read(
            "apps:\n" + "\n".join(app_lines("web", {"a": literal(text), "b": [literal(text)]})) + "\n"
        )
        assert (text, [text]) == (data["apps"]["web"]["a"], data["apps"]["web"]["b"])


def test_values_that_are_no_text_keep_their_kind() -> None:
    """Numbers, truth values, nothing, lists and maps."""
    settings = {
        "a": 1,
        "b": 0.5,
        "c": True,
        "d": None,
        "e": {"A": None, "B": 2},
        "f": [{"host": "x"}],
        "g": {},
    }

    assert {"web": settings} == _read("apps:\n" + "\n".join(app_lines("web", settings)) + "\n")["apps"]


BEFORE_AND_AFTER = {
    "at the end": ("apps:\n  a:\n    command: x\n", "apps:\n  a:\n    command: x\n@"),
    "no line end": ("apps:\n  a:\n    command: x", "apps:\n  a:\n    command: x\n@"),
    "before the next key": (
        "apps:\n  a:\n    command: x\n\n# the door\ngateway:\n  listen: 1\n",
        "apps:\n  a:\n    command: x\n@\n# the door\ngateway:\n  listen: 1\n",
    ),
    "after a comment of the last app": (
        "apps:\n  a:\n    command: x\n    # always_on: true\n  # b: later\n\n# end\n",
        "apps:\n  a:\n    command: x\n    # always_on: true\n  # b: later\n@\n# end\n",
    ),
    "as far in as the others": (
        "apps:\n    a:\n        command: x\n",
        "apps:\n    a:\n        command: x\n    new:\n      command: sleep 9\n",
    ),
    "apps that are still empty": ("apps:\ngateway:\n  listen: 1\n", "apps:\n@gateway:\n  listen: 1\n"),
    "no apps at all": ("gateway:\n  listen: 1\n", "gateway:\n  listen: 1\n\napps:\n@"),
    "an empty file": ("", "apps:\n@"),
    "comments alone": ("# mine\n", "# mine\napps:\n@"),
    "a document's end": (
        "---\napps:\n  a:\n    command: x\n...\n",
        "---\napps:\n  a:\n    command: x\n@...\n",
    ),
    "anchors": (
        "x-base: &b\n  command: x\napps:\n  a:\n    <<: *b\n",
        "x-base: &b\n  command: x\napps:\n  a:\n    <<: *b\n@",
    ),
    "a block of text": (
        "apps:\n  a:\n    shell: true\n    command: |\n      echo\n      # no comment\n\ngateway: {}\n",
        "apps:\n  a:\n    shell: true\n    command: |\n      echo\n      # no comment\n@\ngateway: {}\n",
    ),
}


@pytest.mark.parametrize("name", BEFORE_AND_AFTER)
def test_lines_are_added_and_nothing_else_changes(name: str) -> None:
    """Comments, order and blank lines stay byte for byte; the file means what it did, and the new app."""
    before, after = BEFORE_AND_AFTER[name]
    for end in ("\n", "\r\n"):
        given = before.replace("\n", end).encode()
        found = insert(given, [NEW])
        assert found is not None
        expected = after.replace("@", "".join(line + "\n" for line in NEW)).replace("\n", end)
        if "\n" in before or end == "\n":  # without any line end there is no telling which one
            assert expected == found[0].decode()
        assert b"  new:" in found[0].splitlines()[found[1] - 1]
    assert {"new": {"command": "sleep 9"}}.items() <= _read(after.replace("@", "\n".join(NEW) + "\n"))[
        "apps"
    ].items()


@pytest.mark.parametrize("text", ["apps: {a: {command: x}}\n", "{apps: {}}\n", "apps: {}\n", "- a\n", "a: [\n", "apps: 3\n"])  # fmt: skip
def test_a_file_that_takes_no_lines_is_left_alone(text: str) -> None:
    """There is no guessing in a file of another form."""
    assert insert(text.encode(), [NEW]) is None


def test_a_file_keeps_its_mode_and_a_link_stays_a_link(tmp_path: Path) -> None:
    """What is replaced is the file, not how it is found or who may read it."""
    file, link = tmp_path / "real.yaml", tmp_path / "torpor.yaml"
    file.write_bytes(b"old")
    file.chmod(0o640)
    link.symlink_to(file)

    replace_file(link, b"old", b"new")

    assert link.is_symlink()
    assert b"new" == file.read_bytes()
    assert 0o640 == stat.S_IMODE(file.stat().st_mode)
    assert {"real.yaml", "torpor.yaml"} == set(os.listdir(tmp_path))


def test_a_file_that_was_changed_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    """Somebody's editor may have been quicker."""
    file = tmp_path / "torpor.yaml"
    file.write_bytes(b"newer")

    with pytest.raises(ConfigUnwritable, match="changed meanwhile"):
        replace_file(file, b"old", b"new")

    assert b"newer" == file.read_bytes()
    assert ["torpor.yaml"] == os.listdir(tmp_path)


def _configuration(tmp_path: Path, apps: str) -> Path:
    file = tmp_path / "torpor.yaml"
    file.write_text(f"defaults:\n  idle_timeout: 7m\napps:\n{apps}")
    return file


def test_an_addition_is_read_as_if_it_were_included(tmp_path: Path) -> None:
    """The defaults of the main file hold for it, and it may need apps of that file."""
    source = _configuration(tmp_path, "  db:\n    command: x\n")
    additions = Additions(tmp_path / "apps")
    additions.write(
        "web", "\n".join(["apps:", *app_lines("web", {"command": "y", "depends_on": ["db"]})]).encode()
    )

    settings = load(source, additions=additions.files())

    assert ["db", "web"] == [app.name for app in settings.apps]
    assert 420.0 == settings.apps[1].lifecycle.idle_timeout
    assert [False, True] == [settings.origins[name].added for name in ("db", "web")]
    assert 0o600 == stat.S_IMODE(additions.path("web").stat().st_mode)


def test_an_addition_that_cannot_be_used_keeps_nobody_down(tmp_path: Path) -> None:
    """A daemon that comes up leaves it out, with what builds on it, and says why; a person is told otherwise."""
    source = _configuration(tmp_path, "  db:\n    command: x\n")
    additions = Additions(tmp_path / "apps")
    added: dict[str, dict[str, object]] = {
        "bad": {"working_dir": "/nowhere"},
        "on-bad": {"depends_on": ["bad"]},
        "good": {},
    }
    for name, more in added.items():
        lines = ["apps:", *app_lines(name, {"command": "y", **more})]
        additions.write(name, "\n".join(lines).encode())

    settings, problems = load_all(source, additions)

    assert ["db", "good"] == [app.name for app in settings.apps]
    assert 2 == len(problems)
    with pytest.raises(ConfigInvalid):
        load(source, additions=additions.files())


def test_a_broken_configuration_is_refused_with_or_without_additions(tmp_path: Path) -> None:
    """Only what was added may be left out."""
    with pytest.raises(ConfigInvalid):
        load_all(_configuration(tmp_path, "  db:\n    comand: x\n"), Additions(tmp_path / "apps"))


def test_an_addition_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """A file lies where the directory should be."""
    (tmp_path / "apps").write_text("")

    with pytest.raises(StateUnusable, match="cannot write"):
        Additions(tmp_path / "apps").write("web", b"")


@pytest.mark.parametrize("shape", ["../mine", "a/b", "{}/mine", ".hidden", ""])
def test_only_files_of_additions_are_deleted(tmp_path: Path, shape: str) -> None:
    """What is no app's name leads to no file, wherever it would lead to."""
    additions = Additions(tmp_path / "apps")
    (tmp_path / "apps/a").mkdir(parents=True)
    theirs = [tmp_path / "mine.yaml", tmp_path / "apps/a/b.yaml", tmp_path / "apps/.hidden.yaml"]
    theirs += [tmp_path / "apps/.yaml"]
    for file in theirs:
        file.write_text("apps: {}\n")
    name = shape.format(tmp_path)

    assert not additions.remove(name)
    with pytest.raises(ValueError, match="no name"):
        additions.path(name)
    assert all(file.exists() for file in theirs)


def test_an_addition_may_say_again_what_the_configuration_says(tmp_path: Path) -> None:
    """That is what a daemon leaves that dies while it saves; one that says more, or otherwise, is told how to go."""
    source = _configuration(tmp_path, "  web:\n    command: y\n    working_dir: /\n")
    additions = Additions(tmp_path / "apps")
    same = {"command": "y", "working_dir": "/"}
    additions.write("web", addition_text("web", same))

    settings = load(source, additions=additions.files())

    assert [False] == [settings.origins[app.name].added for app in settings.apps]
    assert (additions.path("web"),) == settings.spare
    for text in (
        addition_text("web", {**same, "always_on": True}),
        addition_text("web", same) + b"  other: {command: z}\n",
    ):
        additions.write("web", text)
        with pytest.raises(ConfigInvalid, match=r"torpor\.yaml:4:3; `torpor rm web` removes"):
            load(source, additions=additions.files())


TOUCHED = {
    "a space that nobody sees": ("apps: \n  new:\n    command: sleep 9\n", "  new:\n    command: sleep 9\n"),
    "further in": ("apps:\n    new:\n      command: sleep 9\n", "  new:\n    command: sleep 9\n"),
    "less far in": ("apps: # mine\n new:\n  command: sleep 9\n", "  new:\n   command: sleep 9\n"),
    "comments": (
        "# why\napps:\n  # what\n  new:\n    command: sleep 9\n\n    nice: 1 # low\n",
        "  # what\n  new:\n    command: sleep 9\n\n    nice: 1 # low\n",
    ),
    "in one line": ("apps: {new: {command: sleep 9}}\n", None),
    "defaults of its own": ("defaults: {nice: 1}\napps:\n  new:\n    command: sleep 9\n", None),
}


@pytest.mark.parametrize("name", TOUCHED)
def test_an_addition_that_a_person_touched_is_saved_or_refused(tmp_path: Path, name: str) -> None:
    """Its lines move as they are; where that cannot be the way to go is told."""
    text, lines = TOUCHED[name]
    source, additions = tmp_path / "torpor.yaml", Additions(tmp_path / "apps")
    before = "defaults:\n  working_dir: /\napps:\n  db:\n    command: x\n"
    source.write_text(before)
    additions.write("new", text.encode())

    if lines is None:
        with pytest.raises(ConfigUnwritable, match="by hand") as refused:
            save_into(source, additions, ["new"])
        assert "`torpor rm new`" in str(refused.value.hint)
        assert before == source.read_text()
    else:
        save_into(source, additions, ["new"])
        assert before + lines == source.read_text()


def test_lines_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    """Whoever has the right to write them can do it by hand."""
    source, additions = _configuration(tmp_path, "  db:\n    command: x\n"), Additions(tmp_path / "apps")
    additions.write("new", addition_text("new", {"command": "sleep 9", "working_dir": "/"}))
    real = tmp_path / "a name that leaves no room for another one beside it".ljust(250, "_")
    source.rename(real)
    source.symlink_to(real)

    with pytest.raises(ConfigUnwritable, match="cannot write") as refused:
        save_into(source, additions, ["new"])

    assert "  new:\n    command: sleep 9\n" in str(refused.value.hint)
