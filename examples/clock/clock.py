"""A clock over server-sent events: one response that goes on for as long as the page is open.

By hand: uvicorn clock:app --port 8003
"""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Clock</title>
<style>
  :root { color-scheme: light dark; font-family: system-ui, sans-serif; }
  body { display: grid; place-items: center; min-height: 95vh; }
  time { font-size: min(20vw, 8rem); font-variant-numeric: tabular-nums; }
</style>
<time>--:--:--</time>
<script>
  new EventSource("/ticks").onmessage = (event) => {
    document.querySelector("time").textContent = event.data;
  };
</script>
</html>
"""


async def tick() -> AsyncIterator[str]:
    while True:
        now = dt.datetime.now().astimezone()
        yield f"data: {now:%H:%M:%S}\n\n"
        # To just after the next full second: no drift, and never the same second twice.
        await asyncio.sleep(1.005 - now.microsecond / 1_000_000)


async def ticks(_request: Request) -> StreamingResponse:
    return StreamingResponse(tick(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def index(_request: Request) -> HTMLResponse:
    return HTMLResponse(PAGE)


async def healthz(_request: Request) -> Response:
    return Response(status_code=204)


app = Starlette(routes=[Route("/", index), Route("/ticks", ticks), Route("/healthz", healthz)])
