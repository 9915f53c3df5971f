"""`torpor up`: run the daemon here, or leave one running behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import BinaryIO

import click

from torpor.cli.app import FAILED, TIMED_OUT
from torpor.cli.connection import connect
from torpor.cli.figures import lapse
from torpor.cli.terminal import fail
from torpor.cli.verbs import timeout_option
from torpor.config.paths import log_path
from torpor.control.client import Problem
from torpor.errors import ConfigInvalid, ConfigNotFound, DaemonUnreachable, StateUnusable

CONFIG_ERROR = 78
"""What a daemon exits with on a bad configuration (EX_CONFIG): a service manager must not retry that."""
FIRST_LOOK = 0.02
LAST_LOOK = 0.2
"""Seconds between two looks at a daemon that starts."""
START_LIMIT = 60.0
"""Seconds that `--detach` waits without `--timeout`."""


@click.command()
@click.option("-c", "--config", metavar="FILE", type=click.Path(), help="The configuration.")
@click.option("-d", "--detach", is_flag=True, help="Leave the daemon running behind, once it is ready.")
@click.option(
    "--exit-with",
    metavar="APP",
    help="End once that app has ended by itself and is not to be restarted, with its exit code.",
)
@timeout_option
def up(config: str | None, detach: bool, exit_with: str | None, timeout: float | None) -> int:
    """Run the daemon: in the foreground, or with -d behind it.

    In the foreground it tells what happens, until Ctrl-C.
    Without -c the configuration is $TORPOR_CONFIG, ./torpor.yaml,
    ~/.config/torpor/torpor.yaml or /etc/torpor/torpor.yaml: the first that there is.
    """
    if detach and exit_with is not None:
        raise click.UsageError(
            "--exit-with is for a daemon in the foreground: nobody hears the code of one behind"
        )
    if detach:
        return _detach(config, START_LIMIT if timeout is None else timeout)
    from torpor.daemon import main  # noqa: PLC0415  # the whole daemon, for this verb alone

    try:
        return main(config, exit_with=exit_with)
    except ConfigInvalid as error:
        sys.stderr.write(error.message + "\n")
        return CONFIG_ERROR
    except ConfigNotFound as error:
        fail(error.message, error.hint)
        return CONFIG_ERROR


def _detach(config: str | None, limit: float) -> int:
    client = connect()
    try:
        other = client.get("version")
    except DaemonUnreachable:
        pass
    else:
        fail(f"torpor runs already (pid {other['pid']}, {other['config']})", "`torpor down` ends it.")
        return FAILED
    # -P: what lies in the current directory must not be imported in the daemon's place.
    command = [sys.executable, "-P", "-m", "torpor", "up"]
    if config is not None:
        command += ["-c", os.path.abspath(config)]
    started = time.monotonic()
    with _open_log() as log:
        start = log.tell()
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        look = FIRST_LOOK
        while time.monotonic() - started < limit:
            try:
                code = child.wait(look)
            except subprocess.TimeoutExpired:
                look = min(look * 1.5, LAST_LOOK)
            else:
                sys.stderr.write(_read_from(log.name, start))
                return code or FAILED
            try:
                client.get("readyz")
            except (DaemonUnreachable, Problem):
                continue
            version = client.get("version")
            sys.stdout.write(
                f"torpor is up after {lapse(time.monotonic() - started)} (pid {version['pid']})\n"
            )
            sys.stdout.writelines(f"listening on {address}\n" for address in version["listen"])
            sys.stdout.write(f"its log is {log.name}\n")
            sys.stdout.write("`torpor status` shows its apps, `torpor down` ends it\n")
            return 0
    fail(f"torpor (pid {child.pid}) is not ready after {limit:g} s", f"It goes on; see {log.name}.")
    return TIMED_OUT


def _open_log() -> BinaryIO:
    """The file for what a daemon without a terminal says, open at its end.  Raises `StateUnusable`."""
    from torpor.runtime.ownlog import LIMIT  # noqa: PLC0415  # for a daemon behind only

    path = log_path()
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        if os.path.exists(path) and os.path.getsize(path) >= LIMIT:
            os.replace(path, path + ".1")
        return open(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600))
    except OSError as error:
        raise StateUnusable(
            f"cannot write {path}: {error.strerror}", hint="Set TORPOR_HOME to a directory of yours."
        ) from error


def _read_from(path: str, start: int) -> str:
    with open(path, "rb") as log:
        log.seek(start)
        return log.read().decode(errors="replace")
