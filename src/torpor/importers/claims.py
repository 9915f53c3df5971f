"""The settings of one entry of a foreign file, until each of them is settled.

Law: reading a setting settles nothing.  It is settled by what became of it: `carry` put it into the app, `same`
says that Torpor does it anyway, `leave` that it could not be carried over.  `close` leaves whatever is unsettled
then, so that an importer which knows nothing of a setting still reports it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torpor.importers.draft import AppDraft, refused
from torpor.importers.values import Value, shown

UNKNOWN = "Torpor has no such setting"


class Claims:
    """What an entry says, and what has become of it."""

    def __init__(
        self,
        app: AppDraft,
        settings: Mapping[str, Value],
        *,
        joint: str = ": ",
        words: Mapping[str, str] | None = None,
        called: Mapping[str, str] | None = None,
    ) -> None:
        """`joint` stands between name and value in comments; `words` say why some settings cannot be carried.

        `called` gives the name that the file itself uses, where it is another one.
        """
        self._called = called or {}
        self.app = app
        self._settings = dict(settings)
        self._open = dict.fromkeys(settings)
        self._joint = joint
        self._words = words or {}

    def __contains__(self, name: str) -> bool:
        return name in self._settings

    def __iter__(self) -> Iterator[str]:
        return iter(self._settings)

    def get(self, name: str) -> Value:
        """The value; None where it is not said, or said to be nothing."""
        return self._settings.get(name)

    def text(self, name: str, otherwise: str = "") -> str:
        """The value where it is one word or line of text."""
        value = self._settings.get(name)
        return value if isinstance(value, str) else otherwise

    def carry(
        self, name: str, key: str, convert: Callable[[Any], Any] = str, *, remark: str | None = None
    ) -> bool:
        """Put what the entry says into the app's `key`, unless it is settled already; whether that was done.

        A `ValueError` of `convert`, or a value that Torpor would not take, leaves the setting with that reason.
        """
        if name not in self._open:
            return False
        try:
            value = convert(self._settings[name])
            if (complaint := refused(key, value)) is not None:
                raise ValueError(complaint)
        except ValueError as error:
            self.leave(name, str(error))
            return False
        self.app.put(key, value, remark)
        self.settle(name)
        return True

    def settle(self, *names: str) -> None:
        """These have been put into the app by other means."""
        for name in names:
            self._open.pop(name, None)

    def same(self, *names: str) -> None:
        """Torpor does what these say without being told."""
        for name in names:
            if name in self._open:
                self.app.same.append(self.shown(name))
                self.settle(name)

    def leave(self, name: str, why: str) -> None:
        """This was not carried over; `why` says the reason, and what to do instead."""
        if name in self._open:
            self.app.notes.append(f"{self.shown(name)}: {why}")
            self.settle(name)

    def close(self) -> None:
        """Leave what nobody has spoken for."""
        for name in list(self._open):
            self.leave(name, self._words.get(name, UNKNOWN))

    def shown(self, name: str) -> str:
        """The setting on one line; of a map only the names, for values may be secrets."""
        return f"{self._called.get(name, name)}{self._joint}{shown(self._settings.get(name))}"
