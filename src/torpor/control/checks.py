"""The endpoints that tell who would be put to sleep, and have a pass made now."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from torpor.control.query import flag
from torpor.control.render import json_response
from torpor.control.why import clause_words
from torpor.core import wakefulness
from torpor.core.model import AppSnapshot, Phase
from torpor.core.outlook import Outlook
from torpor.core.pressure import Candidate
from torpor.core.wakefulness import Clause
from torpor.runtime.operator import Operator


class CandidateDocument(msgspec.Struct, frozen=True):
    """An app as one that might be put to sleep for its memory."""

    app: str
    size: int
    priority: int
    idle: float
    sleeps: str | None
    """How deep it sleeps now; None: it is awake."""
    deeper: str
    """How it would sleep."""
    spared: str | None
    """Why it stays as it is; None: its turn may come."""


class MemoryCheck(msgspec.Struct, frozen=True):
    """What is done for memory, and on what that was decided.  Sizes in bytes."""

    check: str
    dry_run: bool
    available: int
    total: int
    keep_free: int
    short: int
    victims: list[CandidateDocument]
    others: list[CandidateDocument]


class IdleDocument(msgspec.Struct, frozen=True):
    """An app as one that might be put to sleep because nobody uses it."""

    app: str
    idle_in: float | None
    spared: str | None
    """Why it does not sleep by itself now; None: its time has come."""


class IdleCheck(msgspec.Struct, frozen=True):
    """Who sleeps for idleness now, and who does not."""

    check: str
    dry_run: bool
    victims: list[IdleDocument]
    others: list[IdleDocument]


class Checks:
    """The endpoints below `/check/`."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator

    def routes(self) -> list[Route]:
        """Their addresses."""
        return [
            Route("/check/memory", self.memory, methods=["POST"]),
            Route("/check/idle", self.idle, methods=["POST"]),
        ]

    async def memory(self, request: Request) -> Response:
        """Put to sleep who has to be; with `dry_run` only tell who that is."""
        dry_run = flag(request, "dry_run")
        outlook = self._operator.outlook() if dry_run else self._operator.check_memory()
        return json_response(_memory_check(outlook, dry_run=dry_run))

    async def idle(self, request: Request) -> Response:
        """Tell who sleeps for idleness: that needs no pass, it happens when its time has come."""
        awake = [it for it in self._operator.snapshot() if it.phase is Phase.READY]
        found = [_idle_document(it, *self._operator.clauses(it.name)) for it in awake]
        return json_response(
            IdleCheck(
                "idle",
                flag(request, "dry_run"),
                [it for it in found if it.spared is None],
                [it for it in found if it.spared is not None],
            )
        )


def _memory_check(outlook: Outlook, *, dry_run: bool) -> MemoryCheck:
    return MemoryCheck(
        "memory",
        dry_run,
        outlook.available,
        outlook.total,
        outlook.keep_free,
        outlook.short,
        [_candidate(it) for it in outlook.victims],
        [_candidate(it) for it in outlook.others],
    )


def _candidate(it: Candidate) -> CandidateDocument:
    return CandidateDocument(
        it.app,
        it.size,
        it.priority,
        round(it.idle, 3),
        None if it.tier is None else it.tier.value,
        it.deeper.value,
        it.spared,
    )


def _idle_document(app: AppSnapshot, clauses: Sequence[Clause], at: float) -> IdleDocument:
    sleeps_at = wakefulness.sleeps_at(clauses, at)
    keeping = [clause_words(clause) for clause in clauses if clause.keeps_awake]
    return IdleDocument(
        app.name,
        None if sleeps_at is None else round(max(0.0, sleeps_at - at), 3),
        "; ".join(keeping) or None,
    )
