"""Showing what apps write while they write it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from torpor.cli.history import Entry, Source, source_of
from torpor.cli.logview import View, labels
from torpor.control.client import Client, Params

if TYPE_CHECKING:
    from torpor.logs.grep import Near, Search


class Live:
    """Shows lines that the daemon tells, as far as they are looked for."""

    def __init__(self, view: View, search: Search | None = None) -> None:
        self._view = view
        self._search = search
        self._near: dict[tuple[str, str], Near[Entry]] = {}

    def show(self, document: dict[str, Any], *, flush: bool = True) -> None:
        """Show a line, with what turns out to be near it, or keep it for one that follows."""
        at = document["at"]
        text = document["line"].encode(errors="replace")
        entry = Entry(source_of(document), None if at is None else round(at * 1e9), text)
        for each in self._found(entry, text):
            self._view.show(each)
        if flush:
            self._view.flush()

    def _found(self, entry: Entry, text: bytes) -> Iterable[Entry]:
        if self._search is None:
            return (entry,)
        source, found = entry.source, self._search.matches(text)
        if not self._search.context:
            return (entry,) if found else ()
        from torpor.logs.grep import Near  # noqa: PLC0415  # only --grep pays for it

        near = self._near.setdefault((source.instance, source.stream), Near(self._search.context))
        return (Entry(source, None, None) if each is None else each for each in near.add(entry, found=found))


def sources_of(client: Client, names: Sequence[str]) -> list[Source]:
    """The streams of apps, without names of all.  Raises `DaemonUnreachable`, `Problem`."""
    params: Params = {"lines": 0, "places": "true", "app": list(names)}
    with client.send("GET", "logs", params=params) as answer:
        return [source_of(json.loads(raw)) for raw in answer.lines()]


def told(lines: Iterable[bytes], stream: str | None = None) -> Iterator[dict[str, Any]]:
    """What an answer tells of all streams, or of one; what a slow reader has missed is said."""
    for raw in lines:
        document = json.loads(raw)
        if "dropped" in document:
            sys.stderr.write(f"torpor: {document['dropped']} lines left out, this reader is too slow\n")
        elif "listening" in document or stream in {None, document["stream"]}:
            yield document


def start_and_follow(client: Client, names: Sequence[str], apps: Sequence[str]) -> int:
    """Start the `apps` that `names` mean and print what they write, until Ctrl-C."""

    def start() -> None:
        for name in apps:
            client.post("apps", name, "start", wait="false")

    # Who listens before the start misses nothing of it.
    return follow(client, names, lines=0, then=start)


def follow(
    client: Client, names: Sequence[str], *, lines: int, then: Callable[[], None] = lambda: None
) -> int:
    """Print what apps write, until Ctrl-C; `then` is called once nothing can be missed any more."""
    sources = sources_of(client, names)
    view = View(as_json=False, numbered=labels(sources))
    view.name(sources)
    live = Live(view)
    params: Params = {"lines": lines, "places": "true", "app": list(names), "follow": "true"}
    output = sys.stdout.fileno()
    with client.send("GET", "logs", params=params, patience=None, output=output) as answer:
        try:
            for document in told(answer.lines()):
                if "listening" in document:
                    then()
                elif "line" in document:
                    live.show(document)
        except KeyboardInterrupt:
            who = ", ".join(names) or "all"
            sys.stderr.write(f"\n{who} goes on; `torpor logs -f` shows more, `torpor stop` ends it\n")
    return 0
