"""Serves the API of a small Proxmox VE, over TLS, each of its nodes at a port of its own.

It runs in a thread of its own, so that tests and daemons alike can ask it.  A refusal has its reason in the
status line, as the real one's have.
"""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

from aiohttp import web

from providers.guests.proxmox.cluster import TOKEN, Cluster
from providers.guests.proxmox.endpoints import Api, Question, Refusal
from providers.guests.proxmox.schema import before_overruling, check, endpoint


class Server:
    """Serves a cluster: each of its nodes at a port of its own, over TLS."""

    def __init__(self, cluster: Cluster, certificate: tuple[Path, Path]) -> None:
        self.cluster = cluster
        self._certificate = certificate
        self._api = Api(cluster)
        self._ports: dict[str, int] = {}
        self._up = threading.Event()
        self._end: Callable[[], object] = int
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> Self:
        self._thread.start()
        self._up.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._thread.join()

    def url(self, node: str) -> str:
        """Where a node answers."""
        return f"https://127.0.0.1:{self._ports[node]}"

    async def _serve(self) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self._certificate)
        runners = []
        for node in self.cluster.nodes:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", self._handler(node))
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
            await site.start()
            runners.append(runner)
            self._ports[node] = runner.addresses[0][1]
        down, loop = asyncio.Event(), asyncio.get_running_loop()
        self._end = lambda: loop.call_soon_threadsafe(down.set)
        self._up.set()
        await down.wait()
        for runner in runners:
            await runner.cleanup()
        # Those whose client went in the middle of a handshake close in the loop's next turns.
        await asyncio.sleep(0.1)
        for guest in self.cluster.guests.values():
            guest.end()

    def _handler(self, node: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            path = [unquote(part) for part in request.rel_url.raw_path.split("/")[1:]]
            self.cluster.asked.append((node, request.method, "/".join(path[2:])))
            if node in self.cluster.down:
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            await asyncio.sleep(self.cluster.slow)
            try:
                return web.json_response({"data": await self._answer(node, request, path)})
            except Refusal as refusal:
                body: dict[str, Any] = {"data": None}
                if refusal.errors is not None:
                    body["errors"] = refusal.errors
                if self.cluster.version >= (8, 0):
                    body["message"] = f"{refusal.reason}\n"
                elsewhere = {"location": self.url(self.cluster.nodes[-1])} if refusal.status == 302 else {}
                return web.json_response(
                    body, status=refusal.status, reason=refusal.reason, headers=elsewhere
                )

        return handle

    async def _answer(self, entry: str, request: web.Request, path: list[str]) -> Any:
        scheme, _, token = request.headers.get("authorization", "").partition("=")
        if scheme != "PVEAPIToken":
            raise Refusal(401, "No ticket")
        if token != TOKEN:
            raise Refusal(401, "invalid token value!")
        if self.cluster.faults:
            raise Refusal(*self.cluster.faults.pop(0))
        if path[:2] != ["api2", "json"]:
            raise Refusal(501, f"Method '{request.method} /{'/'.join(path)}' not implemented")
        answer, schema = endpoint(request.method, path[2:])
        told = await request.post() if request.method == "POST" else request.query
        parameters = {name: str(value) for name, value in told.items()}
        check(parameters, schema if self.cluster.version >= (8, 2) else before_overruling(schema))
        node = path[3] if path[2] == "nodes" else entry
        if node not in self.cluster.nodes:
            raise Refusal(500, f"hostname lookup '{node}' failed - failed to get address info for: {node}")
        if node in self.cluster.down:
            raise Refusal(595, "No route to host")
        return await answer(
            self._api, Question(entry, node, tuple(path[4:]), parameters, TOKEN.partition("=")[0])
        )


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of its own, and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    names = ["-subj", "/CN=pve", "-addext", "subjectAltName=IP:127.0.0.1"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    files = ["-keyout", str(key), "-out", str(cert)]
    subprocess.run(["openssl", "req", "-x509", *kind, *names, *files], check=True, capture_output=True)
    return cert, key
