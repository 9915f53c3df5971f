"""What the importers' comments advise exists: verbs with their options, settings, and values that they take."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
import yaml

from torpor.cli.app import torpor
from torpor.config import declarations
from torpor.config.scalars import parse_scalar
from torpor.core.model import Condition, OnWatchdog
from torpor.importers import formats

SOURCES = sorted(Path(formats.__file__).parent.glob("*.py"))
THEIRS = frozenset(
    {
        "pm_tiny",
        "process_num",
        "redirect_stderr",
        "sd_notify",
        "start_period",
        "ready",
        "tick",
        "done",
        "torpor",
    }
)
"""Words in comments that are no settings of Torpor."""


def by_name(path: Path) -> str:
    """The id of a test about a file."""
    return path.name


def settings() -> set[str]:
    """Every key of the configuration, at whatever depth."""
    structs = [one for one in vars(declarations).values() if isinstance(one, type)]
    return {
        field.encode_name
        for one in structs
        if issubclass(one, msgspec.Struct)
        for field in msgspec.structs.fields(one)
    }


def prose(path: Path) -> Iterator[str]:
    """The texts of a module that are for people, with what a file said in their place as `…`.

    A setting of the file that a comment begins with is taken away.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if id(node) in documentation | inside:
            continue
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
            text = "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        if " " in text.strip() and not re.search(r"\\[bsw.]|\(\?", text):
            yield re.sub(r"^[\w.]+[:=]", "", text)


def test_the_texts_are_found() -> None:
    """As many as there are, or the other tests say nothing."""
    assert len([text for path in SOURCES for text in prose(path)]) > 200


@pytest.mark.parametrize("path", SOURCES, ids=by_name)
def test_advised_commands_can_be_typed(path: Path) -> None:
    """`torpor VERB --option` has the verb and the option."""
    root = click.Context(torpor)
    for text in prose(path):
        for line in re.findall(r"`torpor ([a-z][^`]*)", text):
            verb, *rest = line.split()
            command = torpor.get_command(root, verb)
            assert command is not None, text
            options = {option for param in command.params for option in param.opts}
            assert [] == [word for word in rest if word.startswith("-") and word not in options], text


@pytest.mark.parametrize("path", SOURCES, ids=by_name)
def test_advised_settings_exist(path: Path) -> None:
    """Words in code type, and words with an underscore, are settings, words that such take, or on the list of others' words."""
    known = settings() | {*Condition} | {*OnWatchdog} | THEIRS
    for text in prose(path):
        quoted = re.findall(r"`([a-z_]+)`", text)
        words = re.findall(r"(?<![\w{%(])[a-z]+(?:_[a-z]+)+\b(?![\w=])", text)
        assert [] == [word for word in {*quoted, *words} if word not in known], text


@pytest.mark.parametrize("path", SOURCES, ids=by_name)
def test_advised_values_are_taken(path: Path) -> None:
    """`key: value` in code type, and `key: {…}` anywhere, would be loaded."""
    for text in prose(path):
        for piece in [*re.findall(r"`([a-z_]+: [^`]+)`", text), *re.findall(r"\b[a-z_]+: \{[^{}]*\}", text)]:
            if piece.startswith("name: "):  # a line of a Procfile
                continue
            said: Any = yaml.safe_load(piece.replace("…", "x").replace("N}", "5}"))
            shape = declarations.App if set(said) <= set(fields(declarations.App)) else declarations.File
            msgspec.convert(said, shape, dec_hook=parse_scalar)


def fields(struct: type[msgspec.Struct]) -> list[str]:
    """The keys of a map."""
    return [field.encode_name for field in msgspec.structs.fields(struct)]
