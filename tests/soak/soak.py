"""A hundred apps, random operators, visitors, killers and daemon crashes; in the end all must be as it should.

Laws of what is checked:

1. No orphan: after `down` no process of the run is alive.  No zombie is left with the daemon.
2. Reality is what `status` says: each live instance has its process, of its generation, and no other one.
3. The daemon grows by no more than `MORE_DESCRIPTORS` and `MORE_RSS` over the second half of the run,
   measured before and after with all apps in the same state.
4. No request to an app that is always on fails because it is restarted one by one or scaled.
5. No request ever gets an answer that is neither the app's nor marked as Torpor's own.
6. A daemon's crash ends no app: whoever lived before and was left alone lives on, and is adopted.

Daemons are crashed in the first half only, so that one daemon lives through all of the second.
"""

from __future__ import annotations

import json
import random
import secrets
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from e2e.client import Client
from e2e.harness import Daemon, NeverHappened, UnixConnection, wait_for
from soak.census import MARK, Footprint, Member, members, zombies

WORKERS = 40
DOORS = 38
PAIRS = 10
"""Pairs of a door and a database that it needs: with `STEADY` and the above a hundred apps."""
STEADY = ("steady-0", "steady-1")
"""Always on, three replicas: nobody kills these, and no request to them may fail."""
MORE_DESCRIPTORS = 16
MORE_RSS = 12 * 2**20
PAUSE = 0.05
"""Seconds between two acts."""
VISITORS = 8
ALIVE = frozenset({"starting", "ready", "draining", "stopping"})
UNDER_WAY = frozenset({"blocked", "starting", "draining", "stopping", "backoff"})
SLEEP = ["sleep", "1000000"]
DOOR = [sys.executable, "-I", "-S", str(Path(__file__).with_name("door.py"))]


@dataclass
class Report:
    """What happened, and what was wrong."""

    seed: int
    acts: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    steady: Counter[str] = field(default_factory=Counter)
    crashes: int = 0
    adopted: int = 0
    before: Footprint | None = None
    after: Footprint | None = None
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [
            f"seed {self.seed}",
            f"acts: {dict(self.acts)}",
            f"answers to visitors: {dict(self.answers)}",
            f"answers of what is always on: {dict(self.steady)}",
            f"daemon crashes: {self.crashes}, apps that lived on: {self.adopted}",
            f"daemon: {self.before} → {self.after}",
            *(f"WRONG: {one}" for one in self.wrong),
            "all as it should be" if not self.wrong else f"{len(self.wrong)} things are wrong",
        ]
        return "\n".join(lines)


class Soak:
    """One run.  `run` may be called once."""

    def __init__(self, home: Path, seconds: float, seed: int, *, crashes: bool = True) -> None:
        """`crashes`: whether the daemon is killed now and then in the first half."""
        self.report = Report(seed)
        self._seconds = seconds
        self._dice = random.Random(seed)
        self._crashes = crashes
        self._token = secrets.token_hex(8)
        self._daemon = Daemon(home, _config(self._token))
        self._names = list(self._daemon_names())
        self._victims = [name for name in self._names if name not in STEADY]
        self._doors = [name for name in self._victims if name.startswith(("door", "front"))]
        self._up = threading.Event()
        """Set while the daemon is there: what fails while it is not proves nothing."""
        self._crash = 0
        """How many crashes there were: a request that lived through one proves nothing."""
        self._over = threading.Event()

    def run(self) -> Report:
        """Everything, from `up` to `down`.  Leaves no process behind, whatever happens."""
        watcher = threading.Thread(target=self._ask_steadily)
        try:
            self._daemon.start()
            self._up.set()
            self._calm()
            watcher.start()
            with ThreadPoolExecutor(VISITORS) as visitors:
                self._storm(self._seconds / 2, visitors, crashes=self._crashes)
                # What was adopted is let go of: a daemon holds less of it than of its own children.
                self._calm(first="restart")
                self.report.before = Footprint.of(self._daemon.pid)
                self._storm(self._seconds / 2, visitors, crashes=False)
            self._over.set()
            watcher.join()
            self._calm()
            self._check_states()
            self._check_growth()
            if self._daemon.stop() != 0:
                self.report.wrong.append("the daemon did not end well")
            self._check_nobody_is_left()
        finally:
            self._over.set()
            if self._daemon.running:
                self._daemon.kill()
            for member in members(self._token):
                member.process.kill()
        self.report.wrong += [line for line in self._daemon.output if "Traceback" in line]
        return self.report

    # --- acts -----------------------------------------------------------------

    def _storm(self, seconds: float, visitors: ThreadPoolExecutor, *, crashes: bool) -> None:
        begun = time.monotonic()
        next_crash = begun + seconds / 4
        while time.monotonic() < begun + seconds:
            if crashes and time.monotonic() >= next_crash:
                self._crash_the_daemon()
                next_crash = time.monotonic() + seconds / 4
            act = self._dice.choices(
                (self._visit, self._wish, self._murder, self._roll, self._scale), (40, 30, 20, 3, 3)
            )[0]
            act(visitors)
            time.sleep(PAUSE)

    def _visit(self, visitors: ThreadPoolExecutor) -> None:
        self.report.acts["visit"] += 1
        visitors.submit(self._knock, self._dice.choice(self._doors))

    def _wish(self, _visitors: ThreadPoolExecutor) -> None:
        verb = self._dice.choice(["start", "stop", "restart", "wake", "sleep"])
        self._post(verb, f"{self._dice.choice(self._victims)}/{verb}?wait=false&")

    def _roll(self, _visitors: ThreadPoolExecutor) -> None:
        self._post("roll", f"{self._dice.choice(STEADY)}/restart?rolling=true&wait=false")

    def _scale(self, _visitors: ThreadPoolExecutor) -> None:
        name = self._dice.choice([*STEADY, *self._doors])
        self._post("scale", f"{name}/scale?replicas={self._dice.randint(2, 4)}&wait=false")

    def _murder(self, _visitors: ThreadPoolExecutor) -> None:
        name = self._dice.choice(self._victims)
        running = [one for one in members(self._token) if one.instance.split("/")[0] == name]
        if running:
            self.report.acts["kill"] += 1
            self._dice.choice(sorted(running, key=lambda one: one.process.pid)).process.kill()

    def _crash_the_daemon(self) -> None:
        self._up.clear()
        self._crash += 1
        self.report.crashes += 1
        self._daemon.kill()
        before = {one.process for one in members(self._token)}
        steady = {one.process for one in members(self._token) if one.instance.split("/")[0] in STEADY}
        time.sleep(0.2)
        self.report.wrong += [f"{one} did not outlive the daemon" for one in before if not one.alive]
        self._daemon.start()
        self._up.set()
        pids = {one["pid"] for name in STEADY for one in self._daemon.apps()[name]["instances"]}
        for one in steady:
            if one.pid not in pids and one.alive:
                self.report.wrong.append(f"{one} lives and was not adopted")
        self.report.adopted += len(before)

    def _post(self, act: str, path: str) -> None:
        connection = UnixConnection(self._daemon.socket, 60.0)
        try:
            connection.request("POST", f"/api/v1/apps/{path}", headers={"Content-Length": "0"})
            reply = connection.getresponse()
            document: dict[str, Any] = json.loads(reply.read())
        finally:
            connection.close()
        self.report.acts[act if reply.status < 300 else f"{act} refused"] += 1
        if reply.status not in {200, 202, 409}:
            self.report.wrong.append(f"{path}: {reply.status} {document}")

    # --- visitors -------------------------------------------------------------

    def _knock(self, name: str) -> None:
        self._up.wait()
        crash = self._crash
        said = self._answer(name)
        if crash == self._crash and self._up.is_set():
            self.report.answers[said] += 1
            if said.startswith("5") and said.endswith("?"):
                self.report.wrong.append(f"a request to {name} got an unmarked {said}")
            elif not said[0].isdigit():
                self.report.wrong.append(f"a request to {name} got no answer: {said}")

    def _ask_steadily(self) -> None:
        while not self._over.is_set():
            for name in STEADY:
                self._up.wait(1.0)
                crash = self._crash
                said = self._answer(name)
                if crash == self._crash and self._up.is_set():
                    self.report.steady[said] += 1
                    if said != "200":
                        self.report.wrong.append(f"a request to {name}, which is always on, got {said}")
            self._over.wait(PAUSE)

    def _answer(self, name: str) -> str:
        """The status, with Torpor's word on it where that made the answer, or the failure's name."""
        try:
            answer = Client(self._daemon.port, f"{name}.localhost", timeout=60.0).request()
        except (OSError, HTTPException) as error:
            return type(error).__name__
        return "200" if answer.status == 200 else f"{answer.status} {answer.headers.get('x-torpor', '?')}"

    # --- checks ---------------------------------------------------------------

    def _calm(self, first: str = "start") -> None:
        """Bring every app into the state that it has by itself: always on and ready, or asleep."""
        for name in self._names:
            self._post("calm", f"{name}/{'start' if name in STEADY else first}?wait=false")
            if name in STEADY:
                self._post("calm", f"{name}/scale?replicas=3&wait=false")
            elif name in self._doors:
                self._post("calm", f"{name}/scale?replicas=1&wait=false")

        def settled() -> bool:
            apps = self._daemon.apps()
            for app in apps.values():
                if app["want"] != "up" and not app["held_by"] and app["state"] == "ready":
                    self._post("calm", f"{app['name']}/sleep?wait=false")
            states = {name: {one["state"] for one in app["instances"]} for name, app in apps.items()}
            return all(
                states[name] == ({"ready"} if apps[name]["want"] == "up" else {"asleep"}) for name in states
            )

        wait_for("all apps are as they are by themselves", settled, 120.0)

    def _check_states(self) -> None:
        """What `status` says against the processes that there are."""
        real: dict[str, list[Member]] = {}
        for member in members(self._token):
            real.setdefault(member.instance, []).append(member)
        for app in self._daemon.apps().values():
            for one in app["instances"]:
                there = real.pop(one["id"], [])
                expected = [one["generation"]] if one["state"] in ALIVE else []
                if expected != [member.generation for member in there]:
                    self.report.wrong.append(f"{one['id']} is {one['state']}, and there is {there}")
        self.report.wrong += [f"nobody knows of {stray}" for stray in real.values()]
        try:
            wait_for("no zombie", lambda: not zombies(self._daemon.pid), 10.0)
        except NeverHappened:
            self.report.wrong.append(f"zombies: {zombies(self._daemon.pid)}")

    def _check_growth(self) -> None:
        before, after = self.report.before, Footprint.of(self._daemon.pid)
        self.report.after = after
        assert before is not None
        if after.descriptors.total() > before.descriptors.total() + MORE_DESCRIPTORS:
            more = after.descriptors - before.descriptors
            self.report.wrong.append(f"the daemon has opened and not closed {dict(more)}")
        if after.rss > before.rss + MORE_RSS:
            self.report.wrong.append("the daemon has grown")

    def _check_nobody_is_left(self) -> None:
        self.report.wrong += [f"{one} has outlived `down`" for one in members(self._token)]

    @staticmethod
    def _daemon_names() -> list[str]:
        pairs = [name for n in range(PAIRS) for name in (f"front-{n}", f"db-{n}")]
        workers = [f"worker-{n}" for n in range(WORKERS)]
        return [*STEADY, *workers, *(f"door-{n}" for n in range(DOORS)), *pairs]


def _config(token: str) -> str:
    apps: dict[str, dict[str, Any]] = {name: {"always_on": True, "replicas": 3} for name in STEADY}
    for n in range(WORKERS):
        apps[f"worker-{n}"] = {"command": SLEEP, "always_on": True, "restart": "always"}
    for n in range(DOORS):
        apps[f"door-{n}"] = {"idle_timeout": "3s"}
    for n in range(PAIRS):
        apps[f"front-{n}"] = {"idle_timeout": "3s", "depends_on": [f"db-{n}"]}
        apps[f"db-{n}"] = {"command": SLEEP, "idle_timeout": "3s"}
    for name, settings in apps.items():
        if "command" not in settings:
            settings |= {"command": DOOR, "routes": [f"{name}.localhost"]}
    defaults = {
        "environment": {MARK: token},
        "backoff": {"initial": "20ms", "max": "200ms"},
        "start_limit": {"failures": 1_000_000},
        "stable_after": "1s",
    }
    return json.dumps({"gateway": {"listen": "GATEWAY"}, "defaults": defaults, "apps": apps})
