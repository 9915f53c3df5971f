"""Errors on the way out: every failure of the API becomes one RFC 9457 problem document, here."""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from torpor.config.problems import Problem
from torpor.control.render import encode
from torpor.errors import ConfigInvalid, Fault, TorporError

MEDIA_TYPE = "application/problem+json"


class NotFound(TorporError):
    """The API has no such address."""

    code = "not-found"
    fault = Fault.CLIENT
    status = 404


class WaitExpired(TorporError):
    """What was asked for is under way but had not come true within the caller's `timeout`."""

    code = "wait-expired"
    fault = Fault.APP
    status = 504


class BodyTooLarge(TorporError):
    """A request body that nobody asked for."""

    code = "body-too-large"
    fault = Fault.CLIENT
    status = 413

    def __init__(self, limit: int) -> None:
        """`limit`: bytes."""
        super().__init__(f"a request body of more than {limit} bytes", hint="No request needs as much.")


class TooManyFollowers(TorporError):
    """All places for streaming readers are taken."""

    code = "too-many-followers"
    fault = Fault.CLIENT
    status = 503


class ShuttingDown(TorporError):
    """The daemon is going down; what was waited for will not come true."""

    code = "shutting-down"
    fault = Fault.US
    status = 503


class NotReady(TorporError):
    """The daemon lives, but does not serve yet or any more."""

    code = "not-ready"
    fault = Fault.US
    status = 503


def problem_response(error: TorporError, **extra: object) -> Response:
    """The answer for an error of ours; `extra` becomes members of the document."""
    document: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.message,
        "code": error.code,
        "fault": error.fault.value,
    }
    if error.hint:
        document["hint"] = error.hint
    return Response(encode({**document, **extra}), status_code=error.status, media_type=MEDIA_TYPE)


async def on_torpor_error(_request: Request, error: Exception) -> Response:
    """Starlette's handler for the tree of `errors`."""
    assert isinstance(error, TorporError)
    if isinstance(error, ConfigInvalid):
        problems = [asdict(one) if isinstance(one, Problem) else str(one) for one in error.problems]
        return problem_response(error, problems=problems)
    return problem_response(error)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's own 404 and 405 in the same shape as everything else."""
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == NotFound.status:
        return problem_response(NotFound(f"there is nothing at {path}"))
    document = {
        "type": "about:blank",
        "title": HTTPStatus(error.status_code).phrase,
        "status": error.status_code,
        "detail": f"{request.method} {path}: {error.detail}",
        "code": "bad-request",
        "fault": Fault.CLIENT.value,
    }
    return Response(
        encode(document), status_code=error.status_code, headers=error.headers, media_type=MEDIA_TYPE
    )


async def on_client_gone(_request: Request, _error: Exception) -> Response:
    """A vanished client is not an error: this answer is written to nobody."""
    return Response(status_code=204)


async def on_bug(_request: Request, error: Exception) -> Response:
    """Anything unforeseen.  Starlette raises it again after this answer, so the log gets the traceback."""
    bug = TorporError(
        f"internal error: {type(error).__name__}: {error}",
        hint="The daemon's log has the traceback; please report it.",
    )
    return problem_response(bug)


HANDLERS = {
    TorporError: on_torpor_error,
    HTTPException: on_http_exception,
    ClientDisconnect: on_client_gone,
    Exception: on_bug,
}
