"""The command lines of a unit: their prefixes, their variables, and several that become one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from torpor.importers.commands import command_value
from torpor.importers.unit_file import split_words

_VARIABLE = re.compile(
    r"\$(?:\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)\}|(?P<bare>[A-Za-z_][A-Za-z0-9_]*)|(?P<dollar>\$))"
)
_WHOLE_WORD = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*")
FOR_THE_HOOKS = frozenset({"MAINPID"})
"""Variables that Torpor fills in itself in the commands around an app."""


@dataclass(frozen=True)
class Line:
    """One command."""

    words: tuple[str, ...]
    prefixes: str
    """Of `-@:+!|`, what stands before the program."""

    @property
    def may_fail(self) -> bool:
        """Whether its failure counts as success."""
        return "-" in self.prefixes

    @property
    def shell(self) -> bool:
        """Whether something in it has to be filled in from the environment when it runs."""
        if ":" in self.prefixes:
            return False
        found = [match for word in self.words[1:] for match in _VARIABLE.finditer(word)]
        return any((match["braced"] or match["bare"] or "MAINPID") not in FOR_THE_HOOKS for match in found)

    def argv(self) -> list[str]:
        """The words, where no shell is needed."""
        if ":" in self.prefixes:
            return list(self.words)
        return [word.replace("$$", "$") for word in self.words]

    def text(self) -> str:
        """The command as a shell has to read it, variables where systemd fills them in."""
        if ":" in self.prefixes:
            return shlex.join(self.words)
        first, *rest = self.words
        return " ".join([shlex.quote(first), *map(_shell_word, rest)])


def parse_lines(value: str, fill: Callable[[str], str]) -> list[Line]:
    """The commands of a value; ` ; ` stands between two.  Raises `ValueError`."""
    lines: list[Line] = []
    part: list[str] = []
    for word in [*split_words(value.replace(" \\; ", " '\\\\;' ")), ";"]:
        if word != ";":
            part.append(";" if word == "\\;" else word)
            continue
        if part:
            lines.append(_line(part, fill))
        part = []
    return lines


def _line(words: list[str], fill: Callable[[str], str]) -> Line:
    program = words[0].lstrip("-@:+!|")
    prefixes = words[0][: len(words[0]) - len(program)]
    rest = words[1:]
    if "@" in prefixes and rest:
        rest = rest[1:]
    found = tuple(map(fill, [program, *rest]))
    if not found[0]:
        raise ValueError("names no program")
    return Line(found, prefixes)


def main_command(line: Line) -> tuple[str | list[str], bool]:
    """The app's command, and whether it is for a shell.  Raises `ValueError`."""
    if "|" in line.prefixes:
        return " ".join(line.words), True
    if line.shell:
        # `exec`: the process that is watched and signalled is the program, not the shell.
        return f"exec {line.text()}", True
    return command_value(line.argv()), False


def hook(lines: list[Line], timeout: str | None) -> object:
    """A command around the app, made of one or more of a unit's.  Raises `ValueError`."""
    if len(lines) == 1 and not lines[0].may_fail and not lines[0].shell and "|" not in lines[0].prefixes:
        command = command_value(lines[0].argv())
        return command if timeout is None else {"command": command, "timeout": timeout}
    text = " && ".join(f"{{ {line.text()} || true; }}" if line.may_fail else line.text() for line in lines)
    return {"command": text, **({} if timeout is None else {"timeout": timeout}), "shell": True}


def odd_variables(lines: list[Line]) -> list[str]:
    """What only systemd would fill in."""
    text = " ".join(word for line in lines for word in line.words)
    return [
        f"${name} is systemd's; post_stop finds $TORPOR_EXIT_CODE or $TORPOR_EXIT_SIGNAL"
        for name in ("SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS")
        if re.search(rf"\$\{{?{name}\b", text)
    ]


def odd_prefixes(lines: list[Line]) -> list[str]:
    """What the prefixes mean that has no equal."""
    used = {char for line in lines for char in line.prefixes}
    found = []
    if used & {"+", "!"}:
        found.append("`+` and `!` run it with more rights than the app's; here it has the app's")
    if "@" in used:
        found.append("`@` gives the program another name for itself; here it has its own")
    return found


def _shell_word(word: str) -> str:
    if _WHOLE_WORD.fullmatch(word):
        return word
    parts: list[str] = []
    literal = ""
    at = 0
    for match in _VARIABLE.finditer(word):
        literal += word[at : match.start()]
        at = match.end()
        if match["braced"]:
            parts += [_quoted(literal), f'"${{{match["braced"]}}}"']
            literal = ""
        else:
            literal += match[0].replace("$$", "$")
    parts.append(_quoted(literal + word[at:]))
    return "".join(parts) or "''"


def _quoted(text: str) -> str:
    return shlex.quote(text) if text else ""
