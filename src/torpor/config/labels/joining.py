"""The apps of containers beside those of the files: checked by the same loader, left out where they are wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from torpor.config.explain import legible
from torpor.config.labels.container import MAX_LABEL
from torpor.config.labels.draft import MAX_TEXT, Remark
from torpor.config.load import load
from torpor.config.origin import Origin
from torpor.config.problems import Problem
from torpor.config.settings import Settings
from torpor.core.graph import cycles, levels
from torpor.core.model import AppSpec
from torpor.errors import ConfigInvalid

if TYPE_CHECKING:
    from torpor.config.labels.reading import Reading


def join(
    source: Path,
    additions: Sequence[Path],
    readings: Sequence[Reading],
    environ: Mapping[str, str] = os.environ,
    *,
    base: Mapping[Path, bytes] = MappingProxyType({}),
) -> tuple[Settings, dict[str, tuple[Remark, ...]]]:
    """The configuration with the apps of containers; and by the container's title why some are left out.

    What a file says wins: a container whose app has the name, or a route, of another one is left out.
    `base`: contents that stand in for those of files.  Raises `ConfigInvalid` for problems of the files themselves.
    """
    left: dict[str, tuple[Remark, ...]] = {}
    by_file: dict[str, Reading] = {}
    for reading in readings:
        if not reading.wrong:
            by_file[os.path.realpath(_file(source, reading))] = reading
    while True:
        texts = {Path(file): reading.text for file, reading in by_file.items()}
        try:
            settings = load(source, environ, additions=additions, found=texts, texts=base)
        except ConfigInvalid as invalid:
            problems = [one for one in invalid.problems if isinstance(one, Problem)]
            broken = {os.path.realpath(one.file) for one in problems} & by_file.keys()
            if not broken:
                raise
            for file in broken:
                reading = by_file.pop(file)
                own = [_remark(reading, one) for one in problems if os.path.realpath(one.file) == file]
                left[reading.container.title] = tuple(own)
        else:
            origins = {
                name: _named(origin, by_file[origin.file]) if origin.file in by_file else origin
                for name, origin in settings.origins.items()
            }
            return replace(settings, origins=MappingProxyType(origins)), left


def unchanged(before: Sequence[Reading], after: Sequence[Reading]) -> set[str]:
    """The apps that both say to be, and to be the same."""
    texts = {reading.name: reading.text for reading in before if not reading.wrong}
    return {one.name for one in after if not one.wrong and texts.get(one.name) == one.text}


def seated(
    settings: Settings, objection: Callable[[AppSpec, Sequence[AppSpec]], str | None]
) -> tuple[Settings, dict[str, str]]:
    """The settings without those apps of containers that cannot be beside the others; and why they cannot."""
    found = {app.name: app for app in settings.apps if settings.origins[app.name].container is not None}
    kept = [app for app in settings.apps if app.name not in found]
    apps, unfit = fitting(kept, found, {}, objection)
    origins = {name: origin for name, origin in settings.origins.items() if name not in unfit}
    return replace(settings, apps=(*kept, *apps.values()), origins=MappingProxyType(origins)), unfit


def with_unfit(
    left: Mapping[str, Sequence[Remark]], unfit: Mapping[str, str], readings: Sequence[Reading]
) -> dict[str, Sequence[Remark]]:
    """Why containers are left out, by their titles; `unfit` says it by the names of apps."""
    # Of two containers for one name it is the one that could be loaded.
    by_title = sorted((one.container.title not in left, one.container.title, one.name) for one in readings)
    titles = {name: title for _, title, name in by_title}
    return {**left, **{titles[name]: (Remark("", why, wrong=True),) for name, why in unfit.items()}}


def fitting(
    kept: Sequence[AppSpec],
    found: Mapping[str, AppSpec],
    held: Mapping[str, AppSpec],
    objection: Callable[[AppSpec, Sequence[AppSpec]], str | None],
) -> tuple[dict[str, AppSpec], dict[str, str]]:
    """Which apps of containers can be beside those that are `kept`; and why the others cannot.

    `found` are those that could be loaded just now, `held` those that are there already and say the
    same as before, and so stay.  Who needs what is left out is left out, too.
    """
    names = {app.name for app in kept}
    chosen = {**found, **held}
    if cycles(_needs(chosen)):  # somebody new needs one that could not be loaded again for that very reason
        chosen = {name: chosen[name] for name in found}
    fit = {name: spec for name, spec in chosen.items() if name in held}
    unfit: dict[str, str] = {}
    for name in (name for level in levels(_needs(chosen)) for name in level):
        spec, there = chosen[name], {*names, *fit}
        missing = [need.app for need in spec.depends_on if need.app not in there]
        if name in names:
            unfit[name] = f"there is an app named {name} already"
        elif missing:
            unfit[name] = f"there is no app named {missing[0]} any more"
        elif name not in held and (why := objection(spec, [*kept, *fit.values()])) is not None:
            unfit[name] = why
        fit[name] = spec
        if name in unfit:
            del fit[name]
    return fit, unfit


def _needs(apps: Mapping[str, AppSpec]) -> dict[str, list[str]]:
    return {name: [need.app for need in app.depends_on if need.app in apps] for name, app in apps.items()}


def _file(source: Path, reading: Reading) -> Path:
    """Where its settings would stand: beside the main file, to which paths in them are relative."""
    return (
        Path(os.path.abspath(source)).parent
        / f"{reading.container.engine} container {reading.container.name}"
    )


def _remark(reading: Reading, problem: Problem) -> Remark:
    """A problem in the words of the labels."""
    setting = problem.setting.removeprefix(f"apps.{reading.name}").removeprefix(".")
    label = reading.label(setting) if setting else ""
    meant = problem.suggestion
    if meant and label and problem.message.startswith("unknown key"):
        meant = f"{label.rpartition('.')[0]}.{meant}"
    guess = f" (did you mean '{meant}'?)" if meant else ""
    named = f"{setting}: " if setting and not label else ""
    return Remark(
        legible(label, MAX_LABEL), legible(f"{named}{problem.message}{guess}", MAX_TEXT), wrong=True
    )


def _named(origin: Origin, reading: Reading) -> Origin:
    """The origin of an app that stands in no file, by the labels."""
    written = tuple(
        one if one.shared else replace(one, label=reading.label(one.setting)) for one in origin.written
    )
    return replace(origin, container=reading.container.name, written=written)
