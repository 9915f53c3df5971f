"""A small JSON API, plain ASGI by Starlette.

By hand: uvicorn api:app --port 8001
"""

import asyncio
import os
import time

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

STARTED = time.time()


async def index(_request: Request) -> JSONResponse:
    """Say what there is, and which process answers: it changes with every wake."""
    return JSONResponse(
        {
            "pid": os.getpid(),
            "awake_for_seconds": round(time.time() - STARTED, 3),
            "try": ["/hello/you", "/slow?seconds=2", "POST /echo"],
        }
    )


async def hello(request: Request) -> JSONResponse:
    return JSONResponse({"hello": request.path_params["name"]})


async def slow(request: Request) -> JSONResponse:
    """Answer late: a request in flight keeps the app awake."""
    try:
        seconds = min(max(float(request.query_params.get("seconds", "1")), 0.0), 60.0)
    except ValueError:
        return JSONResponse({"error": "seconds must be a number"}, status_code=400)
    await asyncio.sleep(seconds)
    return JSONResponse({"slept": seconds})


async def echo(request: Request) -> Response:
    """Send the body back as it came."""
    body = await request.body()
    return Response(body, media_type=request.headers.get("content-type", "application/octet-stream"))


async def healthz(_request: Request) -> Response:
    return Response(status_code=204)


app = Starlette(
    routes=[
        Route("/", index),
        Route("/hello/{name}", hello),
        Route("/slow", slow),
        Route("/echo", echo, methods=["POST", "PUT"]),
        Route("/healthz", healthz),
    ]
)
