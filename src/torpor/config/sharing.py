"""From the keys about sharing to their frozen values, and whether they make sense together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from msgspec import UNSET

from torpor.config import declarations as declared
from torpor.config.document import Document
from torpor.config.layers import Layers
from torpor.config.problems import KeyPath, Problems, near_miss
from torpor.config.units import Size
from torpor.core.budgets import amount_words
from torpor.core.model import AppSpec
from torpor.core.sharing import Budget, MemoryRules, Share, Sharing

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_AUTO = "auto"
_LARGEST = 1_000_000


def build_sharing(keys: declared.File, document: Document, problems: Problems) -> Sharing:
    """What the top of the main file says of it.  What is wrong goes to `problems`."""
    memory = MemoryRules() if keys.memory is UNSET else _memory(keys.memory)
    budgets: dict[str, Budget] = {}
    for name, value in {} if keys.budgets is UNSET else keys.budgets.items():
        try:
            budgets[name] = _budget(name, value)
        except ValueError as error:
            where: KeyPath = ("budgets", name)
            problems.add(document.problem(where, str(error)))
            budgets[name] = Budget(None)
    return Sharing(memory, MappingProxyType(budgets))


def build_share(keys: Layers) -> Share:
    """What an app says of it."""
    default = Share()
    uses: dict[str, int] = {}
    for name, value in keys.get("uses", {}).items():
        amount = keys.attempt(partial(parse_amount, value), "uses", name)
        if amount is not None:
            uses[name] = amount[0]
    memory = keys.get("memory", None)
    return Share(
        priority=keys.get("priority", default.priority),
        evict_busy=keys.get("evict_busy", default.evict_busy),
        memory=None if memory is None else int(memory),
        uses=MappingProxyType(uses),
    )


def check_sharing(apps: Mapping[str, AppSpec], keys: Mapping[str, Layers], sharing: Sharing) -> None:
    """Report uses of budgets that there are not, or that can never be met."""
    always: dict[str, int] = {}
    for app in apps.values():
        for name, amount in app.share.uses.items():
            report = partial(keys[app.name].report, "uses")
            budget = sharing.budgets.get(name)
            if budget is None:
                known = ", ".join(sharing.budgets) or "none"
                report(f"there is no budget '{name}' (there is {known}); `budgets:` at the top of the main file names them",
                       name, suggestion=near_miss(name, sharing.budgets), at_key=True)  # fmt: skip
                continue
            if budget.sized is not parse_amount(keys[app.name].get("uses", {})[name])[1]:
                unit = "a size, e.g. 18GB" if budget.sized else "a plain number, e.g. 1"
                report(f"'{name}' is counted otherwise: write {unit}", name)
                continue
            needs, limit = amount * app.replicas, budget.limit
            if limit is None:
                continue
            if needs > limit:
                each = f"{app.replicas} replicas use" if app.replicas > 1 else "uses"
                report(
                    f"{each} {amount_words(budget, needs)} of '{name}', of which there is {amount_words(budget, limit)}",
                    name,
                )
            elif app.lifecycle.always_on:
                always[name] = always.get(name, 0) + needs
                if always[name] > limit:
                    report(f"apps that are always on use {amount_words(budget, always[name])} of '{name}' together, of which there "
                           f"is {amount_words(budget, limit)}", name)  # fmt: skip


def parse_amount(value: str | int) -> tuple[int, bool]:
    """An amount, and whether it is one of bytes.  Raises `ValueError`."""
    if isinstance(value, str) and not value.isdigit():
        return int(Size.parse(value)), True
    amount = int(value)
    if not 1 <= amount <= _LARGEST:
        raise ValueError(f"{amount} is not from 1 to {_LARGEST}; sizes need a unit, e.g. 18GB")
    return amount, False


def _memory(keys: declared.Memory) -> MemoryRules:
    default = MemoryRules()
    return MemoryRules(
        keep_free=default.keep_free if keys.keep_free is UNSET else keys.keep_free.amount,
        admission=default.admission if keys.admission is UNSET else keys.admission,
        check_interval=default.check_interval if keys.check_interval is UNSET else keys.check_interval.limit,
    )


def _budget(name: str, value: str | int | declared.Budget) -> Budget:
    if _NAME.fullmatch(name) is None:
        raise ValueError(
            f"'{name}' is no name; write up to 63 letters, digits, '.', '_' and '-', beginning with a letter or digit"
        )
    return _worth(value)


def _worth(value: str | int | declared.Budget) -> Budget:
    if value == _AUTO:
        raise ValueError(
            "only the memory of a GPU is known by itself; write {device: 0}, or how much there is"
        )
    if not isinstance(value, declared.Budget):
        amount, sized = parse_amount(value)
        return Budget(amount, sized)
    size = _AUTO if value.size is UNSET else value.size
    if value.device is UNSET:
        if size == _AUTO:
            raise ValueError(
                "says not how much there is; write `size: 24GB`, or `device: 0` for the memory of a GPU"
            )
        return _worth(size)
    if size == _AUTO:
        return Budget(None, sized=True, device=value.device)
    amount, sized = parse_amount(size)
    if not sized:
        raise ValueError("the memory of a GPU is a size, e.g. 24GB, or `auto`")
    return Budget(amount, sized, value.device)
