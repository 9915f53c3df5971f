"""`torpor version`."""

from __future__ import annotations

import sys

import click

from torpor import __version__
from torpor.cli.connection import connect, json_option, print_json
from torpor.errors import DaemonUnreachable


@click.command()
@json_option
def version(as_json: bool) -> None:
    """Print the versions of this program and of the daemon.

    That no daemon runs is no failure here.
    """
    try:
        daemon = connect().get("version")
    except DaemonUnreachable:
        daemon = None
    if as_json:
        print_json({"version": __version__, "daemon": daemon})
        return
    text = f"torpor {__version__}\n"
    text += (
        f"daemon {daemon['version']} (pid {daemon['pid']}, {daemon['config']})\n"
        if daemon
        else "no daemon runs\n"
    )
    sys.stdout.write(text)
