"""`torpor down`: end the daemon and wait until it is gone."""

from __future__ import annotations

import os
import select
import sys
import time

import click

from torpor.cli.app import TIMED_OUT
from torpor.cli.connection import connect, json_option, print_json
from torpor.cli.figures import lapse
from torpor.cli.terminal import fail
from torpor.cli.verbs import timeout_option


@click.command()
@click.option("--keep-apps", is_flag=True, help="Leave the apps running, for the next daemon to take on.")
@timeout_option
@json_option
def down(keep_apps: bool, timeout: float | None, as_json: bool) -> int:
    """End the daemon and all of its apps in an orderly way.

    Returns when it is gone.  Requests and apps get their time to finish; each app stays as it was wanted for the
    next `torpor up`.
    """
    client = connect()
    pid = client.get("version")["pid"]
    try:
        # Taken before the daemon is told to end: the number cannot come to mean somebody else.
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        handle = -1
    started = time.monotonic()
    client.post("shutdown", **({"keep_apps": "true"} if keep_apps else {}))
    if handle >= 0 and not _wait(handle, timeout):
        fail(
            f"torpor (pid {pid}) still runs {timeout:g} s after it was told to end",
            "`torpor status` shows what it waits for.",
        )
        return TIMED_OUT
    took = time.monotonic() - started
    if as_json:
        print_json({"pid": pid, "took": round(took, 3)})
    else:
        then = (
            "its apps go on, and the next `torpor up` takes them on"
            if keep_apps
            else "`torpor up` starts it again"
        )
        sys.stdout.write(f"torpor (pid {pid}) is down after {lapse(took)}; {then}\n")
    return 0


def _wait(handle: int, timeout: float | None) -> bool:
    """Whether the process ended in time."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(None if timeout is None else timeout * 1000))
