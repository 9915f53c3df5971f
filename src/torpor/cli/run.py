"""`torpor run`: an app that no file names yet."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import Any

import click

from torpor.cli.app import exit_code
from torpor.cli.connection import complete_app, connect, json_option, print_json
from torpor.cli.figures import lapse
from torpor.cli.terminal import fail, printable
from torpor.cli.verbs import timeout_option, under_way, wait_option
from torpor.control.client import Problem
from torpor.errors import ConfigInvalid, ConfigNotFound, DaemonUnreachable, RunsAlone

INTERPRETERS = re.compile(r"python[0-9.]*|node|deno|bun|ruby|perl|php|bash|sh|dash|zsh|java|npx|uvx?|env")
"""Programs that run another one, which gives the app its name."""
_PORT = re.compile(r"\$(?:PORT\b|\{PORT\})")


@click.command()
@click.argument("command", metavar="COMMAND...", nargs=-1, required=True)
@click.option("--name", metavar="NAME", help="The app's name; without it that of the program.")
@click.option("--cwd", metavar="DIR", help="Its directory; without it the current one.")
@click.option(
    "-e", "--env", multiple=True, metavar="NAME[=VALUE]", help="A variable; without a value: its value here."
)
@click.option("--env-all", is_flag=True, help="All variables of this shell, with their values now.")
@click.option("--user", metavar="USER", help="The user that it runs as.")
@click.option(
    "--route", "routes", multiple=True, metavar="ROUTE", help="What leads to it, e.g. web.localhost."
)
@click.option("--port", type=click.IntRange(1, 65535), metavar="PORT", help="A fixed port for $PORT.")
@click.option(
    "--depends-on",
    "needs",
    multiple=True,
    metavar="APP",
    shell_complete=complete_app,
    help="An app that it needs.",
)
@click.option("--group", "groups", multiple=True, metavar="NAME", help="A group that it belongs to.")
@click.option("--kill-timeout", metavar="DURATION", help="From its stop signal to KILL, e.g. 30s.")
@click.option("--restart", metavar="WHEN", help="`always`, `on-failure` (as usual) or `no`.")
@click.option(
    "--always-on/--on-demand",
    default=None,
    help="Whether it is kept running; without either: unless it has a route.",
)
@click.option("--shell", is_flag=True, help="Give COMMAND to /bin/sh -c as it stands.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any other setting of an app, as in the file.",
)
@click.option("-f", "--follow", is_flag=True, help="Show what it writes, until Ctrl-C; it goes on then.")
@wait_option
@timeout_option
@json_option
def run(
    command: Sequence[str],
    *,
    follow: bool,
    wait: bool,
    timeout: float | None,
    as_json: bool,
    name: str | None,
    **options: Any,
) -> int:
    """Add an app and start it; or run a program alone, without any configuration.

    One COMMAND in quotes is split into words as a shell would split it; several words are taken as they are, behind
    `--` also those that begin with a dash.

    The app is kept over restarts of the daemon, until `rm`; `save` writes it into the configuration file. It gets a
    small clean environment, as every app does, and what --env names.

    Where no daemon answers and there is no configuration file, the program runs alone, in the foreground: what it
    writes goes to stdout, its end ends all, with its exit code, and Ctrl-C ends it.
    """
    if follow and as_json:
        raise click.UsageError("--follow prints what the app writes, and no JSON")
    name = name or suggest(command)
    app = gather(command, **options)
    client = connect()
    params: dict[str, str | int | float | list[str]] = {"wait": "true" if wait and not follow else "false"}
    if wait and timeout is not None:
        params["timeout"] = timeout
    body = {"name": name, "settings": app}
    try:
        with client.send("POST", "apps", params=params, body=body, patience=None) as answer:
            outcome = answer.document()
    except DaemonUnreachable as unreachable:
        if not _alone():
            raise DaemonUnreachable(unreachable.message, hint="`torpor up -d` starts one.") from None
        return _run_alone(name, app)
    except Problem as problem:
        if problem.document.get("code") == RunsAlone.code and _alone():
            return _run_alone(name, app)
        if as_json:
            print_json({"verb": "run", "name": name, "done": False, "error": problem.document})
        return _refused(name, problem)
    if follow:
        from torpor.cli.following import follow as show  # noqa: PLC0415  # few ask for it

        return show(client, [name], lines=10_000)
    if as_json:
        print_json({**outcome, "error": None})
    else:
        sys.stdout.write(_sentence(outcome))
    return 0


def gather(command: Sequence[str], **options: Any) -> dict[str, Any]:
    """The settings that the options come to, as in a configuration file.  Raises `UsageError`."""
    app: dict[str, Any] = {"command": command[0] if len(command) == 1 else list(command)}
    if options["shell"]:
        app |= {"command": " ".join(command), "shell": True}
    app["working_dir"] = os.path.abspath(options["cwd"] or ".")
    if environment := _environment(options["env"], everything=options["env_all"]):
        app["environment"] = environment
    given = {
        "user": options["user"],
        "routes": list(options["routes"]),
        "port": options["port"],
        "depends_on": [name for each in options["needs"] for name in each.split(",")],
        "member_of": list(options["groups"]),
        "stop_timeout": options["kill_timeout"],
        "restart": options["restart"],
    }
    app |= {key: value for key, value in given.items() if value not in (None, [])}
    always_on = options["always_on"]
    if always_on or (always_on is None and not app.get("routes")):
        app["always_on"] = True
    for setting in options["settings"]:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise click.UsageError(f"--set {setting}: write KEY=VALUE, e.g. --set start_timeout=2m")
        app[key] = _value(value)
    for key in ("env_file", "stdin"):  # as the shell means it, wherever the daemon keeps the app's settings
        named = app.get(key)
        if isinstance(named, str):
            app[key] = os.path.abspath(os.path.expanduser(named))
        elif isinstance(named, list):
            app[key] = [os.path.abspath(os.path.expanduser(file)) for file in named]
    return app


def suggest(command: Sequence[str]) -> str:
    """A name for an app that is given none: that of its program, or of what that interprets."""
    words = list(command) if len(command) > 1 else command[0].split()
    plain = [word for word in words if re.fullmatch(r"[^-\s][^\s='\"]*", word)]
    names = [os.path.basename(word) for word in plain]
    interpreted = len(names) > 1 and INTERPRETERS.fullmatch(names[0])
    chosen = (names[1] if interpreted else names[0]) if names else ""
    stem = chosen.partition(".")[0] or chosen
    return re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("-._")[:63] or "app"


def _environment(names: Sequence[str], *, everything: bool) -> dict[str, str]:
    found = dict(os.environ) if everything else {}
    for each in names:
        name, equals, value = each.partition("=")
        if not equals and name not in os.environ:
            raise click.UsageError(f"--env {name}: it has no value here; write --env {name}=VALUE")
        found[name] = value if equals else os.environ[name]
    return found


def _value(text: str) -> Any:
    """A value as it would stand in the file."""
    import yaml  # noqa: PLC0415  # only --set pays for it

    try:
        value = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506  # plain text, lists and maps only
    except yaml.YAMLError:
        raise click.UsageError(f"--set: {text!r} is no value of YAML") from None
    return _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if value in ("true", "false"):
        return value == "true"
    return int(value) if re.fullmatch(r"-?[0-9]{1,18}", value) else value


def _alone() -> bool:
    """Whether there is no configuration that a daemon would take."""
    from torpor.config.find import find_config  # noqa: PLC0415  # only where no daemon answers

    try:
        find_config()
    except ConfigNotFound:
        return True
    return False


def _run_alone(name: str, app: dict[str, Any]) -> int:
    from torpor.alone import main  # noqa: PLC0415  # the whole daemon, for this case alone

    text = app["command"] if isinstance(app["command"], str) else " ".join(app["command"])
    listens = bool(app.get("routes") or app.get("port") or _PORT.search(text))
    if listens:
        app.setdefault("routes", ["default"])
    app |= {"always_on": True}
    app.setdefault("restart", "no")
    try:
        return main(name, app, listens=listens)
    except ConfigInvalid as error:
        fail(error.message, error.hint)
        return exit_code(error)


def _refused(name: str, problem: Problem) -> int:
    hint = problem.hint
    if problem.document.get("code") == "start-failed" and "app" in problem.document:
        hint = f"It was added, and is tried again; `torpor logs {name}` shows more, `torpor rm {name}` removes it."
    fail(problem.message, hint)
    if lines := problem.document.get("output"):
        sys.stderr.write("last lines of its log:\n" + "".join(f"  {line}\n" for line in lines))
    return exit_code(problem)


def _sentence(outcome: dict[str, Any]) -> str:
    name, app = printable(outcome["name"]), outcome["app"]
    if not outcome["done"]:
        first = under_way("run", outcome)
    else:
        pid = f", pid {app['pid']}" if app["pid"] else ""
        first = f"{name} was added and is {app['state']} after {lapse(outcome['took'])}{pid}"
    routes = f"; {', '.join(app['routes'])} leads to it" if app["routes"] else ""
    return f"{first}{routes}\n`torpor logs -f {name}` shows what it writes, `torpor save` keeps it in the configuration file\n"
