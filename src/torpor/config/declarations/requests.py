"""The keys that say how requests reach an app, wake it and keep it awake."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, UnsetType

from torpor.config.declarations.keys import Keys, about
from torpor.config.declarations.privileges import Privileges
from torpor.config.declarations.rules import Rule
from torpor.config.units import Duration, Patience, PositiveDuration, Size, duration_text
from torpor.core.model import Lifecycle, LoadingPage, ProxyVersion, SocketActivity, SocketPolicy, Tier, WakeOn

_LIFECYCLE = Lifecycle()
_PAGE = LoadingPage()
_SOCKETS = SocketPolicy()


class Sleep(Keys, frozen=True):
    """A ladder: the longer nobody asks for anything, the deeper the app sleeps."""

    pause: (
        Annotated[
            PositiveDuration,
            about("When its processes are frozen; what they have in memory stays there.", "5m"),
        ]
        | UnsetType
    ) = UNSET
    hibernate: (
        Annotated[
            PositiveDuration,
            about("When they are frozen and their memory is paged out to swap.", "15m"),
        ]
        | UnsetType
    ) = UNSET
    stop: Annotated[PositiveDuration, about("When it is ended by its stop signal.", "2h")] | UnsetType = UNSET
    kill: Annotated[PositiveDuration, about("When it is ended by force.", "2h")] | UnsetType = UNSET


class Route(Keys, frozen=True):
    """A route with its options."""

    host: Annotated[
        str,
        about("Host name, `*.wildcard`, `name.*` or `default`, or a stream's address.", "notes.localhost"),
    ]
    path: Annotated[str, about("Path prefix, matched on whole segments.", "/api", "/")] | UnsetType = UNSET
    strip_prefix: (
        Annotated[bool, about("Take the path prefix off before the request is passed on.", True, False)]
        | UnsetType
    ) = UNSET
    port: (
        Annotated[
            int,
            about(
                "The port of the app that it leads to, where that is not the app's main one: of a container, machine "
                "or unit one of its own, of a process a fixed one on 127.0.0.1.",
                22,
                ge=1,
                le=65535,
            ),
        ]
        | UnsetType
    ) = UNSET
    accept_proxy: (
        Annotated[
            bool,
            about(
                "For streams: only `gateway.trusted_proxies` connect there, and say by the PROXY protocol for whom.",
                True,
                False,
            ),
        ]
        | UnsetType
    ) = UNSET
    send_proxy: (
        Annotated[
            ProxyVersion,
            about("For streams: tell the app by the PROXY protocol who connects.", "v2"),
        ]
        | UnsetType
    ) = UNSET
    rules: (
        Annotated[
            list[Rule],
            about(
                "What requests on this route mean; asked before the app's own `rules`.",
                [{"path": "/metrics", "wake": False, "activity": False}],
            ),
        ]
        | UnsetType
    ) = UNSET


class WaitingPage(Keys, frozen=True):
    """The page that a browser sees while the app wakes."""

    enabled: (
        Annotated[
            bool,
            about("Whether a browser gets the page; otherwise its request is held.", False, _PAGE.enabled),
        ]
        | UnsetType
    ) = UNSET
    title: (
        Annotated[str, about("Title instead of the app's name.", "My notes", max_length=200)] | UnsetType
    ) = UNSET
    template: (
        Annotated[
            str,
            about("HTML file with `{{placeholders}}` to show instead of the built-in page.", "./page.html"),
        ]
        | UnsetType
    ) = UNSET
    show_logs: (
        Annotated[
            bool,
            about(
                "Whether visitors may see the app's last log lines when it failed: in the page, and as `output` in "
                "the problem document that a held request gets.",
                True,
                _PAGE.show_logs,
            ),
        ]
        | UnsetType
    ) = UNSET


class Websocket(Keys, frozen=True):
    """How upgraded connections count for idleness."""

    activity: (
        Annotated[
            SocketActivity,
            about(
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
            Patience, about("Close a connection that is older.", "12h", duration_text(_SOCKETS.max_age))
        ]
        | UnsetType
    ) = UNSET


class Requests(Privileges, frozen=True):
    """How requests reach it, wake it and keep it awake."""

    routes: (
        Annotated[
            str | Route | list[str | Route],
            about(
                "What leads to the app: `host`, `host/path`, `*.wildcard`, `name.*` for that name below any domain, `default` for hosts that nobody names, "
                "a map with `host`, `path`, `strip_prefix`, `rules`, `port`, `tcp://ADDRESS:PORT`, where raw connections are "
                "taken, `tls://NAME@ADDRESS:PORT` for those that ask for this server, or `udp://ADDRESS:PORT` for "
                "datagrams; one or a list.",
                ["notes.localhost"],
            ),
        ]
        | UnsetType
    ) = UNSET
    port: (
        Annotated[int, about("A fixed port for `$PORT`; otherwise Torpor allots one.", 8501, ge=1, le=65535)]
        | UnsetType
    ) = UNSET
    address: (
        Annotated[
            str,
            about(
                "Where it listens, if that is not a port of this machine: `unix:PATH`, a Unix socket relative to the "
                "file that names it, which a process is told as `$SOCKET`; or the host name or address of a "
                "container, machine, unit, or what commands reach, unsaid: as its host knows.",
                "unix:./app.sock",
            ),
        ]
        | UnsetType
    ) = UNSET
    idle_timeout: (
        Annotated[
            Patience,
            about("Sleep after that long without a request.", "10m", duration_text(_LIFECYCLE.idle_timeout)),
        ]
        | UnsetType
    ) = UNSET
    sleep: (
        Annotated[
            Tier | Sleep,
            about(
                "How deep it sleeps: one of `pause`, `hibernate`, `stop` and `kill`, or a ladder of them, "
                "each with how long nobody must have asked for anything.",
                {"pause": "5m", "hibernate": "15m", "stop": "2h"},
                _LIFECYCLE.tier.value,
            ),
        ]
        | UnsetType
    ) = UNSET
    wake_timeout: (
        Annotated[
            PositiveDuration,
            about(
                "How long a request is held while the app wakes.",
                "1m",
                duration_text(_LIFECYCLE.wake_timeout),
            ),
        ]
        | UnsetType
    ) = UNSET
    drain_timeout: (
        Annotated[
            Duration,
            about(
                "How long requests in flight may hold up a stop.",
                "10s",
                duration_text(_LIFECYCLE.drain_timeout),
            ),
        ]
        | UnsetType
    ) = UNSET
    loading_page: (
        Annotated[
            bool | WaitingPage,
            about("What a browser sees while the app wakes; `false` holds its request instead.", False, True),
        ]
        | UnsetType
    ) = UNSET
    wake_on: (
        Annotated[
            WakeOn,
            about(
                "`any` request may wake the app, or only a page load (`navigation`): a forgotten tab's reconnect may not.",
                "navigation",
                WakeOn.ANY.value,
            ),
        ]
        | UnsetType
    ) = UNSET
    wake_paths: (
        Annotated[
            str | list[str],
            about(
                "Only requests to these paths wake the app; `*` stands for any characters.",
                ["/login", "/app/*"],
            ),
        ]
        | UnsetType
    ) = UNSET
    ignore_bots: (
        Annotated[
            bool,
            about(
                "Whether search engines, link previews, uptime monitors, health checks and scanners that are known by "
                "their `User-Agent` neither wake the app nor keep it awake.",
                True,
                False,
            ),
        ]
        | UnsetType
    ) = UNSET
    rules: (
        Annotated[
            list[Rule],
            about(
                "Which requests wake the app and which keep it awake; the first rule that meets a request decides.",
                [{"user_agent": "UptimeRobot", "wake": False, "activity": False, "answer": 200}],
            ),
        ]
        | UnsetType
    ) = UNSET
    min_bytes: (
        Annotated[
            Size,
            about(
                "Sleep also when fewer bytes of bodies than this have passed within `idle_timeout`, both ways: what "
                "merely polls does not keep the app awake.",
                "1500B",
            ),
        ]
        | UnsetType
    ) = UNSET
    websocket: Annotated[Websocket, about("How upgraded connections count.")] | UnsetType = UNSET
    websocket_activity: (
        Annotated[SocketActivity, about("Short for `websocket: {activity: …}`.", "open")] | UnsetType
    ) = UNSET
    stream_activity: (
        Annotated[
            SocketActivity,
            about(
                "How the connections of `tcp://` and `tls://` routes, and exchanges of datagrams, count. `data`: data of either side keeps the app awake, and so "
                "does waiting for its answer, but not an open connection; `open`: an open connection keeps it awake; "
                "`ignore`: connections do not count.",
                "open",
                SocketActivity.DATA.value,
            ),
        ]
        | UnsetType
    ) = UNSET
    stream_max_age: (
        Annotated[
            Patience,
            about("End a stream's connection that is older, in order.", "12h", duration_text(None)),
        ]
        | UnsetType
    ) = UNSET
    max_waiting: (
        Annotated[
            int,
            about(
                "Most requests and connections held at once; one more is refused.",
                100,
                _LIFECYCLE.max_waiting,
                ge=1,
                le=1_000_000,
            ),
        ]
        | UnsetType
    ) = UNSET
