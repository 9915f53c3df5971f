"""`torpor discover`: which containers have labels that make apps of them."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from torpor.cli.app import FAILED
from torpor.cli.connection import json_option, print_json
from torpor.cli.terminal import fail, has_colour, paint, printable
from torpor.errors import ConfigNotFound, TorporError

if TYPE_CHECKING:
    from torpor.config.hosts import Hosts
    from torpor.config.labels.container import Container
    from torpor.config.labels.reading import Reading
    from torpor.config.settings import Settings

NOWHERE = Path("torpor.yaml")
"""Where a configuration would be that there is not."""

Found = list[tuple["Reading", list[str]]]
"""What each container comes to, with why it is no app beside those of the files."""


@click.command()
@click.option("-c", "--config", metavar="FILE", help="The configuration that names the engines.")
@click.option(
    "--engine",
    metavar="NAME",
    help="Look at this engine: `docker`, `podman` or one of `engines`; without it at those with `discover: true`, else at `docker`.",
)
@json_option
def discover(config: str | None, engine: str | None, as_json: bool) -> int:
    """Show which containers are apps by their labels.

    With the settings that each label became, and those that became none, and why. Asks the container engine itself:
    no daemon is needed, and nothing changes. Understands the labels of Torpor
    (`torpor.enable=true`), GoDoxy, Sablier and Lazytainer. Exits 1 if a container has labels that are wrong.
    """
    settings, hosts = _hosts(config)
    names = (
        [engine] if engine else [name for name, host in hosts.engines.items() if host.discover] or ["docker"]
    )
    for name in names:
        if name not in hosts.engines:
            fail(f"there is no engine {printable(name)}", "`engines` in the configuration names them.")
            return FAILED
    try:
        containers = [one for name in names for one in asyncio.run(_list(name, hosts))]
    except TorporError as error:
        fail(error.message, error.hint)
        return FAILED
    found = _read(settings, containers)
    if as_json:
        print_json([_document(reading, left) for reading, left in found])
    else:
        colour = has_colour(sys.stdout)
        lines = [line for reading, left in found for line in _lines(reading, left, colour=colour)]
        sys.stdout.write("\n".join(["apps:" if lines else "apps: {}", *lines]) + "\n")
        apps = sum(not left for _, left in found)
        others = len(containers) - len(found)
        sys.stderr.write(f"torpor: {apps} of {len(containers)} containers are apps")
        sys.stderr.write(f"; without a label for it: {others}\n" if others else "\n")
        off = [name for name in names if not hosts.engines[name].discover]
        if found and off:
            sys.stderr.write(
                f"hint: `engines: {{{off[0]}: {{discover: true}}}}` lets the daemon take them on\n"
            )
    return FAILED if any(left for _, left in found) else 0


def _hosts(config: str | None) -> tuple[Settings | None, Hosts]:
    """The configuration, and the engines that it names; without one those that everybody has."""
    from torpor.config.additions import Additions, load_all  # noqa: PLC0415  # the loader is heavy
    from torpor.config.find import find_config  # noqa: PLC0415
    from torpor.config.hosting import usual_hosts  # noqa: PLC0415
    from torpor.config.paths import state_dir  # noqa: PLC0415

    try:
        source = find_config(config)
    except ConfigNotFound:
        if config is not None:
            raise
        return None, usual_hosts(os.environ)
    settings, _ = load_all(source, Additions(Path(state_dir()) / "apps"))
    return settings, settings.hosts


async def _list(engine: str, hosts: Hosts) -> list[Container]:
    """The containers of an engine.  Raises `ProviderFailed`."""
    from torpor.providers.guests.catalogue import open_catalogue  # noqa: PLC0415  # with an HTTP client

    catalogue = open_catalogue(engine, hosts.engines[engine])
    try:
        return [*await catalogue.containers()]
    finally:
        await catalogue.close()


def _read(settings: Settings | None, containers: list[Container]) -> Found:
    """What they come to, beside the apps of the files where there are some."""
    from torpor.config.additions import in_use  # noqa: PLC0415
    from torpor.config.labels.joining import join  # noqa: PLC0415
    from torpor.config.labels.reading import read_labels  # noqa: PLC0415

    readings = [
        reading
        for engine in dict.fromkeys(one.engine for one in containers)
        for reading in read_labels([one for one in containers if one.engine == engine])
    ]
    if settings is None:
        _, left = join(NOWHERE, (), readings, base={NOWHERE: b"apps: {}"})
    else:
        _, left = join(settings.source, in_use(settings), readings)
    return [
        (
            reading,
            [str(one) for one in (*reading.remarks, *left.get(reading.container.title, ())) if one.wrong],
        )
        for reading in readings
    ]


def _lines(reading: Reading, left: list[str], *, colour: bool) -> list[str]:
    container = reading.container
    by = ", ".join(f"labels of {dialect}" for dialect in reading.dialects) or "needed by others"
    head = f"{container.title} ({by})"
    if left:
        lines = [paint(f"# {printable(head)}: no app", "red", on=colour)]
        lines += [paint(f"#   {printable(why)}", "red", on=colour) for why in left]
    else:
        lines = [paint(f"# {printable(head)}", "dim", on=colour), *_app_lines(reading, colour=colour)]
    told = [str(remark) for remark in reading.remarks if not remark.wrong]
    return [
        "",
        *(
            f"  {line}"
            for line in [*lines, *(paint(f"# {printable(text)}", "yellow", on=colour) for text in told)]
        ),
    ]


def _app_lines(reading: Reading, *, colour: bool) -> list[str]:
    """The app as a file would have it, with the labels that decided."""
    from torpor.config.saving import as_text  # noqa: PLC0415
    from torpor.config.writing import app_lines  # noqa: PLC0415

    lines = app_lines(reading.name, {}, indent=0)
    for key, value in reading.settings.items():
        first, *more = app_lines(reading.name, {key: as_text(value)}, indent=0)[1:]
        labels = [label for name, label in reading.labels.items() if name.partition(".")[0] == key]
        remark = f"  # {', '.join(dict.fromkeys(labels))}" if labels else ""
        lines += [first + paint(printable(remark), "dim", on=colour), *more]
    return lines


def _document(reading: Reading, left: list[str]) -> dict[str, Any]:
    container = reading.container
    return {
        "container": container.name,
        "engine": container.engine,
        "id": container.id,
        "image": container.image,
        "state": container.state,
        "app": None if left else reading.name,
        "dialects": list(reading.dialects),
        "settings": dict(reading.settings),
        "labels": dict(reading.labels),
        "wrong": left,
        "unread": [
            {"label": remark.label, "why": remark.text} for remark in reading.remarks if not remark.wrong
        ],
    }
