"""A daemon that ends without its apps, and the next one, with apps that need each other."""

from __future__ import annotations

import sys

from e2e.apps import E2E, app, config
from e2e.harness import Launch


def test_apps_that_need_each_other_go_on(launch: Launch) -> None:
    """Nothing is started beside what was kept, whatever the order of names; who needs whom is known again."""
    program = [sys.executable, "-S", str(E2E / "programs" / "web.py")]
    first, second = {"api": {"condition": "healthy"}}, {"zoo": {"condition": "healthy"}}
    daemon = launch(
        config(
            app("web", program, always_on=True, depends_on=first),
            app("api", program, depends_on=second),
            app("zoo", program, replicas=2),
        )
    )
    daemon.wait_for_state("web", "ready")
    before = {name: [one["pid"] for one in app["instances"]] for name, app in daemon.apps().items()}
    assert 4 == len({pid for pids in before.values() for pid in pids} - {None})

    kept = daemon.cli("down", "--keep-apps")
    daemon.wait()
    daemon.start()  # before anything can fail, so that nobody is left behind

    assert (0, "") == (kept.code, kept.err)
    for name in ("zoo", "api", "web"):
        daemon.wait_for_state(name, "ready")
    apps = daemon.apps()
    assert before == {name: [one["pid"] for one in app["instances"]] for name, app in apps.items()}
    assert {1} == {one["generation"] for app in apps.values() for one in app["instances"]}
    assert (["api"], ["web"], []) == tuple(apps[name]["held_by"] for name in ("zoo", "api", "web"))
