"""What the cgroups of an instance are called."""

from __future__ import annotations

from torpor.logs.names import file_name
from torpor.providers.base import Launch
from torpor.providers.process.tree import Mark


def label(launch: Launch, mark: Mark) -> str:
    """The name of a generation's cgroups."""
    return f"{file_name(launch.id)}.{launch.generation}.{mark.text[-8:]}"
