"""Finds every way in which data does not fit the declarations.

msgspec checks a whole file fast but stops at the first thing it dislikes.  Only
then this walk is made, over the same declarations, so it cannot disagree about
what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import Enum
from functools import cache
from typing import Any

import msgspec.inspect as declared

from torpor.config.declarations import SYNONYMS
from torpor.config.problems import KeyPath, near_miss
from torpor.config.scalars import parse_scalar

Report = Callable[[KeyPath, str, str | None, bool], None]
"""Called with the path, what is wrong, what was probably meant, and whether the key itself is meant."""

_NOUNS = {
    declared.StrType: "text",
    declared.EnumType: "text",
    declared.CustomType: "text",
    declared.IntType: "a whole number",
    declared.FloatType: "a number",
    declared.BoolType: "true or false",
    declared.ListType: "a list",
    declared.DictType: "a map",
    declared.StructType: "a map",
    declared.NoneType: "nothing",
}
_YAML_1_1 = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
_SHOWN = 60
_EXACT = 2**53
"""Whole numbers below it are the same as floats."""


@cache
def declared_type(cls: type) -> declared.Type:
    """The declaration of `cls`, as a tree to walk."""
    return declared.type_info(cls)


def explain(kind: declared.Type, value: Any, path: KeyPath, report: Report) -> None:
    """Report all of `value` that does not fit `kind`."""
    kind = _unwrap(kind)
    if isinstance(kind, declared.UnionType):
        kind = _alternative(kind, value) or kind
    if isinstance(kind, declared.StructType):
        _explain_keys(kind, value, path, report)
    elif isinstance(kind, declared.DictType) and isinstance(value, dict):
        for key, item in value.items():
            explain(kind.value_type, item, (*path, key), report)
    elif isinstance(kind, declared.ListType) and isinstance(value, list):
        for position, item in enumerate(value):
            explain(kind.item_type, item, (*path, position), report)
    elif (complaint := _complaint(kind, value)) is not None:
        guess = None
        if isinstance(kind, declared.EnumType) and isinstance(value, str):
            guess = near_miss(value, _members(kind.cls))
        report(path, complaint, guess, False)


def _explain_keys(kind: declared.StructType, value: Any, path: KeyPath, report: Report) -> None:
    if not isinstance(value, dict):
        report(path, _wrong_type(kind, value), None, False)
        return
    fields = {field.encode_name: field for field in kind.fields}
    for key, item in value.items():
        if key in fields:
            explain(fields[key].type, item, (*path, key), report)
            continue
        guess = SYNONYMS.get(key.lower())
        if guess not in fields:
            guess = near_miss(key, fields)
        report((*path, key), f"unknown key '{legible(key)}'", guess, True)
    for name, field in fields.items():
        if field.required and name not in value:
            report(path, f"'{name}' is missing", None, True)


def _complaint(kind: declared.Type, value: Any) -> str | None:
    """What is wrong with a value that holds no others; None if it fits."""
    if isinstance(kind, declared.CustomType):
        if value is None:
            return _wrong_type(kind, value)
        try:
            parse_scalar(kind.cls, value)
        except ValueError as error:
            return str(error)
        return None
    if isinstance(kind, declared.EnumType):
        members = _members(kind.cls)
        if isinstance(value, str) and value in members:
            return None
        shown = f"'{legible(value)}'" if isinstance(value, str) else _article(value)
        return f"{shown} is not one of {', '.join(members)}"
    if isinstance(kind, declared.UnionType) or not _fits(kind, value):
        return _wrong_type(kind, value)
    if isinstance(kind, (declared.IntType, declared.FloatType)):
        return _out_of_bounds(kind, value)
    if isinstance(kind, declared.StrType):
        return _unfit_text(kind, value)
    return None


def _out_of_bounds(kind: declared.IntType | declared.FloatType, value: float) -> str | None:
    if kind.ge is not None and not value >= kind.ge:
        return f"{value} is below {kind.ge}"
    if kind.le is not None and not value <= kind.le:
        return f"{value} is above {kind.le}"
    return None


def _unfit_text(kind: declared.StrType, value: str) -> str | None:
    if kind.max_length is not None and len(value) > kind.max_length:
        return f"is longer than {kind.max_length} characters"
    if kind.pattern is not None and re.search(kind.pattern, value) is None:
        if kind.pattern == "^/":
            return f"'{legible(value)}' is not a path; it must begin with '/'"
        return f"'{legible(value)}' does not match {kind.pattern}"
    return None


def _alternative(kind: declared.UnionType, value: Any) -> declared.Type | None:
    """The member of a union that `value` was meant to be."""
    return next((each for each in map(_unwrap, kind.types) if _fits(each, value)), None)


def _fits(kind: declared.Type, value: Any) -> bool:
    """Whether the value has the right kind of form (not: the right content)."""
    match kind:
        case declared.StrType() | declared.EnumType():
            return isinstance(value, str)
        case declared.BoolType():
            return isinstance(value, bool)
        case declared.IntType():
            return isinstance(value, int) and not isinstance(value, bool)
        case declared.FloatType():
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case declared.ListType():
            return isinstance(value, list)
        case declared.DictType() | declared.StructType():
            return isinstance(value, dict)
        case declared.NoneType():
            return value is None
        case _:
            return False


def _wrong_type(kind: declared.Type, value: Any) -> str:
    kinds = kind.types if isinstance(kind, declared.UnionType) else (kind,)
    nouns = list(dict.fromkeys(_NOUNS[type(_unwrap(each))] for each in kinds))
    wanted = " or ".join([", ".join(nouns[:-1]), nouns[-1]] if len(nouns) > 1 else nouns)
    if value is None:
        return f"has no value; give it {wanted}, or remove the key"
    if "true or false" in nouns and isinstance(value, str) and value.lower() in _YAML_1_1:
        return f"'{value}' is text; write {_YAML_1_1[value.lower()]}"
    if "a whole number" in nouns and isinstance(value, float):
        instead = f"; write {value:.0f}" if value.is_integer() and abs(value) < _EXACT else ""
        return f"must be {wanted}, not {value}{instead}"
    quotes = "; put it in quotes" if isinstance(value, (bool, int, float)) and _takes_any_text(kinds) else ""
    return f"must be {wanted}, not {_article(value)}{quotes}"


def _takes_any_text(kinds: Sequence[declared.Type]) -> bool:
    """Whether a number or truth value may have been meant as text.

    Text that stands beside a map is its short form, and text beside a number is a
    name: neither takes what is no text just because it stands in quotes.
    """
    kinds = [_unwrap(kind) for kind in kinds]
    return any(isinstance(kind, declared.StrType) and kind.pattern is None for kind in kinds) and not any(
        isinstance(kind, (declared.IntType, declared.FloatType, declared.StructType)) for kind in kinds
    )


def _article(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return "a number"
        case str():
            return f"the text '{legible(value)}'"
        case list():
            return "a list"
        case _:
            return "a map"


def _members(cls: type) -> list[str]:
    assert issubclass(cls, Enum)
    return [str(member.value) for member in cls]


def _unwrap(kind: declared.Type) -> declared.Type:
    while isinstance(kind, declared.Metadata):
        kind = kind.type
    return kind


def legible(text: str, most: int = _SHOWN) -> str:
    """Foreign text, printable and of `most` characters, if they are plain ones."""
    text = text if len(text) <= most else text[: most - 1] + "…"
    return text if text.isprintable() else text.encode("unicode_escape").decode()
