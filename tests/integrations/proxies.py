"""The files of `integrations/` as they are, but for addresses, in the hands of the programs that they are for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from e2e.client import Client
from e2e.harness import PATIENCE, Daemon, Launch, NeverHappened, wait_for
from ports import free_port

ROOT = Path(__file__).parents[2]
INTEGRATIONS = ROOT / "integrations"
MIRROR = f"uvicorn --app-dir {Path(__file__).parent / 'programs'} mirror:app --host 127.0.0.1 --port $PORT"

WIKI = "wiki.example.com"
"""Through Torpor."""
NOTES = "notes.example.com"
"""Past Torpor."""


class Setup:
    """A daemon with the apps of `integrations/torpor.yaml`, and a proxy in front of it."""

    def __init__(self, home: Path, launch: Launch) -> None:
        self.home = home
        self.port, self.gate, self.app_port, self.agent_port = (free_port() for _ in range(4))
        self.tracked = home / "track"
        text = (INTEGRATIONS / "torpor.yaml").read_text(encoding="utf-8")
        text = text.replace("python3 -m http.server $PORT --bind 127.0.0.1", MIRROR)
        text = text.replace("127.0.0.1:8080", "GATEWAY").replace("8081", str(self.gate))
        text = text.replace("8501", str(self.app_port))
        self.daemon: Daemon = launch(f"tracking_dir: {self.tracked}\n{text}")
        self._processes: list[subprocess.Popen[bytes]] = []
        self._log = home / "proxy.log"

    def text(self, name: str) -> str:
        """A file of `integrations/` with the addresses of this setup."""
        text = (INTEGRATIONS / name).read_text(encoding="utf-8")
        replaced = {
            "127.0.0.1:8080": f"127.0.0.1:{self.daemon.port}",
            "127.0.0.1:8081": f"127.0.0.1:{self.gate}",
            "127.0.0.1:8501": f"127.0.0.1:{self.app_port}",
            "agent-port 8082": f"agent-port {self.agent_port}",
            "listen 80;": f"listen 127.0.0.1:{self.port};",
            "bind :80\n": f"bind 127.0.0.1:{self.port}\n",
            "/run/haproxy/torpor.sock": f"{self.home}/h",
        }
        for written, here in replaced.items():
            text = text.replace(written, here)
        return text

    def write(self, name: str, text: str) -> Path:
        """A file of its own."""
        file = self.home / name
        file.write_text(text, encoding="utf-8")
        return file

    def start(self, proxy: str, program: str) -> None:
        """Run the proxy, and return once it passes requests on."""
        commands, environment = _COMMANDS[proxy](self, program)
        for command in commands:
            with self._log.open("ab") as log:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.home,
                    env={**os.environ, "HOME": str(self.home), **environment},
                )
            self._processes.append(process)
        try:
            wait_for(f"{proxy} passes requests on", self._works)
        except NeverHappened as late:
            raise NeverHappened(f"{late}\n{self.log}") from None

    def _works(self) -> bool:
        for process in self._processes:
            if process.poll() is not None:
                raise NeverHappened(f"it ended with {process.returncode}:\n{self.log}")
        try:  # what Torpor says of an app wakes nothing
            return self.client(WIKI).request("/_torpor/status?app=wiki").status == 200
        except OSError:
            return False

    @property
    def log(self) -> str:
        """All that the proxy has said."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def client(self, host: str) -> Client:
        """Somebody who knows only the proxy."""
        return Client(self.port, host)

    def facts(self, app: str) -> dict[str, object]:
        """What the daemon tells of an app."""
        return self.daemon.apps()[app]

    def stop(self) -> None:
        """End the proxy."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise


Commands = tuple[list[list[str]], Mapping[str, str]]


def _nginx(setup: Setup, program: str) -> Commands:
    temps = "".join(
        f"{kind}_temp_path {setup.home}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    setup.write("torpor.conf", setup.text("nginx/torpor.conf"))
    user = "user root;" if os.geteuid() == 0 else ""
    main = setup.write(
        "nginx.conf",
        f"{user}\ndaemon off;\nworker_processes 1;\npid {setup.home}/nginx.pid;\nerror_log stderr;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{temps}include {setup.home}/torpor.conf;\n}}\n",
    )
    return [[program, "-e", "stderr", "-p", str(setup.home), "-c", str(main)]], {}


def _caddy(setup: Setup, program: str) -> Commands:
    options = f"{{\n\tadmin off\n\tauto_https off\n\thttp_port {setup.port}\n}}\n"
    file = setup.write("Caddyfile", options + setup.text("caddy/Caddyfile"))
    return [[program, "run", "--config", str(file), "--adapter", "caddyfile"]], {
        "XDG_DATA_HOME": str(setup.home),
        "XDG_CONFIG_HOME": str(setup.home),
    }


def _traefik(setup: Setup, program: str) -> Commands:
    dynamic = setup.write("dynamic.yaml", setup.text("traefik/torpor.yaml"))
    static = setup.write(
        "traefik.yaml",
        "global: {checkNewVersion: false, sendAnonymousUsage: false}\n"
        f"entryPoints: {{web: {{address: '127.0.0.1:{setup.port}'}}}}\n"
        f"providers: {{file: {{filename: '{dynamic}'}}}}\n",
    )
    return [[program, f"--configfile={static}"]], {}


def _haproxy(setup: Setup, program: str) -> Commands:
    file = setup.write("haproxy.cfg", setup.text("haproxy/haproxy.cfg"))
    agent = [
        sys.executable,
        str(INTEGRATIONS / "haproxy/agent.py"),
        f"--listen=127.0.0.1:{setup.agent_port}",
        f"--haproxy={setup.home}/h",
        f"--torpor={setup.daemon.socket}",
    ]
    return [agent, [program, "-db", "-f", str(file)]], {}


def _mitmproxy(setup: Setup, program: str) -> Commands:
    options = {
        "torpor_gate": f"127.0.0.1:{setup.gate}",
        "torpor_gateway": f"127.0.0.1:{setup.daemon.port}",
        "torpor_tracking_dir": str(setup.tracked),
        "confdir": str(setup.home),
    }
    command = [program, "--listen-host", "127.0.0.1", "--listen-port", str(setup.port)]
    command += ["--mode", f"reverse:http://127.0.0.1:{setup.app_port}"]
    command += ["-s", str(INTEGRATIONS / "mitmproxy/torpor_gate.py")]
    return [command + [part for name, value in options.items() for part in ("--set", f"{name}={value}")]], {}


_COMMANDS: Mapping[str, Callable[[Setup, str], Commands]] = {
    "nginx": _nginx,
    "caddy": _caddy,
    "traefik": _traefik,
    "haproxy": _haproxy,
    "mitmproxy": _mitmproxy,
}


def _found(name: str, *beside: Path) -> Callable[[], str | None]:
    """Where a program is: in one of these folders, in the path, or where Debian has servers."""
    folders = [*map(os.fspath, beside), os.environ.get("PATH", ""), "/usr/sbin"]
    return lambda: shutil.which(name, path=":".join(folders))


_OURS = Path(sys.executable).parent

PROGRAMS: Mapping[str, Callable[[], str | None]] = {
    "nginx": _found("nginx"),
    "caddy": _found("caddy", _OURS),
    "traefik": _found("traefik", _OURS),
    "haproxy": _found("haproxy"),
    "mitmproxy": _found("mitmdump", ROOT / ".venv-mitmproxy/bin"),
}
"""Where each proxy is; None: not installed."""
