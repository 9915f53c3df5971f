"""The text of a torpor.yaml, with its comments.

PyYAML would write no comments and quote by the rules of YAML 1.1; what is needed here is little: maps, lists and
scalars.  A string is written plain only where our own parser gives back the very same string.
"""

from __future__ import annotations

import re
import textwrap
from typing import Any

from torpor import __version__
from torpor.config.document import plain_value
from torpor.config.nodes import PLAIN, CannotCompose, compose
from torpor.config.writing import character
from torpor.importers.draft import KEYS, AppDraft, FileDraft, Verbatim

WIDTH = 110
"""Columns of a line of comment, and of a list or map on one line."""

_PLAIN = re.compile(r"[A-Za-z0-9_./~$+@%^-](?:[A-Za-z0-9_./~$+@%^ =:,;*?!()'<>|&#\"\\{}\[\]-]*)")
_FLOW_UNSAFE = frozenset(",[]{}")


def emit(file: FileDraft) -> str:
    """The file's text."""
    blocks = [_head(file)]
    if file.settings:
        blocks.append(
            "\n".join(line for key, value in file.settings.items() for line in _entry(key, value, ""))
        )
    if file.defaults.settings or file.defaults.notes:
        blocks.append("\n".join(["defaults:", *_body(file.defaults, "  ")]))
    apps = [_app(app) for app in file.apps]
    if all(app.off is not None for app in file.apps):
        blocks.append("apps: {}")
    else:
        blocks.append("apps:")
    return "\n\n".join(blocks) + "\n" + "\n\n".join(apps) + ("\n" if apps else "")


def _head(file: FileDraft) -> str:
    lines = comment(f"Written by `torpor import` (Torpor {__version__}).")
    for paragraph in file.intro:
        lines += ["#", *comment(paragraph)]
    if file.notes:
        lines += ["#", *comment("Not carried over:"), *_points(file.notes)]
    return "\n".join(lines)


def _app(app: AppDraft) -> str:
    lines = [f"  {scalar(app.given)}:", *_body(app, "    ")]
    if app.off is None:
        return "\n".join(lines)
    # The empty comment marks stay where a line was a comment already, so that one `# ` less gives the app.
    return "\n".join(
        [*comment(f"Not an app yet: {app.off}", "  "), *(f"  # {line[2:]}".rstrip() for line in lines)]
    )


def _body(app: AppDraft, indent: str) -> list[str]:
    lines: list[str] = []
    if app.source:
        lines += comment(f"from {app.source}", indent)
    for paragraph in app.intro:
        lines += comment(paragraph, indent)
    if app.notes:
        lines += comment("Not carried over:", indent) + _points(app.notes, indent)
    if app.same:
        lines += comment(f"Needs no setting: {' · '.join(app.same)}", indent)
    for key in KEYS:
        if key in app.settings:
            if key in app.remarks:
                lines += comment(app.remarks[key], indent)
            lines += _entry(key, app.settings[key], indent)
    return lines


def comment(text: str, indent: str = "", *, first: str = "", rest: str = "") -> list[str]:
    """The text as lines of comment."""
    # What came from a file must not end the comment that it stands in.
    plain = "".join(c if c.isprintable() else " " for c in text)
    return textwrap.wrap(
        plain,
        WIDTH,
        initial_indent=f"{indent}# {first}",
        subsequent_indent=f"{indent}# {rest}",
        break_long_words=False,
        break_on_hyphens=False,
    ) or [f"{indent}#"]


def _points(notes: list[str], indent: str = "") -> list[str]:
    return [line for note in notes for line in comment(note, indent, first="- ", rest="  ")]


def _entry(key: str, value: Any, indent: str) -> list[str]:
    name = scalar(key)
    if isinstance(value, str) and "\n" in value and (block := _literal_block(value, indent)):
        return [f"{indent}{name}: {block[0]}", *block[1:]]
    if not isinstance(value, dict | list) or not value:
        return [f"{indent}{name}: {scalar(value)}"]
    flow = f"{indent}{name}: {_flow(value)}"
    if key != "environment" and len(flow) <= WIDTH:
        return [flow]
    if isinstance(value, dict):
        inner = [line for one, each in value.items() for line in _entry(one, each, indent + "  ")]
    else:
        inner = [f"{indent}  - {_flow(each)}" for each in value]
    return [f"{indent}{name}:", *inner]


def _flow(value: Any) -> str:
    if isinstance(value, dict) and value:
        return "{" + ", ".join(f"{scalar(k, flow=True)}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return scalar(value, flow=True)


def scalar(value: Any, *, flow: bool = False) -> str:
    """One value; text that is not `Verbatim` comes back from the loader as it is."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, dict):
        return "{}"
    text = str(value) if isinstance(value, Verbatim) else escaped(str(value))
    # What a variable turns into is text, whatever it looks like.
    fits = not isinstance(value, Verbatim) and (not flow or not _FLOW_UNSAFE.intersection(text))
    if fits and _PLAIN.fullmatch(text) and isinstance(plain_value(text), str) and _reads_back(text):
        return text
    return '"' + "".join(map(character, text)) + '"'


def escaped(text: str) -> str:
    """Text in which the loader finds no variable: what it makes of this is `text`."""
    return re.sub(r"\$(?=[${])", "$$", text)


def _reads_back(text: str) -> bool:
    try:
        node = compose(f"k: {text}\n")
    except CannotCompose:
        return False
    if node is None or node.kind != "map":
        return False
    [(key, value)] = list(node.pairs())
    return (key.text, value.kind, value.tag, value.text) == ("k", "scalar", PLAIN, text)


def _literal_block(value: str, indent: str) -> list[str]:
    """The text as a block of its own lines; none where YAML would read it differently."""
    text = str(value) if isinstance(value, Verbatim) else escaped(str(value))
    lines = text.removesuffix("\n").split("\n")
    odd = not lines[0] or lines[0][0] in " \t" or text.endswith("\n\n") or not lines[-1].strip()
    if odd or not all(line.isprintable() for line in lines):
        return []
    return ["|" if text.endswith("\n") else "|-", *(f"{indent}  {line}" if line else "" for line in lines)]
