"""As whom a program runs, and what the system says of that user."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping

from torpor.config.settings import Identity

_OF_THE_OTHER = frozenset({"XDG_RUNTIME_DIR", "TMPDIR"})
"""What names a folder of the daemon's own user."""


def is_own(identity: Identity) -> bool:
    """Whether the daemon runs as exactly that already, so that nothing needs to be changed."""
    return (
        os.geteuid() == identity.uid
        and os.getegid() == identity.gid
        and set(os.getgroups()) | {identity.gid} == set(identity.groups) | {identity.gid}
    )


def environment_as(base: Mapping[str, str], identity: Identity | None, *, clean: bool) -> dict[str, str]:
    """`base` as it is for a program that runs as `identity`.

    HOME, USER, LOGNAME and SHELL are the user's own.  `clean`: nothing else is taken
    from the base but its search path.
    """
    environment = {} if clean else dict(base)
    if identity is not None:
        if identity.uid != os.geteuid():
            environment = {name: value for name, value in environment.items() if name not in _OF_THE_OTHER}
        environment.update(_names(identity.name, identity.home, identity.shell))
    elif clean:
        environment.update(_own_names())
    return environment


def _own_names() -> dict[str, str]:
    try:
        user = pwd.getpwuid(os.geteuid())
    except KeyError:  # a container's user without a name
        return {}
    return _names(user.pw_name, user.pw_dir, user.pw_shell)


def _names(name: str, home: str, shell: str) -> dict[str, str]:
    return {"HOME": home, "USER": name, "LOGNAME": name, "SHELL": shell}
