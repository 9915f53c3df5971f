"""A chat room over WebSockets, and the page for it.

By hand: uvicorn chat:app --port 8002
"""

import contextlib
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

PAGE = Path(__file__).with_name("chat.html").read_text(encoding="utf-8")
LONGEST_LINE = 500

people: set[WebSocket] = set()


async def say(text: str) -> None:
    """Send a line to everybody; whoever has left is dropped from the room."""
    for person in list(people):
        try:
            await person.send_text(text)
        except (WebSocketDisconnect, RuntimeError):
            people.discard(person)


async def room(websocket: WebSocket) -> None:
    await websocket.accept()
    people.add(websocket)
    await say(f"· someone came in ({len(people)} here)")
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await say((await websocket.receive_text())[:LONGEST_LINE])
    people.discard(websocket)
    await say(f"· someone left ({len(people)} here)")


async def index(_request: Request) -> HTMLResponse:
    return HTMLResponse(PAGE)


async def healthz(_request: Request) -> Response:
    return Response(status_code=204)


app = Starlette(
    routes=[Route("/", index), Route("/healthz", healthz), WebSocketRoute("/room", room)],
)
