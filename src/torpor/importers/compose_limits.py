"""As whom a Compose service runs, and with which limits."""

from __future__ import annotations

import re
from collections.abc import Callable

from torpor.config.process import CAPABILITIES
from torpor.importers import amounts
from torpor.importers.claims import Claims
from torpor.importers.draft import refused
from torpor.importers.values import Value, number, shown, text, texts, whether

One = Callable[..., bool]
"""Carries a setting of one word: (name, key, convert)."""
_SIZES = frozenset({"as", "core", "data", "fsize", "memlock", "msgqueue", "rss", "stack"})
_COUNTS = frozenset({"nofile", "nproc", "rtprio", "sigpending", "nice"})


def carry_limits(claims: Claims, now: Callable[[str], str], one: One) -> None:
    """Carry over user, resources, limits and what is taken away."""
    _carry_user(claims, now)
    claims.carry("group_add", "groups", texts)
    one("oom_score_adj", "oom_score_adj", number(-1000, 1000))
    one("tty", "tty", whether)
    for name in ("mem_limit", "deploy.resources.limits.memory"):
        if claims.text(name) in {"0", "-1"}:
            claims.same(name)
        one(name, "memory_max", amounts.size)
    for name in ("cpus", "deploy.resources.limits.cpus"):
        if claims.text(name) == "0":
            claims.same(name)
        one(name, "cpus", _cpus)
    for name in ("pids_limit", "deploy.resources.limits.pids"):
        if claims.text(name) in {"-1", "0"}:
            claims.same(name)
        one(name, "pids_max", number(1, 4194304))
    one("read_only", "read_only", whether)
    _carry_capabilities(claims)
    _carry_rlimits(claims)
    if isinstance(options := claims.get("security_opt"), list):
        wishes = [item for item in options if isinstance(item, str)]
        if any(item.replace("=", ":") in {"no-new-privileges", "no-new-privileges:true"} for item in wishes):
            claims.app.put("no_new_privileges", True)
            if len(options) == 1:
                claims.settle("security_opt")


def _carry_user(claims: Claims, now: Callable[[str], str]) -> None:
    if "user" not in claims:
        return
    try:
        user, colon, group = now(text(claims.get("user"))).partition(":")
    except ValueError as error:
        claims.leave("user", str(error))
        return
    if user:
        claims.app.put("user", user)
    if colon and group:
        claims.app.put("group", group)
    claims.settle("user")


def _cpus(value: str) -> int | float:
    try:
        share = float(value)
    except ValueError:
        raise ValueError(f"{value!r} is no number") from None
    if share == 0 or not 0.01 <= share <= 4096:
        raise ValueError("Torpor takes 0.01 to 4096 processors")
    return int(share) if share == int(share) else share


def _carry_capabilities(claims: Claims) -> None:
    """What is unknown is told; what is known is taken away all the same."""
    try:
        names = [name.lower().removeprefix("cap_") for name in texts(claims.get("cap_drop") or [])]
    except ValueError as error:
        claims.leave("cap_drop", str(error))
        return
    known = [name for name in names if name in CAPABILITIES]
    if "all" in names:
        claims.app.put("capabilities.drop", "all")
    elif known:
        claims.app.put("capabilities.drop", known)
    unknown = [name for name in names if name not in CAPABILITIES | {"all"}]
    if unknown or not names:
        why = f"{', '.join(unknown)}: no capability that Torpor knows" if unknown else "nothing is taken away"
        claims.leave("cap_drop", why)
    claims.settle("cap_drop")


def _carry_rlimits(claims: Claims) -> None:
    """The limits, one by one."""
    value = claims.get("ulimits")
    if not isinstance(value, dict):
        claims.leave("ulimits", "is no map of limits")
        return
    for name, limit in value.items():
        pair = [limit.get("soft"), limit.get("hard")] if isinstance(limit, dict) else [limit]
        try:
            if name not in _SIZES | _COUNTS:
                raise ValueError("Torpor sets no such limit")
            joined = ":".join(_limit(name, one) for one in pair)
            found = int(joined) if joined.isdigit() else joined
            if (complaint := refused(f"rlimits.{name}", found)) is not None:
                raise ValueError(complaint)
            claims.app.put(f"rlimits.{name}", found)
        except ValueError as error:
            claims.app.notes.append(f"ulimits: {name}: {shown(limit)}: {error}")
    if not value:
        claims.same("ulimits")
    claims.settle("ulimits")


def _limit(name: str, value: Value) -> str:
    if value in {"-1", "unlimited"}:
        return "unlimited"
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,18}", value):
        raise ValueError(f"{shown(value)!r} is no limit")
    return value if name in _COUNTS or value == "0" else f"{value}B"
