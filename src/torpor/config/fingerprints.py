"""Whether a program that runs is still the one that is configured.

What a process is given when it is born cannot be taken over by one that lives.  Short
digests of those settings are kept with it, so that a later daemon, which knows the
settings of its own time only, can tell what has changed, and no secret is written down.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torpor.config.changes import SETTINGS, Takes
from torpor.core.model import AppSpec

_SIZE = 4
"""Bytes of a digest: they tell an accident apart, not a forgery."""

_BORN_WITH = {
    name: setting.value
    for name, setting in SETTINGS.items()
    if setting.takes is Takes.RESTART and setting.told_as is None
}


def fingerprints(app: AppSpec) -> dict[str, str]:
    """A digest of each setting that only a new process can take over, but for what is not set."""
    found = {}
    for name, value in _BORN_WITH.items():
        content = json.dumps(value(app), default=_plain, sort_keys=True)
        if content not in {"null", "false", "{}", "[]"}:
            found[name] = hashlib.blake2s(content.encode(), digest_size=_SIZE).hexdigest()
    return found


def differs(before: Mapping[str, str], app: AppSpec) -> tuple[str, ...]:
    """The settings that are others now than when `before` was made of them."""
    after = fingerprints(app)
    return tuple(name for name in _BORN_WITH if before.get(name) != after.get(name))


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"no digest of {type(value)}")
