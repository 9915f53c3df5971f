"""As whom a unit's service runs, with which limits, and what is taken from it."""

from __future__ import annotations

import re
from collections.abc import Callable

from torpor.config.process import CAPABILITIES
from torpor.importers import amounts
from torpor.importers.claims import Claims
from torpor.importers.values import number, whether

One = Callable[..., bool]
"""Carries a setting of which the last value counts: (name, key, convert)."""
Values = Callable[[str], list[str]]
"""All values of a setting."""

_SIZES = ("AS", "CORE", "DATA", "FSIZE", "MEMLOCK", "MSGQUEUE", "RSS", "STACK")
_COUNTS = ("NOFILE", "NPROC", "RTPRIO", "SIGPENDING")
_LOCKS = ("LimitLOCKS",)
_WRITABLE = (
    "ReadWritePaths", "ReadWriteDirectories", "StateDirectory", "RuntimeDirectory", "LogsDirectory", "CacheDirectory",
    "BindPaths", "TemporaryFileSystem",
)  # fmt: skip


def carry_attributes(claims: Claims, values: Values, one: One) -> None:
    """Carry over what a process is given by the kernel, and what is taken from it."""
    one("User", "user", str)
    one("Group", "group", str)
    if groups := [name for value in values("SupplementaryGroups") for name in value.split()]:
        claims.app.put("groups", groups)
        claims.settle("SupplementaryGroups")
    one("UMask", "umask", _umask)
    one("Nice", "nice", number(-20, 19))
    one("OOMScoreAdjust", "oom_score_adj", number(-1000, 1000))
    _carry_rlimits(claims, one)
    _carry_resources(claims, values, one)
    _carry_sandbox(claims, values, one)
    source = (values("StandardInput") or [""])[-1]
    if source in {"null", ""}:
        claims.same("StandardInput")
    elif source.startswith("tty"):
        claims.app.put("tty", True)
        claims.settle("StandardInput")
    elif source.startswith("file:"):
        one("StandardInput", "stdin", lambda text: text.removeprefix("file:"))
    claims.leave("StandardInput", "Torpor reads a file (`stdin`), a terminal (`tty`), or nothing")


def _umask(text: str) -> str:
    if not re.fullmatch(r"0*[0-7]{1,3}", text):
        raise ValueError("is no octal number of up to three digits")
    return f"{int(text, 8):03o}"


def _carry_rlimits(claims: Claims, one: One) -> None:
    for name in _SIZES:
        one(f"Limit{name}", f"rlimits.{name.lower()}", lambda text: _pair(text, _limit_size))
    for name in _COUNTS:
        one(f"Limit{name}", f"rlimits.{name.lower()}", lambda text: _pair(text, str))
    one("LimitCPU", "rlimits.cpu", lambda text: _pair(text, amounts.duration))
    one(
        "LimitRTTIME",
        "rlimits.rttime",
        lambda text: _pair(text, lambda part: amounts.duration(part, bare=1e-6)),
    )
    one("LimitNICE", "rlimits.nice", lambda text: _pair(text, _nice_limit))
    for name in _LOCKS:
        claims.leave(name, "Linux takes no notice of it")


def _pair(text: str, convert: Callable[[str], str]) -> int | str:
    parts = [_limit(part.strip(), convert) for part in text.split(":")]
    if len(parts) > 2:
        raise ValueError("is not a limit or SOFT:HARD")
    joined = ":".join(parts)
    return int(joined) if joined.isdigit() else joined


def _limit(text: str, convert: Callable[[str], str]) -> str:
    if text == "infinity":
        return "unlimited"
    if text == "0":
        return "0"
    found = convert(text)
    if convert is str and not re.fullmatch(r"[0-9]{1,18}", found):
        raise ValueError(f"{text!r} is no number")
    return found


def _limit_size(text: str) -> str:
    return amounts.size(text)


def _nice_limit(text: str) -> str:
    """The limit as the kernel counts it: `+5` and `-5` are priorities, 20 minus the limit."""
    if not re.fullmatch(r"[+-]?[0-9]{1,2}", text):
        raise ValueError(f"{text!r} is no priority")
    return str(20 - int(text)) if text[0] in "+-" else text


def _carry_resources(claims: Claims, values: Values, one: One) -> None:
    memory = next((name for name in ("MemoryMax", "MemoryLimit") if name in claims), "MemoryMax")
    for name in (memory, "TasksMax", "CPUQuota"):
        if (values(name) or [""])[-1] == "infinity":
            claims.same(name)
    one(memory, "memory_max", _memory)
    claims.leave("MemoryLimit", "MemoryMax says it too")
    one("TasksMax", "pids_max", number(1, 4194304))
    one("CPUQuota", "cpus", _cpus)


def _memory(text: str) -> str:
    if text.endswith("%"):
        raise ValueError("Torpor takes a size, not a share of the machine's memory")
    return amounts.size(text)


def _cpus(text: str) -> int | float:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)%", text)
    if match is None:
        raise ValueError(f"{text!r} is no percentage")
    share = round(float(match[1]) / 100, 4)
    if not 0.01 <= share <= 4096:
        raise ValueError("Torpor takes 0.01 to 4096 processors")
    return int(share) if share == int(share) else share


def _carry_sandbox(claims: Claims, values: Values, one: One) -> None:
    for name, key in (("NoNewPrivileges", "no_new_privileges"), ("PrivateTmp", "private_tmp")):
        one(name, key, lambda text: True if text == "disconnected" else whether(text))
    if (values("ProtectSystem") or [""])[-1] == "strict":
        written = [name for name in _WRITABLE if name in claims]
        if not written:
            claims.app.put("read_only", True)
            claims.settle("ProtectSystem")
        else:
            claims.leave("ProtectSystem", f"read_only would take {', '.join(written)} as well")
    one("CapabilityBoundingSet", "capabilities.drop", lambda _: _dropped(values("CapabilityBoundingSet")))


def _dropped(lines: list[str]) -> list[str] | str:
    """What remains outside of the bounding set: systemd adds up what is listed, and takes away what follows `~`."""
    kept: set[str] | None = None
    for line in lines:
        names = {name.lower().removeprefix("cap_") for name in line.removeprefix("~").split()}
        if unknown := names - CAPABILITIES:
            raise ValueError(f"{min(unknown)!r} is no capability that Torpor knows")
        if line.startswith("~"):
            kept = (set(CAPABILITIES) if kept is None else kept) - names
        else:
            kept = (kept or set()) | names
    dropped = sorted(CAPABILITIES - (kept or set()))
    return dropped if kept else "all"
