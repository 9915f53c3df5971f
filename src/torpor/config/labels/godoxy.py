"""`proxy.*`: the labels of GoDoxy, with its defaults.

Its labels about idleness count only beside `proxy.idle_timeout`, as they do there.
"""

from __future__ import annotations

import re

from torpor.config.labels.compose import parse_needs
from torpor.config.labels.draft import Draft
from torpor.config.labels.leads import Lead, put_leads
from torpor.config.labels.table import Dialect, Entry, Label, Take
from torpor.config.labels.words import go_duration, go_seconds, items, port_number, truth

IDLE = "proxy.idle_timeout"
RELEASED = "1m"
"""How soon an app falls asleep that is there only for others, once nobody needs it."""
WAKE_TIMEOUT, STOP_TIMEOUT = "3m", "1m"
"""Where no label says otherwise."""

_TIERS = ("stop", "pause", "kill")
_SIGNALS = ("INT", "TERM", "KILL", "QUIT", "HUP")
_ALL = re.compile(r"\*|#1")
_STREAMS = ("tcp", "udp")
_OTHERS = "is about GoDoxy's own proxy; Torpor has no such setting"


def _idle_timeout(draft: Draft, label: Label) -> None:
    seconds = go_seconds(label.value)
    if seconds == 0:
        draft.put("idle_timeout", "never", label.name)
    elif seconds < 0:
        draft.put("idle_timeout", RELEASED, label.name)
        draft.aside["needed only"] = True
    else:
        draft.put("idle_timeout", go_duration(label.value), label.name)


def _idle(take: Take) -> Take:
    """For labels that GoDoxy reads only beside `proxy.idle_timeout`."""

    def only_beside(draft: Draft, label: Label) -> None:
        if IDLE in draft.container.labels:
            take(draft, label)
        else:
            draft.tell(label.name, f"GoDoxy reads it only beside {IDLE}")

    return only_beside


def _wake_timeout(draft: Draft, label: Label) -> None:
    value = WAKE_TIMEOUT if go_seconds(label.value) == 0 else go_duration(label.value)
    draft.put("start_timeout", value, label.name)
    draft.put("wake_timeout", value, label.name)


def _stop_timeout(draft: Draft, label: Label) -> None:
    value = STOP_TIMEOUT if go_seconds(label.value) == 0 else go_duration(label.value)
    draft.put("stop_timeout", value, label.name)


def _stop_method(draft: Draft, label: Label) -> None:
    if label.value not in _TIERS:
        raise ValueError(f"'{label.value}' is not one of {', '.join(_TIERS)}")
    draft.put("sleep", label.value, label.name)


def _stop_signal(draft: Draft, label: Label) -> None:
    name = label.value.removeprefix("SIG")
    if name not in _SIGNALS:
        raise ValueError(f"'{label.value}' is not one of {', '.join(_SIGNALS)}")
    draft.put("stop_signal", name, label.name)


def _start_endpoint(draft: Draft, label: Label) -> None:
    path = label.value.partition("#")[0]
    if not path.startswith("/"):
        raise ValueError(f"'{label.value}' is not a path; it must begin with '/'")
    draft.put("wake_paths", [path], label.name)


def _depends_on(draft: Draft, label: Label) -> None:
    draft.needs += parse_needs(label.name, label.value)


def _no_loading_page(draft: Draft, label: Label) -> None:
    draft.put("loading_page", not truth(label.value), label.name)


def _network(draft: Draft, label: Label) -> None:
    draft.network = draft.network or label.value


def _aliases(draft: Draft, label: Label) -> None:
    draft.aside["aliases"] = items(label.value)


def _exclude(_draft: Draft, label: Label) -> None:
    truth(label.value)


def _route(draft: Draft, label: Label) -> None:
    alias, field = label.parts[0], label.name.split(".", 2)[2]
    draft.aside.setdefault("fields", {}).setdefault(alias, {})[field] = label


def _finish(draft: Draft) -> None:
    """Routes follow from all labels together, and from none: the container's name is an alias."""
    if IDLE in draft.container.labels:
        draft.put_default("start_timeout", WAKE_TIMEOUT)
        draft.put_default("wake_timeout", WAKE_TIMEOUT)
        draft.put_default("stop_timeout", STOP_TIMEOUT)
    else:
        draft.put_default("idle_timeout", "never")
    fields: dict[str, dict[str, Label]] = draft.aside.get("fields", {})
    named = draft.aside.get("aliases")
    if named is None and draft.aside.get("needed only") and not fields:
        return
    aliases = named or [draft.container.name]
    for number, alias in enumerate(aliases, 1):
        if (meant := fields.pop(f"#{number}", None)) is not None:
            fields[alias] = {**meant, **fields.get(alias, {})}
    everywhere = fields.pop("*", {})
    # A field of an alias that no label lists makes it one.
    aliases += [alias for alias in fields if alias not in aliases and not alias.startswith("#")]
    for alias, labels in fields.items():
        if alias not in aliases:
            for label in labels.values():
                draft.refuse(label.name, f"there is no alias {alias}")
    leads = [_lead(draft, alias, {**everywhere, **fields.get(alias, {})}) for alias in aliases]
    put_leads(draft, filter(None, leads), "proxy.aliases" if named else "")


def _lead(draft: Draft, alias: str, fields: dict[str, Label]) -> Lead | None:
    """The route of an alias; what else its labels say goes into the draft."""
    scheme = fields["scheme"].value.lower() if "scheme" in fields else "http"
    listen, port = "", fields["port"].value if "port" in fields else ""
    if ":" in port:
        listen, _, port = port.rpartition(":")
    label = fields["port"].name if "port" in fields else ""
    try:
        inside = port_number(port) if port else None
    except ValueError as error:
        draft.refuse(label, str(error))
        return None
    if "healthcheck.path" in fields:
        check = fields["healthcheck.path"]
        draft.put("readiness", {"http": check.value, "codes": ["200-499"]}, check.name)
    if scheme in _STREAMS or listen:
        try:
            number = port_number(listen or port)
        except ValueError:
            why = f"which port is to be listened on for {alias} stands nowhere"
            draft.refuse(label or fields["scheme"].name, why)
            return None
        return Lead(f"{scheme if scheme in _STREAMS else 'tcp'}://0.0.0.0:{number}", inside, label)
    if scheme not in {"http", "h2c"}:
        draft.tell(fields["scheme"].name, "Torpor speaks plain HTTP with apps; it asks for http:// here")
    # GoDoxy matches an alias without a dot with that name below any domain.
    return Lead(alias.lower() if "." in alias else f"{alias.lower()}.*", inside, label)


GODOXY = Dialect(
    "GoDoxy",
    ("proxy.",),
    (
        Entry(
            IDLE,
            "`idle_timeout`",
            _idle_timeout,
            f"0: `never`; negative: only for those that need it, asleep {RELEASED} after the last of them",
        ),
        Entry(
            "proxy.wake_timeout",
            "`start_timeout`, `wake_timeout`",
            _idle(_wake_timeout),
            f"{WAKE_TIMEOUT} without it",
        ),
        Entry("proxy.stop_timeout", "`stop_timeout`", _idle(_stop_timeout), f"{STOP_TIMEOUT} without it"),
        Entry("proxy.stop_method", "`sleep`", _idle(_stop_method), "`stop`, `pause` or `kill`"),
        Entry("proxy.stop_signal", "`stop_signal`", _idle(_stop_signal)),
        Entry("proxy.start_endpoint", "`wake_paths`", _idle(_start_endpoint), "without what follows a `#`"),
        Entry(
            "proxy.depends_on",
            "`depends_on`",
            _idle(_depends_on),
            "`service_started` is `started`, `service_healthy` `healthy`; without it "
            "`com.docker.compose.depends_on`",
        ),
        Entry("proxy.no_loading_page", "`loading_page: false`", _idle(_no_loading_page)),
        Entry(
            "proxy.aliases",
            "`routes`",
            _aliases,
            "`app` is `app.*`, that name below any domain; without it the container's name",
        ),
        Entry("proxy.exclude", "–", _exclude, "`true`: the container becomes no app"),
        Entry("proxy.network", "`container: {network}`", _network),
        Entry(
            "proxy.*.port",
            "`port`, `routes: [{host, port}]`",
            _route,
            "the first is the app's, others are those of their routes; `LISTEN:PORT` is a stream: "
            "`tcp://0.0.0.0:LISTEN`",
        ),
        Entry(
            "proxy.*.scheme",
            "`routes`",
            _route,
            "`tcp`, `udp`: a stream; `https`: Torpor asks over plain HTTP",
        ),
        Entry("proxy.*.healthcheck.path", "`readiness: {http, codes: [200-499]}`", _route),
        Entry(
            "proxy.*.host",
            why="a label does not say where the container is; write `address` into the configuration file",
        ),
        Entry("proxy.*.**", why=_OTHERS),
        Entry("proxy.*", why=_OTHERS),
    ),
    claims=lambda draft: any(label.startswith("proxy.") for label in draft.container.labels),
    bars=lambda draft: draft.container.labels.get("proxy.exclude", "").lower() in {"true", "1", "yes", "on"},
    finish=_finish,
)
