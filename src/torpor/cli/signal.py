"""`torpor signal`, also `torpor kill`: a signal to the main processes of apps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from torpor.cli.connection import check_names, complete_app, connect, json_option
from torpor.cli.terminal import printable
from torpor.cli.verbs import all_option, check_selection, chosen_names, outcomes, report

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def complete_word(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of apps; behind the first one names of signals too."""
    apps = complete_app(ctx, param, incomplete)
    return apps + complete_signal(ctx, param, incomplete) if ctx.params.get(str(param.name)) else apps


def complete_signal(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of signals that start like that, as they are usually written."""
    from signal import Signals  # noqa: PLC0415  # only Tab pays for these

    from click.shell_completion import CompletionItem  # noqa: PLC0415

    begun = incomplete.upper()
    names = [one.name if begun.startswith("SIG") else one.name.removeprefix("SIG") for one in Signals]
    return [CompletionItem(name) for name in names if name.startswith(begun)]


@click.command()
@click.argument(
    "words",
    metavar="[APP]... SIGNAL",
    nargs=-1,
    callback=check_names,
    shell_complete=complete_word,
)
@click.option(
    "-s",
    "name",
    metavar="SIGNAL",
    help="The signal; then all words are apps.",
    shell_complete=complete_signal,
)
@all_option
@json_option
def signal(words: Sequence[str], all_apps: bool, name: str | None, as_json: bool) -> int:
    """Send a signal to the main processes of apps.

    SIGNAL is a name (HUP, SIGUSR1) or a number. It reaches every replica, but nothing that those
    have started. What ends by it counts as a crash, and is restarted as such: to end an app use `stop`.
    """
    apps = list(words)
    if name is None and apps:
        name = apps.pop()
    if name is None or (not apps and not all_apps):
        app = name or "APP"
        raise click.UsageError(
            f"say which apps and which signal, e.g. `torpor signal {app} HUP`; `torpor stop {app}` ends it"
        )
    check_selection("signal", apps, all_apps=all_apps)
    client = connect()
    found = outcomes(client, "signal", chosen_names(client, apps), signal=name)
    return report("signal", found, as_json, lambda _verb, outcome: _sentence(str(name), outcome))


def _sentence(signal: str, outcome: dict[str, Any]) -> str:
    reached = outcome["reached"]
    word = signal.upper().removeprefix("SIG")
    to = printable(outcome["name"]) + (f", to {reached} replicas" if reached > 1 else "")
    return f"signal {word} was sent to {to}"
