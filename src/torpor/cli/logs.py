"""`torpor logs`: what apps write.

The past is read from the files themselves, whose place the daemon names; the daemon is not in the
way of it, and may even be down.  What is being written comes from the daemon.  Where this user
may not read the files, the daemon tells the past as well, but no more than its last lines.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from torpor.cli.app import FAILED
from torpor.cli.connection import app_argument, connect, json_option
from torpor.cli.following import Live, sources_of, told
from torpor.cli.history import (
    Source,
    Wanted,
    end_of_lines,
    read,
    read_one,
    read_raw,
    source_of,
    sources_at_rest,
)
from torpor.cli.logview import View, labels
from torpor.config.paths import state_dir
from torpor.control.client import Client, Params
from torpor.errors import DaemonUnreachable

DEFAULT_LINES = 100
MOST_FROM_DAEMON = 10_000
"""Lines of each stream that the daemon looks back on."""


def _moment(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    from torpor.cli.moments import parse_moment  # noqa: PLC0415  # only --since and --until pay for it

    try:
        return parse_moment(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@app_argument()
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    help="Past lines of each app: 100, or with --since, --until and --grep all.",
)
@click.option("--since", metavar="TIME", callback=_moment, help="From then on: 10m, 14:30, 2026-05-01T14:30.")
@click.option("--until", metavar="TIME", callback=_moment, help="Up to then.")
@click.option("--grep", metavar="REGEX", help="Only lines that match, of all runs.")
@click.option("-i", "--ignore-case", is_flag=True, help="Capitals make no difference to --grep.")
@click.option("-v", "--invert-match", is_flag=True, help="Only lines that --grep does not match.")
@click.option(
    "-C", "--context", type=click.IntRange(min=0), default=0, help="That many lines around each match."
)
@click.option("--previous", is_flag=True, help="The run before the current one.")
@click.option("--stream", type=click.Choice(["stdout", "stderr"]), help="One of an app's two streams.")
@json_option
def logs(
    *,
    names: Sequence[str],
    follow: bool,
    lines: int | None,
    since: int | None,
    until: int | None,
    grep: str | None,
    ignore_case: bool,
    invert_match: bool,
    context: int,
    previous: bool,
    stream: str | None,
    as_json: bool,
) -> int:
    """Show what apps write, and follow it.

    Without a name: all apps, each line behind the name of its app. APP/1 is one replica.
    Lines come as they were written, and from several streams in the order of time, to the second.
    """
    if follow and (previous or until is not None):
        raise click.UsageError("--follow goes on: --previous and --until exclude it")
    if grep is None and (ignore_case or invert_match or context):
        raise click.UsageError("-i, -v and -C say how to --grep")
    search = None
    if grep is not None:
        from torpor.logs.grep import Search  # noqa: PLC0415  # only --grep pays for it

        try:
            search = Search(grep, ignore_case=ignore_case, invert=invert_match, context=context)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--grep") from None
    if lines is None and since is None and until is None and search is None:
        lines = DEFAULT_LINES
    wanted = Wanted(lines, since, until, previous, search, following=follow)
    client = connect()
    try:
        found = sources_of(client, names)
    except DaemonUnreachable:
        found = [] if follow else sources_at_rest(os.path.join(state_dir(), "logs"), names)
        if not any(stream in {None, source.stream} for source in found):
            raise
    if not found:
        return 0
    sources = [source for source in found if stream in {None, source.stream}]
    view = View(as_json=as_json, numbered=labels(sources))
    view.name(sources)
    if not all(source.readable for source in sources):
        _from_daemon(client, names, wanted, stream, view)
        return 0
    ends = {_key(source): end_of_lines(source) for source in sources} if follow else {}
    if len(sources) == 1 and wanted.lines is None and search is None:
        view.show_blocks(sources[0], read_raw(sources[0], wanted))
    else:
        view.show_all(read(sources, wanted))
    if follow:
        _follow(client, names, wanted, stream=stream, view=view, ends=ends)
    return FAILED if wanted.unread else 0


def _follow(
    client: Client,
    names: Sequence[str],
    wanted: Wanted,
    *,
    stream: str | None,
    view: View,
    ends: dict[tuple[str, str], Any],
) -> None:
    """Show what comes, and before it what came of each since its past was read."""
    live = Live(view, wanted.search)
    params: Params = {"lines": 0, "places": "true", "follow": "true", "app": list(names)}
    with client.send("GET", "logs", params=params, patience=None, output=sys.stdout.fileno()) as answer:
        for document in told(answer.lines(), stream):
            if "line" in document:
                live.show(document)
            if "path" not in document:
                continue
            source = source_of(document)
            start = ends.get(_key(source))
            if source.path is not None and start is not None and start != source.end:
                # Not the last ones of them: all.
                rest = Wanted(search=wanted.search, following=True, unread=wanted.unread)
                view.show_all(read_one(source, rest, start))


def _from_daemon(
    client: Client, names: Sequence[str], wanted: Wanted, stream: str | None, view: View
) -> None:
    """Show the past, and what comes, as far as the daemon tells it."""
    most = MOST_FROM_DAEMON if wanted.lines is None else wanted.lines
    if wanted.lines is None:
        sys.stderr.write(
            f"torpor: this user may not read the log files; the daemon tells the last {most} lines at most\n"
        )
    follow, live = wanted.following, Live(view, wanted.search)
    flags = [flag for flag, on in (("follow", follow), ("previous", wanted.previous)) if on]
    params: Params = {"lines": most, "app": list(names), **dict.fromkeys(flags, "true")}
    patience, output = (None, sys.stdout.fileno()) if follow else (-1, None)
    with client.send("GET", "logs", params=params, patience=patience, output=output) as answer:
        for document in told(answer.lines(), stream):
            at = document["at"]
            if at is not None and not (wanted.since or 0) <= at * 1e9 <= (wanted.until or float("inf")):
                continue
            live.show(document, flush=follow)


def _key(source: Source) -> tuple[str, str]:
    return source.instance, source.stream
