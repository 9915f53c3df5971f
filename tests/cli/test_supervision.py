"""Command lines for apps with replicas and for apps that need each other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.harness import ROOT, Daemon, environment, torpor
from torpor.cli.graph import dot_lines, tree_lines

STAND_IN = os.pathsep.join([str(Path(__file__).parent / "stand_in"), str(ROOT / "src"), str(ROOT / "tests")])


def words(daemon: Daemon, *args: str) -> str:
    """What a command that succeeds says."""
    result = torpor(daemon.socket, *args)
    assert (0, "") == (result.returncode, result.stderr)
    return result.stdout


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (0, "status mail"),
        (3, "status queue"),
        (0, "graph"),
        (0, "graph we*"),
        (4, "graph wep"),
        (2, "graph --dot --json"),
        (0, "analyze"),
        (0, "analyze mail"),
        (4, "analyze mial"),
        (1, "stop db"),
        (1, "sleep db"),
        (2, "start db --force"),
        (2, "stop db --rolling"),
        (2, "scale web"),
        (2, "scale web 0"),
        (2, "scale web many"),
        (2, "scale web 3 --timeout 5"),
        (1, "scale web 101"),
        (4, "scale wep 3"),
        (2, "signal web"),
        (1, "signal web FOO"),
        (1, "signal mail HUP"),
        (4, "signal wep HUP"),
        (2, "reload"),
        (2, "reload --all web"),
        (1, "reload mail"),
        (4, "reload wep"),
        (2, "up -d --exit-with web"),
    ],
)
def test_exit_codes(shared_family: Path, code: int, line: str) -> None:
    """Scripts can rely on the code; whatever is not 0 or 3 says why on stderr, and nothing on stdout."""
    result = torpor(shared_family, *line.split())
    assert code == result.returncode, result.stderr
    if code in {0, 3}:
        assert "" == result.stderr
    else:
        assert "" == result.stdout
        assert result.stderr.startswith("torpor: ")


def test_status_has_a_line_for_each_replica(shared_family: Path) -> None:
    """And below it what an app says, waits for, or failed of."""
    expected = """\
NAME   STATE     PID   PORT  IDLE-IN  UPTIME  RESTARTS   MEM  ROUTE
db     ready    4242  40123   25m00s   1m15s         0  300M  db.localhost
cache  ready    4242  40123   25m00s   1m15s         0  300M  cache.localhost
api    ready    4242  40123   25m00s   1m15s         0  300M  api.localhost
web    ready    4242  40123   25m00s   1m15s         0  300M  web.localhost
  └ 42 visitors
web/1  ready    4242  40123   25m00s   1m15s         0  300M  -
  └ 42 visitors
queue  backoff     -      -        -       -         0     -  queue.localhost
  └ exited with code 3 before it was ready; next try in 4s
mail   blocked     -      -        -       -         0     -  mail.localhost
  └ waiting for queue to be ready
"""
    assert expected == torpor(shared_family, "status").stdout


def test_status_json_lists_the_instances(shared_family: Path) -> None:
    """Each with what a script asks of one."""
    (web,) = json.loads(torpor(shared_family, "status", "web", "--json").stdout)
    assert ["web", "web/1"] == [one["id"] for one in web["instances"]]
    promised = "pid port state generation uptime rss idle_in restarts"
    assert set(promised.split()) <= set(web["instances"][1])


def test_show_tells_who_needs_whom(shared_family: Path) -> None:
    """In both directions, with conditions, reasons, and each replica's own line."""
    api = torpor(shared_family, "show", "api").stdout
    assert "needs         db (healthy), cache (started, optional)\n" in api
    assert "needed by     web\n" in api
    queue = torpor(shared_family, "show", "queue").stdout
    assert "reason          exited with code 3 before it was ready\nnext try        in 4s\n" in queue
    assert "instance queue  backoff, start 3\n" in queue
    web = torpor(shared_family, "show", "web").stdout
    assert "says            42 visitors\n" in web
    assert "instance web/1  ready, start 3, pid 4242" in web


def test_the_graph_is_a_tree(shared_family: Path) -> None:
    """What an app needs stands below it, who is woken with it behind it; with names those and what they need."""
    both = """\
web  ready  (wakes group:post as well)
├─ api  ready  (healthy)
│  ├─ db  ready  (healthy)
│  └─ cache  ready  (started, optional)
└─ cache  ready  (healthy)
mail  blocked
└─ queue  backoff  (healthy)
"""
    assert both == torpor(shared_family, "graph").stdout
    assert "".join(both.splitlines(keepends=True)[-2:]) == torpor(shared_family, "graph", "mail").stdout


def test_the_graph_for_programs(shared_family: Path) -> None:
    """As JSON with conditions, and in the language of Graphviz."""
    (api, *_) = json.loads(torpor(shared_family, "graph", "api", "--json").stdout)[2:]
    assert ("api", "ready", ["web"]) == (api["name"], api["state"], api["held_by"])
    assert {"app": "cache", "condition": "started", "optional": True} == api["depends_on"][1]
    names = [app["name"] for app in json.loads(torpor(shared_family, "graph", "web", "--json").stdout)]
    assert ["db", "cache", "api", "web", "queue", "mail"] == names
    dot = torpor(shared_family, "graph", "api", "--dot").stdout
    assert (
        "digraph torpor {\n"
        "  node [shape=box];\n"
        '  "db" [label="db\\nready"];\n'
        '  "cache" [label="cache\\nready"];\n'
        '  "api" [label="api\\nready"];\n'
        '  "api" -> "db" [label="healthy"];\n'
        '  "api" -> "cache" [label="started", style=dashed];\n'
        "}\n"
    ) == dot


def test_who_goes_with_an_app_is_in_its_graph() -> None:
    """Circles and groups included: each app is named once for it."""
    app: dict[str, object] = {
        "state": "ready",
        "want": "auto",
        "depends_on": [],
        "companions": [],
        "groups": [],
    }
    need = {"app": "chat", "condition": "healthy", "optional": False}
    apps: dict[str, dict[str, object]] = {
        "web": {**app, "companions": ["chat", "group:post"], "depends_on": [need]},
        "chat": {**app, "companions": ["web"]},
        "mail": {**app, "groups": ["post", "other"]},
    }
    assert [
        "web  ready  (wakes chat, group:post as well)",
        "└─ chat  ready  (healthy, wakes web as well)",
        "chat  ready",
    ] == list(tree_lines(apps, ["web", "chat"], colour=False))
    assert [
        '  "web" -> "chat" [label="healthy"];',
        '  "web" -> "chat" [style=dotted];',
        '  "web" -> "group:post" [style=dotted];',
        '  "chat" -> "web" [style=dotted];',
        '  "group:post" -> "mail" [style=dotted];',
        "}",
    ] == list(dot_lines(apps))[5:]


def test_what_is_in_the_tree_already_is_named_once_more() -> None:
    """Diamonds upon diamonds do not grow the tree beyond the number of needs."""
    apps = {
        f"{side}{number}": {
            "state": "ready",
            "want": "auto",
            "companions": [],
            "depends_on": [
                {"app": f"{other}{number + 1}", "condition": "healthy", "optional": False} for other in "ab"
            ]
            if number < 50
            else [],
        }
        for number in range(51)
        for side in "ab"
    }
    lines = list(tree_lines(apps, ["a0"], colour=False))
    assert 1 + 2 + 49 * 4 == len(lines)
    assert 2 * 48 == sum("see above" in line for line in lines)


def test_names_cannot_break_out_of_the_graph() -> None:
    """Quotes and line feeds in a name stay inside its string."""
    app = {"state": "ready", "want": "auto", "depends_on": [], "companions": [], "groups": []}
    lines = list(dot_lines({'a"]; b [label="\\': app}))
    assert r'  "a\"]; b [label=\"\\" [label="a\"]; b [label=\"\\\nready"];' == lines[2]


def test_analyze_prints_the_critical_chain(shared_family: Path) -> None:
    """Who was last, for whom it waited, and whose start made it slow."""
    expected = """\
the boot took 4.2 s; the last to be ready was web
71 % of that is the start of db

APP       STATE  READY  WAITED   START  TRIES  DETAIL
web       ready  4.2 s   4.0 s  250 ms      1  -
└─ api    ready  4.0 s   3.0 s   1.0 s      1  -
   └─ db  ready  3.0 s       -   3.0 s      1  waiting for the port to accept a connection

slowest starts
   3.0 s  db
   1.0 s  api
  400 ms  cache
  250 ms  web
"""
    assert expected == torpor(shared_family, "analyze").stdout


def test_analyze_of_a_wake_that_hangs(shared_family: Path) -> None:
    """It names who keeps the others waiting, and why."""
    expected = """\
waking mail is not over (woken by GET / from 127.0.0.1): queue is backoff, exited with code 3 before it was ready

APP       STATE    READY  WAITED  START  TRIES  DETAIL
mail      blocked      -       -      -      0  waiting for queue to be ready
└─ queue  backoff      -       -      -      1  exited with code 3 before it was ready
"""
    assert expected == torpor(shared_family, "analyze", "mail").stdout
    document = json.loads(torpor(shared_family, "analyze", "mail", "--json").stdout)
    assert (None, "queue") == (document["took"], document["slowest"])


def test_dependents_are_stopped_first(family: Daemon) -> None:
    """Whatever the order of the names: nobody is stopped while somebody needs it."""
    said = words(family, "stop", "db", "cache", "api", "web")
    assert ["web", "api", "db", "cache"] == [line.split(" is down")[0] for line in said.splitlines()]


def test_all_can_be_stopped_without_waiting(family: Daemon) -> None:
    """Only those that nobody waits for any more are not waited for."""
    said = words(family, "stop", "--all", "--no-wait")
    assert ["web is down", "api is down", "mail is down"] == [
        line.split(";")[0].split(" after")[0] for line in said.splitlines()[:3]
    ]
    assert "db: stop is under way, now asleep" in said


def test_stop_by_force(family: Daemon) -> None:
    """What others need is stopped all the same; without --force the holders are named."""
    refused = torpor(family.socket, "stop", "db")
    assert "torpor: db is needed by api\nhint: Stop them first.\n" == refused.stderr
    assert words(family, "stop", "--force", "db").startswith("db is down")


def test_a_rolling_restart_tells_of_each_replica(family: Daemon) -> None:
    """One line for each that is ready again, then the app's own."""
    first, second, third = words(family, "restart", "--rolling", "web").splitlines()
    assert ["web: ready after 1.2 s", "web/1: ready after 1.2 s"] == [first, second]
    assert third.startswith("web is ready")
    (entry,) = json.loads(words(family, "restart", "--rolling", "web", "--json"))
    assert ("web", True) == (entry["name"], entry["done"])


def test_a_replica_is_told_of_while_the_others_are_under_way(family: Daemon) -> None:
    """Nobody waits in silence; Ctrl-C ends the command at once and without a word."""
    with subprocess.Popen(
        [sys.executable, "-m", "torpor", "restart", "--rolling", "queue"],
        env=environment(family.socket),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        family.wait_for_waiting()
        assert process.stdout is not None
        assert b"queue: ready after 1.2 s\n" == process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert (b"", b"") == process.communicate(timeout=30)
    assert 130 == process.returncode


def test_scale(family: Daemon) -> None:
    """It says how many there are now, and status shows them."""
    assert words(family, "scale", "web", "3").startswith("web has 3 replicas, ready")
    assert "web/2" in words(family, "status")
    assert words(family, "scale", "web", "1").startswith("web has 1 replica, ready")
    assert "web: scale is under way, now ready; `torpor status web` shows how it goes\n" == words(
        family, "scale", "web", "2", "--no-wait"
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("signal web HUP", ["signal HUP was sent to web, to 2 replicas"]),
        ("signal db api sigusr1", ["signal USR1 was sent to db", "signal USR1 was sent to api"]),
        ("kill -s 1 db", ["signal 1 was sent to db"]),
        ("kill d* HUP", ["signal HUP was sent to db"]),
        (
            "reload web",
            ["web was told to reload, in 2 replicas; `torpor logs web` shows what it says to that"],
        ),
        (
            "reload db cache",
            [
                f"{name} was told to reload; `torpor logs {name}` shows what it says to that"
                for name in ("db", "cache")
            ],
        ),
    ],
)
def test_signals_and_reloads(family: Daemon, line: str, said: list[str]) -> None:
    """One sentence per app."""
    assert said == words(family, *line.split()).splitlines()


def test_track_says_what_follows(family: Daemon) -> None:
    """When it would sleep now, or that this is no way to wake it."""
    assert "db counts as used now; left alone, it sleeps in 30m00s\n" == words(family, "track", "db")
    assert "queue is backoff; `torpor wake queue` wakes it, this does not\n" == words(
        family, "track", "queue"
    )


def test_reload_without_a_name_explains_itself(shared_family: Path) -> None:
    """Elsewhere it means to read the daemon's own configuration: it says how that is done."""
    result = torpor(shared_family, "reload")
    assert (2, "") == (result.returncode, result.stdout)
    assert "Torpor's own configuration is read again by `torpor apply`" in result.stderr


def test_down_can_keep_the_apps(family: Daemon) -> None:
    """The daemon is told so, and the command says it."""
    said = words(family, "down", "--keep-apps")
    assert said.startswith(f"torpor (pid {family.process.pid}) is down after ")
    assert said.endswith("; its apps go on, and the next `torpor up` takes them on\n")
    assert family.process.stdout is not None
    assert b"kept\n" == family.process.stdout.readline()


def test_up_hands_over_whose_end_is_its_own(tmp_path: Path) -> None:
    """The daemon learns the app's name, and its exit code is the command's."""
    result = torpor(tmp_path / "t.sock", "up", "--exit-with", "abcdefg", PYTHONPATH=STAND_IN)
    assert (7, "", "") == (result.returncode, result.stdout, result.stderr)
