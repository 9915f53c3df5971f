"""Make the manual pages in man/ from the commands and from the declarations of the configuration.

Says what is out of date, and fails then; with `--write` the pages are written.  A test does the former.
"""

from __future__ import annotations

import inspect
import re
import runpy
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from torpor.cli.app import ALIASES, VERBS, torpor
from torpor.config.schema import json_schema

REFERENCE = runpy.run_path(str(Path(__file__).with_name("make_reference.py")))
"""The page for the web, whose headings and spelling of values are those of the manual too."""
PLACE = Path(__file__).parent.parent / "man"
WIDTH = 78
EXIT_CODES = {
    0: "Done.",
    1: "Failed.",
    2: "Wrong usage.",
    3: "\\fBstatus\\fR \\fIAPP\\fR: it is not running, and should be (asleep on purpose is 0).",
    4: "No such app.",
    6: "The configuration is invalid.",
    7: "The daemon cannot be reached.",
    78: "\\fBup\\fR: the configuration is invalid.",
    124: "\\fB--timeout\\fR expired.",
    130: "Interrupted.",
    141: "The reader of the output left.",
}
VARIABLES = {
    "TORPOR_CONFIG": "The configuration, where none is named.",
    "TORPOR_SOCKET": "The control socket.",
    "TORPOR_HOME": "The state directory.",
    "NO_COLOR": "If not empty, output is never coloured.",
    "FORCE_COLOR": "If not empty, output is coloured though it goes to no terminal.",
}
FILES = {
    "./torpor.yaml, ~/.config/torpor/torpor.yaml, /etc/torpor/torpor.yaml": "The configuration: the first that there is.",
    "/run/torpor/torpor.sock, $XDG_RUNTIME_DIR/torpor/torpor.sock": "The control socket of root's daemon, and of a user's.",
    "/var/lib/torpor, ~/.local/state/torpor": "State and logs.",
}
ABOUT = """Torpor starts each service at its first request, keeps it healthy while it is used, and puts it to sleep when
nobody needs it; what must always run is kept running. One daemon reads one file, \\fBtorpor.yaml\\fR(5); this program
runs that daemon and talks to it."""
SYNTAX = """YAML 1.2. Durations and sizes need a unit: 30s, 1h30m, 512M. ${VAR} and ${VAR:-default} come from the
environment, $PORT is the port that Torpor allots, $$ is a dollar sign. Paths are relative to the file that names them."""
EXAMPLE = """apps:
  notes:
    command: streamlit run app.py --server.port $PORT
    routes: [notes.localhost]
    readiness: {http: /_stcore/health}
    idle_timeout: 30m"""


def manual_pages() -> dict[str, str]:
    """All pages: their paths below man/, and their text."""
    root = click.Context(torpor, info_name="torpor")
    pages = {"man1/torpor.1": _overview(), "man5/torpor.yaml.5": _configuration()}
    for verb in VERBS:
        command = torpor.get_command(root, verb)
        assert command is not None
        pages[f"man1/torpor-{verb}.1"] = _verb(verb, command, root)
    return pages


def outdated() -> list[str]:
    """Pages that are not as they would be written now, or should not be there."""
    pages = manual_pages()
    there = {str(path.relative_to(PLACE)) for path in PLACE.glob("man*/*")}
    current = {
        name for name in there & set(pages) if (PLACE / name).read_text(encoding="utf-8") == pages[name]
    }
    return sorted(set(pages) - current | there - set(pages))


def _overview() -> str:
    verbs = (
        line
        for verb, (_, summary) in VERBS.items()
        for line in (
            ".TP",
            f"\\fB{_escaped(verb)}\\fR",
            f"{_escaped(summary)} See \\fBtorpor\\-{_escaped(verb)}\\fR(1).",
        )
    )
    return _page(
        "torpor",
        1,
        "run services that sleep until someone knocks",
        [
            *_section("SYNOPSIS", ["\\fBtorpor\\fR \\fIVERB\\fR [\\fIOPTION\\fR]... [\\fIAPP\\fR]..."]),
            *_section("DESCRIPTION", [ABOUT]),
            *_section("VERBS", verbs),
            *_section("EXIT STATUS", _terms((str(code), text) for code, text in EXIT_CODES.items())),
            *_section("ENVIRONMENT", _terms(VARIABLES.items())),
            *_section("FILES", _terms(FILES.items())),
            *_section("SEE ALSO", ["\\fBtorpor.yaml\\fR(5)"]),
        ],
    )


def _verb(name: str, command: click.Command, parent: click.Context) -> str:
    context = click.Context(command, info_name=name, parent=parent)
    aliases = [alias for alias, verb in ALIASES.items() if verb == name]
    lines = [*_section("SYNOPSIS", [_usage(context)]), *_section("DESCRIPTION", _prose(command.help or ""))]
    if aliases:
        lines += [".PP", "Also: " + ", ".join(f"\\fB{alias}\\fR" for alias in aliases) + "."]
    lines += _options(command, "OPTIONS")
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            child = command.get_command(context, below)
            assert child is not None
            inner = click.Context(child, info_name=below, parent=context)
            heading = [_usage(inner), ".PP", *_prose(child.help or "")]
            lines += [*_section(f"{name} {below}".upper(), heading), *_options(child, None)]
    lines += _section("SEE ALSO", ["\\fBtorpor\\fR(1), \\fBtorpor.yaml\\fR(5)"])
    return _page(f"torpor-{name}", 1, VERBS[name][1].rstrip("."), lines)


def _configuration() -> str:
    schema = json_schema()
    lines = [*_section("DESCRIPTION", _prose(f"The configuration of Torpor. {SYNTAX}"))]
    maps = {"File": schema, **schema["definitions"]}
    for name, (heading, sentence) in REFERENCE["SECTIONS"].items():
        about = _prose(sentence or maps[name]["description"])
        lines += _section(heading, [*about, *_terms(_settings(maps[name]))])
    lines += _section("EXAMPLE", [".nf", *map(_line, EXAMPLE.splitlines()), ".fi"])
    lines += _section("SEE ALSO", ["\\fBtorpor\\fR(1), \\fBtorpor\\-config\\fR(1)"])
    return _page("torpor.yaml", 5, "the configuration of Torpor", lines)


def _settings(declared: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, schema in declared["properties"].items():
        default = (
            "" if schema.get("default", "") == "" else f" Default: `{REFERENCE['_yaml'](schema['default'])}`."
        )
        yield key, schema["description"] + default


def _page(name: str, section: int, summary: str, body: Iterable[str]) -> str:
    """A whole page.  It has no date and no version: they would change what has not changed."""
    title = _escaped(name)
    head = [
        '.\\" Written by docs/make_man.py.',
        f'.TH "{title.upper()}" {section} "" "Torpor" "Torpor"',
        ".SH NAME",
        f"{title} \\- {_escaped(summary[0].lower() + summary[1:])}",
    ]
    return "\n".join(_wrapped([*head, *body])) + "\n"


def _wrapped(lines: Iterable[str]) -> Iterator[str]:
    """The lines, long ones of running text in several."""
    filled = True
    for line in lines:
        filled = line == ".fi" or (filled and line != ".nf")
        if not filled or line.startswith("."):
            yield line
            continue
        parts = textwrap.wrap(line, WIDTH, break_long_words=False, break_on_hyphens=False)
        # A part must not begin as a request does.
        yield from (f"\\&{part}" if part[0] in {".", "'"} else part for part in parts)


def _section(heading: str, lines: Iterable[str]) -> list[str]:
    return [f'.SH "{_escaped(heading)}"', *(line for text in lines for line in text.splitlines())]


def _usage(context: click.Context) -> str:
    pieces = " ".join(map(_escaped, context.command.collect_usage_pieces(context)))
    return f"\\fB{_escaped(context.command_path)}\\fR {pieces}"


def _options(command: click.Command, heading: str | None) -> list[str]:
    options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    if not options:
        return []
    lines = [f".SH {heading}"] if heading else []
    for option in options:
        value = "" if option.is_flag else f" \\fI{_escaped(option.metavar or 'N')}\\fR"
        flags = [f"\\fB{_escaped(flag)}\\fR{value}" for flag in [*option.opts, *option.secondary_opts]]
        lines += [".TP", ", ".join(flags), _line(" ".join((option.help or "").split()))]
    return lines


def _terms(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    for term, text in pairs:
        ready = text if "\\f" in text else _line(text)
        yield from (".TP", f"\\fB{_escaped(term)}\\fR", ready)


def _prose(text: str) -> list[str]:
    """The paragraphs of a help; one that click is told to leave alone is shown as it is."""
    lines: list[str] = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        lines += [".PP"] if lines else []
        if paragraph.startswith("\b"):
            lines += [".nf", *map(_line, paragraph.splitlines()[1:]), ".fi"]
        else:
            lines.append(_line(" ".join(paragraph.split())))
    return [line for line in lines if line]


def _line(text: str) -> str:
    """A line of text that is no request of roff's.  What stands between backticks is set in bold."""
    ready = re.sub(r"`([^`]+)`", r"\\fB\1\\fR", _escaped(text))
    return f"\\&{ready}" if ready[:1] in {".", "'"} else ready


def _escaped(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...")


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        for name in outdated():
            (PLACE / name).unlink(missing_ok=True)
        for name, text in manual_pages().items():
            (PLACE / name).parent.mkdir(parents=True, exist_ok=True)
            (PLACE / name).write_text(text, encoding="utf-8")
    elif late := outdated():
        sys.exit(f"out of date: {', '.join(late)}; `python docs/make_man.py --write` writes them")
