"""`lazytainer.*`: what the label of a member and those of Lazytainer's own container say together."""

from __future__ import annotations

import re
from collections.abc import Iterable

from torpor.config.labels.container import Container
from torpor.config.labels.draft import Draft, Groups
from torpor.config.labels.leads import Lead, put_leads
from torpor.config.labels.table import Dialect, Entry, Label, nothing
from torpor.config.labels.words import items, port_number, truth

MEMBER = "lazytainer.group"
_TIMEOUT, _METHOD = 30, "stop"
_TIERS = ("stop", "pause")
_SECONDS = re.compile(r"0*[1-9][0-9]{0,8}")
_PACKETS = "packets are not counted: whoever connects wakes the app; `torpor.min_bytes` lets little traffic not count"


def groups(containers: Iterable[Container]) -> Groups:
    """The groups that Lazytainer's containers define."""
    found: dict[str, dict[str, str]] = {}
    for container in containers:
        for label, value in container.labels.items():
            head, _, field = label.rpartition(".")
            if head.startswith(f"{MEMBER}.") and field:
                found.setdefault(head.removeprefix(f"{MEMBER}."), {})[field] = value.strip()
    return found


def _member(draft: Draft, label: Label) -> None:
    known: Groups = draft.aside["lazytainer"]
    if label.value not in known:
        raise ValueError(f"no container defines the group '{label.value}' by {MEMBER}.{label.value}.ports")
    group = known[label.value]
    draft.put("member_of", [label.value.lower()], label.name)
    seconds = group.get("inactiveTimeout", str(_TIMEOUT))
    if not _SECONDS.fullmatch(seconds):
        raise ValueError(f"inactiveTimeout of the group is '{seconds}', which is no number of seconds")
    draft.put("idle_timeout", f"{seconds}s", label.name)
    method = group.get("sleepMethod", _METHOD)
    if method not in _TIERS:
        raise ValueError(f"sleepMethod of the group is '{method}', which is not one of {', '.join(_TIERS)}")
    draft.put("sleep", method, label.name)
    ignored = truth(group.get("ignoreActiveClients", "false"))
    draft.put("stream_activity", "data" if ignored else "open", label.name)
    _ports(draft, label, items(group.get("ports", "")))
    if "minPacketThreshold" in group:
        draft.tell(label.name, _PACKETS)


def _ports(draft: Draft, label: Label, ports: list[str]) -> None:
    try:
        numbers = [port_number(port) for port in ports]
    except ValueError as error:
        raise ValueError(f"ports of the group: {error}") from None
    # The ports are the group's; a container says only by its image which of them are its own.
    own = [number for number in numbers if number in draft.container.ports] or numbers
    put_leads(draft, [Lead(f"tcp://0.0.0.0:{number}", number, label.name) for number in own], label.name)
    if not own:
        draft.tell(
            label.name, "the group has no ports; `torpor.port` and `torpor.routes` say where it is reached"
        )


LAZYTAINER = Dialect(
    "Lazytainer",
    ("lazytainer.",),
    (
        Entry(MEMBER, "`member_of`", _member, "the member's label; all else stands with the group"),
        Entry(
            f"{MEMBER}.*.ports",
            "`port`, `routes: [tcp://0.0.0.0:PORT, {host, port}]`",
            nothing,
            "a stream for each; of several those that the container exposes, or all of them where it exposes none",
        ),
        Entry(f"{MEMBER}.*.inactiveTimeout", "`idle_timeout`", nothing, f"seconds; {_TIMEOUT} without it"),
        Entry(f"{MEMBER}.*.sleepMethod", "`sleep`", nothing, f"`stop` or `pause`; `{_METHOD}` without it"),
        Entry(
            f"{MEMBER}.*.ignoreActiveClients",
            "`stream_activity`",
            nothing,
            "`true`: `data`, an open connection alone does not keep the app awake; otherwise `open`",
        ),
        Entry(f"{MEMBER}.*.minPacketThreshold", why=_PACKETS),
        Entry(f"{MEMBER}.*.pollRate", why="nothing is polled"),
        Entry(
            f"{MEMBER}.*.netInterface",
            why="the connections themselves wake the app, whatever they come in by",
        ),
    ),
    claims=lambda draft: MEMBER in draft.container.labels,
)
