"""Every key of a configuration, declared once.

From these classes come validation, the JSON Schema for editors and the reference
page.  A default that the core decides by is taken from there, never repeated.
What one key alone can tell is declared here; what needs another key or the world
outside (a file, a directory) is checked where the value is built.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from torpor.config.scalars import Regex, Signal
from torpor.config.settings import GatewaySpec, Limits, LogSpec
from torpor.config.units import Duration, Patience, PositiveDuration, Size, duration_text, size_text
from torpor.core.model import (
    Backoff,
    Lifecycle,
    LoadingPage,
    Restart,
    SocketActivity,
    SocketPolicy,
    StartLimit,
    WakeOn,
)

_LIFECYCLE = Lifecycle()
_LIMITS = Limits()
_LOG = LogSpec()
_BACKOFF = Backoff()
_START_LIMIT = StartLimit()
_PAGE = LoadingPage()
_SOCKETS = SocketPolicy()


def _about(description: str, example: object = None, default: object = None, **bounds: Any) -> Meta:
    """The documentation of one key; `bounds` are msgspec's."""
    return Meta(
        description=description,
        examples=None if example is None else [example],
        extra_json_schema=None if default is None else {"default": default},
        **bounds,
    )


class _Keys(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A map with known keys.  A key that is not written is UNSET, so that `defaults` can tell."""


class Tls(_Keys, frozen=True):
    """The certificate of a listener."""

    cert: Annotated[str, _about("File with the certificate and its chain, PEM.", "./tls/cert.pem")]
    key: Annotated[str, _about("File with the private key, PEM.", "./tls/key.pem")]


class Listener(_Keys, frozen=True):
    """An address of the gateway with its options."""

    address: Annotated[str | int, _about("`HOST:PORT`, or a port on 127.0.0.1.", "0.0.0.0:8443")]
    tls: Annotated[Tls, _about("Speak TLS with this certificate.")] | UnsetType = UNSET


class GatewayLimits(_Keys, frozen=True):
    """What a stranger can make the gateway hold."""

    request_line: (
        Annotated[Size, _about("Longest request line.", "16K", size_text(_LIMITS.request_line))] | UnsetType
    ) = UNSET
    headers_size: (
        Annotated[
            Size,
            _about("Largest request head, request line included.", "128K", size_text(_LIMITS.headers_size)),
        ]
        | UnsetType
    ) = UNSET
    headers_count: (
        Annotated[
            int, _about("Most header fields of a request.", 200, _LIMITS.headers_count, ge=1, le=10_000)
        ]
        | UnsetType
    ) = UNSET
    header_timeout: (
        Annotated[
            PositiveDuration,
            _about(
                "From the first byte of a request head to its end.",
                "5s",
                duration_text(_LIMITS.header_timeout),
            ),
        ]
        | UnsetType
    ) = UNSET
    idle_timeout: (
        Annotated[
            PositiveDuration,
            _about(
                "How long a connection without a request is kept open.",
                "2m",
                duration_text(_LIMITS.idle_timeout),
            ),
        ]
        | UnsetType
    ) = UNSET
    body_timeout: (
        Annotated[
            PositiveDuration,
            _about(
                "Longest pause between two pieces of a request body.",
                "30s",
                duration_text(_LIMITS.body_timeout),
            ),
        ]
        | UnsetType
    ) = UNSET
    connections: (
        Annotated[int, _about("Most open client connections.", 2000, _LIMITS.connections, ge=1, le=1_000_000)]
        | UnsetType
    ) = UNSET


class Gateway(_Keys, frozen=True):
    """The front door."""

    listen: (
        Annotated[
            str | int | Listener | list[str | int | Listener],
            _about(
                "Where the gateway listens: `HOST:PORT`, a port on 127.0.0.1, a map with `tls`, or a list of these.",
                "127.0.0.1:8080",
                str(GatewaySpec().listen[0]),
            ),
        ]
        | UnsetType
    ) = UNSET
    trusted_proxies: (
        Annotated[
            str | list[str],
            _about(
                "Addresses or networks whose `Forwarded` and `X-Forwarded-*` headers are believed and extended.",
                ["10.0.0.0/8"],
            ),
        ]
        | UnsetType
    ) = UNSET
    limits: Annotated[GatewayLimits, _about("Limits on what a client may use up.")] | UnsetType = UNSET


class Route(_Keys, frozen=True):
    """A route with its options."""

    host: Annotated[str, _about("Host name, `*.wildcard` or `default`.", "notes.localhost")]
    path: Annotated[str, _about("Path prefix, matched on whole segments.", "/api", "/")] | UnsetType = UNSET
    strip_prefix: (
        Annotated[bool, _about("Take the path prefix off before the request is passed on.", True, False)]
        | UnsetType
    ) = UNSET


class Readiness(_Keys, frozen=True):
    """When an app counts as ready.  All that is named must hold."""

    http: (
        Annotated[str, _about("A GET of this path answers with one of `codes`.", "/healthz", pattern="^/")]
        | UnsetType
    ) = UNSET
    codes: (
        Annotated[
            str | int | list[str | int],
            _about("Statuses that `http` takes for ready: numbers or ranges.", ["200-299", 401], "200-399"),
        ]
        | UnsetType
    ) = UNSET
    tcp: Annotated[bool, _about("The app's port accepts a connection.", True)] | UnsetType = UNSET
    log: (
        Annotated[
            Regex, _about("A line of the app's output matches this regular expression.", "listening on")
        ]
        | UnsetType
    ) = UNSET
    exec: (
        Annotated[
            str | list[str],
            _about("This command, run in the app's directory and environment, exits 0.", "./ready.sh"),
        ]
        | UnsetType
    ) = UNSET
    notify: (
        Annotated[bool, _about("The app sends `READY=1` to `$NOTIFY_SOCKET` (sd_notify).", True)] | UnsetType
    ) = UNSET
    delay: Annotated[Duration, _about("That long has passed since the start.", "500ms")] | UnsetType = UNSET
    settle: (
        Annotated[Duration, _about("How long to wait after all of it held.", "250ms", "0s")] | UnsetType
    ) = UNSET


class WaitingPage(_Keys, frozen=True):
    """The page that a browser sees while the app wakes."""

    enabled: (
        Annotated[
            bool,
            _about("Whether a browser gets the page; otherwise its request is held.", False, _PAGE.enabled),
        ]
        | UnsetType
    ) = UNSET
    title: (
        Annotated[str, _about("Title instead of the app's name.", "My notes", max_length=200)] | UnsetType
    ) = UNSET
    template: (
        Annotated[
            str,
            _about("HTML file with `{{placeholders}}` to show instead of the built-in page.", "./page.html"),
        ]
        | UnsetType
    ) = UNSET
    show_logs: (
        Annotated[
            bool,
            _about(
                "Whether the page may show the app's last log lines when it failed.", True, _PAGE.show_logs
            ),
        ]
        | UnsetType
    ) = UNSET


class Websocket(_Keys, frozen=True):
    """How upgraded connections count for idleness."""

    activity: (
        Annotated[
            SocketActivity,
            _about(
                "`data`: data from the client keeps the app awake, pings and an open socket do not; `open`: an open "
                "socket keeps it awake; `ignore`: sockets do not count.",
                "open",
                _SOCKETS.activity.value,
            ),
        ]
        | UnsetType
    ) = UNSET
    max_age: (
        Annotated[
            Patience, _about("Close a connection that is older.", "12h", duration_text(_SOCKETS.max_age))
        ]
        | UnsetType
    ) = UNSET


class Log(_Keys, frozen=True):
    """The rotating log file of an app."""

    max_size: (
        Annotated[Size, _about("Start a new file at this size.", "1M", size_text(_LOG.max_size))] | UnsetType
    ) = UNSET
    keep: Annotated[int, _about("Older files that are kept.", 5, _LOG.keep, ge=0, le=1000)] | UnsetType = (
        UNSET
    )


class RestartPause(_Keys, frozen=True):
    """The pause before an app that failed is started again."""

    initial: (
        Annotated[Duration, _about("Pause after the first failure.", "1s", duration_text(_BACKOFF.initial))]
        | UnsetType
    ) = UNSET
    factor: (
        Annotated[
            float, _about("Each further pause is longer by this factor.", 1.5, _BACKOFF.factor, ge=1, le=100)
        ]
        | UnsetType
    ) = UNSET
    max: Annotated[Duration, _about("Longest pause.", "5m", duration_text(_BACKOFF.max))] | UnsetType = UNSET


class GiveUp(_Keys, frozen=True):
    """When to give up on an app that fails again and again."""

    failures: (
        Annotated[int, _about("That many failures …", 10, _START_LIMIT.failures, ge=1, le=1_000_000)]
        | UnsetType
    ) = UNSET
    window: (
        Annotated[
            PositiveDuration,
            _about("… within this time make the app `failed`.", "10m", duration_text(_START_LIMIT.window)),
        ]
        | UnsetType
    ) = UNSET
    cool_off: (
        Annotated[
            Duration, _about("How long it then refuses requests.", "5m", duration_text(_START_LIMIT.cool_off))
        ]
        | UnsetType
    ) = UNSET


class App(_Keys, frozen=True):
    """One app."""

    command: (
        Annotated[
            str | list[str],
            _about(
                "The program and its arguments, run without a shell. A string is split as a shell would split it; "
                "`$PORT` is the port to listen on.",
                "uvicorn api:app --port $PORT",
            ),
        ]
        | UnsetType
    ) = UNSET
    shell: (
        Annotated[bool, _about("Give `command` to `/bin/sh -c` as it stands.", True, False)] | UnsetType
    ) = UNSET
    working_dir: (
        Annotated[
            str,
            _about("The app's directory, relative to the file that names it.", "./notes", "."),
        ]
        | UnsetType
    ) = UNSET
    environment: (
        Annotated[
            dict[str, str | int | float | bool | None] | list[str],
            _about(
                "Variables of the app: a map, or a list of `NAME=value`. A name without value is passed on from "
                "Torpor's own environment. Merged with `defaults`, name by name.",
                {"LOG_LEVEL": "info"},
            ),
        ]
        | UnsetType
    ) = UNSET
    env_file: (
        Annotated[
            str | list[str],
            _about(
                "Files of `NAME=value` lines, relative to the file that names them; `environment` wins.",
                "./.env",
            ),
        ]
        | UnsetType
    ) = UNSET
    routes: (
        Annotated[
            str | Route | list[str | Route],
            _about(
                "What leads to the app: `host`, `host/path`, `*.wildcard`, `default` for hosts that nobody names, or "
                "a map with `host`, `path`, `strip_prefix`; one or a list.",
                ["notes.localhost"],
            ),
        ]
        | UnsetType
    ) = UNSET
    port: (
        Annotated[int, _about("A fixed port for `$PORT`; otherwise Torpor allots one.", 8501, ge=1, le=65535)]
        | UnsetType
    ) = UNSET
    readiness: (
        Annotated[
            str | Readiness,
            _about(
                "When the app counts as ready; a path alone means `http`. Without it: the port accepts a connection, "
                "if the app has routes or a fixed port.",
                "/healthz",
            ),
        ]
        | UnsetType
    ) = UNSET
    idle_timeout: (
        Annotated[
            Patience,
            _about("Sleep after that long without a request.", "10m", duration_text(_LIFECYCLE.idle_timeout)),
        ]
        | UnsetType
    ) = UNSET
    wake_timeout: (
        Annotated[
            PositiveDuration,
            _about(
                "How long a request is held while the app wakes.",
                "1m",
                duration_text(_LIFECYCLE.wake_timeout),
            ),
        ]
        | UnsetType
    ) = UNSET
    start_timeout: (
        Annotated[
            PositiveDuration,
            _about(
                "A start that is not ready by then has failed.", "5m", duration_text(_LIFECYCLE.start_timeout)
            ),
        ]
        | UnsetType
    ) = UNSET
    drain_timeout: (
        Annotated[
            Duration,
            _about(
                "How long requests in flight may hold up a stop.",
                "10s",
                duration_text(_LIFECYCLE.drain_timeout),
            ),
        ]
        | UnsetType
    ) = UNSET
    stop_signal: (
        Annotated[Signal, _about("The signal that asks the app to end.", "INT", "TERM")] | UnsetType
    ) = UNSET
    stop_timeout: (
        Annotated[
            Duration,
            _about("From the stop signal to KILL.", "30s", duration_text(_LIFECYCLE.stop_timeout)),
        ]
        | UnsetType
    ) = UNSET
    loading_page: (
        Annotated[
            bool | WaitingPage,
            _about(
                "What a browser sees while the app wakes; `false` holds its request instead.", False, True
            ),
        ]
        | UnsetType
    ) = UNSET
    wake_on: (
        Annotated[
            WakeOn,
            _about(
                "`any` request may wake the app, or only a page load (`navigation`): a forgotten tab's reconnect may not.",
                "navigation",
                WakeOn.ANY.value,
            ),
        ]
        | UnsetType
    ) = UNSET
    websocket: Annotated[Websocket, _about("How upgraded connections count.")] | UnsetType = UNSET
    websocket_activity: (
        Annotated[SocketActivity, _about("Short for `websocket: {activity: …}`.", "open")] | UnsetType
    ) = UNSET
    always_on: (
        Annotated[bool, _about("Start it with Torpor and keep it running.", True, _LIFECYCLE.always_on)]
        | UnsetType
    ) = UNSET
    max_waiting: (
        Annotated[
            int,
            _about(
                "Most requests held at once; one more is refused.",
                100,
                _LIFECYCLE.max_waiting,
                ge=1,
                le=1_000_000,
            ),
        ]
        | UnsetType
    ) = UNSET
    restart: (
        Annotated[
            Restart,
            _about("Whether to start it again when it exits by itself.", "always", _LIFECYCLE.restart.value),
        ]
        | UnsetType
    ) = UNSET
    log: Annotated[Log, _about("The app's rotating log file.")] | UnsetType = UNSET
    backoff: (
        Annotated[RestartPause, _about("The pause before a failed app is started again.")] | UnsetType
    ) = UNSET
    start_limit: (
        Annotated[GiveUp, _about("When to give up on an app that fails again and again.")] | UnsetType
    ) = UNSET
    stable_after: (
        Annotated[
            Duration,
            _about(
                "Ready for that long forgets earlier failures.", "1m", duration_text(_LIFECYCLE.stable_after)
            ),
        ]
        | UnsetType
    ) = UNSET


class File(_Keys, frozen=True):
    """A configuration file.  Top-level keys that begin with `x-` are ignored."""

    gateway: Annotated[Gateway, _about("The front door. Only in the main file.")] | UnsetType = UNSET
    include: (
        Annotated[
            str | list[str],
            _about(
                "Further files, as paths or globs relative to this file. Their `defaults` hold for their own apps and "
                "win over this file's.",
                "apps/*.yaml",
            ),
        ]
        | UnsetType
    ) = UNSET
    defaults: (
        Annotated[
            App, _about("Any key of an app, for all apps that do not say otherwise.", {"idle_timeout": "15m"})
        ]
        | UnsetType
    ) = UNSET
    apps: (
        Annotated[
            dict[str, App],
            _about(
                "The apps by name.",
                {"web": {"command": "python -m http.server $PORT", "routes": "web.localhost"}},
            ),
        ]
        | UnsetType
    ) = UNSET


SYNONYMS = {
    "cmd": "command",
    "exec": "command",
    "env": "environment",
    "cwd": "working_dir",
    "dir": "working_dir",
    "directory": "working_dir",
    "workdir": "working_dir",
    "host": "routes",
    "hosts": "routes",
    "domain": "routes",
    "domains": "routes",
    "healthcheck": "readiness",
    "health": "readiness",
    "idle": "idle_timeout",
    "ttl": "idle_timeout",
    "autostart": "always_on",
    "services": "apps",
    "programs": "apps",
    "bind": "listen",
    "address": "listen",
}
"""What neighbours call a key.  A guess is made only where the key exists."""
