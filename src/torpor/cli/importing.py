"""`torpor import`: what other managers' files say, as a torpor.yaml."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from torpor.cli.app import FAILED
from torpor.cli.terminal import fail, printable

NAMES = ("supervisord", "pm2", "pm_tiny", "procfile", "systemd", "compose", "streamlit-launcher")
"""The formats; a test compares them with the importers', which nobody but the verb itself loads."""


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="FILE...")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(NAMES),
    metavar="FORMAT",
    help="Whose files they are, where name and content do not tell: supervisord, pm2, pm_tiny, procfile, systemd, compose, streamlit-launcher.",
)
@click.option(
    "--env",
    "chosen",
    metavar="NAME",
    help="Take the variables of `env_NAME` too, as PM2 does with its --env.",
)
@click.option("-o", "--output", metavar="FILE", help="Write to this file instead of to stdout.")
@click.option("--force", is_flag=True, help="Overwrite the file of -o.")
def import_files(
    files: tuple[str, ...], format_name: str | None, chosen: str | None, output: str | None, force: bool
) -> int:
    """Turn other managers' files into a torpor.yaml.

    Knows supervisord.conf, PM2 ecosystem files, pm_tiny's prog.yaml and prog.cfg, Procfiles, systemd .service units,
    Compose files and the Streamlit launcher's file of OpenWrt. What could not be carried over stands in a comment, each setting with the reason. An ecosystem file
    in JavaScript is run with node, as PM2 runs it.

    Nothing is applied. Paths in the result are relative to the directory of -o, or to the current one.
    """
    if output is not None and not force and os.path.lexists(output):
        fail(f"{output} exists", "Write elsewhere, or overwrite it with --force.")
        return FAILED
    from torpor.importers.formats import import_files as convert  # noqa: PLC0415  # with parsers behind it

    found = convert(files, output or "torpor.yaml", format=format_name, chosen=chosen)
    if output is None:
        sys.stdout.write(found.text)
        sys.stdout.flush()
    elif not _write(output, found.text, _mode(files), force=force):
        return FAILED
    for warning in found.warnings:
        sys.stderr.write(f"torpor: {printable(warning)}\n")
    where = output or "the result"
    apps = f"{found.apps} app{'s' if found.apps != 1 else ''}"
    left = f"{found.left} setting{'s' if found.left != 1 else ''}"
    sys.stderr.write(f"torpor: {apps}; {left} could not be carried over, and stand as comments in {where}\n")
    for problem in found.problems:
        sys.stderr.write(f"torpor: cannot be loaded here yet: {printable(problem)}\n")
    return 0


def _mode(files: Sequence[str]) -> int:
    """Who may read the result: nobody who may not read all that it was made of, for that may hold secrets."""
    mode = 0o666
    for file in files:
        mode &= os.stat(file).st_mode | 0o600
    return mode


def _write(path: str, text: str, mode: int, *, force: bool) -> bool:
    """Write the file; it is complete or as before."""
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        if force:
            os.replace(temporary, path)
        else:
            # Unlike a rename, a link fails where somebody else was faster.
            os.link(temporary, path)
            os.unlink(temporary)
    except OSError as error:
        fail(f"{path} cannot be written: {(error.strerror or str(error)).lower()}")
        if os.path.lexists(temporary):
            os.unlink(temporary)
        return False
    return True
