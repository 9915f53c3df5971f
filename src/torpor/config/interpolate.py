"""`${VAR}` in the strings of a configuration.

Laws: only a finished string is looked at, never the text of the file, so a
variable's value cannot add keys or change the file's shape.  A value is not
looked at again.  What the launch fills in (`$PORT`, `${PORT}`, `${TORPOR_…}`) and
what belongs to a shell (`$NAME` without braces) is left as it stands.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping

MAX_NESTING = 8
"""How deep a default may contain variables that have defaults."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FORM = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<operator>:?[-?])(?P<rest>.*))?", re.DOTALL)


class CannotInterpolate(ValueError):
    """A variable without a value, or a `${` that is no variable.  The text says what to write."""


def interpolate(text: str, environ: Mapping[str, str]) -> str:
    """`text` with its variables filled in.

    `${VAR}`, `${VAR:-default}` (also for an empty value), `${VAR-default}`,
    `${VAR:?message}`, `${VAR?message}`, and `$$` for a dollar sign.
    Raises `CannotInterpolate`.
    """
    return _fill(text, environ, 0) if "$" in text else text


def looks_up(text: str, environ: Mapping[str, str]) -> bool:
    """Whether `text` comes out as it does because of what `environ` holds, or does not hold."""
    asked = _Asked(environ)
    with contextlib.suppress(CannotInterpolate):
        interpolate(text, asked)
    return asked.ever


def left_for_launch(name: str) -> bool:
    """Whether the variable gets its value only when an instance starts."""
    return name == "PORT" or name.startswith("TORPOR_")


class _Asked(Mapping[str, str]):
    """Variables that remember whether they were asked for."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.ever = False

    def __getitem__(self, name: str) -> str:
        self.ever = True
        return self._environ[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._environ)

    def __len__(self) -> int:
        return len(self._environ)


def _fill(text: str, environ: Mapping[str, str], depth: int) -> str:
    if depth > MAX_NESTING:
        raise CannotInterpolate(f"nests variables deeper than {MAX_NESTING} levels")
    done: list[str] = []
    at = 0
    while (dollar := text.find("$", at)) >= 0:
        done.append(text[at:dollar])
        following = text[dollar + 1 : dollar + 2]
        if following == "$":
            done.append("$")
            at = dollar + 2
        elif following == "{":
            end = _closing_brace(text, dollar + 2)
            done.append(_variable(text[dollar + 2 : end], environ, depth))
            at = end + 1
        else:
            done.append("$")
            at = dollar + 1
    done.append(text[at:])
    return "".join(done)


def _variable(form: str, environ: Mapping[str, str], depth: int) -> str:
    match = _FORM.fullmatch(form)
    if match is None:
        start = _NAME.match(form)
        if start is None:
            raise CannotInterpolate(f"'${{{form}}}' names no variable; write $${{ for a literal ${{")
        raise CannotInterpolate(f"'${{{form}}}' is not understood; write ${{{start[0]}:-default}}")
    name: str = match["name"]
    operator: str | None = match["operator"]
    if left_for_launch(name):
        return f"${{{form}}}"
    value = environ.get(name)
    if value or (value is not None and (operator is None or not operator.startswith(":"))):
        return value
    if operator is None:
        raise CannotInterpolate(
            f"the environment variable {name} is not set; set it or write ${{{name}:-default}}"
        )
    if operator.endswith("?"):
        wish = match["rest"] or "is not set"
        raise CannotInterpolate(f"the environment variable {name} is needed: {wish}")
    return _fill(match["rest"], environ, depth + 1)


def _closing_brace(text: str, start: int) -> int:
    depth, at = 1, start
    while at < len(text):
        if text.startswith("${", at):
            depth += 1
            at += 2
            continue
        if text[at] == "}":
            depth -= 1
            if depth == 0:
                return at
        at += 1
    raise CannotInterpolate("'${' without its closing '}'; write $${ for a literal ${")
