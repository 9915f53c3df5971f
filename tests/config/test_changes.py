"""What differs between two configurations."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from torpor.config import declarations as declared
from torpor.config.changes import SETTINGS, AppChange, Changes, Takes, differences
from torpor.config.load import load
from torpor.config.schema import json_schema
from torpor.config.settings import Settings

EXAMPLES: dict[str, Any] = {
    key: schema["examples"][0] if "examples" in schema else {}
    for key, schema in json_schema()["definitions"]["App"]["properties"].items()
}
"""A value of every setting, from its own documentation."""
ONLY_THUS: dict[str, Any] = {
    "command": "true",
    "shell": True,
    "working_dir": "/",
    "env_file": "/dev/null",
    "stdin": "/dev/zero",
    "user": os.getuid(),
    "group": 65534,
    "groups": [65534],
    "depends_on": "db",
    "companions": "db",
    "loading_page": False,
    "websocket": {"activity": "open"},
    "backoff": {"initial": "3s"},
    "start_limit": {"failures": 9},
    "log": {"max_size": "1M"},
    "rlimits": {"core": 0},
    "nice": 19,
}
"""Values where the documentation's own would need a file, a right, or another app."""
BESIDE: dict[str, dict[str, Any]] = {
    "on_start_timeout": {},
    "on_watchdog": {"watchdog": "30s"},
    "cpu_window": {"cpu_below": "5%"},
    "group": {"user": os.getuid()},
    "groups": {"user": os.getuid()},
    "address": {"command": None, "container": "web"},
    "on_external_start": {"command": None, "container": "web"},
    "respect_manual_stop": {"command": None, "container": "web"},
}
"""What else such an app has to say, before and after."""
INSTEAD: dict[str, dict[str, Any]] = {
    kind: {"command": None} for kind in ("container", "lxc", "vm", "unit", "commands")
}
"""What it must not say any more."""

BUDGETS = {"gpu0": "24GB", "slots": 2}


def _settings(tmp_path: Path, app: dict[str, Any], **top: Any) -> Settings:
    web = {key: value for key, value in {"command": "sleep 1", **app}.items() if value is not None}
    apps = {"web": web, "db": {"command": "sleep 2"}}
    pve = {"pve": {"url": "https://pve.test:8006", "token": "a@pve!b=c"}}
    path = tmp_path / "torpor.yaml"
    path.write_text(
        json.dumps({"apps": apps, "allow_reboot": True, "budgets": BUDGETS, "proxmox": pve, **top})
    )
    return load(path)


def test_every_setting_says_how_it_is_taken_over() -> None:
    """A setting that is declared is in the table, and nothing else is."""
    assert set(declared.App.__struct_fields__) == set(SETTINGS)


@pytest.mark.parametrize("setting", [name for name in SETTINGS if name != "env_file"])
def test_a_change_of_every_setting_is_found_and_named(tmp_path: Path, setting: str) -> None:
    """An app with the setting differs from one without, by that name and by what the table says."""
    if setting in {"user", "group", "groups"} and os.getuid() != 0:
        pytest.skip("another user needs root")
    beside = BESIDE.get(setting, {})
    before = _settings(tmp_path, beside)
    value = ONLY_THUS.get(setting, EXAMPLES[setting])
    after = _settings(tmp_path, {**beside, **INSTEAD.get(setting, {}), setting: value})

    (change,) = differences(before, after).changed

    named = SETTINGS[setting].told_as or setting
    assert named in change.settings
    if not before.apps[0].listens and after.apps[0].listens:
        assert Takes.RESTART is change.takes
    elif (named,) == change.settings:
        assert SETTINGS[setting].takes is change.takes


def test_what_is_the_same_is_no_change(tmp_path: Path) -> None:
    """Other words for the same settings change nothing."""
    before = _settings(tmp_path, {"idle_timeout": "30m", "environment": {"A": "1"}})
    after = _settings(tmp_path, {"environment": ["A=1"], "command": ["sleep", "1"]})

    assert not differences(before, after)


def test_another_content_of_an_env_file_is_a_change(tmp_path: Path) -> None:
    """What the app gets decides, not what the configuration says."""
    file = tmp_path / "env"
    file.write_text("A=1\n")
    before = _settings(tmp_path, {"env_file": "./env"})
    file.write_text("A=2\n")
    after = _settings(tmp_path, {"env_file": "./env"})

    assert (AppChange("web", ("environment",), Takes.RESTART),) == differences(before, after).changed


def test_added_removed_and_what_belongs_to_no_app_are_told(tmp_path: Path) -> None:
    """In the order of the newer configuration."""
    one = _settings(tmp_path, {})
    other = replace(
        _settings(tmp_path, {}, gateway={"listen": 9999}),
        apps=(replace(one.apps[0], name="new"), one.apps[1]),
    )

    expected = Changes(added=("new",), removed=("web",), settings=("gateway.listen",))

    assert expected == differences(one, other)


def test_an_app_that_gets_its_first_route_is_restarted_for_its_port(tmp_path: Path) -> None:
    """It is told its port when it is started; another route needs no restart."""
    none = _settings(tmp_path, {})
    one = _settings(tmp_path, {"routes": ["a.localhost"]})
    two = _settings(tmp_path, {"routes": ["a.localhost", "b.localhost"]})

    assert Takes.RESTART is differences(none, one).changed[0].takes
    assert Takes.AT_ONCE is differences(one, two).changed[0].takes
