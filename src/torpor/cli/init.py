"""`torpor init`: a configuration for what lies in a directory, or a small app to begin with."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from torpor.cli.app import FAILED
from torpor.cli.connection import connect, json_option, print_json
from torpor.cli.terminal import fail, has_colour, paint, printable
from torpor.errors import DaemonUnreachable, TorporError

if TYPE_CHECKING:
    from torpor.projects.found import Findings

SKELETON = "skeleton"
"""The template that is a configuration without an app."""
TEMPLATES = ("streamlit", "fastapi", "flask", "static", "worker", SKELETON)


@click.command()
@click.argument("directory", metavar="[DIR]", default=".", type=click.Path(file_okay=False, path_type=str))
@click.option(
    "--template",
    type=click.Choice(TEMPLATES),
    metavar="NAME",
    help="Lay down a small working app first: streamlit, fastapi, flask, static, worker; "
    "or only a configuration to fill in: skeleton.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Print the configuration, and write nothing.")
@json_option
def init(directory: str, template: str | None, dry_run: bool, as_json: bool) -> int:
    """Write a torpor.yaml for the project in a directory.

    It looks at the names of files, and at what they say, and runs none of them. It knows Streamlit, Gradio, Django,
    FastAPI and its relatives, Flask, Node, Jupyter, static sites, workers and Procfiles; where the directory itself is
    none of these, each directory in it is looked at. What is there already is never overwritten.
    """
    from torpor.projects.address import free_address  # noqa: PLC0415  # no other verb pays for it
    from torpor.projects.document import document  # noqa: PLC0415
    from torpor.projects.found import Findings  # noqa: PLC0415
    from torpor.projects.recognise import recognise  # noqa: PLC0415
    from torpor.projects.write import check_unwritten  # noqa: PLC0415

    if dry_run and template not in {None, SKELETON}:
        raise click.UsageError("--dry-run shows what is found; a template has to be laid down to be found")
    if not dry_run:
        check_unwritten(directory)
    laid = _lay_down(template, directory)
    findings = Findings(directory, ()) if template == SKELETON else recognise(directory)
    if not findings.apps and template != SKELETON:
        return _nothing(findings)
    listen = free_address()
    text = document(findings.apps, listen)
    if dry_run:
        sys.stdout.write(text)
        sys.stderr.writelines(f"{line}\n" for line in _found(findings, colour=has_colour(sys.stderr)))
        return 0
    path = _write(directory, text)
    if as_json:
        print_json(_facts(findings, path, listen))
        return 0
    lines = [*_found(findings, colour=has_colour(sys.stdout)), *_written(laid), *_next(findings, listen)]
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


def _lay_down(template: str | None, directory: str) -> list[str]:
    from torpor.projects.lay_down import lay_down  # noqa: PLC0415  # no other verb pays for it

    return [] if template in {None, SKELETON} else lay_down(str(template), directory)


def _write(directory: str, text: str) -> str:
    """Write it, and see that Torpor itself has nothing to say against it."""
    import json  # noqa: PLC0415

    from torpor.config.load import load  # noqa: PLC0415  # with the parser behind it
    from torpor.config.schema import json_schema  # noqa: PLC0415
    from torpor.projects.write import write_configuration  # noqa: PLC0415

    schema = json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"
    path = write_configuration(directory, text, schema)
    load(path)
    return path


def _found(findings: Findings, *, colour: bool) -> Iterator[str]:
    """What was found, and on what evidence."""
    for app in findings.apps:
        place = "" if app.folder == "." else f" in {app.folder}"
        yield f"{paint(app.name, 'green', on=colour)}: {app.kind}{printable(place)}"
        yield from (paint(f"  - {printable(reason)}", "dim", on=colour) for reason in app.evidence)
    yield from (f"note: {printable(remark)}" for remark in findings.remarks)


def _written(laid: list[str]) -> Iterator[str]:
    from torpor.projects.document import SCHEMA  # noqa: PLC0415

    yield ""
    yield f"wrote {', '.join([*laid, 'torpor.yaml'])}, and {SCHEMA} for editors"


def _next(findings: Findings, listen: str) -> Iterator[str]:
    """What to run next."""
    from torpor.projects.document import address  # noqa: PLC0415

    yield "run next:"
    if os.path.realpath(findings.path) != os.path.realpath("."):
        yield f"  cd {shlex.quote(findings.path)}"
    steps = [step for app in findings.apps for step in app.steps]
    yield from (f"  {step}" for step in dict.fromkeys(steps))
    if not findings.apps:
        yield "  torpor config check      once torpor.yaml names an app"
    if other := _running():
        yield f"  torpor down              ends the one that runs already ({printable(other)})"
    yield "  torpor up"
    urls = [url for app in findings.apps if (url := address(app, listen))]
    if urls:
        yield f"then open {urls[0]}: the first visit starts it"
        yield from (f"      or {url}" for url in urls[1:])


def _running() -> str | None:
    """The configuration of a daemon that runs already."""
    try:
        return str(connect().get("version")["config"])
    except (DaemonUnreachable, TorporError):
        return None


def _facts(findings: Findings, path: str, listen: str) -> dict[str, object]:
    from torpor.projects.document import address  # noqa: PLC0415

    return {
        "file": os.path.abspath(path),
        "apps": [
            {
                "name": app.name,
                "kind": app.kind,
                "directory": app.folder,
                "evidence": app.evidence,
                "url": address(app, listen),
                "steps": app.steps,
            }
            for app in findings.apps
        ],
        "remarks": findings.remarks,
    }


def _nothing(findings: Findings) -> int:
    """Say what was looked for, and how to go on."""
    from torpor.projects.recognise import KINDS  # noqa: PLC0415

    sys.stderr.writelines(f"note: {printable(remark)}\n" for remark in findings.remarks)
    looked = "".join(f"\n  {kind.title + ':':<13}{kind.sign}" for kind in KINDS)
    fail(
        f"nothing in {printable(findings.path)} is known to me; I looked for{looked}",
        "`torpor init --template skeleton` writes a torpor.yaml to fill in; the other templates bring a small app along.",
    )
    return FAILED
