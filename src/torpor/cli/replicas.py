"""What becomes of each replica, told while a rolling restart goes on."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self

from torpor.cli.terminal import printable
from torpor.control.client import Client
from torpor.errors import TorporError

EVENTS = 1000
"""Past events that are looked through: as many as the daemon keeps."""


class Replicas:
    """Prints a line for each replica of the named apps that becomes ready, while it is open.

    A thread follows the events; `catch_up` makes sure that an app's lines stand before what
    is printed next, whichever of the daemon's answers came first.
    """

    def __init__(self, client: Client, names: Sequence[str]) -> None:
        self._client = client
        self._names = frozenset(names)
        self._told: dict[str, int] = {}
        self._lock = Lock()

    def __enter__(self) -> Self:
        before = max((event["seq"] for event in self._past(n=1)), default=0)
        self._told = dict.fromkeys(self._names, before)
        # With the past, which is known: nothing gets lost until the daemon has seen that we listen.
        self._stream = self._client.send(
            "GET", "events", params={"n": EVENTS, "follow": "true"}, patience=None
        )
        self._thread = Thread(target=self._follow)
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stream.hang_up()
        self._thread.join()
        self._stream.close()

    def catch_up(self, name: str) -> None:
        """Print what there is to say of an app and has not been said yet."""
        for event in self._past(n=EVENTS, app=name):
            self._tell(event)

    def _follow(self) -> None:
        # The answer to the wish itself says it if the daemon is gone.
        with suppress(TorporError):
            for line in self._stream.lines():
                self._tell(json.loads(line))

    def _past(self, **params: str | int) -> Iterator[dict[str, Any]]:
        with self._client.send("GET", "events", params=params) as answer:
            yield from map(json.loads, answer.lines())

    def _tell(self, event: dict[str, Any]) -> None:
        with self._lock:
            app = event.get("app")
            if app not in self._names or event["seq"] <= self._told[app]:
                return
            self._told[app] = event["seq"]
            if event["kind"] == "ready":
                sys.stdout.write(printable(f"{event['instance']}: {event['text']}") + "\n")
                sys.stdout.flush()
