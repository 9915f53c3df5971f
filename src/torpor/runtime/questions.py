"""Whether an app that nobody uses is at work nevertheless: what is asked before it falls asleep.

Laws:

1. What cannot be found out keeps it awake: a command that cannot be run or does not end, a path
   that does not answer, an instance that cannot be measured.
2. Asking is no activity, and goes straight to the instance.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from torpor.core.model import Endpoint, ExecProbe, HttpProbe, IdleQuestion
from torpor.errors import TorporError
from torpor.providers.base import Launch, Provider, Running
from torpor.runtime.probes import status_of

_SERVER_ERROR = 500
_CANNOT_TELL = 126
"""Exit codes from here on are those of a shell that could not run the command, or of a signal."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found out."""

    keeps_awake: bool
    text: str


async def ask(question: IdleQuestion, launch: Launch, running: Running, provider: Provider) -> Finding:
    """Find out whether the instance is at work.  The cheaper question first; one that keeps it awake suffices."""
    findings = []
    if question.probe is not None:
        findings.append(await _ask_probe(question.probe, question.timeout, launch, running, provider))
    if question.cpu_below is not None and not any(found.keeps_awake for found in findings):
        findings.append(await _measure(question.cpu_below, question.cpu_window, launch, provider))
    return next(
        (found for found in findings if found.keeps_awake),
        Finding(keeps_awake=False, text=", ".join(found.text for found in findings)),
    )


async def _measure(below: float, window: float, launch: Launch, provider: Provider) -> Finding:
    """How much CPU it uses; 1.0 is one core."""
    loop = asyncio.get_running_loop()
    before, began = provider.stats(launch.id), loop.time()
    await asyncio.sleep(window)
    after, took = provider.stats(launch.id), loop.time() - began
    if before is None or after is None or before.cpu is None or after.cpu is None:
        return Finding(keeps_awake=True, text="its CPU time cannot be measured")
    # A process that ended in between may have taken its part out of the sum.
    share = max(0.0, after.cpu - before.cpu) / took
    word = "below" if share < below else "not below"
    text = f"uses {_percent(share)} of a core, {word} {_percent(below)}"
    return Finding(keeps_awake=share >= below, text=text)


async def _ask_probe(
    probe: ExecProbe | HttpProbe, timeout: float, launch: Launch, running: Running, provider: Provider
) -> Finding:
    try:
        if isinstance(probe, HttpProbe):
            return await _ask_path(probe, timeout, running.endpoint)
        return await _ask_command(probe, timeout, launch, provider)
    except TorporError as error:
        return Finding(keeps_awake=True, text=f"cannot tell: {error.message}")


async def _ask_command(probe: ExecProbe, timeout: float, launch: Launch, provider: Provider) -> Finding:
    words = " ".join(probe.command)
    info = await provider.run_command(launch, probe.command, timeout)
    if info is None:
        return Finding(keeps_awake=True, text=f"cannot tell: `{words}` did not end within {timeout:g} s")
    if info.code is None or info.code >= _CANNOT_TELL:
        return Finding(keeps_awake=True, text=f"cannot tell: `{words}` {info}")
    return Finding(keeps_awake=info.clean, text=f"`{words}` {info}")


async def _ask_path(probe: HttpProbe, timeout: float, endpoint: Endpoint | None) -> Finding:
    status = None
    if endpoint is not None:
        try:
            async with asyncio.timeout(timeout):
                status = await status_of(endpoint, probe.path)
        except (TimeoutError, OSError):
            pass
    if status is None:
        return Finding(keeps_awake=True, text=f"cannot tell: {probe.path} does not answer")
    if status >= _SERVER_ERROR:
        return Finding(keeps_awake=True, text=f"cannot tell: {probe.path} answers {status}")
    holds = any(low <= status <= high for low, high in probe.codes)
    return Finding(keeps_awake=holds, text=f"{probe.path} answers {status}")


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"
