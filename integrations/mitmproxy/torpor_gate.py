r"""A mitmproxy addon: wakes the app that a request is for, and tells Torpor that it is used.

    mitmdump --mode reverse:http://127.0.0.1:8501 -s torpor_gate.py \
        --set torpor_gate=127.0.0.1:8081 --set torpor_tracking_dir=/run/torpor/track

Each request waits until Torpor's gate (`gateway.listen` with `gate: true`) lets it pass, and then goes to the address
that the gate names, whatever the mode says.  What the gate answers instead, such as the waiting page, is the answer.
With `torpor_tracking_dir` (Torpor's `tracking_dir`) the ends of answers and the messages of WebSockets count as use,
too; without it an app may fall asleep in the middle of a long one.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from mitmproxy import ctx, http
from mitmproxy.addonmanager import Loader

PATIENCE = 600.0
"""Seconds to wait for the gate; each app's `wake_timeout` ends that sooner."""
MOST_WAITING = 1000
"""Requests that wait for the gate at once: those for an app that starts slowly must not hold up the others."""
PAUSE = 1.0
"""Seconds between two touches of one app's file."""
APP = "torpor.app"
"""Where a flow keeps the name of its app."""
OWN_PATHS = "/_torpor/"
"""What the waiting page follows the wake by."""


class TorporGate:
    """The addon."""

    def __init__(self) -> None:
        self._touched: dict[str, float] = {}
        self._waiting = ThreadPoolExecutor(MOST_WAITING, "torpor-gate")

    def load(self, loader: Loader) -> None:
        """Declare the options."""
        loader.add_option("torpor_gate", str, "127.0.0.1:8081", "HOST:PORT of Torpor's gate.")
        loader.add_option("torpor_gateway", str, "127.0.0.1:8080", "HOST:PORT of Torpor's gateway.")
        loader.add_option("torpor_tracking_dir", str, "", "Torpor's tracking_dir.")

    def running(self) -> None:
        """Connect nowhere before the gate has said where to, and let apps be told apart by their hosts."""
        ctx.options.update(connection_strategy="lazy", keep_host_header=True)

    async def request(self, flow: http.HTTPFlow) -> None:
        """Hold the request until its app is awake."""
        if flow.request.path.startswith(OWN_PATHS):
            lead(flow, ctx.options.torpor_gateway)
            return
        try:
            status, fields, body = await asyncio.get_running_loop().run_in_executor(
                self._waiting, ask, ctx.options.torpor_gate, question(flow)
            )
        except (OSError, HTTPException, ValueError) as error:
            flow.response = http.Response.make(502, f"Torpor's gate cannot be asked: {error}\n")
            return
        if status == 204:
            flow.metadata[APP] = fields["X-Torpor-App"]
            lead(flow, fields["X-Torpor-Upstream"])
        else:
            passed_on = {name: value for name, value in fields.items() if name.lower() != "content-length"}
            flow.response = http.Response.make(status, body, passed_on)

    def response(self, flow: http.HTTPFlow) -> None:
        """An answer has ended."""
        self._used(flow)

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        """Something was said, by either side; what the visitor says is use."""
        if flow.websocket is not None and flow.websocket.messages[-1].from_client:
            self._used(flow)

    def _used(self, flow: http.HTTPFlow) -> None:
        app, folder, now = flow.metadata.get(APP), ctx.options.torpor_tracking_dir, time.monotonic()
        if app is None or not folder or now - self._touched.get(app, -PAUSE) < PAUSE:
            return
        self._touched[app] = now
        try:
            Path(folder, app).touch()
        except OSError as error:
            ctx.log.warn(f"cannot touch {error.filename}: {error.strerror}")


def question(flow: http.HTTPFlow) -> dict[str, bytes]:
    """What the gate is told of a request, in the bytes in which it came."""
    request, client = flow.request, flow.client_conn.peername
    told = {
        "X-Forwarded-Method": request.method,
        "X-Forwarded-Uri": request.path,
        "X-Forwarded-Host": request.host_header or "",
        "X-Forwarded-For": client[0] if client else "",
        "X-Forwarded-Proto": request.scheme,
    }
    kinds = ("Accept", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "X-Requested-With", "Upgrade", "User-Agent")
    told |= {name: request.headers[name] for name in kinds if name in request.headers}
    return {name: value.encode(errors="surrogateescape") for name, value in told.items()}


def ask(gate: str, fields: dict[str, bytes]) -> tuple[int, dict[str, str], bytes]:
    """Status, fields and body of the gate's answer.

    Raises `OSError` or `HTTPException`, and `ValueError` for a field that HTTP has no place for.
    """
    host, _, port = gate.rpartition(":")
    connection = HTTPConnection(host, int(port), timeout=PATIENCE)
    try:
        connection.request("GET", "/api/v1/gate", headers=fields)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def lead(flow: http.HTTPFlow, address: str) -> None:
    """Send the request to an address, under the name by which it was asked for."""
    name = flow.request.host_header
    host, _, port = address.rpartition(":")
    flow.request.scheme, flow.request.host, flow.request.port = "http", host.strip("[]"), int(port)
    flow.request.host_header = name


addons = [TorporGate()]
