"""Which file is the configuration."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from torpor.config.paths import config_home
from torpor.errors import ConfigNotFound

NAME = "torpor.yaml"
SYSTEM_FILE = "/etc/torpor/torpor.yaml"


def find_config(named: str | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """The file to load: `named` (`-c`), `$TORPOR_CONFIG`, `./torpor.yaml`, the user's, the system's.

    A file that was asked for by name must be there; of the others the first that exists
    is taken.  As root, one in the current directory counts only if it is root's and
    nobody else may write it: whoever can write it can run commands.
    Raises `ConfigNotFound`.
    """
    for asked, origin in ((named, "-c"), (environ.get("TORPOR_CONFIG"), "TORPOR_CONFIG")):
        if asked:
            if not os.path.exists(asked):
                raise ConfigNotFound(f"no such file: {asked} (named by {origin})")
            return Path(asked)
    user_file = os.path.join(config_home(environ), "torpor", NAME)
    distrusted = None
    if os.path.exists(NAME):
        distrusted = None if os.geteuid() else distrust(NAME)
        if distrusted is None:
            return Path(NAME)
    for candidate in (user_file, SYSTEM_FILE):
        if os.path.exists(candidate):
            return Path(candidate)
    looked = f"looked for ./{NAME}, {user_file} and {SYSTEM_FILE}"
    if distrusted:
        looked += f"; ./{NAME} is there but root does not trust it: {distrusted}"
    raise ConfigNotFound(f"no configuration found: {looked}", hint="Name one with -c FILE.")


def distrust(path: str) -> str | None:
    """Why root should not take orders from the file; None if it may.  Links are judged with their target."""
    for info in (os.lstat(path), os.stat(path)):
        if info.st_uid != 0:
            return f"it belongs to user {info.st_uid}"
        if not stat.S_ISLNK(info.st_mode) and info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return "others may write it"
    return None
