"""The JSON Schema and the reference page come from the declarations and agree with the loader."""

from __future__ import annotations

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from torpor.config import declarations
from torpor.config.load import load
from torpor.config.schema import DIALECT, json_schema
from torpor.errors import ConfigInvalid

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = json_schema()


def reference() -> ModuleType:
    spec = spec_from_file_location("make_reference", DOCS / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fits(schema: dict[str, Any], value: Any) -> bool:
    """Whether `value` is valid by the part of draft-07 that the schema uses.

    An unknown word of the schema language is an error: the walk must not be laxer than an editor.
    """
    unknown = set(schema) - {
        "$ref", "$schema", "additionalProperties", "allOf", "anyOf", "default", "definitions", "description", "enum",
        "examples", "format", "items", "maxLength", "maximum", "minLength", "minimum", "pattern", "patternProperties",
        "properties", "propertyNames", "required", "title", "type",
    }  # fmt: skip
    assert not unknown
    if "$ref" in schema:
        return fits(SCHEMA["definitions"][schema["$ref"].removeprefix("#/definitions/")], value)
    checks = [
        "type" not in schema or is_a(schema["type"], value),
        "enum" not in schema or value in schema["enum"],
        "anyOf" not in schema or any(fits(each, value) for each in schema["anyOf"]),
        all(fits(each, value) for each in schema.get("allOf", ())),
    ]
    if isinstance(value, str):
        checks += [
            "pattern" not in schema or re.search(schema["pattern"], value) is not None,
            schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)),
        ]
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        checks.append(schema.get("minimum", value) <= value <= schema.get("maximum", value))
    elif isinstance(value, list):
        checks += [fits(schema.get("items", {}), item) for item in value]
    elif isinstance(value, dict):
        checks.append(set(schema.get("required", ())) <= set(value))
        checks += [member_fits(schema, key, item) for key, item in value.items()]
    return all(checks)


def member_fits(schema: dict[str, Any], key: str, value: Any) -> bool:
    if not fits(schema.get("propertyNames", {}), key):
        return False
    if key in schema.get("properties", {}):
        return fits(schema["properties"][key], value)
    for pattern, member in schema.get("patternProperties", {}).items():
        if re.search(pattern, key):
            return fits(member, value)
    rest = schema.get("additionalProperties", True)
    return rest if isinstance(rest, bool) else fits(rest, value)


def is_a(name: str, value: Any) -> bool:
    kinds = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "array": list,
        "object": dict,
    }
    if name == "null":
        return value is None
    return isinstance(value, kinds[name]) and (name == "boolean" or not isinstance(value, bool))  # type: ignore[arg-type]


GOOD = [
    "{}",
    "apps:",
    "x-mine: {a: [1]}\ngateway: {listen: 8080}",
    "gateway: {listen: [8080, {address: ':::', tls: {cert: a, key: b}}], limits: {connections: 5, body_timeout: 1m}}",
    "defaults: {idle_timeout: never}\napps: {a: {command: [x, y], routes: {host: a.org, path: /x}, stop_signal: 15}, b: }",
    "apps: {a: {command: x, environment: {A: 1, B: true, C: }, readiness: {http: /, codes: [200, 300-399]}}}",
    "apps: {a: {command: x, loading_page: false, log: {max_size: 2GiB}, websocket: {max_age: off}, restart: 'no'}}",
    "apps: {a: {command: x, depends_on: {b: {optional: true}, c: started}}, b: {command: x}, c: {command: x}}",
    "apps: {a: {command: x, umask: '022', exit_codes: [0, TERM], stdin: null, liveness: {tcp: true}, cpus: 1}}",
    "apps: {a: {command: x, rlimits: {nofile: 1024, nproc: '1:unlimited', as: '0', core: 0, cpu: '1m30s:2h'}}}",
    "apps: {a: {command: x, pre_start: y, pre_stop: [y], post_stop: {command: [y], timeout: 5s}}}",
    "defaults: {capabilities: {drop: all}}\nallow_reboot: false\nreboot_command: [reboot]",
    "gateway: {listen: [8080, {address: 8081, gate: true}]}\ntracking_dir: /run/torpor/track",
]
BAD = [
    "app: {}",
    "gateway: {listen: {tls: {cert: a, key: b}}}",
    "defaults: {idle_timeout: 30}",
    "defaults: {idle_timeout: '30'}",
    "defaults: {wake_timeout: never}",
    "defaults: {log: {max_size: 10}}",
    "defaults: {port: 0}",
    "defaults: {restart: sometimes}",
    "defaults: {always_on: 'true'}",
    "defaults: {readiness: {http: healthz}}",
    "defaults: {umask: 22}",
    "defaults: {umask: '0888'}",
    "defaults: {nice: -21}",
    "defaults: {replicas: 0}",
    "defaults: {cpus: 0}",
    "defaults: {rlimits: {nofile: -1}}",
    "defaults: {rlimits: {nofile: '1:2:3'}}",
    "defaults: {rlimits: {as: 1024}}",
    "defaults: {rlimits: {cpu: '5'}}",
    "defaults: {rlimits: {files: 5}}",
    "defaults: {watchdog: 30}",
    "defaults: {on_watchdog: stop}",
    "defaults: {cpu_below: 5}",
    "defaults: {keep_awake_if: {path: /busy}}",
    "defaults: {schedule: 'mon-fri'}",
    "defaults: {depends_on: {a: up}}",
    "defaults: {pre_start: {timeout: 5s}}",
    "defaults: {backoff: {jitter: 1.5}}",
    "apps: {Web: {command: x}}",
    "apps: {a: x}",
    "include: 5",
]


@pytest.mark.parametrize("text", GOOD)
def test_the_schema_takes_what_the_loader_takes(text: str) -> None:
    """A file in any of the allowed forms is valid for an editor."""
    assert fits(SCHEMA, yaml.safe_load(text.replace(" off", " 'off'")))


@pytest.mark.parametrize("text", BAD)
def test_the_schema_refuses_what_the_loader_refuses(text: str, tmp_path: Path) -> None:
    """A wrong key, form, unit or bound is refused by both."""
    file = tmp_path / "t.yaml"
    file.write_text(text)

    with pytest.raises(ConfigInvalid):
        load(file, {})
    assert not fits(SCHEMA, yaml.safe_load(text))


def test_the_examples_and_defaults_of_each_key_are_valid() -> None:
    """What the schema shows as example or default is what it accepts."""
    wrong = [
        f"{name}.{key}: {value!r}"
        for name, each in {"": SCHEMA, **SCHEMA["definitions"]}.items()
        for key, schema in each.get("properties", {}).items()
        for value in [*schema.get("examples", ()), *([schema["default"]] if "default" in schema else ())]
        if not fits(schema, value)
    ]
    assert [] == wrong


def test_every_key_is_described() -> None:
    """An editor can say something about each key."""
    silent = [
        f"{name}.{key}"
        for name, each in {"": SCHEMA, **SCHEMA["definitions"]}.items()
        for key, schema in each.get("properties", {}).items()
        if not schema.get("description")
    ]
    assert [] == silent


def test_the_schema_is_draft_07() -> None:
    """Editors know draft-07: `definitions`, and nothing beside a `$ref`."""
    refs: list[dict[str, Any]] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                refs.append(value)
            value = list(value.values())
        for each in value if isinstance(value, list) else ():
            walk(each)

    walk(SCHEMA)
    assert DIALECT == SCHEMA["$schema"]
    assert "$defs" not in SCHEMA
    assert refs
    assert [] == [ref for ref in refs if len(ref) > 1]


def test_the_reference_page_is_current() -> None:
    """`docs/make_reference.py --write` was run after the last change of a key."""
    assert reference().configuration_page() == (DOCS / "configuration.md").read_text(encoding="utf-8")


def test_a_synonym_leads_to_a_real_key() -> None:
    """A guess for a neighbour's word is never a word that Torpor does not know either."""
    known = {key for each in (SCHEMA, *SCHEMA["definitions"].values()) for key in each.get("properties", {})}
    assert [] == [key for key in declarations.SYNONYMS.values() if key not in known]
