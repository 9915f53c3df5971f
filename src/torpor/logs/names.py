"""Instances as names of files, and back."""

from __future__ import annotations

import os
import re

from torpor.core.model import InstanceId

_NAME = re.compile(rb"((?:[A-Za-z0-9_-]|%[0-9A-F]{2})+)(?:\+(\d+))?(?:@(\d+))?")


def file_name(id: InstanceId) -> str:
    """A file name for an instance, and for no other one."""
    app = re.sub(rb"[^A-Za-z0-9_-]", lambda m: b"%%%02X" % m[0][0], os.fsencode(id.app)).decode()
    replica = f"+{id.replica}" if id.replica else ""
    release = f"@{id.release}" if id.release else ""
    return app + replica + release


def read_stream_name(name: str) -> tuple[InstanceId, str] | None:
    """Whose the file `web.log` or `web.stderr.log` is, and which stream; None: nobody's."""
    stem, stream = name.removesuffix(".log"), "stdout"
    if stem.endswith(".stderr"):
        stem, stream = stem.removesuffix(".stderr"), "stderr"
    found = _NAME.fullmatch(os.fsencode(stem))
    if found is None:
        return None
    app = re.sub(rb"%([0-9A-F]{2})", lambda m: bytes([int(m[1], 16)]), found[1])
    return InstanceId(os.fsdecode(app), int(found[2] or 0), int(found[3] or 0)), stream
