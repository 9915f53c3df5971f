"""The gate on the control socket: a proxy that may open it asks there whether a request may pass.

Who answers is not the operator's business but the gateway's: the visitor may have to see a page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from torpor.control.stream import unless_gone

Ask = Callable[
    [str | None, Sequence[tuple[bytes, bytes]]],
    Awaitable[tuple[int, Sequence[tuple[str, str]], bytes]],
]
"""From an app (None: that of the host that is asked about) and a question's fields to status, fields and body."""


def gate_routes(ask: Ask) -> list[Route]:
    """Its addresses."""

    async def gate(request: Request) -> Response:
        name = request.path_params.get("name")
        app = None if name is None else unquote(name)

        async def answer() -> tuple[int, Sequence[tuple[str, str]], bytes]:
            return await ask(app, request.headers.raw)

        status, fields, body = await unless_gone(request.receive, answer())
        return Response(body, status_code=status, headers=dict(fields))

    return [Route("/gate", gate), Route("/apps/{name}/gate", gate)]
