"""CPU per request of the gateway beside nginx, HAProxy, Caddy and Traefik, in one run.

    python benchmarks/gateway.py [--quick] [--steady] [--json FILE] [--only nginx,torpor]

Every proxy gets one core (and one worker, thread or GOMAXPROCS=1), one and the same nginx
as its backend, and one wrk as its load; backend and load share the other core.  Torpor runs
its real engine, gate and gateway with all features on.  A round visits all proxies, rounds
are repeated, and the median counts: the machine's noise hits all of them alike.  CPU is
utime + stime of the proxy's own process tree, divided by the requests that wrk completed.

In a virtual machine, waking an idle core costs the proxy several µs of system time per
request, or nothing, depending on how busy the load keeps the other core; a faster proxy keeps
it busier.  `--steady` runs a loop of idle priority there, so that the core never sleeps and
all proxies pay the same.

Needs Linux, wrk, taskset, nginx and haproxy (Debian packages), and the `bench` extra for
Caddy and Traefik; what is missing is left out and named.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

PROXY_CORE, LOAD_CORE = "0", "1"
SMALL, LARGE = 64, 100 * 1024
TICKS = os.sysconf("SC_CLK_TCK")
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Connection": "keep-alive",
    "Cookie": "session=6f1ed002ab5595859014ebf0951522d9; theme=dark",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-origin",
}


@dataclass
class Proxy:
    """One contestant."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    results: dict[tuple[int, int], list[tuple[float, float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """How long and how often."""

    rounds: int
    seconds: float
    warmup: float
    connections: tuple[int, ...]
    headers: dict[str, str]


def main() -> int:
    options = _options()
    if options.serve is not None:
        return _serve_torpor(*options.serve)
    plan = Plan(
        rounds=options.rounds or (3 if options.quick else 7),
        seconds=options.seconds or (1.5 if options.quick else 4.0),
        warmup=0.5,
        connections=(32, 512),
        headers=BROWSER if options.browser else {},
    )
    only = set(options.only.split(",")) if options.only else None
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        root = Path(folder)
        backend = _start_backend(stack, root)
        proxies = _start_proxies(stack, root, backend, only)
        for proxy in proxies:
            _verify(proxy)
        if options.steady:
            spinner = [
                "taskset",
                "-c",
                LOAD_CORE,
                "chrt",
                "-i",
                "0",
                sys.executable,
                "-c",
                "while True: pass",
            ]
            _start(stack, spinner, root, dict(os.environ))
        for turn in range(plan.rounds):
            for size in (SMALL, LARGE):
                for connections in plan.connections:
                    for proxy in proxies:
                        figure = _measure(proxy, size, connections, plan)
                        proxy.results.setdefault((size, connections), []).append(figure)
            print(f"round {turn + 1} of {plan.rounds} done", file=sys.stderr)
    report = _report(proxies)
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=2) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--steady", action="store_true", help="never let the load's core sleep")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="length of one measurement")
    parser.add_argument("--only", help="names, separated by commas")
    parser.add_argument("--browser", action="store_true", help="send the nine headers of a browser's fetch")
    parser.add_argument("--json", help="also write the figures to this file")
    parser.add_argument("--serve", nargs=2, type=int, metavar=("PORT", "BACKEND"), help=argparse.SUPPRESS)
    return parser.parse_args()


# --- the contestants ---------------------------------------------------------------------------


def _start_proxies(
    stack: contextlib.ExitStack, root: Path, backend: int, only: set[str] | None
) -> list[Proxy]:
    starters: dict[str, Callable[[Path, int, int], list[str] | None]] = {
        "torpor": _torpor,
        "nginx": _nginx,
        "haproxy": _haproxy,
        "caddy": _caddy,
        "traefik": _traefik,
    }
    proxies = []
    for name, command_of in starters.items():
        if only is not None and name not in only:
            continue
        port = _free_port()
        command = command_of(root, port, backend)
        if command is None:
            print(f"{name} is not installed: left out", file=sys.stderr)
            continue
        environment = {**os.environ, "GOMAXPROCS": "1", "HOME": str(root)}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        process = _start(stack, ["taskset", "-c", PROXY_CORE, *command], root, environment)
        _await_port(port, process)
        proxies.append(Proxy(name, port, process))
    return proxies


def _torpor(_root: Path, port: int, backend: int) -> list[str]:
    return [sys.executable, __file__, "--serve", str(port), str(backend)]


def _nginx(root: Path, port: int, backend: int) -> list[str] | None:
    program = _program("nginx")
    if program is None:
        return None
    config = root / "nginx-proxy.conf"
    config.write_text(
        _nginx_common(root, "proxy")
        + f"""
        upstream app {{ server 127.0.0.1:{backend}; keepalive 512; keepalive_requests 1000000000; }}
        server {{
          listen 127.0.0.1:{port} backlog=4096;
          location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Port $server_port;
          }}
        }}
        }}
        """
    )
    return [program, "-c", str(config), "-p", str(root)]


def _haproxy(root: Path, port: int, backend: int) -> list[str] | None:
    program = _program("haproxy")
    if program is None:
        return None
    config = root / "haproxy.cfg"
    config.write_text(
        f"""
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend front
  bind 127.0.0.1:{port} backlog 4096
  option forwardfor
  http-request set-header X-Forwarded-Proto http
  default_backend app
backend app
  server one 127.0.0.1:{backend} pool-max-conn 1024
"""
    )
    return [program, "-f", str(config), "-db"]


def _caddy(root: Path, port: int, backend: int) -> list[str] | None:
    program = _program("caddy")
    if program is None:
        return None
    config = root / "Caddyfile"
    config.write_text(
        f"""{{
  admin off
  auto_https off
  persist_config off
}}
http://127.0.0.1:{port} {{
  reverse_proxy 127.0.0.1:{backend} {{
    transport http {{
      keepalive_idle_conns_per_host 512
    }}
  }}
}}
"""
    )
    return [program, "run", "--config", str(config), "--adapter", "caddyfile"]


def _traefik(root: Path, port: int, backend: int) -> list[str] | None:
    program = _program("traefik")
    if program is None:
        return None
    dynamic = root / "traefik-dynamic.yml"
    dynamic.write_text(
        f"""
http:
  serversTransports:
    many: {{maxIdleConnsPerHost: 512}}
  routers:
    all: {{rule: "PathPrefix(`/`)", service: app, entryPoints: [web]}}
  services:
    app: {{loadBalancer: {{serversTransport: many, servers: [{{url: "http://127.0.0.1:{backend}"}}]}}}}
"""
    )
    config = root / "traefik.yml"
    config.write_text(
        f"""
global: {{checkNewVersion: false, sendAnonymousUsage: false}}
log: {{level: ERROR}}
entryPoints: {{web: {{address: "127.0.0.1:{port}"}}}}
providers: {{file: {{filename: "{dynamic}"}}}}
"""
    )
    return [program, f"--configfile={config}"]


def _start_backend(stack: contextlib.ExitStack, root: Path) -> int:
    program = _program("nginx")
    if program is None:
        raise SystemExit("nginx is needed as the backend: apt install nginx-light")
    port = _free_port()
    (root / "files").mkdir()
    (root / "files" / "large").write_bytes(b"x" * LARGE)
    config = root / "nginx-backend.conf"
    config.write_text(
        _nginx_common(root, "backend")
        + f"""
        open_file_cache max=10;
        sendfile on;
        server {{
          listen 127.0.0.1:{port} backlog=4096;
          location = /small {{ return 200 "{"x" * SMALL}"; }}
          location = /large {{ root {root}/files; }}
        }}
        }}
        """
    )
    environment = dict(os.environ)
    command = ["taskset", "-c", LOAD_CORE, program, "-c", str(config), "-p", str(root)]
    process = _start(stack, command, root, environment)
    _await_port(port, process)
    return port


def _nginx_common(root: Path, name: str) -> str:
    user = "user root;" if os.geteuid() == 0 else ""
    temps = "\n".join(
        f"{kind}_temp_path {root}/{name}-{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""
    {user}
    daemon off;
    worker_processes 1;
    pid {root}/{name}.pid;
    error_log {root}/{name}.log;
    worker_rlimit_nofile 8192;
    events {{ worker_connections 4096; }}
    http {{
    access_log off;
    keepalive_requests 1000000000;
    default_type text/plain;
    {temps}
    """


def _serve_torpor(port: int, backend: int) -> int:
    """The gateway with its real engine and gate; the one app is ready from the start."""
    import uvloop

    from torpor.config.settings import GatewaySpec, Listen
    from torpor.core.fleet import Fleet
    from torpor.core.messages import (
        BecameReady,
        CloseUpgraded,
        DropUpstream,
        Effect,
        GrantTicket,
        RefuseTicket,
        Started,
        StartInstance,
    )
    from torpor.core.model import AppSpec, Endpoint, Lifecycle, Route
    from torpor.gateway.gateway import Gateway
    from torpor.providers.base import Provider
    from torpor.runtime import clock
    from torpor.runtime.engine import Engine
    from torpor.runtime.gate import LocalSeam
    from torpor.runtime.journal import Journal

    def nothing(_spec: AppSpec) -> Provider:
        raise NotImplementedError("the benchmark's app is not made of anything")

    async def run() -> None:
        spec = AppSpec("bench", Lifecycle(always_on=True), routes=(Route(None),))
        engine = Engine(Fleet([spec], {}, clock.now()))
        seam = LocalSeam(engine, Journal(), nothing)

        def perform(effect: Effect) -> None:
            match effect:
                case StartInstance(id=id, generation=generation):
                    engine.post(Started(id, generation, Endpoint("127.0.0.1", backend)))
                    engine.post(BecameReady(id, generation))
                case GrantTicket() | RefuseTicket() | CloseUpgraded() | DropUpstream():
                    seam.perform(effect)

        gateway = Gateway(GatewaySpec((Listen("127.0.0.1", port),)), seam)
        await gateway.open()
        engine.open(perform)
        ending = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
        await ending.wait()
        await gateway.close(0.0)
        engine.close()

    uvloop.run(run())
    return 0


# --- measuring ---------------------------------------------------------------------------------


def _measure(proxy: Proxy, size: int, connections: int, plan: Plan) -> tuple[float, float]:
    """CPU µs per request and requests per second."""
    url = f"http://127.0.0.1:{proxy.port}/{'small' if size == SMALL else 'large'}"
    _wrk(url, connections, plan.warmup, plan.headers)
    before = _cpu(proxy.process.pid)
    requests, rate = _wrk(url, connections, plan.seconds, plan.headers)
    return (_cpu(proxy.process.pid) - before) / requests * 1e6, rate


def _wrk(url: str, connections: int, seconds: float, headers: dict[str, str]) -> tuple[int, float]:
    # wrk takes whole seconds only: the shorter ones are cut with SIGINT, after which it reports.
    fields = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", "-d600s", *fields, url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    if "Non-2xx" in out or re.search(r"Socket errors: connect [1-9]", out):
        raise SystemExit(f"wrk saw errors:\n{out}")
    found = re.search(r"(\d+) requests in", out)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    if found is None or rate is None or found[1] == "0":
        raise SystemExit(f"wrk reported nothing:\n{out}")
    return int(found[1]), float(rate[1])


def _verify(proxy: Proxy) -> None:
    for name, size in (("small", SMALL), ("large", LARGE)):
        deadline = time.monotonic() + 10
        while True:
            # Some listen before they have read their routes.
            with contextlib.suppress(OSError):
                url = f"http://127.0.0.1:{proxy.port}/{name}"
                with urllib.request.urlopen(url, timeout=10) as response:
                    body = response.read()
                if body != b"x" * size:
                    raise SystemExit(f"{proxy.name} spoils /{name}")
                break
            if time.monotonic() > deadline:
                raise SystemExit(f"{proxy.name} does not serve /{name}")
            time.sleep(0.05)


def _cpu(pid: int) -> float:
    """CPU seconds of a process and all its descendants."""
    total = 0.0
    for each in _tree(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


def _tree(pid: int) -> Iterator[int]:
    yield pid
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from _tree(int(child))


def _report(proxies: list[Proxy]) -> dict[str, object]:
    medians = {
        proxy.name: {
            key: (
                statistics.median(figure[0] for figure in figures),
                statistics.median(figure[1] for figure in figures),
            )
            for key, figures in proxy.results.items()
        }
        for proxy in proxies
    }
    keys = [(size, connections) for size in (SMALL, LARGE) for connections in (32, 512)]
    columns = [f"{'64 B' if size == SMALL else '100 KB'} c={connections}" for size, connections in keys]
    print(f"\n{'CPU µs/request':<16}" + "".join(f"{column:>16}" for column in columns))
    for name, figures in medians.items():
        print(f"{name:<16}" + "".join(f"{figures[key][0]:>16.1f}" for key in keys))
    print(f"\n{'requests/s':<16}" + "".join(f"{column:>16}" for column in columns))
    for name, figures in medians.items():
        print(f"{name:<16}" + "".join(f"{figures[key][1]:>16.0f}" for key in keys))
    ratios: dict[str, dict[str, float]] = {}
    if "torpor" in medians:
        print(f"\n{'torpor CPU ÷':<16}" + "".join(f"{column:>16}" for column in columns))
        for name, figures in medians.items():
            if name != "torpor":
                row = [medians["torpor"][key][0] / figures[key][0] for key in keys]
                ratios[name] = dict(zip(columns, row, strict=True))
                print(f"{name:<16}" + "".join(f"{ratio:>16.2f}" for ratio in row))
    return {
        "medians": {
            name: {
                column: {"cpu_us": figures[key][0], "per_second": figures[key][1]}
                for key, column in zip(keys, columns, strict=True)
            }
            for name, figures in medians.items()
        },
        "torpor_cpu_divided_by": ratios,
    }


# --- processes ---------------------------------------------------------------------------------


def _program(name: str) -> str | None:
    here = Path(sys.executable).parent / name
    found = str(here) if here.exists() else shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is not None or name not in {"caddy", "traefik"}:
        return found
    return None


def _start(
    stack: contextlib.ExitStack, command: list[str], root: Path, environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    log = stack.enter_context((root / f"{Path(command[3]).name}-{len(list(root.iterdir()))}.out").open("wb"))
    process = subprocess.Popen(command, env=environment, cwd=root, stdout=log, stderr=log)
    stack.callback(_stop, process)
    return process


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"{process.args!r} ended with {process.returncode}; run it to see why")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.02)
    raise SystemExit(f"nobody listens on port {port}: {process.args!r}")


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
