"""How a Compose service's health is asked for, how it is started again, and how many of it run."""

from __future__ import annotations

from collections.abc import Callable

from torpor.importers import amounts
from torpor.importers.claims import Claims
from torpor.importers.commands import command_value
from torpor.importers.compose_limits import One
from torpor.importers.compose_variables import Variables
from torpor.importers.draft import Verbatim
from torpor.importers.values import number, texts

Now = Callable[[str], str]
"""A setting of one word, with its variables; empty without it."""


def carry_life(claims: Claims, variables: Variables, now: Now, one: One) -> None:
    """Carry over the health check, the restart policy and the number of replicas."""
    _carry_health(claims, variables, now)
    _carry_restart(claims, now, one)
    _carry_count(claims, now, one)


def _carry_health(claims: Claims, variables: Variables, now: Now) -> None:
    app = claims.app
    if now("healthcheck.disable") == "true":
        claims.same("healthcheck.disable")
        return
    try:
        command = _health_command(claims, variables)
    except ValueError as error:
        claims.leave("healthcheck.test", str(error))
        return
    if command is None:
        return
    app.put("readiness.exec", command)
    claims.settle("healthcheck.test")
    # What Compose waits for before it calls a service unhealthy.
    try:
        start = amounts.seconds(now("healthcheck.start_period") or "0s")
        interval = amounts.seconds(now("healthcheck.interval") or "30s")
        patience = start + interval * int(now("healthcheck.retries") or "3")
        app.put(
            "start_timeout",
            amounts.duration_of(max(patience, 1)),
            "start_period, and retries times interval",
        )
        claims.settle("healthcheck.start_period")
    except ValueError as error:
        claims.leave("healthcheck.start_period", str(error))


def _health_command(claims: Claims, variables: Variables) -> str | list[str] | None:
    value = claims.get("healthcheck.test")
    if value is None:
        return None
    if isinstance(value, str):
        return ["sh", "-c", variables.later(value)]
    kind, *rest = texts(value) or ["NONE"]
    words = [variables.later(word) for word in rest]
    if kind == "NONE":
        claims.same("healthcheck.test")
        return None
    if kind == "CMD-SHELL":
        return ["sh", "-c", *words[:1]]
    if kind != "CMD" or not words:
        raise ValueError("begins neither with CMD nor with CMD-SHELL")
    return words if any(isinstance(word, Verbatim) for word in words) else command_value(words)


def _carry_restart(claims: Claims, now: Now, one: One) -> None:
    app = claims.app
    policy, _, most = now("restart").partition(":")
    condition = now("deploy.restart_policy.condition")
    words = {
        "no": "no",
        "false": "no",
        "": "no",
        "always": "always",
        "unless-stopped": "always",
        "on-failure": "on-failure",
    }
    app.put("restart", words.get(policy, "no"))
    if policy in words:
        claims.settle("restart")
    if most.isdigit() and int(most):
        app.put("start_limit.failures", min(int(most), 1_000_000))
    if condition in {"any", "on-failure", "none"}:
        app.put("restart", {"any": "always", "none": "no"}.get(condition, condition))
        claims.settle("deploy.restart_policy.condition")
    elif "deploy.restart_policy.delay" in claims and not policy:
        app.put("restart", "always")
    one("deploy.restart_policy.delay", "backoff", _constant_pause)
    one("deploy.restart_policy.max_attempts", "start_limit.failures", number(1, 1_000_000))
    one("deploy.restart_policy.window", "stable_after", amounts.duration)


def _carry_count(claims: Claims, now: Now, one: One) -> None:
    app = claims.app
    for name in ("scale", "deploy.replicas"):
        if now(name) == "0":
            claims.leave(name, "Torpor's replicas are 1 and more; it is started by `torpor start`")
            app.settings.pop("always_on", None)
        elif now(name) == "1":
            claims.same(name)
        one(name, "replicas", number(1, 100))


def _constant_pause(value: str) -> dict[str, object]:
    pause = amounts.duration(value)
    return {"initial": pause, "factor": 1, "max": pause}
