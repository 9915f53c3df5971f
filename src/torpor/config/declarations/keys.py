"""What every map of a configuration has in common."""

from __future__ import annotations

from typing import Any

from msgspec import Meta, Struct


class Keys(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A map with known keys.  A key that is not written is UNSET, so that `defaults` can tell."""


def about(description: str, example: object = None, default: object = None, **bounds: Any) -> Meta:
    """The documentation of one key; `bounds` are msgspec's."""
    return Meta(
        description=description,
        examples=None if example is None else [example],
        extra_json_schema=None if default is None else {"default": default},
        **bounds,
    )
