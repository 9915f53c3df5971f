"""Putting apps into a configuration file that a person wrote: lines are added, and nothing else changes.

The new lines stand at the end of the block `apps:`, as far in as the apps that are there.  What
the file looks like decides only where they go; whether the result means what it should is found
by reading it, with the loader, before it takes the file's place.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

from torpor.config.additions import sync_directory
from torpor.config.document import is_text
from torpor.config.nodes import CannotCompose, Node, compose
from torpor.config.writing import STEP
from torpor.errors import ConfigUnwritable

_APPS = "apps"


def insert(raw: bytes, blocks: Sequence[Sequence[str]]) -> tuple[bytes, int] | None:
    """The file with these blocks of lines among its apps, and the number of the first new line.

    The lines stand `STEP` spaces in.  None where the file is written in a way that lines cannot be
    added to, such as `apps: {…}`.
    """
    try:
        text = raw.decode()
        root = compose(text.removeprefix("\ufeff"))
    except (UnicodeDecodeError, CannotCompose):
        return None
    lines = text.splitlines(keepends=True)
    if len(lines) != text.count("\n") + (not text.endswith("\n") and text != ""):
        return None  # a line end that an editor does not know
    end = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    place = _place(root, lines)
    if place is None:
        return None
    at, indent, heading = place
    new = [" " * (indent - STEP) + line for block in blocks for line in block]
    if indent < STEP:
        new = [line.removeprefix(" " * (STEP - indent)) for block in blocks for line in block]
    new = [*heading, *new]
    before = "".join(lines[:at])
    if before and not before.endswith("\n"):
        before += end
    added = "".join(line + end for line in new)
    return (before + added + "".join(lines[at:])).encode(), at + 1 + len(heading)


def _place(root: Node | None, lines: Sequence[str]) -> tuple[int, int, list[str]] | None:
    """After how many lines to insert, how far in the apps stand, and what has to stand before them."""
    if root is None:
        return len(lines), STEP, [f"{_APPS}:"]
    if root.kind != "map":
        return None
    keys = list(root.pairs())
    if keys and keys[0][0].column != 1:
        return None  # the whole file is one {…}
    found = [(key, value) for key, value in keys if key.text == _APPS]
    if not found:
        return len(lines), STEP, ["", f"{_APPS}:"]
    key, value = found[0]
    following = min((other.line for other, _ in keys if other.line > key.line), default=len(lines) + 1)
    if value.kind == "scalar" and not value.text and not is_text(value.text):
        return key.line, STEP, []
    if value.kind != "map" or value.line <= key.line or not value.items:
        return None
    indent = value.items[0].column - 1
    at = following - 1
    while at > key.line and not _belongs(lines[at - 1], indent):
        at -= 1
    return at, indent, []


def _belongs(line: str, indent: int) -> bool:
    """Whether a line ends the block: content, or a comment that stands as far in as the apps."""
    content = line.strip()
    if not content:
        return False
    deep = len(line) - len(line.lstrip(" ")) >= indent
    return deep if content.startswith("#") else content not in {"---", "..."}


def replace_file(path: Path, before: bytes, after: bytes) -> None:
    """Let the file at `path`, which holds `before`, hold `after`: as a whole, with its owner and mode.

    A link stays a link.  Raises `ConfigUnwritable`; then nothing has changed.
    """
    real = Path(os.path.realpath(path))
    temporary: str | None = None
    try:
        info = os.stat(real)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{real.name}.", dir=real.parent)
        with open(descriptor, "wb") as file:
            file.write(after)
            file.flush()
            if (info.st_uid, info.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(descriptor, info.st_uid, info.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(info.st_mode))
            for name in os.listxattr(real):
                # What cannot be copied (a security label) the new file got from its directory.
                with contextlib.suppress(OSError):
                    os.setxattr(descriptor, name, os.getxattr(real, name))
            os.fsync(descriptor)
        if real.read_bytes() != before:
            raise ConfigUnwritable(f"{path} was changed meanwhile", hint="Nothing was written; try again.")
        os.rename(temporary, real)
        temporary = None
        sync_directory(real.parent)
    except OSError as error:
        raise ConfigUnwritable(
            f"cannot write {path}: {error.strerror}",
            hint=f"The daemon writes it, and needs the right to do so in {real.parent}.",
        ) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
