"""The JSON Schema of `torpor.yaml`, for editors and for the reference page."""

from __future__ import annotations

from typing import Any

import msgspec

from torpor.config import declarations as declared
from torpor.config.apps import NAME
from torpor.config.scalars import scalar_schema

DIALECT = "http://json-schema.org/draft-07/schema#"
"""What editors understand (yaml-language-server: draft-07 and below)."""

_PREFIX = "#/definitions/"


def json_schema() -> dict[str, Any]:
    """The schema as one draft-07 document with `definitions`."""
    (root,), definitions = msgspec.json.schema_components(
        (declared.File,), schema_hook=scalar_schema, ref_template=_PREFIX + "{name}"
    )
    top = definitions.pop(root["$ref"].removeprefix(_PREFIX))
    apps = top["properties"]["apps"]
    apps["propertyNames"] = {"pattern": f"^{NAME.pattern}$"}
    apps["additionalProperties"] = {"anyOf": [apps["additionalProperties"], {"type": "null"}]}
    for section in ("gateway", "defaults", "apps"):
        top["properties"][section] = _or_empty(top["properties"][section])
    for definition in (top, *definitions.values()):
        properties = definition.get("properties", {})
        properties.update({key: _without_siblings(schema) for key, schema in properties.items()})
    top["title"] = "torpor.yaml"
    top["patternProperties"] = {"^x-": {}}
    return {"$schema": DIALECT, **top, "definitions": definitions}


def _or_empty(schema: dict[str, Any]) -> dict[str, Any]:
    """The same, where nothing may stand after the key (all of it commented out)."""
    about: dict[str, Any] = {
        key: schema.pop(key) for key in ("description", "examples", "default") if key in schema
    }
    return {**about, "anyOf": [schema, {"type": "null"}]}


def _without_siblings(schema: dict[str, Any]) -> dict[str, Any]:
    """Draft-07 ignores what stands beside a `$ref`, the description too."""
    if "$ref" not in schema or len(schema) == 1:
        return schema
    return {"allOf": [{"$ref": schema["$ref"]}], **{key: schema[key] for key in schema if key != "$ref"}}
