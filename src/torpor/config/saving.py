"""What `torpor run` wrote down, and how it gets into the configuration file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from torpor.config.additions import Additions
from torpor.config.changes import differences
from torpor.config.document import read_document
from torpor.config.inserting import insert, replace_file
from torpor.config.load import load
from torpor.config.nodes import compose
from torpor.config.origin import Origin
from torpor.config.problems import Problem, Problems
from torpor.config.settings import Settings
from torpor.config.writing import STEP, app_lines, literal
from torpor.errors import BadRequest, ConfigInvalid, ConfigUnwritable, StateUnusable

HEAD = "# Added by `torpor run`: `torpor save` moves it into the configuration, `torpor rm` removes it."
_APPS = "apps:"


def addition_text(name: str, settings: Mapping[str, object], head: str = HEAD) -> bytes:
    """The file of an added app, in which all text stands for itself.  Raises `BadRequest` for what is none."""
    try:
        lines = app_lines(name, {key: as_text(value) for key, value in settings.items()})
        return "\n".join([head, _APPS, *lines, ""]).encode()
    except (ValueError, TypeError) as error:
        raise BadRequest(f"the settings of {name} hold what no file can: {error}") from None


def in_words(invalid: ConfigInvalid, name: str, file: Path, hint: str) -> ConfigInvalid:
    """The problems of an app that is in no file yet, named by its settings and not by their places in `file`."""
    own: list[object] = []
    for problem in invalid.problems:
        if isinstance(problem, Problem) and os.path.realpath(problem.file) == os.path.realpath(file):
            setting = problem.setting.removeprefix(f"apps.{name}").removeprefix(".")
            guess = f" (did you mean '{problem.suggestion}'?)" if problem.suggestion else ""
            own.append(f"{setting or name}: {problem.message}{guess}")
    return ConfigInvalid(tuple(own) or invalid.problems, hint=hint)


def take_out(additions: Additions, name: str, users: Mapping[str, Origin]) -> Mapping[str, Origin]:
    """Delete an added app, and write those anew that name it, without its name; where all is written now.

    Raises `StateUnusable`; then all is as before, as far as the disk still takes it.
    """
    before: dict[str, bytes] = {}
    after: dict[str, Origin] = {}
    try:
        for user, origin in users.items():
            raw = before[user] = additions.read(user)
            text = _without(user, raw, name)
            additions.write(user, text)
            after[user] = _place_again(user, text, origin)
        additions.remove(name)
    except StateUnusable:
        for user, raw in before.items():
            with contextlib.suppress(StateUnusable):
                additions.write(user, raw)
        raise
    return after


_NAMES_OTHERS = ("depends_on", "companions")


def _without(user: str, raw: bytes, other: str) -> bytes:
    document = read_document(user, raw, os.environ, Problems())
    assert document is not None, "it was loaded before"
    settings = dict(document.data["apps"][user])
    for setting in settings.keys() & {*_NAMES_OTHERS}:
        named = settings[setting]
        if isinstance(named, dict):
            settings[setting] = {name: need for name, need in named.items() if name != other}
        else:
            names = [named] if isinstance(named, str) else named
            settings[setting] = [name for name in names if name != other]
    return addition_text(user, settings)


def _place_again(user: str, text: bytes, origin: Origin) -> Origin:
    """Where an app is written once its file, and no other setting than those that name others, has changed."""
    document = read_document(origin.file, text, os.environ, Problems())
    assert document is not None, "we have written it"
    written = []
    for one in origin.written:
        if not one.shared:
            line = document.line(("apps", user, *one.setting.split(".", 1)))
            value = document.data["apps"][user][one.setting] if one.setting in _NAMES_OTHERS else one.value
            written.append(replace(one, line=line, value=value))
        else:
            written.append(one)
    return replace(origin, line=document.line(("apps", user)), written=tuple(written))


def save_into(source: Path, additions: Additions, names: Sequence[str]) -> tuple[Settings, int]:
    """Put added apps into the configuration file; what it comes to then, and the first new line.

    The additions themselves are left where they are.  Raises `ConfigInvalid` where the file has
    problems already, and `ConfigUnwritable`; nothing has changed then.
    """
    rest = [file for file in additions.files() if file.stem not in names]
    before = load(source, additions=additions.files())
    try:
        raw = source.read_bytes()
        blocks = [_block(additions.path(name), name, source) for name in names]
    except OSError as error:
        raise ConfigUnwritable(f"cannot read {error.filename}: {error.strerror}") from error
    found, after = insert(raw, blocks), None
    if found is not None:
        with contextlib.suppress(ConfigInvalid):
            after = load(source, additions=rest, texts={source: found[0]})
    text = "\n".join(line for block in blocks for line in block)
    by_hand = f"`torpor rm {' '.join(names)}`, put this below `apps:`, and `torpor apply`:\n{text}"
    if found is None or after is None or differences(before, after):
        raise ConfigUnwritable(
            f"{source} is written in a way that lines cannot be added to safely", hint=by_hand
        )
    try:
        replace_file(source, raw, found[0])
    except ConfigUnwritable as refused:
        if not isinstance(refused.__cause__, OSError):
            raise
        hint = f"{refused.hint} Or, by hand: {by_hand}"
        raise ConfigUnwritable(refused.message, hint=hint) from refused.__cause__
    return after, found[1]


def _block(file: Path, name: str, source: Path) -> list[str]:
    """The lines of an added app, `STEP` spaces in.  Raises `ConfigUnwritable`, `OSError`.

    We wrote the file, but nobody promised that a person would not: its own comments go along.
    """
    text = file.read_text(encoding="utf-8-sig")
    root = compose(text)
    keys = list(root.pairs()) if root is not None and root.kind == "map" else []
    apps, inner = keys[0] if len(keys) == 1 else (None, None)
    if apps is None or inner is None or inner.kind != "map" or not inner.items or inner.line <= apps.line:
        raise ConfigUnwritable(
            f"{file} was written by hand, in a way that its lines cannot be moved",
            hint=f"Write the app into {source}, `torpor rm {name}`, and `torpor apply`.",
        )
    lines = text.splitlines()[apps.line :]
    excess = inner.items[0].column - 1 - STEP
    if excess < 0:
        return [" " * -excess + line if line else line for line in lines]
    return [line[min(excess, len(line) - len(line.lstrip(" "))) :] for line in lines]


def as_text(value: object) -> object:
    """The value, in which no `$` fills in a variable when it is read."""
    if isinstance(value, str):
        return literal(value)
    if isinstance(value, Mapping):
        return {literal(str(key)): as_text(item) for key, item in value.items()}
    return [as_text(item) for item in value] if isinstance(value, list) else value
