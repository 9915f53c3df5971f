"""Which endpoints there are, and which parameters they take.

As strict as the real ones: an unknown path or method is 501, an unknown or ill-typed parameter 400.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from providers.guests.proxmox.endpoints import Api, Question, Refusal, wrong

Answer = Callable[[Api, Question], Awaitable[Any]]
INTEGER = "integer"
BOOLEAN = "boolean"
STRING = "string"
_SKIPLOCK = {"skiplock": BOOLEAN}
_OVERRULE = {"overrule-shutdown": BOOLEAN}
_LISTING = {"start": INTEGER, "limit": INTEGER}
ENDPOINTS: dict[tuple[str, str], tuple[Answer, dict[str, str]]] = {
    ("GET", "version"): (Api.version, {}),
    ("GET", "cluster/resources"): (Api.resources, {"type": STRING}),
    ("GET", "nodes/*/tasks"): (
        Api.tasks,
        {"vmid": INTEGER, "source": STRING, "errors": BOOLEAN, "since": INTEGER, "until": INTEGER, **_LISTING}
        | dict.fromkeys(("typefilter", "userfilter", "statusfilter"), STRING),
    ),
    ("GET", "nodes/*/tasks/*/status"): (Api.task_status, {}),
    ("GET", "nodes/*/tasks/*/log"): (Api.task_log, {**_LISTING, "download": BOOLEAN}),
    ("DELETE", "nodes/*/tasks/*"): (Api.abort, {}),
    ("GET", "nodes/*/lxc/*/status/current"): (Api.current, {}),
    ("POST", "nodes/*/lxc/*/status/start"): (Api.start, {**_SKIPLOCK, "debug": BOOLEAN}),
    ("POST", "nodes/*/lxc/*/status/stop"): (Api.stop, {**_SKIPLOCK, **_OVERRULE}),
    ("POST", "nodes/*/lxc/*/status/shutdown"): (Api.shutdown, {"timeout": INTEGER, "forceStop": BOOLEAN}),
    ("POST", "nodes/*/lxc/*/status/suspend"): (Api.suspend, {}),
    ("POST", "nodes/*/lxc/*/status/resume"): (Api.resume, {}),
    ("GET", "nodes/*/lxc/*/interfaces"): (Api.interfaces, {}),
    ("GET", "nodes/*/qemu/*/status/current"): (Api.current, {}),
    ("POST", "nodes/*/qemu/*/status/start"): (Api.start, {**_SKIPLOCK, "timeout": INTEGER}),
    ("POST", "nodes/*/qemu/*/status/stop"): (
        Api.stop,
        {**_SKIPLOCK, **_OVERRULE, "timeout": INTEGER, "keepActive": BOOLEAN},
    ),
    ("POST", "nodes/*/qemu/*/status/shutdown"): (
        Api.shutdown,
        {**_SKIPLOCK, "timeout": INTEGER, "forceStop": BOOLEAN, "keepActive": BOOLEAN},
    ),
    ("POST", "nodes/*/qemu/*/status/suspend"): (
        Api.suspend,
        {**_SKIPLOCK, "todisk": BOOLEAN, "statestorage": STRING},
    ),
    ("POST", "nodes/*/qemu/*/status/resume"): (Api.resume, {**_SKIPLOCK, "nocheck": BOOLEAN}),
    ("GET", "nodes/*/qemu/*/agent/network-get-interfaces"): (Api.agent, {}),
}
"""Method and path, a `*` for any part, to what answers it and which parameters it takes."""


def endpoint(method: str, path: list[str]) -> tuple[Answer, dict[str, str]]:
    """What answers that, and which parameters it takes.  Raises `Refusal`."""
    for (verb, pattern), endpoint in ENDPOINTS.items():
        parts = pattern.split("/")
        if (
            verb == method
            and len(parts) == len(path)
            and all(a in {"*", b} for a, b in zip(parts, path, strict=True))
        ):
            return endpoint
    raise Refusal(501, f"Method '{method} /{'/'.join(path)}' not implemented")


def check(parameters: dict[str, str], schema: dict[str, str]) -> None:
    """Raise `Refusal` for what the schema does not have."""
    for name, value in parameters.items():
        if name not in schema:
            raise wrong(
                name, "property is not defined in schema and the schema does not allow additional properties"
            )
        if schema[name] == INTEGER and not value.isdigit():
            raise wrong(name, f"type check ('integer') failed - got '{value}'")
        if schema[name] == BOOLEAN and value not in {"0", "1"}:
            raise wrong(name, f"type check ('boolean') failed - got '{value}'")


def before_overruling(schema: dict[str, str]) -> dict[str, str]:
    """The schema as it was before Proxmox VE 8.2."""
    return {name: kind for name, kind in schema.items() if name != "overrule-shutdown"}
