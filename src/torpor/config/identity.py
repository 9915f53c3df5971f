"""As whom an app runs: names and numbers looked up in the system's own lists."""

from __future__ import annotations

import grp
import os
import pwd
from functools import partial

from torpor.config.layers import Layers
from torpor.config.problems import near_miss
from torpor.config.settings import Identity

MAX_ID = 2**32 - 2
MAX_GROUPS = 1000
_NEEDS_ROOT = "only root may give an app {}; run Torpor as root, or remove the key"


def build_identity(keys: Layers) -> Identity | None:
    """The user and groups of the app; None: those of Torpor.

    Who is not root may name himself and his own group, which changes nothing.
    """
    named, main, others = (keys.get(key, None) for key in ("user", "group", "groups"))
    if named is None and main is None and others is None:
        return None
    user = _own_user() if named is None else keys.attempt(lambda: _user(named), "user")
    gid = None if main is None else keys.attempt(lambda: _gid(main), "group")
    groups = None if others is None else _groups(keys, others)
    if user is None:
        return None
    if os.geteuid() != 0:
        _check_nothing_changes(keys, user, gid, groups)
        return None
    gid = user.pw_gid if gid is None else gid
    if groups is None:
        groups = frozenset(os.getgrouplist(user.pw_name, gid) if named is not None else os.getgroups())
    return Identity(
        user.pw_uid, gid, tuple(sorted(groups)), user.pw_name, user.pw_dir or "/", user.pw_shell or "/bin/sh"
    )


def _check_nothing_changes(
    keys: Layers, user: pwd.struct_passwd, gid: int | None, groups: frozenset[int] | None
) -> None:
    if user.pw_uid != os.geteuid():
        keys.report("user", _NEEDS_ROOT.format("another user"))
    if gid is not None and gid != os.getegid():
        keys.report("group", _NEEDS_ROOT.format("another group"))
    if groups is not None and groups != frozenset(os.getgroups()):
        keys.report("groups", _NEEDS_ROOT.format("other groups"))


def _own_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(os.geteuid())
    except KeyError:  # a container that runs as a number
        name = str(os.geteuid())
        return pwd.struct_passwd((name, "x", os.geteuid(), os.getegid(), "", "/", "/bin/sh"))


def _user(value: str | int) -> pwd.struct_passwd:
    """The user of that name or number.  Raises `ValueError`."""
    number = _number(value)
    try:
        return pwd.getpwnam(str(value)) if number is None else pwd.getpwuid(number)
    except (KeyError, ValueError, OverflowError):
        guess = near_miss(str(value), [user.pw_name for user in pwd.getpwall()]) if number is None else None
        raise ValueError(_unknown("user", value, guess)) from None


def _gid(value: str | int) -> int:
    """The group of that name or number.  Raises `ValueError`."""
    number = _number(value)
    try:
        return grp.getgrnam(str(value)).gr_gid if number is None else grp.getgrgid(number).gr_gid
    except (KeyError, ValueError, OverflowError):
        guess = near_miss(str(value), [group.gr_name for group in grp.getgrall()]) if number is None else None
        raise ValueError(_unknown("group", value, guess)) from None


def _groups(keys: Layers, value: str | int | list[str | int]) -> frozenset[int] | None:
    items = value if isinstance(value, list) else [value]
    if len(items) > MAX_GROUPS:
        keys.report("groups", f"has more than {MAX_GROUPS} groups")
        return None
    found: set[int] = set()
    for position, item in enumerate(items):
        inner = (position,) if isinstance(value, list) else ()
        gid = keys.attempt(partial(_gid, item), "groups", *inner)
        if gid is not None:
            found.add(gid)
    return frozenset(found)


def _number(value: str | int) -> int | None:
    """The number that is meant; None for a name.  Names of digits alone do not exist on Linux."""
    text = str(value)
    if text.isascii() and text.isdigit():
        return min(int(text), MAX_ID + 1)
    return None


def _unknown(kind: str, value: str | int, guess: str | None) -> str:
    hint = f" (did you mean '{guess}'?)" if guess else ""
    return f"there is no {kind} {str(value)!r} on this system{hint}"
