"""Apps that wake together, stay awake together and sleep together, as real programs."""

from __future__ import annotations

from functools import partial

from e2e.apps import config, example, web
from e2e.client import Client
from e2e.harness import Daemon, Launch, wait_for
from e2e.test_wakefulness import keeping, why_in

NAMES = ("page", "api", "jobs")
SHOP = {"member_of": "shop", "companions": "group:shop", "idle_timeout": "1s"}


def states(daemon: Daemon) -> set[str]:
    return {daemon.apps()[name]["state"] for name in NAMES}


def kept_by_company(daemon: Daemon, name: str) -> bool:
    return keeping(daemon, name) == ["companions"]


def test_a_group_wakes_with_any_of_its_members_and_sleeps_as_a_whole(launch: Launch) -> None:
    """A request to one wakes all three; use of one keeps all; then all sleep."""
    daemon = launch(config(web("page", **SHOP), example("api", **SHOP), web("jobs", **SHOP), web("other")))

    request = Client(daemon.port, "api.localhost").send("/slow?seconds=60")
    try:
        for name in NAMES:
            daemon.wait_for_state(name, "ready")
        assert "asleep" == daemon.apps()["other"]["state"]
        for name in ("page", "jobs"):
            assert "api, with which it goes" == daemon.apps()[name]["woken_by"]["by"]
            wait_for("company alone keeps it awake", partial(kept_by_company, daemon, name))
            assert "it stays with api" in why_in(daemon, name, "awake")["summary"]
        assert {"ready"} == states(daemon)
    finally:
        request.close()

    wait_for("all sleep", lambda: states(daemon) == {"asleep"})
    assert "group:shop" in daemon.cli("show", "page").out


def test_company_outlives_the_daemon(launch: Launch) -> None:
    """The next daemon takes all of them on, starts none beside itself, and lets them sleep together."""
    daemon = launch(config(*(web(name, **{**SHOP, "idle_timeout": "1h"}) for name in NAMES)))
    assert 200 == Client(daemon.port, "page.localhost").request().status
    pids = {name: daemon.wait_for_state(name, "ready")["pid"] for name in NAMES}
    daemon.kill()
    daemon.start()

    assert pids == {name: daemon.wait_for_state(name, "ready")["pid"] for name in NAMES}
    daemon.write_config(config(*(web(name, **SHOP) for name in NAMES)))
    assert 0 == daemon.cli("apply").code
    wait_for("all sleep", lambda: states(daemon) == {"asleep"})
