"""From the keys of an app and its defaults to the frozen value that everybody else sees.

A key of the app wins over the same key of its file's `defaults`, and that over those
of the including file.  A value is taken as a whole; only `environment` is merged, name
by name.  Paths are relative to the file that names them.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from msgspec import UNSET

from torpor.config import declarations as declared
from torpor.config import environment, template
from torpor.config.document import Document
from torpor.config.problems import Path as KeyPath
from torpor.config.problems import Problem, Problems
from torpor.config.routes import parse_path, parse_route
from torpor.config.settings import LogSpec, ProcessSpec
from torpor.core.model import (
    AppSpec,
    Backoff,
    DelayProbe,
    ExecProbe,
    HttpProbe,
    Lifecycle,
    LoadingPage,
    LogProbe,
    NotifyProbe,
    Probe,
    Readiness,
    Route,
    SocketActivity,
    SocketPolicy,
    StartLimit,
    TcpProbe,
    WakeOn,
)

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
MAX_ROUTES = 1000

_SHELL_WORDS = frozenset({"&&", "||", "|", ">", ">>", "<", ";", "&", "2>&1"})
_CODES = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")
T = TypeVar("T")


@dataclass(frozen=True)
class Layer:
    """The keys of an app as one place gives them: its own map, or a `defaults`."""

    document: Document
    path: KeyPath
    keys: declared.App
    broken: frozenset[KeyPath]
    """Paths whose values were refused already; they count as written, but have no value."""

    def absolute(self, file: str) -> str:
        """The absolute path of a file that this layer names."""
        return absolute(self.document, file)


def absolute(document: Document, file: str) -> str:
    """The absolute path of `file`, which `document` names."""
    base = os.path.dirname(os.path.abspath(document.file))
    return os.path.abspath(os.path.join(base, os.path.expanduser(file)))


def readable_file(path: str) -> str | None:
    """Why the file can not be read; None if it can."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return f"is not a file: {path}"
        if not os.access(path, os.R_OK):
            return f"may not be read: {path}"
    except (OSError, ValueError) as error:
        return f"can not be read: {path} ({_reason(error)})"
    return None


def build_app(name: str, layers: Sequence[Layer], environ: Mapping[str, str], problems: Problems) -> AppSpec:
    """The app.  What is wrong goes to `problems`; the result then holds defaults in its place."""
    return _App(name, layers, environ, problems).build()


class _App:
    """One app on its way from keys to value."""

    def __init__(
        self, name: str, layers: Sequence[Layer], environ: Mapping[str, str], problems: Problems
    ) -> None:
        self._name = name
        self._layers = layers
        self._environ = environ
        self._problems = problems

    def build(self) -> AppSpec:
        self._check_name()
        routes = self._routes()
        port = self._get("port", None)
        return AppSpec(
            name=self._name,
            lifecycle=self._lifecycle(),
            routes=routes,
            readiness=self._readiness(listens=bool(routes) or port is not None),
            loading_page=self._loading_page(),
            wake_on=self._get("wake_on", WakeOn.ANY),
            websocket=self._websocket(),
            port=port,
            workload=ProcessSpec(
                command=self._command(),
                working_dir=self._working_dir(),
                shell=self._get("shell", False),
                environment=MappingProxyType(self._environment()),
                stop_signal=int(self._get("stop_signal", signal.SIGTERM)),
                log=_filled(LogSpec(), self._get("log", None)),
            ),
        )

    # --- looking keys up ---

    def _layer(self, key: str) -> Layer | None:
        """The layer that decides `key`; None if nobody wrote it."""
        for layer in self._layers:
            if getattr(layer.keys, key) is not UNSET or (*layer.path, key) in layer.broken:
                return layer
        return None

    def _get(self, key: str, otherwise: Any) -> Any:
        layer = self._layer(key)
        value = UNSET if layer is None else getattr(layer.keys, key)
        return otherwise if value is UNSET else value

    def _report(self, key: str, message: str, *inner: str | int) -> None:
        layer = self._layer(key) or self._layers[0]
        self._problems.add(layer.document.problem((*layer.path, key, *inner), message))

    # --- the parts ---

    def _check_name(self) -> None:
        if NAME.fullmatch(self._name):
            return
        own = self._layers[0]
        lower = self._name.lower()
        self._problems.add(
            own.document.problem(
                own.path,
                "is no name for an app: up to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit",
                suggestion=lower if NAME.fullmatch(lower) else None,
                at_key=True,
            )
        )

    def _lifecycle(self) -> Lifecycle:
        default = Lifecycle()
        always_on = self._get("always_on", default.always_on)
        own = self._layers[0].keys
        if always_on and own.idle_timeout is not UNSET and own.idle_timeout.limit is not None:
            self._report(
                "idle_timeout", "has no effect: an app that is always_on never sleeps; remove one of them"
            )
        backoff = _filled(default.backoff, self._get("backoff", None))
        if backoff.max < backoff.initial:
            self._report("backoff", "the longest pause (max) is shorter than the first (initial)")
        idle = self._get("idle_timeout", None)
        return Lifecycle(
            idle_timeout=default.idle_timeout if idle is None else idle.limit,
            wake_timeout=float(self._get("wake_timeout", default.wake_timeout)),
            start_timeout=float(self._get("start_timeout", default.start_timeout)),
            drain_timeout=float(self._get("drain_timeout", default.drain_timeout)),
            stop_timeout=float(self._get("stop_timeout", default.stop_timeout)),
            always_on=always_on,
            restart=self._get("restart", default.restart),
            max_waiting=self._get("max_waiting", default.max_waiting),
            backoff=backoff,
            start_limit=_filled(default.start_limit, self._get("start_limit", None)),
            stable_after=float(self._get("stable_after", default.stable_after)),
        )

    def _command(self) -> tuple[str, ...]:
        if self._layer("command") is None:
            own = self._layers[0]
            self._problems.add(
                own.document.problem(
                    own.path,
                    "has no command; say how to start it, e.g. command: ./serve --port $PORT",
                    at_key=True,
                )
            )
            return ()
        value = self._get("command", ())
        shell = self._layer("shell")
        if shell is not None and (*shell.path, "shell") in shell.broken:
            return ()
        if not self._get("shell", False):
            return self._words("command", value)
        if isinstance(value, list):
            self._report("command", "is a list, but `shell: true` wants the shell's text in one string")
        elif isinstance(value, str) and not value.strip():
            self._report("command", "is empty")
        return (value,) if isinstance(value, str) else ()

    def _words(self, key: str, value: Any, *inner: str) -> tuple[str, ...]:
        """An argument vector from a string or a list."""
        try:
            words = tuple(shlex.split(value)) if isinstance(value, str) else tuple(value)
        except ValueError as error:
            self._report(key, f"can not be split into words: {str(error).lower()}", *inner)
            return ()
        if isinstance(value, str) and (shell := _SHELL_WORDS.intersection(words)):
            self._report(
                key,
                f"holds '{min(shell)}', which only a shell understands: add `shell: true`, or write the command "
                "as a list",
                *inner,
            )
        if ((value or isinstance(value, str)) and (not words or not words[0])) or (
            isinstance(value, list) and not value
        ):
            self._report(key, "is empty", *inner)
        if any("\0" in word for word in words):
            self._report(key, "holds a NUL character, which no program can be given", *inner)
        return words

    def _working_dir(self) -> Path:
        layer = self._layer("working_dir")
        path = (layer or self._layers[0]).absolute(self._get("working_dir", "."))
        if layer is not None and not _is_dir(path):
            self._report("working_dir", f"there is no such directory: {path}")
        return Path(path)

    def _environment(self) -> dict[str, str]:
        variables: dict[str, str] = {}
        layer = self._layer("env_file")
        files = self._get("env_file", [])
        for position, file in enumerate([files] if isinstance(files, str) else files):
            assert layer is not None
            inner = () if isinstance(files, str) else (position,)
            variables |= self._env_file(layer.absolute(file), inner)
        for each in reversed(self._layers):
            variables |= self._named_variables(each)
        return variables

    def _env_file(self, path: str, inner: tuple[int, ...]) -> dict[str, str]:
        text = self._read("env_file", path, environment.MAX_BYTES, *inner)
        if text is None:
            return {}

        def complain(line: int, message: str) -> None:
            setting = f"apps.{self._name}.env_file"
            self._problems.add(Problem(path, line, 1, setting, message))

        return environment.parse_env_file(text, self._environ, complain)

    def _named_variables(self, layer: Layer) -> dict[str, str]:
        named = layer.keys.environment
        variables: dict[str, str] = {}
        if named is UNSET:
            return variables
        path = (*layer.path, "environment")
        entries: list[tuple[KeyPath, str, Any]] = []
        if isinstance(named, dict):
            entries = [((*path, name), name, value) for name, value in named.items()]
        else:
            for position, item in enumerate(named):
                name, equals, value = item.partition("=")
                entries.append(((*path, position), name, value if equals else None))
        for where, name, value in entries:
            complaint = None
            if not environment.NAME.fullmatch(name):
                complaint = f"'{name}' is no name of a variable"
            elif value is None and name not in self._environ:
                complaint = f"{name} has no value and Torpor's own environment has none to pass on"
            elif isinstance(value, str) and "\0" in value:
                complaint = "holds a NUL character, which no environment can carry"
            if complaint is not None:
                self._problems.add(layer.document.problem(where, complaint, at_key=True))
            elif value is None:
                variables[name] = self._environ[name]
            else:
                # 1.10 and 0755 are numbers to YAML; the app gets what is written.
                variables[name] = value if isinstance(value, str) else layer.document.text(where)
        return variables

    def _routes(self) -> tuple[Route, ...]:
        value = self._get("routes", [])
        items = value if isinstance(value, list) else [value]
        routes: list[Route] = []
        if len(items) > MAX_ROUTES:
            self._report("routes", f"has more than {MAX_ROUTES} routes")
            return ()
        for position, item in enumerate(items):
            inner: tuple[str | int, ...] = (position,) if isinstance(value, list) else ()
            route = self._route(item, inner)
            if route is not None:
                routes.append(route)
        return tuple(routes)

    def _route(self, item: str | declared.Route, inner: tuple[str | int, ...]) -> Route | None:
        if isinstance(item, str):
            return self._try(lambda: parse_route(item), "routes", *inner)
        route = self._try(lambda: parse_route(item.host), "routes", *inner, "host")
        if route is None:
            return None
        path = route.path
        if item.path is not UNSET:
            if "/" in item.host:
                self._report(
                    "routes", "the path stands in `host` and in `path`; write it once", *inner, "path"
                )
            path = self._try(lambda: parse_path(str(item.path)), "routes", *inner, "path") or path
        strip = item.strip_prefix is True
        if strip and path == "/":
            self._report("routes", "there is no path to strip", *inner, "strip_prefix")
        return Route(route.host, path, strip)

    def _readiness(self, *, listens: bool) -> Readiness:
        value = self._get("readiness", None)
        default = (TcpProbe(),) if listens else ()
        if value is None:
            return Readiness(default)
        if isinstance(value, str):
            if not value.startswith("/"):
                self._report(
                    "readiness",
                    f"'{value}' is not a path like /healthz; a map names another way, "
                    "e.g. {tcp: true} or {log: 'listening on'}",
                )
            self._check_probe_path(value)
            return Readiness((HttpProbe(value),))
        probes: list[Probe] = []
        if value.http is not UNSET:
            self._check_probe_path(value.http, "http")
            probes.append(HttpProbe(value.http, self._codes(value.codes)))
        elif value.codes is not UNSET:
            self._report("readiness", "are the statuses of an `http` probe, but there is none", "codes")
        if value.tcp is True:
            probes.append(TcpProbe())
        if value.log is not UNSET:
            probes.append(LogProbe(str(value.log)))
        if value.exec is not UNSET:
            probes.append(ExecProbe(self._words("readiness", value.exec, "exec")))
        if value.notify is True:
            probes.append(NotifyProbe())
        if value.delay is not UNSET:
            probes.append(DelayProbe(float(value.delay)))
        settle = 0.0 if value.settle is UNSET else float(value.settle)
        unspecified = not probes and value.tcp is UNSET
        return Readiness(default if unspecified else tuple(probes), settle)

    def _check_probe_path(self, path: str, *inner: str) -> None:
        if not path.isascii() or not path.isprintable() or " " in path:
            self._report("readiness", "a path is plain ASCII without blanks; percent-encode the rest", *inner)

    def _codes(self, value: Any) -> tuple[tuple[int, int], ...]:
        if value is UNSET:
            return HttpProbe("/").codes
        ranges: list[tuple[int, int]] = []
        for position, item in enumerate(value if isinstance(value, list) else [value]):
            match = _CODES.fullmatch(str(item))
            low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
            if low > high:
                inner = (position,) if isinstance(value, list) else ()
                self._report(
                    "readiness", f"'{item}' is neither a status nor a range like 200-299", "codes", *inner
                )
            else:
                ranges.append((low, high))
        if value == []:
            self._report("readiness", "is empty: no status would ever be ready", "codes")
        return tuple(ranges)

    def _loading_page(self) -> LoadingPage:
        value = self._get("loading_page", LoadingPage().enabled)
        if isinstance(value, bool):
            return LoadingPage(enabled=value)
        layer = self._layer("loading_page")
        text = None
        if value.template is not UNSET and layer is not None:
            path = layer.absolute(value.template)
            text = self._read("loading_page", path, template.MAX_BYTES, "template")
            for complaint in template.check_template(text) if text is not None else ():
                self._report("loading_page", f"the template {value.template}: {complaint}", "template")
        default = LoadingPage()
        return LoadingPage(
            enabled=_or(value.enabled, default.enabled),
            title=_or(value.title, default.title),
            template=text,
            show_logs=_or(value.show_logs, default.show_logs),
        )

    def _websocket(self) -> SocketPolicy:
        default = SocketPolicy()
        value = self._get("websocket", None)
        short: SocketActivity | None = self._get("websocket_activity", None)
        activity = UNSET if value is None else value.activity
        max_age = UNSET if value is None else value.max_age
        if (
            short is not None
            and activity is not UNSET
            and self._layer("websocket") is self._layer("websocket_activity")
        ):
            self._report(
                "websocket_activity", "says the same as `websocket: {activity: …}`; write one of them"
            )
        if short is None:
            short = _or(activity, default.activity)
        return SocketPolicy(short, default.max_age if max_age is UNSET else max_age.limit)

    # --- helpers ---

    def _read(self, key: str, path: str, most: int, *inner: str | int) -> str | None:
        """The text of a file that `key` names."""
        complaint = readable_file(path)
        if complaint is None:
            try:
                with open(path, "rb") as file:
                    raw = file.read(most + 1)
                if len(raw) <= most:
                    return raw.decode("utf-8-sig")
                complaint = f"is larger than {most // 1024} KiB: {path}"
            except UnicodeDecodeError:
                complaint = f"is not UTF-8 text: {path}"
            except OSError as error:
                complaint = f"can not be read: {path} ({_reason(error)})"
        self._report(key, complaint, *inner)
        return None

    def _try(self, parse: Callable[[], T], key: str, *inner: str | int) -> T | None:
        try:
            return parse()
        except ValueError as error:
            self._report(key, str(error), *inner)
            return None


Filled = TypeVar("Filled", LogSpec, Backoff, StartLimit)


def _filled(default: Filled, keys: Any) -> Filled:
    """`default` with what `keys` names.  Both have the same field names."""
    if keys is None:
        return default
    values = {name: _or(getattr(keys, name), getattr(default, name)) for name in keys.__struct_fields__}
    plain = {name: type(getattr(default, name))(value) for name, value in values.items()}
    return type(default)(**plain)


def _or(value: Any, otherwise: Any) -> Any:
    return otherwise if value is UNSET else value


def _is_dir(path: str) -> bool:
    try:
        return os.path.isdir(path)
    except ValueError:  # a NUL character
        return False


def _reason(error: OSError | ValueError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
