"""The memory of NVIDIA GPUs, read by NVML where there is such a library (the extra `gpu`).

Where there is none, or no such GPU, nothing is known, and budgets hold as they are written.
All of it may take long: it is called in a thread.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable, Collection, Mapping
from typing import Any

from torpor.providers.process.procfs import read_process

log = logging.getLogger(__name__)

MODULE = "pynvml"
_DEEPEST = 64
"""Generations of processes that are looked through for one of ours."""


def read_gpus(numbers: Collection[int], ours: Collection[int]) -> dict[int, tuple[int, int]]:
    """Of each GPU all of its memory, and what programs take that are not below `ours`, in bytes."""
    try:
        nvml: Any = importlib.import_module(MODULE)
        nvml.nvmlInit()
    except Exception as error:  # noqa: BLE001  # no library, no driver, or one that is broken: all the same to us
        log.debug("no NVML: %s", error)
        return {}
    try:
        return {
            number: gpu
            for number in numbers
            if (gpu := _read(nvml, number, {os.getpid(), *ours})) is not None
        }
    finally:
        nvml.nvmlShutdown()


def _read(nvml: Any, number: int, ours: Collection[int]) -> tuple[int, int] | None:
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(number)
        total = int(nvml.nvmlDeviceGetMemoryInfo(handle).total)
        users: dict[int, int] = {}
        for ask in (nvml.nvmlDeviceGetComputeRunningProcesses, nvml.nvmlDeviceGetGraphicsRunningProcesses):
            users |= {it.pid: int(it.usedGpuMemory or 0) for it in ask(handle)}
    except nvml.NVMLError as error:
        log.warning("GPU %s cannot be read: %s", number, error)
        return None
    return total, sum(used for pid, used in users.items() if is_foreign(pid, ours))


def is_foreign(pid: int, ours: Collection[int], parent: Callable[[int], int | None] | None = None) -> bool:
    """Whether a process is there and neither one of ours nor below one.

    A pid that nobody knows is one of another pid namespace: whose it is cannot be told.
    """
    parent = parent or _parent
    if parent(pid) is None:
        return False
    at: int | None = pid
    for _ in range(_DEEPEST):
        if not at or at in ours:
            break
        at = parent(at)
    return at not in ours


def _parent(pid: int) -> int | None:
    process = read_process(pid)
    return None if process is None else process.parent


Gpus = Mapping[int, tuple[int, int]]
"""All of a GPU's memory and what others than our apps use of it, by its number."""
