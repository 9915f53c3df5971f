"""`torpor start|stop|restart|wake|sleep`: a wish for some apps, and word of how it went."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from torpor.cli.app import exit_code
from torpor.cli.connection import app_argument, connect, is_glob, json_option, print_json, select
from torpor.cli.figures import lapse
from torpor.cli.terminal import fail, printable
from torpor.control.client import Answer, Client, Problem

AT_ONCE = 32
"""Apps that are waited for at the same time; the daemon takes more connections than that."""


def _parse_timeout(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    from torpor.config.units import Duration  # noqa: PLC0415  # only --timeout pays for it

    try:
        return float(Duration.parse(value))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


timeout_option = click.option(
    "--timeout",
    metavar="DURATION",
    callback=_parse_timeout,
    help="Wait at most that long, e.g. 60s; then exit 124.",
)


def _verb(name: str, text: str) -> click.Command:
    def carry_out(
        names: Sequence[str], all_apps: bool, wait: bool, timeout: float | None, as_json: bool
    ) -> int:
        if names and all_apps:
            raise click.UsageError("--all and names exclude each other")
        if not names and not all_apps:
            raise click.UsageError(f"say which apps to {name}: names, quoted globs, or --all")
        client = connect()
        return _report(name, _outcomes(client, name, _chosen(client, names), wait, timeout), as_json)

    decorators: list[Callable[[Any], Any]] = [
        click.command(name, help=text),
        app_argument(),
        click.option("--all", "all_apps", is_flag=True, help="All apps."),
        click.option("--wait/--no-wait", default=True, help="Wait until it has come true (the default)."),
        timeout_option,
        json_option,
    ]
    command: Any = carry_out
    for decorate in reversed(decorators):
        command = decorate(command)
    assert isinstance(command, click.Command)
    return command


start = _verb("start", "Run apps, and let requests wake them again.\n\nThe opposite of `stop`.")
stop = _verb(
    "stop",
    "Stop apps; requests are refused until they are started.\n\n"
    "To free their memory and let the next request wake them, use `sleep`.",
)
restart = _verb("restart", "Stop apps and start them afresh.")
wake = _verb("wake", "Wake apps, as a request would.\n\nAn app that `stop` took down stays down.")
sleep = _verb("sleep", "Put apps to sleep; the next request wakes them.\n\nTo keep them down, use `stop`.")


def _chosen(client: Client, names: Sequence[str]) -> list[str]:
    if names and not any(map(is_glob, names)):
        return list(dict.fromkeys(names))
    apps = client.get("apps")
    return [app["name"] for app in (select(apps, names) if names else apps)]


def _outcomes(
    client: Client, verb: str, names: Sequence[str], wait: bool, timeout: float | None
) -> Iterator[tuple[str, dict[str, Any] | Problem]]:
    """What came of each app, in the order of the names, while many are under way."""
    params: dict[str, str | float] = {"wait": "true" if wait else "false"}
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


def _report(verb: str, outcomes: Iterator[tuple[str, dict[str, Any] | Problem]], as_json: bool) -> int:
    """Print what happened; the exit code is that of the first failure."""
    code = 0
    documents: list[object] = []
    for name, outcome in outcomes:
        if isinstance(outcome, Problem):
            code = code or exit_code(outcome)
            documents.append({"name": name, "verb": verb, "done": False, "error": outcome.document})
            _explain(outcome)
        else:
            documents.append({**outcome, "error": None})
            if not as_json:
                sys.stdout.write(_sentence(verb, outcome) + "\n")
                sys.stdout.flush()
    if as_json:
        print_json(documents)
    return code


def _explain(problem: Problem) -> None:
    """Say why it failed, with the app's last words."""
    fail(problem.message, problem.hint)
    if lines := problem.document.get("output"):
        sys.stderr.write("last lines of its log:\n" + "".join(f"  {line}\n" for line in lines))


def _sentence(verb: str, outcome: dict[str, Any]) -> str:
    """What happened, and what follows from it."""
    name, app = printable(outcome["name"]), outcome["app"]
    if not outcome["done"]:
        return f"{name}: {verb} is under way, now {app['state']}"
    after = f" after {lapse(outcome['took'])}"
    if verb == "stop":
        return f"{name} is down{after}; requests are refused until `torpor start {name}`"
    if verb == "sleep":
        return f"{name} is {app['state']}{after}; the next request wakes it"
    if verb != "restart" and outcome["before"] == "ready" == app["state"]:
        return f"{name} was ready already"
    return f"{name} is {app['state']}{after}"
