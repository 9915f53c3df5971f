"""`sablier.*`, with the routes that its reverse proxy, Traefik or Caddy, reads from the same container."""

from __future__ import annotations

import re

from torpor.config.apps import NAME
from torpor.config.labels.company import note_groups
from torpor.config.labels.draft import Draft
from torpor.config.labels.leads import Lead, put_leads
from torpor.config.labels.table import Dialect, Entry, Label, nothing
from torpor.config.labels.words import go_duration, items, port_number

SESSION = "5m"
"""The `idle_timeout`: Sablier's default; the real one stands with the reverse proxy, in no label."""

_NAMES = r"\(\s*`[^`]+`(?:\s*,\s*`[^`]+`)*\s*\)"
_RULE = re.compile(
    rf"\s*Host{_NAMES}(?:\s*\|\|\s*Host{_NAMES})*(?:\s*&&\s*PathPrefix\(\s*`(?P<path>[^`]+)`\s*\))?\s*"
)
_HOSTS = re.compile(r"Host(\([^)]*\))")
_TICKS = re.compile(r"`([^`]+)`")
_SITE = re.compile(r"(?:https?://)?([A-Za-z0-9*._-]+)(?::[0-9]+)?")
_THROTTLE = "Torpor does not throttle an idle app, it lets it sleep: `torpor.sleep=pause` freezes it"


def _group(draft: Draft, label: Label) -> None:
    groups = []
    for name in items(label.value.lower()):
        if NAME.fullmatch(name):
            groups.append(name)
        else:
            draft.tell(label.name, f"'{name}' is no name for a group here")
    if groups:
        draft.put("member_of", groups, label.name)
        note_groups(draft, list(dict.fromkeys(groups)), label.name)


def _ready_after(draft: Draft, label: Label) -> None:
    draft.put("readiness.settle", go_duration(label.value), label.name)


def _running(draft: Draft, label: Label) -> None:
    draft.aside[label.name] = label


def _traefik_rule(draft: Draft, label: Label) -> None:
    match = _RULE.fullmatch(label.value)
    if match is None:
        draft.tell(label.name, "only Host(…), and PathPrefix(…) after it, become routes")
        return
    hosts = [host for names in _HOSTS.findall(label.value) for host in _TICKS.findall(names)]
    routes = [host + (match["path"] or "").rstrip("/") for host in hosts]
    draft.aside.setdefault("routers", {})[label.parts[0]] = (label.name, routes)
    draft.aside["routes label"] = label.name


def _traefik_service(draft: Draft, label: Label) -> None:
    draft.aside.setdefault("services", {})[label.parts[0]] = label


def _traefik_port(draft: Draft, label: Label) -> None:
    draft.aside.setdefault("ports", {})[label.parts[0]] = (port_number(label.value), label.name)


def _traefik_leads(draft: Draft) -> list[Lead]:
    """The routes of all routers, each to the port of its service: the one that it names, or the only one."""
    ports: dict[str, tuple[int, str]] = draft.aside.get("ports", {})
    services: dict[str, Label] = draft.aside.get("services", {})
    only = next(iter(ports.values())) if len(ports) == 1 else None
    leads = []
    for router, (rule, routes) in draft.aside.get("routers", {}).items():
        label = services.get(router)
        found = only if label is None else ports.get(label.value.partition("@")[0])
        if found is None and label is not None:
            draft.tell(label.name, f"no label gives the service {label.value} a port; the app's `port` holds")
        elif found is None and ports:
            draft.tell(rule, "which of the services it leads to stands nowhere; the app's `port` holds")
        port, told = found or (None, rule)
        leads += [Lead(route, port, told) for route in routes]
    return leads


def _caddy(draft: Draft, label: Label) -> None:
    sites = [(site, _SITE.fullmatch(site)) for site in label.value.replace(",", " ").split()]
    for site, match in sites:
        if match is None:
            draft.tell(label.name, f"'{site}' is no host name that becomes a route")
        else:
            draft.aside.setdefault("sites", []).append(Lead(match[1], None, label.name))
            draft.aside["routes label"] = label.name


def _finish(draft: Draft) -> None:
    draft.put_default("idle_timeout", SESSION)
    days, hours = (draft.aside.get(f"sablier.running-{what}") for what in ("days", "hours"))
    if label := hours or days:
        window = " ".join(one.value.lower().replace(" ", "") for one in (days, hours) if one)
        draft.put("schedule.keep_warm", window, label.name)
    leads = [*draft.aside.get("sites", ()), *_traefik_leads(draft)]
    put_leads(draft, leads, draft.aside.get("routes label", ""))
    _traefik_rest(draft, leads)


def _traefik_rest(draft: Draft, leads: list[Lead]) -> None:
    """The services that no router leads to: the first one gives the app its port, where none of the others does."""
    ports: dict[str, tuple[int, str]] = draft.aside.get("ports", {})
    told = {lead.label for lead in leads}
    rest = [named for named in ports.values() if named[1] not in told]
    if rest and len(rest) == len(ports):
        port, label = rest.pop(0)
        draft.put("port", port, label)
    for _, label in rest:
        draft.tell(label, "no router that becomes a route leads to this service")


SABLIER = Dialect(
    "Sablier",
    ("sablier.", "traefik.", "caddy"),
    (
        Entry("sablier.enable", "–", nothing, "`true`: the container becomes an app"),
        Entry(
            "sablier.group",
            "`member_of`, `companions`, `depends_on`",
            _group,
            "a request to any member wakes the whole group; members without a route are waited for",
        ),
        Entry("sablier.ready-after", "`readiness: {settle}`", _ready_after),
        Entry(
            "sablier.ready-on-start",
            why="readiness is asked of the app, and of its own health check; `torpor.readiness.delay=0s` asks nobody",
        ),
        Entry("sablier.running-hours", "`schedule: {keep_warm}`", _running),
        Entry("sablier.running-days", "`schedule: {keep_warm}`", _running),
        Entry(
            "sablier.anti-affinity", why="`budgets` and `uses` let apps take turns; write them into the file"
        ),
        Entry("sablier.idle.**", why=_THROTTLE),
        Entry("sablier.active.**", why=_THROTTLE),
        Entry("sablier.**", why="Torpor has no such setting"),
        Entry(
            "traefik.http.routers.*.rule", "`routes`", _traefik_rule, "``Host(`a`)``, also with `PathPrefix`"
        ),
        Entry("traefik.http.routers.*.service", "–", _traefik_service, "whose port its routes lead to"),
        Entry(
            "traefik.http.services.*.loadbalancer.server.port",
            "`port`, `routes: [{host, port}]`",
            _traefik_port,
            "the first router's is the app's, others are those of their routes",
        ),
        Entry("traefik.**", "–", nothing, "left to Traefik"),
        Entry("caddy", "`routes`", _caddy, "its host names"),
        Entry("caddy.**", "–", nothing, "left to Caddy"),
    ),
    claims=lambda draft: draft.container.labels.get("sablier.enable") == "true",
    finish=_finish,
)
