"""Names for apps, made of what other managers call their programs."""

from __future__ import annotations

import re

LONGEST = 63
_UNFIT = re.compile(r"[^a-z0-9._-]+")


def fit_name(text: str) -> str:
    """The name nearest to `text` that an app may have."""
    name = _UNFIT.sub("-", text.lower()).lstrip("._-")[:LONGEST].rstrip("-")
    return name or "app"


class Names:
    """Gives each name out once; the next one who wants it gets it with a number."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def give(self, wanted: str) -> str:
        """A valid name near to `wanted` that nobody has yet."""
        name = fit_name(wanted)
        number = 1
        while name in self._given:
            number += 1
            tail = f"-{number}"
            name = fit_name(wanted)[: LONGEST - len(tail)] + tail
        self._given.add(name)
        return name
