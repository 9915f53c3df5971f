"""A configuration file, with all that it includes, as validated settings; or all of its problems.

Nothing is half-loaded: one problem anywhere refuses the whole.  The file is converted
by msgspec in one go; only if that fails are its problems searched for, the broken
values taken out, and the rest checked all the same, so that one run tells everything.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import UNSET

from torpor.config import declarations as declared
from torpor.config.apps import build_app
from torpor.config.command import parse_words
from torpor.config.document import MAX_BYTES, Document, read_document
from torpor.config.explain import declared_type, explain
from torpor.config.front import build_gateway
from torpor.config.hosting import build_hosts, usual_hosts
from torpor.config.hosts import Hosts
from torpor.config.layers import Layer, Layers, absolute
from torpor.config.origin import Origin
from torpor.config.problems import KeyPath, Problem, Problems
from torpor.config.scalars import parse_scalar
from torpor.config.settings import Settings
from torpor.config.sharing import build_sharing
from torpor.config.together import check_together
from torpor.config.written import find_origin
from torpor.core.model import AppSpec
from torpor.errors import ConfigInvalid

MAX_FILES = 1000
_MAIN_ONLY = (
    "gateway",
    "tracking_dir",
    "memory",
    "budgets",
    "engines",
    "proxmox",
    "allow_reboot",
    "reboot_command",
)
_SECTIONS = ("gateway", "memory", "budgets", "engines", "proxmox", "defaults", "apps", "include")


def load(
    path: Path | str,
    environ: Mapping[str, str] = os.environ,
    *,
    additions: Sequence[Path] = (),
    found: Mapping[Path, bytes] = MappingProxyType({}),
    texts: Mapping[Path, bytes] | Mapping[str, bytes] = MappingProxyType({}),
) -> Settings:
    """The settings of the configuration at `path`.

    `${VAR}` is taken from `environ`.  `additions` are files that count as if the last lines of
    the file included them, but one may say again what the file says of an app; `found` come after them, by the contents of
    files that are not there.  `texts` are contents that stand in for those of files, which need not
    be there.  Raises `ConfigInvalid` with every problem of every file, in the order of the text.
    """
    contents = {os.path.realpath(file): text for each in (texts, found) for file, text in each.items()}
    loader = _Loader(environ, contents)
    settings = loader.load(
        os.fspath(path), [os.fspath(file) for file in additions], list(map(os.fspath, found))
    )
    if loader.problems:
        raise ConfigInvalid(loader.problems.sorted(), hint="Nothing was applied.")
    return settings


@dataclass(frozen=True)
class _Source:
    """One file that was read, and the defaults that hold in it, nearest first."""

    document: Document
    keys: declared.File
    defaults: tuple[Layer, ...]


class _Loader:
    def __init__(self, environ: Mapping[str, str], texts: Mapping[str, bytes]) -> None:
        self.problems = Problems()
        self._environ = environ
        self._texts = texts
        self._sources: list[_Source] = []
        self._read: set[str] = set()
        self._added: frozenset[str] = frozenset()

    def load(self, path: str, additions: Sequence[str], found: Sequence[str]) -> Settings:
        self._added = frozenset(map(os.path.abspath, additions))
        self._file(path, (), ())
        defaults = self._sources[0].defaults if self._sources else ()
        for file in [*additions, *found]:
            self._file(file, (path,), defaults)
        settings = self._front(Settings(source=Path(os.path.abspath(path))))
        keys, again = self._apps(settings.hosts)
        apps = {name: build_app(each) for name, each in keys.items()}
        spare = self._spare(again, keys, apps)
        discovered = {name for name, each in keys.items() if each.own.document.file in found}
        check_together(apps, keys, settings, self._refused_apps(), discovered)
        origins: dict[str, Origin] = {}
        if not self.problems:
            origins = {name: find_origin(each, self._added) for name, each in keys.items()}
        return replace(
            settings, apps=tuple(apps.values()), origins=MappingProxyType(origins), spare=tuple(spare)
        )

    def _front(self, settings: Settings) -> Settings:
        """`settings` with what only the main file says."""
        if not self._sources:
            return replace(settings, hosts=usual_hosts(self._environ))
        main = self._sources[0]
        settings = replace(settings, blank=main.document.blank)
        if main.keys.gateway is not UNSET:
            gateway = build_gateway(main.keys.gateway, main.document, self.problems)
            settings = replace(settings, gateway=gateway)
        if main.keys.tracking_dir is not UNSET:
            folder = self._tracking_dir(main.keys.tracking_dir, main.document)
            settings = replace(settings, tracking_dir=folder)
        settings = replace(
            settings,
            sharing=build_sharing(main.keys, main.document, self.problems),
            hosts=build_hosts(main.keys, main.document, self._environ, self.problems),
        )
        if main.keys.allow_reboot is not UNSET:
            settings = replace(settings, allow_reboot=main.keys.allow_reboot)
        if main.keys.reboot_command is not UNSET:
            words = self._reboot_command(main.keys.reboot_command, main.document)
            settings = replace(settings, reboot_command=words)
        return settings

    def _tracking_dir(self, value: str, document: Document) -> Path | None:
        if not value.strip() or "\0" in value:
            self.problems.add(document.problem(("tracking_dir",), "is not the name of a directory"))
            return None
        folder = Path(absolute(document, value))
        if folder.exists() and not folder.is_dir():
            self.problems.add(document.problem(("tracking_dir",), f"{folder} is not a directory"))
        return folder

    def _reboot_command(self, value: str | list[str], document: Document) -> tuple[str, ...]:
        try:
            return parse_words(value)
        except ValueError as error:
            self.problems.add(document.problem(("reboot_command",), str(error)))
            return ()

    # --- files ---

    def _file(self, path: str, parents: tuple[str, ...], inherited: tuple[Layer, ...]) -> None:
        """Read the file and, after it, what it includes."""
        real = os.path.realpath(path)
        self._read.add(real)
        raw = self._bytes(path)
        document = None if raw is None else read_document(path, raw, self._environ, self.problems)
        if document is None:
            return
        keys = self._convert(document)
        defaults = inherited
        if keys.defaults is not UNSET:
            defaults = (Layer(document, ("defaults",), keys.defaults), *inherited)
        self._sources.append(_Source(document, keys, defaults))
        for key in _MAIN_ONLY if parents else ():
            if getattr(keys, key) is not UNSET:
                self.problems.add(
                    document.problem((key,), f"belongs into the main file, {parents[0]}", at_key=True)
                )
        includes = [] if keys.include is UNSET else keys.include
        for position, pattern in enumerate([includes] if isinstance(includes, str) else includes):
            where: KeyPath = ("include",) if isinstance(includes, str) else ("include", position)
            for file in self._matches(document, pattern, where):
                self._include(document, file, where, (*parents, path), defaults)

    def _include(
        self,
        document: Document,
        file: str,
        where: KeyPath,
        parents: tuple[str, ...],
        defaults: tuple[Layer, ...],
    ) -> None:
        real = os.path.realpath(file)
        chain = [os.path.realpath(parent) for parent in parents]
        if real in chain:
            circle = " → ".join([*parents[chain.index(real) :], file])
            self.problems.add(document.problem(where, f"includes go in a circle: {circle}"))
        elif len(self._read) >= MAX_FILES:
            self.problems.add(document.problem(where, f"more than {MAX_FILES} files are included"))
        elif real not in self._read:
            self._file(file, parents, defaults)

    def _matches(self, document: Document, pattern: str, where: KeyPath) -> list[str]:
        """The files that an include names.  A glob may match nothing, a plain name may not."""
        full = os.path.join(os.path.dirname(document.file), os.path.expanduser(pattern))
        if not pattern or "\0" in pattern:
            self.problems.add(document.problem(where, "is not a file name"))
            return []
        if not glob.has_magic(pattern):
            if os.path.isfile(full):
                return [full]
            self.problems.add(document.problem(where, f"there is no such file: {full}"))
            return []
        own = os.path.realpath(document.file)
        found = sorted(glob.glob(full, recursive=True))
        # `*.yaml` beside the file itself is a natural thing to write.
        return [file for file in found if os.path.isfile(file) and os.path.realpath(file) != own]

    def _bytes(self, path: str) -> bytes | None:
        if (text := self._texts.get(os.path.realpath(path))) is not None:
            return text
        try:
            with open(path, "rb") as file:
                return file.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self.problems.add(Problem(path, 1, 1, "", f"cannot be read: {reason}"))
            return None

    # --- keys ---

    def _convert(self, document: Document) -> declared.File:
        """The file's keys, without those that are broken; `document.broken` then tells these."""
        data = _prepared(document.data)
        _remove(data, document.broken)
        try:
            return msgspec.convert(data, declared.File, dec_hook=parse_scalar)
        except msgspec.ValidationError as error:
            first = str(error)
        wrong: set[KeyPath] = set()

        def report(path: KeyPath, message: str, suggestion: str | None, at_key: bool) -> None:
            self.problems.add(document.problem(path, message, suggestion=suggestion, at_key=at_key))
            wrong.add(path)
            if at_key and suggestion:
                wrong.add((*path[:-1], suggestion))

        explain(declared_type(declared.File), data, (), report)
        found = bool(wrong)
        while wrong:
            _remove(data, wrong)
            document.broken |= set(map(document.as_written, wrong))
            # A map that lost a key which it must have is no use either; its problem is told already.
            wrong.clear()
            explain(declared_type(declared.File), data, (), lambda path, *_: wrong.add(path))
        try:
            return msgspec.convert(data, declared.File, dec_hook=parse_scalar)
        except msgspec.ValidationError as error:
            # The walk overlooked something: say it in msgspec's words rather than not at all.
            self.problems.add(document.problem((), str(error) if found else first))
            return declared.File()

    # --- apps ---

    def _apps(self, hosts: Hosts) -> tuple[dict[str, Layers], list[Layers]]:
        """The keys of each app, in the order of the files; and of added ones that a file of a person names, too."""
        apps: dict[str, Layers] = {}
        again: list[Layers] = []
        for source in self._sources:
            named = {} if isinstance(source.keys.apps, msgspec.UnsetType) else source.keys.apps
            for name, own in named.items():
                layer = Layer(source.document, ("apps", name), own)
                keys = Layers(name, (layer, *source.defaults), self._environ, self.problems, hosts)
                if name in apps and self._is_added(keys) and not self._is_added(apps[name]):
                    again.append(keys)
                elif name in apps:
                    first = apps[name].own.document.place(("apps", name))
                    self.problems.add(
                        source.document.problem(
                            layer.path, f"there is an app of this name at {first}", at_key=True
                        )
                    )
                else:
                    apps[name] = keys
        return apps, again

    def _is_added(self, keys: Layers) -> bool:
        return bool(self._added) and os.path.abspath(keys.own.document.file) in self._added

    def _spare(
        self, again: Sequence[Layers], keys: Mapping[str, Layers], apps: Mapping[str, AppSpec]
    ) -> list[Path]:
        """Files of added apps that say what the configuration says, and nothing else; others are a problem."""
        spare = []
        for each in again:
            own, first = each.own, keys[each.name].own
            alone = len(own.document.data["apps"]) == 1
            if alone and build_app(each) == apps[each.name]:
                spare.append(Path(own.document.file))
                continue
            place = first.document.place(first.path)
            text = f"there is an app of this name at {place}; `torpor rm {each.name}` removes the one here"
            self.problems.add(own.document.problem(own.path, text, at_key=True))
        return spare

    def _refused_apps(self) -> frozenset[str]:
        """Names of apps that are written, but not as a map."""
        broken = (path for source in self._sources for path in source.document.broken)
        return frozenset(str(path[1]) for path in broken if len(path) == 2 and path[0] == "apps")


def _prepared(data: Mapping[str, Any]) -> dict[str, Any]:
    """The data without `x-…` keys, and with maps where a section or an app is still empty."""
    kept = {key: value for key, value in data.items() if not key.startswith("x-")}
    for section in _SECTIONS:
        if section in kept and kept[section] is None:
            kept[section] = [] if section == "include" else {}
    apps = kept.get("apps")
    if isinstance(apps, dict):
        kept["apps"] = {name: {} if app is None else app for name, app in apps.items()}
    return kept


def _last_first(path: KeyPath) -> tuple[tuple[int, str], ...]:
    """Sorts list positions as numbers, so that items can be taken out from the end."""
    return tuple((step, "") if isinstance(step, int) else (-1, step) for step in path)


def _remove(data: Any, paths: Collection[KeyPath]) -> None:
    """Take the values at `paths` out of `data`."""
    for path in sorted(paths, key=_last_first, reverse=True):
        parent = data
        for step in path[:-1]:
            inside = isinstance(parent, list) or (isinstance(parent, dict) and step in parent)
            parent = parent[step] if inside else None
        last: Any = path[-1]
        if isinstance(parent, dict):
            parent.pop(last, None)
        elif isinstance(parent, list):
            del parent[last]
