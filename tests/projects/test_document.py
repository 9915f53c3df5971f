"""The file that `torpor init` writes is read back by Torpor as it was meant."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from projects.layout import lay_out
from projects.test_recognise import PROJECTS
from torpor.config.load import load
from torpor.config.settings import ProcessSpec
from torpor.projects.document import MODELINE, SCHEMA, document
from torpor.projects.found import App, Setting
from torpor.projects.lay_down import TEMPLATES, lay_down
from torpor.projects.recognise import recognise
from torpor.projects.settings import command_text

LISTEN = "127.0.0.1:8080"
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(
    lambda word: word not in {"&&", "||", "|", ">", ">>", "<", ";", "&", "2>&1"}
)


def written(directory: Path, *apps: App) -> Path:
    """A configuration with these apps in the directory."""
    path = directory / "torpor.yaml"
    path.write_text(document(apps, LISTEN), encoding="utf-8")
    return path


def only_process(path: Path) -> ProcessSpec:
    """The process of the only app of a configuration."""
    (app,) = load(path).apps
    assert isinstance(app.workload, ProcessSpec)
    return app.workload


@given(
    st.lists(WORDS, min_size=1), st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_command_is_read_back_word_for_word(tmp_path: Path, words: list[str], value: str) -> None:
    """Whatever files are called: quotes, dollars, colons, control characters and all."""
    app = App(
        "kind",
        "app",
        (),
        (Setting("command", command_text(words)), Setting("environment", {"VALUE": value})),
    )

    loaded = only_process(written(tmp_path, app))

    assert (tuple(words), value) == (loaded.command, loaded.environment["VALUE"])


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(str.strip))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@example("echo $$ ${NAME:-x} $$$ $PORT ${PORT}")
def test_any_text_for_a_shell_is_read_back(tmp_path: Path, text: str) -> None:
    """A Procfile's command is the shell's, to the letter: `$$` and `${NAME:-x}` too."""
    app = App("kind", "app", (), (Setting("command", text), Setting("shell", value=True)))

    assert (text,) == only_process(written(tmp_path, app)).command


@pytest.mark.parametrize("name", PROJECTS)
def test_what_is_found_can_be_loaded(tmp_path: Path, name: str) -> None:
    """Of every kind; and nothing but its comments speaks of what was found."""
    project = lay_out(tmp_path / "shop", PROJECTS[name][0])
    found = recognise(str(project))

    (app,) = load(written(project, *found.apps)).apps

    assert "shop" == app.name
    assert all(str(route.host).endswith(".localhost") for route in app.routes)


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_is_recognised(tmp_path: Path, template: str) -> None:
    """As one app, whose configuration can be loaded."""
    lay_down(template, str(tmp_path / "first"))
    found = recognise(str(tmp_path / "first"))

    (app,) = load(written(tmp_path / "first", *found.apps)).apps

    assert ("first", ()) == (app.name, found.remarks)


def test_the_skeleton_is_valid_with_and_without_its_apps(tmp_path: Path) -> None:
    """As it stands, and when the first marks of comment are taken away."""
    path = written(tmp_path)
    assert () == load(path).apps

    head, _, rest = path.read_text(encoding="utf-8").partition("apps:\n")
    path.write_text(f"{head}apps:\n{re.sub('(?m)^  # ?', '  ', rest)}", encoding="utf-8")

    assert ["app", "worker"] == [app.name for app in load(path).apps]


def test_editors_find_the_schema_by_the_first_line(tmp_path: Path) -> None:
    """In the form that the YAML language server reads, as a path from the file."""
    first = written(tmp_path).read_text(encoding="utf-8").splitlines()[0]

    assert first == MODELINE == f"# yaml-language-server: $schema=./{SCHEMA}"


def test_comments_are_said_once(tmp_path: Path) -> None:
    """What holds for all apps is explained with the first."""
    project = lay_out(tmp_path / "all", {"a/index.html": "", "b/index.html": ""})

    text = document(recognise(str(project)).apps, LISTEN)

    assert 1 == text.count("# Browsers lead")
    assert 2 == text.count("routes: ")


def test_long_commands_are_folded_between_words(tmp_path: Path) -> None:
    """Lines stay readable, and the words the same."""
    words = [f"--option-{number}=value" for number in range(20)]
    path = written(tmp_path, App("kind", "app", (), (Setting("command", command_text(["./serve", *words])),)))

    assert all(len(line) <= 100 for line in path.read_text(encoding="utf-8").splitlines())
    assert ("./serve", *words) == only_process(path).command


def test_words_that_need_none_are_not_quoted() -> None:
    """A command stays what one would type."""
    assert "run a.py --port $PORT" == command_text(["run", "a.py", "--port", "$PORT"])
    assert ["a b", "it's", "#1"] == shlex.split(command_text(["a b", "it's", "#1"]))


def test_the_schema_is_small_enough_to_lie_beside(tmp_path: Path) -> None:
    """It is a file in somebody's project."""
    from torpor.config.schema import json_schema

    assert len(msgspec.json.encode(json_schema())) < 100_000
