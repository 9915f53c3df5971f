"""What systemd says of a unit, and what that means."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torpor.core.model import ExitInfo
from torpor.providers.guests.driver import State

_UNITS = "/org/freedesktop/systemd1/unit/"
_KINDS = frozenset(
    {"automount", "device", "mount", "path", "scope", "service", "slice", "socket", "swap", "target", "timer"}
)
_UNKNOWN = (1 << 64) - 1
"""What systemd says of an amount that nobody counts."""
ENDED = frozenset({"inactive", "failed"})
"""States of activity in which nothing of a unit is alive."""
_STATES = {
    "active": State.RUNNING,
    "reloading": State.RUNNING,
    "refreshing": State.RUNNING,
    "activating": State.CHANGING,
    "deactivating": State.CHANGING,
    "inactive": State.STOPPED,
    "failed": State.STOPPED,
    "maintenance": State.STOPPED,
}
_FREEZER = {
    "frozen": State.PAUSED,
    "frozen-by-parent": State.PAUSED,
    "freezing": State.CHANGING,
    "freezing-by-parent": State.CHANGING,
    "thawing": State.CHANGING,
}
_RESULTS = {
    "timeout": "a time limit of the unit ran out",
    "watchdog": "its watchdog ran out",
    "oom-kill": "out of memory",
    "core-dump": "it dumped core",
    "start-limit-hit": "it was started too often in too short a time",
    "resources": "systemd could not get what it needs for it",
    "protocol": "it did not do what its Type= promises",
    "exec-condition": "its ExecCondition= does not hold",
}
_CLD_EXITED = 1


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit's properties."""

    properties: Mapping[str, Any]

    @property
    def state(self) -> State:
        """What it is at this moment."""
        state = _STATES.get(self._text("ActiveState"), State.CHANGING)
        if state is State.RUNNING:
            return _FREEZER.get(self._text("FreezerState"), state)
        if state is State.STOPPED and self._text("LoadState") == "not-found":
            return State.MISSING
        return state

    @property
    def is_stuck(self) -> bool:
        """Whether it has ended while it was frozen: newer systemds (257 is one) do not start it then."""
        return self.activity in ENDED and self._text("FreezerState") in _FREEZER

    @property
    def activity(self) -> str:
        """The word of systemd for its state, like `active` or `failed`."""
        return self._text("ActiveState")

    @property
    def run(self) -> str | None:
        """Systemd gives each activation a number that nobody else has."""
        return bytes(self.properties.get("InvocationID", b"")).hex() or None

    @property
    def pid(self) -> int | None:
        """Of its main process."""
        return self._number("MainPID") or None

    @property
    def job(self) -> int:
        """The number of what is to be done with it next; 0: nothing."""
        number, _ = self.properties.get("Job") or (0, "/")
        return int(number)

    @property
    def began(self) -> float:
        """When it became active last, in seconds of the monotonic clock; 0: never."""
        return (self._number("ActiveEnterTimestampMonotonic") or 0) / 1e6

    @property
    def hit_start_limit(self) -> bool:
        """Whether systemd refuses to start it, because it was started too often."""
        return self._text("Result") == "start-limit-hit"

    @property
    def exit(self) -> ExitInfo:
        """How its last main process ended, and what systemd holds against that."""
        note = _RESULTS.get(self._text("Result"), "")
        how, status = self._number("ExecMainCode"), self._number("ExecMainStatus")
        if not how or self.pid is not None:
            return ExitInfo(note=note)
        return ExitInfo(code=status, note=note) if how == _CLD_EXITED else ExitInfo(signal=status, note=note)

    @property
    def refusal(self) -> str | None:
        """Why it cannot be started as it is written; None: nothing speaks against it."""
        load = self._text("LoadState")
        if load == "masked":
            return "it is masked"
        if load in {"error", "bad-setting"}:
            error = self.properties.get("LoadError") or ("", "")
            return f"its file cannot be used: {error[1] or load}"
        return "there is no such unit" if load == "not-found" else None

    @property
    def memory(self) -> int | None:
        """Bytes that it uses, where systemd counts that."""
        return self._amount("MemoryCurrent")

    @property
    def cpu(self) -> float | None:
        """CPU seconds that it has used, where systemd counts that."""
        used = self._amount("CPUUsageNSec")
        return None if used is None else used / 1e9

    @property
    def words(self) -> str:
        """What it is doing, or why it is not, for people."""
        if status := self._text("StatusText"):
            return status
        return self.refusal or _RESULTS.get(self._text("Result"), "")

    def describe_failure(self) -> str:
        """Why it does not run, as far as systemd tells."""
        if self.is_stuck:
            return "it has ended while it was frozen, and this systemd starts no such unit"
        if (said := self.refusal or _RESULTS.get(self._text("Result"))) is not None:
            return said
        end = self.exit
        return str(end) if end != ExitInfo() else f"it is {self.activity}"

    def _text(self, name: str) -> str:
        return str(self.properties.get(name, ""))

    def _number(self, name: str) -> int | None:
        value = self.properties.get(name)
        return value if isinstance(value, int) else None

    def _amount(self, name: str) -> int | None:
        value = self._number(name)
        return None if value is None or value >= _UNKNOWN else value


def full_name(name: str) -> str:
    """The name of a unit with its kind; without one it is a service."""
    return name if name.rpartition(".")[2] in _KINDS and "." in name else f"{name}.service"


def path_of(name: str) -> str:
    """The object on the bus that is this unit."""
    escaped = re.sub(rb"[^A-Za-z0-9]|^[0-9]", lambda found: b"_%02x" % found[0][0], name.encode())
    return _UNITS + (escaped.decode() or "_")


def name_of(path: str) -> str:
    """The unit that an object on the bus is."""
    escaped = path.removeprefix(_UNITS).encode()
    return re.sub(rb"_([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), escaped).decode(
        errors="replace"
    )


def signal_name(number: int) -> str:
    """A signal's name, for people."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
