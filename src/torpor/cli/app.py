"""The root command: which verbs there are, and how every failure becomes one line and an exit code.

A verb's module is imported when the verb is used, so that `torpor status` pays for
`status` alone.  Exit codes are a promise to scripts:

0 ok · 1 failed · 2 usage · 3 `status APP`: not running · 4 no such app ·
6 configuration invalid · 7 daemon not reachable · 124 `--timeout` expired ·
130 interrupted · 141 the reader of the output left
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from torpor import __version__
from torpor.cli.terminal import CannotWrite, fail, prepare_streams
from torpor.control.client import Problem, ReaderLeft
from torpor.errors import TorporError

FAILED = 1
USAGE = 2
NOT_RUNNING = 3
UNKNOWN_APP = 4
CONFIG_INVALID = 6
UNREACHABLE = 7
TIMED_OUT = 124
INTERRUPTED = 130
READER_LEFT = 141
COMPLETION_VARIABLE = "_TORPOR_COMPLETE"

_BY_CODE = {
    "unknown-app": UNKNOWN_APP,
    "config-invalid": CONFIG_INVALID,
    "config-not-found": CONFIG_INVALID,
    "cannot-import": CONFIG_INVALID,
    "daemon-unreachable": UNREACHABLE,
    "wait-expired": TIMED_OUT,
}

VERBS = {
    "init": ("torpor.cli.init:init", "Write a torpor.yaml for the project in a directory."),
    "up": ("torpor.cli.up:up", "Run the daemon: in the foreground, or with -d behind it."),
    "down": ("torpor.cli.down:down", "End the daemon and all of its apps in an orderly way."),
    "status": ("torpor.cli.status:status", "List the apps and what they are doing."),
    "show": ("torpor.cli.show:show", "Show all that is known of apps."),
    "run": (
        "torpor.cli.run:run",
        "Add an app and start it; or run a program alone, without any configuration.",
    ),
    "rm": ("torpor.cli.rm:rm", "Remove apps that `run` added."),
    "apply": ("torpor.cli.apply:apply", "Let the configuration hold as it is written now."),
    "save": ("torpor.cli.save:save", "Write the apps that `run` added into the configuration file."),
    "start": ("torpor.cli.verbs:start", "Run apps, and let requests wake them again."),
    "stop": ("torpor.cli.verbs:stop", "Stop apps; requests are refused until they are started."),
    "restart": ("torpor.cli.verbs:restart", "Stop apps and start them afresh."),
    "reload": ("torpor.cli.reload:reload", "Let apps read their own configuration again, without a restart."),
    "scale": ("torpor.cli.scale:scale", "Change how many replicas an app has."),
    "priority": ("torpor.cli.priority:priority", "Change how soon an app is put to sleep for others."),
    "check": (
        "torpor.cli.check:check",
        "Put to sleep now whoever has to be, and show who stays awake and why.",
    ),
    "signal": ("torpor.cli.signal:signal", "Send a signal to the main processes of apps."),
    "wake": ("torpor.cli.verbs:wake", "Wake apps, as a request would."),
    "sleep": ("torpor.cli.verbs:sleep", "Put apps to sleep; the next request wakes them."),
    "track": ("torpor.cli.track:track", "Count apps as used now, so that they sleep one idle timeout later."),
    "pin": ("torpor.cli.pin:pin", "Keep apps awake, whether anybody uses them or not."),
    "unpin": ("torpor.cli.pin:unpin", "Let pinned apps sleep again."),
    "why": ("torpor.cli.why:why", "Tell why apps are awake, asleep, or in trouble."),
    "logs": ("torpor.cli.logs:logs", "Show what apps write, and follow it."),
    "graph": ("torpor.cli.graph:graph", "Show which apps need which, and how they are."),
    "analyze": ("torpor.cli.analyze:analyze", "Show what made the last boot, or an app's last wake, slow."),
    "events": ("torpor.cli.events:events", "Show what happened to apps, and follow it."),
    "import": ("torpor.cli.importing:import_files", "Turn other managers' files into a torpor.yaml."),
    "discover": ("torpor.cli.discover:discover", "Show which containers are apps by their labels."),
    "config": ("torpor.cli.config:config", "Check the configuration, or print its schema."),
    "zram": ("torpor.cli.zram:zram", "Print how to set up swap in compressed memory."),
    "version": ("torpor.cli.version:version", "Print the versions of this program and of the daemon."),
    "completion": ("torpor.cli.completion:completion", "Print the completion script for a shell."),
}
"""Where each verb lives, and its line in the help."""

ALIASES = {
    "ls": "status",
    "ps": "status",
    "list": "status",
    "describe": "show",
    "info": "show",
    "inspect": "show",
    "kill": "signal",
    "delete": "rm",
    "update": "apply",
}

MEANT = {
    "tail": "logs",
    "monit": "status",
    "reread": "apply --dry-run",
    "add": "run",
    "remove": "rm",
    "startup": "up",
    "shutdown": "down",
    "validate": "config check",
    "schema": "config schema",
}
"""Words of other tools for what we call otherwise: suggested, not taken."""
HELP = "help"
LIKE_ENOUGH = 0.7
"""Below that a guess is rather an insult than a help (`monit` is no `init`)."""


class LazyGroup(click.Group):
    """A group that imports a command when it is used, and whose help imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The verbs in the order of the table; aliases stay out of the help."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of a verb or an alias."""
        verb = VERBS.get(ALIASES.get(cmd_name, cmd_name))
        if verb is None:
            return None
        module, _, attribute = verb[0].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of verbs."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in VERBS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one was probably meant."""
        if args[0] == HELP:  # `help VERB`, as others have it
            if not args[1:]:
                sys.stdout.write(ctx.get_help() + "\n")
                raise click.exceptions.Exit
            args = [*args[1:], "--help"]
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            import difflib  # noqa: PLC0415  # only a typo pays for it

            near = difflib.get_close_matches(name, [*VERBS, *ALIASES], n=1, cutoff=LIKE_ENOUGH)
            meant = MEANT.get(name, near[0] if near else None)
            guess = f" Did you mean {meant!r}?" if meant else ""
            raise click.UsageError(f"There is no command {name!r}.{guess}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Examples: `torpor up -d`, `torpor status`, `torpor logs -f notes`.",
)
@click.version_option(__version__, "-V", "--version", message="torpor %(version)s")
def torpor() -> None:
    """Torpor runs services that sleep until someone knocks."""


def run(args: Sequence[str]) -> int:
    """Run one command line; the exit code."""
    try:
        prepare_streams()
        code = _invoke(args)
        sys.stdout.flush()
    except (BrokenPipeError, ReaderLeft):
        _drop_output()
        return READER_LEFT
    except CannotWrite as error:
        fail(f"cannot write the output: {error.strerror}")
        _drop_output()
        return FAILED
    return code


def exit_code(error: TorporError) -> int:
    """The exit code that tells a script what kind of failure this was."""
    code: Any = error.document.get("code") if isinstance(error, Problem) else error.code
    return _BY_CODE.get(code, FAILED)


def _drop_output() -> None:
    # What is still buffered must not raise again when the interpreter ends.
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _invoke(args: Sequence[str]) -> int:
    try:
        if COMPLETION_VARIABLE in os.environ:
            import_module("torpor.cli.completion")  # our way to complete in bash
            torpor.main(prog_name="torpor", complete_var=COMPLETION_VARIABLE)
        # Not `main`: that would turn a broken pipe into a plain failure.
        with torpor.make_context("torpor", list(args)) as context:
            result = torpor.invoke(context)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return USAGE
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "torpor"
        fail(error.format_message(), f"`{command} --help` tells how it is used.")
        return USAGE
    except click.ClickException as error:
        fail(error.format_message())
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except TorporError as error:
        fail(error.message, error.hint)
        return exit_code(error)
    return result if isinstance(result, int) else 0
