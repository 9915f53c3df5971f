"""The text of a torpor.yaml for apps that were found, with comments for whoever reads it first."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from torpor.projects.found import App, Setting, Value

SCHEMA = ".torpor/schema.json"
"""Where the schema for editors lies, relative to the configuration."""
MODELINE = f"# yaml-language-server: $schema=./{SCHEMA}"
"""What editors with the YAML language server look for in a file's first lines."""
WIDTH = 100
"""Columns after which a command is folded."""

_HEAD = """{modeline}
# ^ for editors; `torpor config schema > {schema}` after an upgrade of Torpor.
#
# `torpor up` runs it, `torpor config check` finds its mistakes, `torpor status` shows how it is.
# Paths are relative to this file, $PORT is a port that Torpor chooses.

gateway:
  listen: {listen}

apps:
"""
_SKELETON = """\
  # app:
  #   command: ./serve --port $PORT       # run without a shell; $PORT is the port to listen on
  #   routes: [app.localhost]             # http://app.localhost:8080
  #   readiness: {http: /healthz}         # until this path answers, visitors wait
  #   idle_timeout: 30m                   # sleeps after that long without a request
  #
  # worker:
  #   command: ./work
  #   always_on: true                     # no requests: it always runs
  #   restart: always
"""
_PLAIN = re.compile(
    r"[0-9]+[a-z]|[A-Za-z_./](?:[A-Za-z0-9_./ $=+@%*&;|<>!?(){}\[\],'\"~^\\-]|:(?=[^ ]))*(?<! )"
)
_PLAIN_IN_FLOW = re.compile(r"[A-Za-z_./][A-Za-z0-9_./ $=+@%-]*(?<! )")
"""What needs no quotes behind a key, and what needs none between brackets."""
_WORDS_OF_YAML = frozenset({"true", "false", "null", "~", ".inf", ".nan"})


def document(apps: Iterable[App], listen: str) -> str:
    """The whole file; without apps one that shows how they are written."""
    parts = [_HEAD.format(modeline=MODELINE, schema=SCHEMA, listen=listen)]
    said: set[str] = set()
    blocks = ["".join(f"{line}\n" for line in _block(app, listen, said)) for app in apps]
    return parts[0] + ("\n".join(blocks) or _SKELETON)


def address(app: App, listen: str) -> str | None:
    """Where a browser finds the app."""
    return f"http://{app.name}.localhost:{listen.rpartition(':')[2]}" if app.serves else None


def _block(app: App, listen: str, said: set[str]) -> Iterator[str]:
    """An app's lines; what stands in `said` already is not explained again."""
    yield f"  {app.name}:"
    url = address(app, listen)
    yield from _comment(f"{app.kind}: {'; '.join(app.evidence)}." + (f"\n{url}" if url else ""))
    for setting in app.settings:
        if setting.comment not in said:
            said.add(setting.comment)
            yield from _comment(setting.comment)
        yield from _setting(setting)


def _setting(setting: Setting) -> Iterator[str]:
    text = _scalar(setting.value, _PLAIN) if isinstance(setting.value, str) else _flow(setting.value)
    foldable = isinstance(setting.value, str) and text == setting.value and not set(text) & set("'\"\\")
    if len(text) + len(setting.key) + 6 <= WIDTH or not foldable:
        yield f"    {setting.key}: {text}"
        return
    yield f"    {setting.key}: >-"
    line = ""
    for word in text.split(" "):
        if line and len(line) + len(word) + 7 > WIDTH:
            yield f"      {line}"
            line = ""
        line += f" {word}" if line else word
    yield f"      {line}"


def _comment(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield f"    # {line}"


def _flow(value: Value) -> str:
    """The value in YAML's one-line form."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(map(_scalar, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_scalar(item)}" for key, item in value.items()) + "}"
    return str(value) if isinstance(value, int) else _scalar(value)


def _scalar(text: str, plain: re.Pattern[str] = _PLAIN_IN_FLOW) -> str:
    """The text as YAML reads it back, quoted only where it has to be; no variable of ours is seen in it."""
    # A dollar that begins `${…}` or `$$` would be Torpor's; `$NAME` is left for the app.
    text = re.sub(r"\$(?=[${])", "$$", text)
    if plain.fullmatch(text) and text.lower() not in _WORDS_OF_YAML:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    # JSON's escapes are also YAML's; some characters that JSON takes as they are YAML does not.
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in quoted)
