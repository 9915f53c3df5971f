"""What becomes of an app's output."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

from msgspec import UNSET

from torpor.config.layers import Layers
from torpor.config.settings import Compression, LogSpec

_DEFAULT = LogSpec()


def build_log(keys: Layers) -> LogSpec:
    """The settings of the app's log.  What is wrong goes to the problems."""
    value = keys.get("log", None)
    if value is None:
        return _DEFAULT
    found: dict[str, Any] = {
        name: given for name in value.__struct_fields__ if (given := getattr(value, name)) is not UNSET
    }
    plain: dict[str, Callable[[Any], Any]] = {
        "max_size": int,
        "max_total": int,
        "max_age": float,
        "rotate": lambda period: period.meaning,
    }
    for name, convert in plain.items():
        if name in found:
            found[name] = convert(found[name])
    spec = LogSpec(**found)
    if spec.max_total is not None and spec.max_total < spec.max_size:
        keys.report("log", "is less than max_size, which the current file alone may take", "max_total")
    if spec.compress is Compression.ZSTD and shutil.which("zstd") is None:
        keys.report(
            "log", "needs the command `zstd`, which is not installed; install it, or write gzip", "compress"
        )
    return spec
