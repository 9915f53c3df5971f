"""supervisord's `%(name)s` in the values of one process."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from torpor.importers.draft import Verbatim
from torpor.importers.place import Place

REPLICA = Verbatim("${TORPOR_REPLICA}")
"""Stands for `%(process_num)d` where the processes become replicas."""
_EXPANSION = re.compile(
    r"%(?:\((?P<name>[A-Za-z0-9_]+)\)(?P<form>[-#0 +]*[0-9]*(?:\.[0-9]+)?)(?P<kind>[sdi])|(?P<percent>%)|(?P<wrong>))"
)


@dataclass(frozen=True)
class Expansion:
    """What the names stand for."""

    names: Mapping[str, str | int]
    place: Place
    own: Mapping[str, str] = field(default_factory=dict)
    """The program's own variables, which `%(ENV_x)s` means first."""

    def text(self, text: str) -> str:
        """The text with its expansions done; variables of the environment stay variables.  Raises `ValueError`."""
        parts: list[str] = []
        at = 0
        for match in _EXPANSION.finditer(text):
            parts += [text[at : match.start()], self._value(match)]
            at = match.end()
        parts.append(text[at:])
        if not any(isinstance(part, Verbatim) for part in parts):
            return "".join(parts)
        # Doubled dollars are read as one, wherever they stand.
        return Verbatim("".join(p if isinstance(p, Verbatim) else p.replace("$", "$$") for p in parts))

    def now(self, text: str) -> str:
        """The text with everything expanded, for what must be a number or a name.  Raises `ValueError`."""
        known = {f"ENV_{name}": value for name, value in self.place.environ.items()}
        return Expansion({**known, **self.names}, self.place, self.own).text(text)

    def _value(self, match: re.Match[str]) -> str:
        name = match["name"]
        if name is None:
            if match["percent"]:
                return "%"
            raise ValueError("holds a '%' that begins no %(name)s; supervisord would refuse it")
        variable = name.removeprefix("ENV_") if name.startswith("ENV_") else None
        own = self.own.get(variable) if variable is not None else None
        value: str | int | None = own if own is not None else self.names.get(name)
        if value is None and variable is not None:
            return self.place.variable(variable)
        if value is None:
            raise ValueError(f"%({name}) is no expansion of supervisord")
        if isinstance(value, Verbatim):
            if match["form"] or (match["kind"] == "s" and name != "process_num"):
                raise ValueError(f"%({name}){match['form']}{match['kind']} cannot be filled in")
            return value
        try:
            return str(f"%{match['form']}{match['kind']}" % value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{match[0]} does not fit its value") from error
