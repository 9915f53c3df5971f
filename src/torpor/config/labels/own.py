"""`torpor.*`: any key of an app that does not reach beyond its container.

Labels come with images, too: whoever pulls one has not read them.  So no label names what
the daemon would run or read on this machine; such keys belong into a file.
"""

from __future__ import annotations

from typing import Any

import msgspec.inspect as declared

from torpor.config.apps import NAME
from torpor.config.declarations import App
from torpor.config.document import plain_value, read_document
from torpor.config.explain import declared_type
from torpor.config.labels.draft import Draft, Need
from torpor.config.labels.table import Dialect, Entry, Label
from torpor.config.labels.words import items, truth
from torpor.config.problems import Problems
from torpor.config.writing import literal

ENABLE = "torpor.enable"

_HOOKS = ("pre_start", "post_start", "pre_stop", "post_stop", "stop_command", "reload_command")
_BEYOND = frozenset(
    {"command", "shell", "working_dir", "environment", "env_file", "clean_env", "stdin", "tty", *_HOOKS}
    | {"user", "group", "groups", "umask", "rlimits", "capabilities", "nice", "oom_score_adj"}
    | {"container", "lxc", "vm", "unit", "commands", "address", "keep_awake_if", "activation"}
)
"""Keys of what runs on this machine, or of where else an app may be."""
_BEYOND_INSIDE = frozenset({("loading_page", "template")})
_SEVERAL = frozenset({"routes", "depends_on", "companions", "member_of", "wake_paths", "exit_codes", "codes"})
"""Keys whose values are lists where they hold commas.  Others mean their commas: commands, days of a schedule."""


def _enable(_draft: Draft, label: Label) -> None:
    truth(label.value)


def _name(draft: Draft, label: Label) -> None:
    if not NAME.fullmatch(label.value):
        raise ValueError(
            f"'{label.value}' is no name for an app: up to 63 of a-z, 0-9, '.', '_' and '-', "
            "beginning with a letter or digit"
        )
    draft.name = label.value


def _network(draft: Draft, label: Label) -> None:
    draft.network = draft.network or label.value


def _depends_on(draft: Draft, label: Label) -> None:
    value = read_value(["depends_on"], label.value)
    if isinstance(value, dict):
        draft.needs += [Need(name, condition, label.name) for name, condition in value.items()]
        return
    draft.needs += [
        Need(str(name), None, label.name) for name in (value if isinstance(value, list) else [value])
    ]


def _depends_on_one(draft: Draft, label: Label) -> None:
    draft.needs.append(Need(label.parts[0], label.value, label.name))


def _companions(draft: Draft, label: Label) -> None:
    value = read_value(["companions"], label.value)
    draft.put("companions", value if isinstance(value, list) else [value], label.name)


def _key(draft: Draft, label: Label) -> None:
    steps = label.parts[0].split(".")
    if steps[0] in _BEYOND or tuple(steps[:2]) in _BEYOND_INSIDE:
        raise ValueError(
            f"a label does not set `{steps[0]}`, for it may come with an image; "
            f"write the app into the configuration file, with `container: {draft.container.name}`"
        )
    value = read_value(steps, label.value)
    if isinstance(value, dict) and any((steps[0], key) in _BEYOND_INSIDE for key in value):
        raise ValueError("a label does not set the template of the waiting page, a file of this machine")
    if value == "reboot":
        raise ValueError("a label does not reboot the machine; write the app into the configuration file")
    draft.put(label.parts[0], value, label.name)


def read_value(steps: list[str], text: str) -> Any:
    """The value of a key as a file would have it.  Raises `ValueError` for a list or map that is none.

    A key that does not exist keeps its text: whoever loads it says what was probably meant.
    """
    kinds = _kinds(declared_type(App))
    for step in steps:
        kinds = [found for kind in kinds for found in _inside(kind, step)]
    if text.startswith(("[", "{")) and not all(isinstance(kind, declared.StrType) for kind in kinds):
        return _flow(text)
    if "," in text and steps[-1] in _SEVERAL:
        return [_scalar(kinds, item) for item in items(text)]
    return _scalar(kinds, text)


def _scalar(kinds: list[declared.Type], text: str) -> Any:
    wanted: set[type] = set()
    inner = [found for kind in kinds for found in _inside(kind, "0")]
    for kind in [*kinds, *inner]:
        match kind:
            case declared.BoolType():
                wanted.add(bool)
            case declared.IntType():
                wanted.add(int)
            case declared.FloatType():
                wanted |= {int, float}
    value = plain_value(text) if text else text
    return value if type(value) in wanted else text


def _flow(text: str) -> Any:
    problems = Problems()
    document = read_document("label", f"value: {literal(text)}".encode(), {}, problems)
    if document is None or problems:
        raise ValueError(f"is neither JSON nor YAML: {problems.sorted()[0].message}")
    return document.data["value"]


def _kinds(kind: declared.Type) -> list[declared.Type]:
    """The alternatives of a declaration."""
    while isinstance(kind, declared.Metadata):
        kind = kind.type
    if isinstance(kind, declared.UnionType):
        return [found for each in kind.types for found in _kinds(each)]
    return [kind]


def _inside(kind: declared.Type, step: str) -> list[declared.Type]:
    match kind:
        case declared.StructType():
            return [found for each in kind.fields if each.encode_name == step for found in _kinds(each.type)]
        case declared.DictType():
            return _kinds(kind.value_type)
        case declared.ListType():
            return _kinds(kind.item_type)
    return []


def enabled(draft: Draft) -> bool | None:
    """What `torpor.enable` says; None where it is missing, or neither true nor false."""
    value = draft.container.labels.get(ENABLE)
    try:
        return None if value is None else truth(value)
    except ValueError:
        return None


OWN = Dialect(
    "torpor",
    ("torpor.",),
    (
        Entry(ENABLE, "–", _enable, "`true`: the container becomes an app; `false`: it never does"),
        Entry("torpor.name", "the app's name", _name, "otherwise the container's, in lower case"),
        Entry("torpor.network", "`container: {network}`", _network),
        Entry(
            "torpor.depends_on", "`depends_on`", _depends_on, "services of its project, containers, or apps"
        ),
        Entry("torpor.depends_on.*", "`depends_on: {NAME: …}`", _depends_on_one),
        Entry(
            "torpor.companions",
            "`companions`",
            _companions,
            "services of its project, containers, apps, or `group:NAME`",
        ),
        Entry("torpor.**", "the key of that name", _key, "dots lead into maps: `torpor.readiness.http`"),
    ),
    claims=lambda draft: enabled(draft) is True,
    bars=lambda draft: enabled(draft) is False,
)
