"""`torpor start|stop|restart|wake|sleep`: a wish for some apps, and word of how it went."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from torpor.cli.app import exit_code
from torpor.cli.connection import app_argument, connect, json_option, print_json, select
from torpor.cli.figures import lapse
from torpor.cli.terminal import fail, printable
from torpor.control.client import Answer, Client, Problem
from torpor.control.selection import is_glob

AT_ONCE = 32
"""Apps that are waited for at the same time; the daemon takes more connections than that."""
START_FAILED = "start-failed"
"""The code of the failures that an app's own words explain."""
NOTICEABLE = 0.001
"""Seconds below which something was so already."""
ENDING = frozenset({"stop", "sleep"})
"""Verbs that are refused for what others need."""

Outcome = tuple[str, dict[str, Any] | Problem]
"""An app, and what came of the wish."""


def parse_duration(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """The seconds of an option that takes a duration."""
    if value is None:
        return None
    from torpor.config.units import Duration  # noqa: PLC0415  # only who names one pays for it

    try:
        return float(Duration.parse(value))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


timeout_option = click.option(
    "--timeout",
    metavar="DURATION",
    callback=parse_duration,
    help="Wait at most that long, e.g. 60s; then exit 124.",
)


wait_option = click.option(
    "--wait/--no-wait", default=True, help="Wait until it has come true (the default)."
)
all_option = click.option("--all", "all_apps", is_flag=True, help="All apps.")


def _verb(name: str, text: str, *options: Callable[[Any], Any]) -> click.Command:
    """A verb for some apps; each of the `options` is a flag, or a word, that the API knows by the same name."""

    def carry_out(
        names: Sequence[str],
        all_apps: bool,
        wait: bool,
        timeout: float | None,
        as_json: bool,
        *,
        follow: bool = False,
        **flags: bool | str | None,
    ) -> int:
        check_selection(name, names, all_apps=all_apps)
        client = connect()
        if follow:
            from torpor.cli.following import start_and_follow  # noqa: PLC0415  # few ask for it

            if as_json:
                raise click.UsageError("--follow prints what the apps write, and no JSON")
            return start_and_follow(client, names, chosen_names(client, names))
        params = {flag: "true" if given is True else given for flag, given in flags.items() if given}
        chosen = waves(client, names) if name in ENDING else [chosen_names(client, names)]
        found = (
            outcome
            for number, wave in enumerate(chosen, 1)
            # What is still needed cannot be stopped: each wave but the last has to be waited for.
            for outcome in outcomes(
                client, name, wave, wait=wait or number < len(chosen), timeout=timeout, **params
            )
        )
        if not flags.get("rolling") or as_json:
            return report(name, found, as_json, _sentence)
        from torpor.cli.replicas import Replicas  # noqa: PLC0415  # nobody else needs threads

        with Replicas(client, chosen[0]) as replicas:
            return report(name, found, as_json, _sentence, replicas.catch_up)

    decorators: list[Callable[[Any], Any]] = [
        click.command(name, help=text),
        app_argument(),
        all_option,
        *options,
        wait_option,
        timeout_option,
        json_option,
    ]
    command: Any = carry_out
    for decorate in reversed(decorators):
        command = decorate(command)
    assert isinstance(command, click.Command)
    return command


start = _verb(
    "start",
    "Run apps, and let requests wake them again.\n\nThe opposite of `stop`.",
    click.option("-f", "--follow", is_flag=True, help="Show what they write from now on, until Ctrl-C."),
)
stop = _verb(
    "stop",
    "Stop apps; requests are refused until they are started.\n\n"
    "Of several apps those that need others are stopped first. What an app that keeps running needs is not stopped "
    "without --force.\n\n"
    "To free their memory and let the next request wake them, use `sleep`.",
    click.option("--force", is_flag=True, help="Stop them also if other apps need them."),
)
restart = _verb(
    "restart",
    "Stop apps and start them afresh.",
    click.option(
        "--rolling", is_flag=True, help="One replica after the other, so that no request is refused."
    ),
)
wake = _verb("wake", "Wake apps, as a request would.\n\nAn app that `stop` took down stays down.")
sleep = _verb(
    "sleep",
    "Put apps to sleep; the next request wakes them.\n\nTo keep them down, use `stop`.",
    click.option(
        "--tier",
        type=click.Choice(["pause", "hibernate", "stop", "kill"]),
        help="How deep; without it as the app's configuration says.",
    ),
)


def check_selection(verb: str, names: Sequence[str], *, all_apps: bool) -> None:
    """Refuse to guess which apps are meant.  Raises `UsageError`."""
    if names and all_apps:
        raise click.UsageError("--all and names exclude each other")
    if not names and not all_apps:
        raise click.UsageError(f"say which apps to {verb}: names, quoted globs, group:NAME, or --all")


def chosen_names(client: Client, names: Sequence[str]) -> list[str]:
    """The apps that are meant, each once; without names all.  Raises `UnknownApp` for a glob without match."""
    if names and not any(map(is_glob, names)):
        return list(dict.fromkeys(names))
    apps = client.get("apps")
    return [app["name"] for app in (select(apps, names) if names else apps)]


def waves(client: Client, names: Sequence[str]) -> list[list[str]]:
    """The apps that are meant, in groups to be ended one after the other: nobody before those that need it."""
    chosen = chosen_names(client, names)
    if len(chosen) < 2:
        return [chosen]
    from torpor.core.graph import levels  # noqa: PLC0415  # one app alone does not pay for it

    graph = {app["name"]: [needed["app"] for needed in app["depends_on"]] for app in client.get("apps")}
    depth = {name: number for number, level in enumerate(levels(graph)) for name in level}
    groups: dict[int, list[str]] = {}
    for name in chosen:
        groups.setdefault(depth.get(name, 0), []).append(name)
    return [groups[number] for number in sorted(groups, reverse=True)]


def outcomes(
    client: Client,
    verb: str,
    names: Sequence[str],
    *,
    wait: bool = True,
    timeout: float | None = None,
    **more: str | float,
) -> Iterator[Outcome]:
    """What came of each app, in the order of the names, while many are under way."""
    params: dict[str, str | float] = {"wait": "true" if wait else "false", **more}
    if wait and timeout is not None:
        params["timeout"] = timeout
    patience = None if wait else -1
    under_way: deque[tuple[str, Answer]] = deque()
    waiting = deque(names)
    while waiting or under_way:
        while waiting and len(under_way) < AT_ONCE:
            name = waiting.popleft()
            answer = client.send("POST", "apps", name, verb, params=params, patience=patience)
            under_way.append((name, answer))
        name, answer = under_way.popleft()
        with answer:
            try:
                yield name, answer.document()
            except Problem as problem:
                yield name, problem


def report(
    verb: str,
    outcomes: Iterator[Outcome],
    as_json: bool,
    sentence: Callable[[str, dict[str, Any]], str],
    tell: Callable[[str], None] | None = None,
) -> int:
    """Print what happened; the exit code is that of the first failure.  `tell` says more about an app, before."""
    code = 0
    documents: list[object] = []
    for name, outcome in outcomes:
        if tell is not None:
            tell(name)
        if isinstance(outcome, Problem):
            code = code or exit_code(outcome)
            documents.append({"name": name, "verb": verb, "done": False, "error": outcome.document})
            _explain(name, outcome)
        else:
            documents.append({**outcome, "error": None})
            if not as_json:
                sys.stdout.write(sentence(verb, outcome) + "\n")
                sys.stdout.flush()
    if as_json:
        print_json(documents)
    return code


def _explain(name: str, problem: Problem) -> None:
    """Say why it failed, with the app's last words, and where there is more to read."""
    if problem.document.get("code") != START_FAILED:
        fail(problem.message, problem.hint)
        return
    fail(problem.message)
    lines = problem.document.get("output")
    if lines:
        sys.stderr.write("last lines of its log:\n" + "".join(f"  {line}\n" for line in lines))
    more = (
        f"`torpor logs {name}` has the rest" if lines else f"`torpor show {name}` tells what is known of it"
    )
    sys.stderr.write(f"hint: {problem.hint or printable(more)}\n")


def under_way(verb: str, outcome: dict[str, Any]) -> str:
    """What there is to say about what nobody waited for."""
    name = printable(outcome["name"])
    return f"{name}: {verb} is under way, now {outcome['app']['state']}; `torpor status {name}` shows how it goes"


def after(outcome: dict[str, Any]) -> str:
    """How long it took; nothing where nobody had to wait."""
    took = outcome["took"]
    return f" after {lapse(took)}" if took >= NOTICEABLE else ""


def after_change(outcome: dict[str, Any]) -> str:
    """The same for what only changes a state: nothing where it was so before, however long the answer took."""
    return "" if outcome["before"] == outcome["app"]["state"] else after(outcome)


def _sentence(verb: str, outcome: dict[str, Any]) -> str:
    """What happened, and what follows from it."""
    name, app = printable(outcome["name"]), outcome["app"]
    if not outcome["done"]:
        return under_way(verb, outcome)
    if verb == "stop":
        return f"{name} is down{after_change(outcome)}; requests are refused until `torpor start {name}`"
    if verb == "sleep":
        follows = printable(app["closed"]) if app["closed"] else "the next request wakes it"
        return f"{name} is {app['state']}{after_change(outcome)}; {follows}"
    if verb != "restart" and outcome["before"] == "ready" == app["state"]:
        return f"{name} was ready already"
    return f"{name} is {app['state']}{after(outcome)}"
