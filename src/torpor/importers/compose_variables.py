"""`$VAR` and `${VAR:-default}` in Compose files, with the `.env` beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torpor.config.interpolate import left_for_launch
from torpor.importers.draft import Verbatim

_VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<bare>[A-Za-z_][A-Za-z0-9_]*)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<operator>:?[-?+])(?P<rest>[^{}]*(?:\{[^{}]*\}[^{}]*)*))?\})"
)
_PLAIN_DEFAULT = re.compile(r"[^${}]*")


@dataclass(frozen=True)
class Variables:
    """What the names stand for: the environment first, then `.env`."""

    environ: Mapping[str, str]
    dotenv: Mapping[str, str]

    def now(self, text: str) -> str:
        """The text as Compose would read it here and now.  Raises `ValueError` for what must be set and is not."""
        return _VARIABLE.sub(self._value, text)

    def later(self, text: str) -> str:
        """The text with its variables left to Torpor, which reads them as Compose does; what it cannot, is read now.

        Raises `ValueError`.
        """
        if "$" not in text:
            return text
        parts: list[str] = []
        at = 0
        for match in _VARIABLE.finditer(text):
            parts += [text[at : match.start()], self._reference(match)]
            at = match.end()
        parts.append(text[at:])
        if not any(isinstance(part, Verbatim) for part in parts):
            return "".join(parts)
        return Verbatim("".join(p if isinstance(p, Verbatim) else p.replace("$", "$$") for p in parts))

    def _look_up(self, name: str) -> str | None:
        return self.environ.get(name, self.dotenv.get(name))

    def _value(self, match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        name, operator, rest = match["name"] or match["bare"], match["operator"] or "", match["rest"] or ""
        value = self._look_up(name)
        there = value is not None and (bool(value) or not operator.startswith(":"))
        if operator.endswith("+"):
            return self.now(rest) if there else ""
        if there:
            return value or ""
        if operator.endswith("?"):
            raise ValueError(f"{name} has to be set: {rest or 'it is not'}")
        return self.now(rest) if operator else ""

    def _reference(self, match: re.Match[str]) -> str:
        name, operator, rest = match["name"] or match["bare"], match["operator"] or "", match["rest"] or ""
        if match["escaped"]:
            return "$"
        fallback = self.dotenv.get(name)
        if fallback and not operator.endswith("+"):
            operator, rest = ":-", fallback
        if operator.endswith("?") and self.environ.get(name):
            return Verbatim(match[0])
        if operator.endswith(("+", "?")) or left_for_launch(name) or not _PLAIN_DEFAULT.fullmatch(rest):
            return self._value(match)
        return Verbatim(f"${{{name}{operator or ':-'}{rest}}}")
