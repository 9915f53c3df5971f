"""What the user means by names: apps, globs over them, and groups."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from torpor.errors import UnknownApp, unknown_app

GROUP = "group:"
"""What stands before the name of a group, as in `core.companions`, which verbs do not pay for."""

Known = Mapping[str, Collection[str]]
"""The groups of each app, by its name."""


def is_glob(name: str) -> bool:
    """Whether a name may mean several apps: `web-*`, or `group:web`."""
    return name.startswith(GROUP) or any(char in name for char in "*?[")


def meant(known: Known, names: Sequence[str]) -> list[str]:
    """The apps that the names and globs mean, each once, in the order asked for.

    Raises `UnknownApp` where one of them means nothing.
    """
    chosen: dict[str, None] = {}
    for name in names:
        if name in known:
            chosen[name] = None
        elif name.startswith(GROUP):
            chosen.update(dict.fromkeys(_members(known, name.removeprefix(GROUP))))
        elif is_glob(name):
            chosen.update(dict.fromkeys(_matching(known, name)))
        else:
            raise unknown_app(name, known)
    return list(chosen)


def _matching(known: Known, glob: str) -> list[str]:
    from fnmatch import fnmatchcase  # noqa: PLC0415  # plain names do not pay for it

    found = [name for name in known if fnmatchcase(name, glob)]
    if not found:
        raise UnknownApp(f"no app matches {glob!r}")
    return found


def _members(known: Known, group: str) -> list[str]:
    """The apps of a group, or of those that a glob means."""
    from fnmatch import fnmatchcase  # noqa: PLC0415  # plain names do not pay for it

    found = [name for name, groups in known.items() if any(fnmatchcase(each, group) for each in groups)]
    if not found:
        there = sorted({each for groups in known.values() for each in groups})
        hint = f"There are: {', '.join(there)}." if there else "`member_of: NAME` puts an app into one."
        raise UnknownApp(f"no app is in a group {group!r}", hint=hint)
    return found
