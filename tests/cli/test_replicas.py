"""A line for each replica that becomes ready, once and in time, whatever comes first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from threading import Event
from typing import Any, Self

import pytest

from torpor.cli.replicas import Replicas
from torpor.errors import DaemonUnreachable


def event(seq: int, app: str, instance: str, kind: str = "ready") -> dict[str, Any]:
    return {"seq": seq, "app": app, "instance": instance, "kind": kind, "text": f"{kind} {seq}"}


class FakeAnswer:
    """The past at once; a stream that says `live` and is then silent until it is hung up."""

    def __init__(self, past: list[dict[str, Any]], live: list[dict[str, Any]] | None) -> None:
        self._past = past
        self._live = live
        self._over = Event()
        self.heard = Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def lines(self) -> Iterator[bytes]:
        yield from (json.dumps(one).encode() for one in self._past)
        if self._live is not None:
            yield from (json.dumps(one).encode() for one in self._live)
            self.heard.set()
            self._over.wait()
            raise DaemonUnreachable("hung up")

    def hang_up(self) -> None:
        self._over.set()

    def close(self) -> None:
        pass


class FakeClient:
    """A daemon whose stream tells `live`, and whose history has all of `past`."""

    def __init__(self, live: list[dict[str, Any]]) -> None:
        self.past: list[dict[str, Any]] = [event(1, "web", "web")]
        self.stream = FakeAnswer(self.past.copy(), live)

    def send(self, _method: str, _path: str, *, params: dict[str, Any], patience: object = -1) -> FakeAnswer:
        if "follow" in params:
            return self.stream
        return FakeAnswer([one for one in self.past if params.get("app") in {None, one["app"]}], None)


def test_what_the_stream_has_not_told_comes_from_the_past(capsys: pytest.CaptureFixture[str]) -> None:
    """The answer to the wish may be quicker than the stream: nothing is missing then."""
    client = FakeClient(live=[])
    with Replicas(client, ["web"]) as replicas:  # type: ignore[arg-type]
        client.past += [
            event(2, "web", "web"),
            event(3, "web", "web/1", "draining"),
            event(4, "web", "web/1"),
        ]
        replicas.catch_up("web")
    assert "web: ready 2\nweb/1: ready 4\n" == capsys.readouterr().out


def test_nothing_is_told_twice_and_nothing_of_others(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither what was before, nor what stands both in the stream and in the past, nor of other apps."""
    client = FakeClient(live=[event(2, "db", "db"), event(3, "web", "web"), {"dropped": 7}])
    with Replicas(client, ["web"]) as replicas:  # type: ignore[arg-type]
        assert client.stream.heard.wait(30)
        client.past += [event(2, "db", "db"), event(3, "web", "web")]
        replicas.catch_up("web")
    assert "web: ready 3\n" == capsys.readouterr().out
