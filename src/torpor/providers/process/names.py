"""What the cgroups of an instance are called."""

from __future__ import annotations

from torpor.core.model import InstanceId
from torpor.logs.names import file_name
from torpor.providers.process.tree import Mark


def label(id: InstanceId, generation: int, mark: Mark) -> str:
    """The name of a generation's cgroups."""
    return f"{file_name(id)}.{generation}.{mark.text[-8:]}"
