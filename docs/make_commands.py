"""Write docs/commands.md from the commands themselves.

Run it after changing a verb or an option; a test says when that was forgotten.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import click

from torpor.cli.app import ALIASES, VERBS, torpor

PAGE = Path(__file__).with_name("commands.md")

HEAD = """# Commands

<!-- Written by docs/make_commands.py. -->

The command line talks to the daemon over a unix socket: `$TORPOR_SOCKET`, else `torpor/torpor.sock` in
`$XDG_RUNTIME_DIR` (as root `/run/torpor/torpor.sock`). Facts go to stdout, everything else to stderr. `--json`
makes whatever prints facts print one JSON document (`logs` and `events`: one object per line). Names may be quoted
globs, or groups (`group:web`). Nothing but `start`, `restart` and `wake` ever wakes an app that sleeps.

The same is installed as manual pages: `man torpor`, `man torpor-VERB`, and `man 5 torpor.yaml` for the settings.

`start` and `wake` start what an app needs before it; `stop` and `sleep` of several apps end those first that need
others. What an app that keeps running needs is neither stopped nor put to sleep, unless `stop --force` says so.

| exit code | means |
|---|---|
| 0 | done |
| 1 | failed |
| 2 | wrong usage |
| 3 | `status APP`: the app is not running, and should be (asleep on purpose is 0) |
| 4 | no such app |
| 6 | the configuration is invalid |
| 7 | the daemon cannot be reached |
| 78 | `up`: the configuration is invalid |
| 124 | `--timeout` expired |
"""


def commands_page() -> str:
    """The whole page."""
    root = click.Context(torpor, info_name="torpor")
    sections = [HEAD]
    for verb in VERBS:
        command = torpor.get_command(root, verb)
        assert command is not None
        sections.append(_section(verb, command, root))
    return "\n".join(sections)


def _section(name: str, command: click.Command, parent: click.Context) -> str:
    """One verb: its usage, what it does, its options, and the verbs below it."""
    context = click.Context(command, info_name=name, parent=parent)
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    lines = [f"## {context.command_path}", "", f"    {usage}", "", _text(command.help or "")]
    aliases = [alias for alias, verb in ALIASES.items() if verb == name]
    if aliases:
        lines += ["", "Also: " + ", ".join(f"`{alias}`" for alias in aliases) + "."]
    options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    if options:
        lines += ["", "| option | |", "|---|---|"]
        lines += [f"| {_flags(option)} | {' '.join((option.help or '').split())} |" for option in options]
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            child = command.get_command(context, below)
            assert child is not None
            lines += ["", _section(below, child, context).replace("## ", "### ", 1).rstrip()]
    return "\n".join(lines) + "\n"


def _text(help: str) -> str:
    """The help in Markdown; a paragraph that click is told to leave alone is shown as it is."""
    paragraphs = inspect.cleandoc(help).split("\n\n")
    return "\n\n".join(
        "\n".join(f"    {line}" for line in paragraph.splitlines()[1:])
        if paragraph.startswith("\b")
        else paragraph
        for paragraph in paragraphs
    )


def _flags(option: click.Option) -> str:
    """How the option is written."""
    flags = [*option.opts, *option.secondary_opts]
    value = "" if option.is_flag else f" {option.metavar or 'N'}"
    return ", ".join(f"`{flag}{value}`" for flag in flags)


if __name__ == "__main__":
    PAGE.write_text(commands_page(), encoding="utf-8")
