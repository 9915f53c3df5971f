"""Make docs/configuration.md from the declarations of the configuration.

Prints the page; with `--write` it is written.  A test says when that was forgotten.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from torpor.config.changes import SETTINGS, Setting, Takes
from torpor.config.declarations import Guests, Privileges, Program, Requests, Shared, Supervision, Wakefulness
from torpor.config.schema import json_schema
from torpor.config.template import PLACEHOLDERS

PAGE = Path(__file__).with_name("configuration.md")

HEAD = """# Configuration

<!-- Written by docs/make_reference.py. -->

```yaml
gateway:
  listen: 127.0.0.1:8080
defaults:
  idle_timeout: 15m
apps:
  notes:
    command: streamlit run app.py --server.port $PORT --server.headless true
    working_dir: ./notes
    routes: [notes.localhost]
    readiness: {http: /_stcore/health}
  worker:
    command: [python, worker.py]
    always_on: true
    restart: always
```

`torpor config check` tells all problems of a file at once, each with its line and column; `torpor config schema` prints
a JSON Schema for editors. A daemon that runs keeps its settings when a new file is wrong.

## The file

The first of these that exists is taken: `-c FILE`, `$TORPOR_CONFIG`, `./torpor.yaml`,
`$XDG_CONFIG_HOME/torpor/torpor.yaml` (`~/.config` without that variable), `/etc/torpor/torpor.yaml`. Root takes
`./torpor.yaml` only if it is root's and nobody else may write it.

- **YAML 1.2**: `no`, `on` and `22:22` are text. A key that stands twice is a mistake. Anchors and `<<` work, and top-level
  keys that begin with `x-` are yours.
- **Durations and sizes need a unit.** Durations: `500ms`, `30s`, `10m`, `1h30m`, `1d`; where it makes sense, `never` or
  `off`. Sizes: `K M G T` and `KiB MiB GiB TiB` are powers of 1024, `KB MB GB TB` powers of 1000, `B` is bytes.
- **Variables** come from Torpor's environment, in the values of the file: `${VAR}` must be set, `${VAR:-default}` stands in
  for an unset or empty one (`${VAR-default}` for an unset one only), `${VAR:?message}` refuses with that message, `$$` is a
  dollar sign. A variable's value is only ever text inside of that value: it cannot add keys. `$PORT`, `${PORT}` and
  `${TORPOR_…}` are filled in when an instance starts; any other `$NAME` without braces stays, for a shell.
- **Defaults** hold for every app of the file and of the files that it includes. What an app says wins as a whole; only
  `environment` is merged, name by name.
- **Includes** are paths or globs, relative to the file. A glob may match nothing, a plain path may not. Two files may not
  name the same app, and only the main file has `gateway`, `tracking_dir`, `memory`, `budgets`, `engines`, `proxmox`,
  `allow_reboot` and `reboot_command`.
- **Paths** are relative to the file that names them.
- **Commands** are a list, or a string that is split as a shell would split it but run without one. Where a map is taken,
  `shell: true` gives the string to `/bin/sh -c` as it stands.
- **What needs root** (another user, a higher priority or limit) is a mistake in the file of a Torpor that is not root's.
- **App names** have up to 63 of `a-z`, `0-9`, `.`, `_` and `-`, and begin with a letter or digit.
"""

SECTIONS = {
    "File": ("Top level", ""),
    "Gateway": ("gateway", ""),
    "Listener": ("gateway.listen", "As a map:"),
    "Tls": ("gateway.listen.tls", ""),
    "GatewayLimits": ("gateway.limits", ""),
    "Memory": ("memory", "[Sharing memory](memory.md) tells how it is decided."),
    "Budget": ("budgets.NAME", "As a map:"),
    "Engine": ("engines.NAME", "[Containers](containers.md) says more."),
    "ClientCertificates": ("engines.NAME.tls", ""),
    "Proxmox": ("proxmox.NAME", "[Proxmox](proxmox.md) says more."),
    "App": (
        "apps.NAME and defaults",
        "The keys of an app. The fourth column says how an app that runs takes over a setting that `torpor apply` finds changed; [The running set](running-set.md) says more.",
    ),
    "HookCommand": ("pre_start, post_start, pre_stop, post_stop, stop_command, reload_command", "As a map:"),
    "Container": ("container", "As a map:"),
    "Machine": ("lxc, vm", "As a map:"),
    "Unit": ("unit", "As a map:"),
    "Commands": ("commands", "[By commands](by-commands.md) has examples."),
    "Log": ("log", ""),
    "Rlimits": (
        "rlimits",
        "One value is both the soft limit and the hard one. Bytes and times need a unit; 0 needs none.",
    ),
    "Capabilities": ("capabilities", ""),
    "Sleep": (
        "sleep",
        "As a ladder. Each rung sleeps deeper than the one before and comes later; the age of the first is the app's `idle_timeout`.",
    ),
    "Route": ("routes", "As a map:"),
    "Rule": (
        "rules, routes.rules",
        "All matchers that are named must hold, of the values of one any; [What wakes an app](what-wakes.md) has examples.",
    ),
    "Answer": ("rules.answer", "As a map:"),
    "WaitingPage": ("loading_page", "As a map:"),
    "Websocket": ("websocket", ""),
    "KeepAwakeIf": ("keep_awake_if", "As a map. Exactly one of `exec` and `http`:"),
    "Schedule": (
        "schedule",
        "A window is days, times, or both: `mon-fri 08:00-18:00`, `sat,sun`, `22:00-06:00` (which ends on the next day). [Keeping awake](keeping-awake.md) says more.",
    ),
    "Needed": ("depends_on", "As a map from names to maps:"),
    "Readiness": (
        "readiness",
        "As a map. All that is named must hold; `tcp: false` alone means ready at once.",
    ),
    "Liveness": ("liveness", "As a map. Exactly one of `http`, `tcp` and `exec`:"),
    "RestartPause": ("backoff", ""),
    "GiveUp": ("start_limit", ""),
}
"""The maps of the file: the class that declares each, its heading, and a sentence before the table."""

GROUPS = {
    "Program": Program,
    "Containers, machines, units": Guests,
    "Rights and limits": Privileges,
    "Requests and sleep": Requests,
    "What keeps it awake": Wakefulness,
    "Supervision": Supervision,
    "Sharing": Shared,
}
"""The parts of an app's keys, each declared upon the one before."""

WORDS = {
    Takes.AT_ONCE: "at once",
    Takes.NEXT_START: "from the next start",
    Takes.RESTART: "by a restart",
}
"""How a running app takes a changed setting over."""

ENV_FILES = """
An env file has lines of `NAME=value`; blank lines, `#` comments and a leading `export` are allowed. Values in 'single quotes'
are literal, "double quotes" know `\\n`, `\\t`, `\\"`, `\\\\` and `\\$`, and both may span lines. Dollar signs are not special. A name
alone takes its value from Torpor's own environment.
"""


def configuration_page() -> str:
    """The whole page."""
    schema = json_schema()
    maps = {"File": schema, **schema["definitions"]}
    unknown = {name for name, each in maps.items() if "properties" in each} - set(SECTIONS)
    assert not unknown, f"no heading for {unknown}"
    parts = [HEAD]
    for name, (heading, sentence) in SECTIONS.items():
        parts.append(f"\n## {heading}\n\n{sentence or maps[name]['description']}\n")
        if name == "App":
            parts += _groups(maps[name], schema["definitions"])
            continue
        parts.append(_table(maps[name], maps[name]["properties"], schema["definitions"]))
        if name == "WaitingPage":
            parts.append(_placeholders())
    return "".join(parts)


def _groups(app: dict[str, Any], definitions: dict[str, Any]) -> Iterator[str]:
    """The keys of an app, by what they are about."""
    shown: set[str] = set()
    for heading, part in GROUPS.items():
        keys = [field.encode_name for field in msgspec.structs.fields(part) if field.encode_name not in shown]
        shown |= set(keys)
        yield f"\n### {heading}\n"
        yield _table(app, keys, definitions, SETTINGS)
        if part is Program:
            yield ENV_FILES
    assert shown == set(app["properties"])


def _table(
    declared: dict[str, Any],
    keys: Iterable[str],
    definitions: dict[str, Any],
    changes: Mapping[str, Setting] | None = None,
) -> str:
    """The table of a map's keys; `changes` says how an app that runs takes them over."""
    applies = "" if changes is None else " a change holds |"
    rows = [f"\n| key | value | default |{applies} |\n|---|---|---|{applies and '---|'}---|\n"]
    for key in keys:
        schema = declared["properties"][key]
        text = schema["description"]
        if key in declared["required"]:
            text += " Required."
        for example in schema.get("examples", ()):
            text += f" Example: {_code(f'{key}: {_yaml(example)}')}"
        default = schema.get("default", "")
        shown = "" if default == "" else _code(_yaml(default))
        takes = "" if changes is None else f" {WORDS[changes[key].takes]} |"
        rows.append(f"| `{key}` | {_kind(schema, definitions)} | {shown} |{takes} {_cell(text)} |\n")
    return "".join(rows)


def _kind(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """The type of a value in words."""
    if "$ref" in schema:
        return _kind(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "enum" in schema:
        return ", ".join(_code(str(value)) for value in schema["enum"])
    if "properties" in schema:
        return "map"
    if "title" in schema:
        return str(schema["title"])
    for union in ("anyOf", "allOf"):
        if union in schema:
            kinds = [_kind(each, definitions) for each in schema[union] if each != {"type": "null"}]
            return " or ".join(dict.fromkeys(kinds))
    bounds = ""
    if "minimum" in schema:
        bounds = f" {schema['minimum']}–{schema['maximum']}"
    nouns = {
        "string": "text",
        "integer": "number",
        "boolean": "`true`, `false`",
        "array": "list",
        "object": "map",
    }
    return nouns.get(schema["type"], str(schema["type"])) + bounds


def _placeholders() -> str:
    rows = ["\nA template is HTML in which these stand for values; it is read when the configuration is.\n"]
    rows += ["\n| placeholder | |\n|---|---|\n"]
    rows += [f"| `{{{{{name}}}}}` | {_cell(text)} |\n" for name, text in PLACEHOLDERS.items()]
    return "".join(rows)


def _yaml(value: object) -> str:
    """The value in YAML's one-line form."""
    if isinstance(value, str):
        return f'"{value}"' if value.isdigit() else value
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    return json.dumps(value)


def _code(text: str) -> str:
    return f"`{text}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    page = configuration_page()
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page, encoding="utf-8")
    else:
        sys.stdout.write(page)
