"""Which other units a unit needs, and which targets it is part of."""

from __future__ import annotations

from collections.abc import Callable

from torpor.importers.claims import Claims
from torpor.importers.draft import Need
from torpor.importers.names import fit_name
from torpor.importers.unit_file import Unit

_NEEDS = ("Requires", "BindsTo", "Requisite", "Wants", "After")


def carry_needs(
    claims: Claims, names: Callable[[str], list[str]], known: Callable[[str], Unit | None]
) -> None:
    """Carry over requirements; `names` are the units of a setting, `known` those that are imported as well."""
    named = {kind: names(kind) for kind in _NEEDS}
    strong = {name for kind in ("Requires", "BindsTo", "Requisite") for name in named[kind]}
    app = claims.app
    for kind in _NEEDS:
        if kind not in claims:
            continue
        outside = [name for name in named[kind] if known(name) is None]
        if outside:
            app.notes.append(
                f"{kind}={' '.join(outside)}: not among the units that are imported; if Torpor runs it, name it in depends_on"
            )
        claims.settle(kind)
    for name in dict.fromkeys(name for kind in _NEEDS for name in named[kind]):
        other = known(name)
        if other is None:
            continue
        if name in strong or name in named["Wants"]:
            optional = name not in strong
            kinds = " ".join(kind for kind in _NEEDS if name in named[kind])
            condition = _condition(other) if name in named["After"] else "started"
            app.needs.append(Need(other.name.rstrip("@"), condition, optional, f"{kinds}={name}"))
            if optional and name in named["After"]:
                app.notes.append(
                    f"After={name}: what is only wanted is not waited for; without `optional` it would be"
                )
        else:
            app.notes.append(f"After={name}: order only; if it needs it, say so with depends_on")


def carry_parts(claims: Claims, names: Callable[[str], list[str]]) -> None:
    """What is part of a target is stopped and restarted with it; in Torpor a group is such a handle."""
    whole = names("PartOf")
    targets = [name for name in whole if name.endswith(".target")]
    if not targets:
        return
    groups = list(dict.fromkeys(fit_name(name.removesuffix(".target")) for name in targets))
    claims.app.put(
        "member_of",
        groups if len(groups) > 1 else groups[0],
        f"PartOf={' '.join(targets)}: `torpor restart group:{groups[0]}` restarts all of it",
    )
    if len(targets) == len(whole):
        claims.settle("PartOf")


def _condition(other: Unit) -> str:
    return "completed_successfully" if other.last("Type") == "oneshot" else "healthy"
