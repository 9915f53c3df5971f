"""The keys that say what an app is: its program, and the commands around its life."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, UnsetType

from torpor.config.declarations.keys import Keys, about
from torpor.config.scalars import Period, Signal
from torpor.config.settings import Compression, Forward, Hook, LogSpec, StderrLog
from torpor.config.units import PositiveDuration, Size, duration_text, size_text

_HOOK = Hook(())
_LOG = LogSpec()


class HookCommand(Keys, frozen=True):
    """A command beside the app's own, run in the app's directory and environment."""

    command: Annotated[str | list[str], about("The program and its arguments.", "./migrate.sh --all")]
    timeout: (
        Annotated[
            PositiveDuration, about("It is killed then, and has failed.", "5m", duration_text(_HOOK.timeout))
        ]
        | UnsetType
    ) = UNSET
    shell: Annotated[bool, about("Give `command` to `/bin/sh -c` as it stands.", True, False)] | UnsetType = (
        UNSET
    )


class Log(Keys, frozen=True):
    """The rotating log of an app.  See [Logs](logs.md)."""

    max_size: (
        Annotated[Size, about("Start a new file at this size.", "1M", size_text(_LOG.max_size))] | UnsetType
    ) = UNSET
    keep: Annotated[int, about("Older files that are kept.", 5, _LOG.keep, ge=0, le=1000)] | UnsetType = UNSET
    max_total: (
        Annotated[Size, about("Give up the oldest files when all together take more than this.", "500M")]
        | UnsetType
    ) = UNSET
    max_age: (
        Annotated[PositiveDuration, about("Give up files whose last line is older than this.", "14d")]
        | UnsetType
    ) = UNSET
    rotate: (
        Annotated[
            Period,
            about(
                "Start a new file also with each local day (`daily`) or hour (`hourly`), or when the current one "
                "is so old; at the next output after that.",
                "daily",
            ),
        ]
        | UnsetType
    ) = UNSET
    compress: (
        Annotated[
            Compression,
            about(
                "Compress older files, all but the newest of them; `zstd` needs the command of that name.",
                "zstd",
                _LOG.compress.value,
            ),
        ]
        | UnsetType
    ) = UNSET
    timestamps: (
        Annotated[
            bool,
            about(
                "Write the time before each line into the file. `torpor logs` knows it without.", True, False
            ),
        ]
        | UnsetType
    ) = UNSET
    stderr: (
        Annotated[
            StderrLog,
            about(
                "Whether stderr goes into the same file, or into one of its own with the same rules.",
                "separate",
                _LOG.stderr.value,
            ),
        ]
        | UnsetType
    ) = UNSET
    forward: (
        Annotated[
            Forward,
            about("Pass each line on to the system's log as well.", "journald", _LOG.forward.value),
        ]
        | UnsetType
    ) = UNSET


class Program(Keys, frozen=True):
    """What an app is."""

    member_of: (
        Annotated[
            str | list[str],
            about(
                "Names under which commands mean it together with others: `torpor restart group:web`; one or a list.",
                "web",
            ),
        ]
        | UnsetType
    ) = UNSET
    command: (
        Annotated[
            str | list[str],
            about(
                "The program and its arguments, run without a shell. A string is split as a shell would split it; "
                "`$PORT` is the port to listen on.",
                "uvicorn api:app --port $PORT",
            ),
        ]
        | UnsetType
    ) = UNSET
    shell: Annotated[bool, about("Give `command` to `/bin/sh -c` as it stands.", True, False)] | UnsetType = (
        UNSET
    )
    working_dir: (
        Annotated[
            str,
            about("The app's directory, relative to the file that names it.", "./notes", "."),
        ]
        | UnsetType
    ) = UNSET
    environment: (
        Annotated[
            dict[str, str | int | float | bool | None] | list[str],
            about(
                "Variables of the app: a map, or a list of `NAME=value`. A name without value is passed on from "
                "Torpor's own environment. Merged with `defaults`, name by name.",
                {"LOG_LEVEL": "info"},
            ),
        ]
        | UnsetType
    ) = UNSET
    env_file: (
        Annotated[
            str | list[str],
            about(
                "Files of `NAME=value` lines, relative to the file that names them; `environment` wins.",
                "./.env",
            ),
        ]
        | UnsetType
    ) = UNSET
    clean_env: (
        Annotated[
            bool,
            about(
                "Take nothing from Torpor's own environment: neither the search path nor the language.",
                True,
                False,
            ),
        ]
        | UnsetType
    ) = UNSET
    stdin: (
        Annotated[
            str | None, about("A file that the app reads from; `null`: nothing to read.", "./input.txt")
        ]
        | UnsetType
    ) = UNSET
    tty: Annotated[bool, about("Give the app a terminal of its own.", True, False)] | UnsetType = UNSET
    activation: (
        Annotated[
            bool,
            about(
                "Bind where the app listens, and hand the socket over as descriptor 3 (`LISTEN_FDS`): it is "
                "open over restarts. See [Socket hand-over](socket-activation.md).",
                True,
                False,
            ),
        ]
        | UnsetType
    ) = UNSET
    pre_start: (
        Annotated[
            str | list[str] | HookCommand,
            about("Run this before each start; if it fails, the start has failed.", "./migrate.sh"),
        ]
        | UnsetType
    ) = UNSET
    post_start: (
        Annotated[
            str | list[str] | HookCommand,
            about(
                "Run this as soon as the app runs; if it fails, the start has failed.", ["./announce", "up"]
            ),
        ]
        | UnsetType
    ) = UNSET
    stop_signal: (
        Annotated[Signal, about("The signal that asks the app to end.", "INT", "TERM")] | UnsetType
    ) = UNSET
    stop_command: (
        Annotated[
            str | list[str] | HookCommand,
            about("Run this to stop the app; what still runs after it gets the stop signal.", "./ctl stop"),
        ]
        | UnsetType
    ) = UNSET
    pre_stop: (
        Annotated[
            str | list[str] | HookCommand,
            about("Run this before the app is asked to end.", {"command": "./drain.sh", "timeout": "5s"}),
        ]
        | UnsetType
    ) = UNSET
    post_stop: (
        Annotated[
            str | list[str] | HookCommand,
            about("Run this after the app has ended, however it ended.", "rm -f ./app.lock"),
        ]
        | UnsetType
    ) = UNSET
    reload_signal: (
        Annotated[Signal, about("The signal that makes the app read its configuration again.", "HUP")]
        | UnsetType
    ) = UNSET
    reload_command: (
        Annotated[
            str | list[str] | HookCommand,
            about("The command that makes the app read its configuration again.", "nginx -s reload"),
        ]
        | UnsetType
    ) = UNSET
    resume_signal: (
        Annotated[
            Signal,
            about(
                "The signal that tells the app that it was frozen for a while (`sleep: pause` or `hibernate`), "
                "besides SIGCONT, which it always gets.",
                "USR1",
            ),
        ]
        | UnsetType
    ) = UNSET
    log: Annotated[Log, about("The app's rotating log.")] | UnsetType = UNSET
