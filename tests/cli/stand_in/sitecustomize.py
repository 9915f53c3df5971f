"""Puts a stand-in in the place of `torpor.daemon`, for tests of `up`: the name of the config says what it does."""

from __future__ import annotations

import signal
import sys
import types


def main(config: str | None, *, exit_with: str | None = None) -> int:
    """Serve invented apps, or fail in the way that the config's name asks for; with `exit_with` just exit."""
    import asyncio
    import os

    from control.daemon import main as serve
    from torpor.errors import ConfigInvalid, ListenFailed

    if exit_with is not None:
        return len(exit_with)
    if config and config.endswith("invalid.yaml"):
        raise ConfigInvalid(("torpor.yaml:3:5: apps.web.prot: unknown setting", "torpor.yaml:9:1: oh no"))
    if config and config.endswith("taken.yaml"):
        raise ListenFailed("cannot listen on 127.0.0.1:80", hint="Take another port.")
    if config and config.endswith("hung.yaml"):
        signal.pause()
    if config and config.endswith("broken.yaml"):
        print("something is broken", file=sys.stderr)
        return 78
    asyncio.run(serve(os.environ["TORPOR_SOCKET"], 6))
    return 0


module = types.ModuleType("torpor.daemon")
module.main = main  # type: ignore[attr-defined]
sys.modules["torpor.daemon"] = module
