"""The keys that say how apps share the machine: its memory, and named budgets."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, UnsetType

from torpor.config.declarations.keys import Keys, about
from torpor.config.declarations.supervision import Supervision
from torpor.config.scalars import KeepFree
from torpor.config.units import Patience, Size, duration_text
from torpor.core.sharing import HIGHEST, LOWEST, Admission, MemoryRules, Share

_RULES = MemoryRules()
_SHARE = Share()


class Memory(Keys, frozen=True):
    """How the memory of the machine is shared."""

    keep_free: (
        Annotated[
            KeepFree,
            about(
                "How much is to stay available, as a size or a share of all: below that, apps are put to sleep, one after "
                "the other. Without it no app sleeps for memory, and none waits for it.",
                "256M",
            ),
        ]
        | UnsetType
    ) = UNSET
    admission: (
        Annotated[
            Admission,
            about(
                "What becomes of a wake for which there is too little: `evict` others first, `refuse` it with a 503, or "
                "`allow` it.",
                "refuse",
                _RULES.admission.value,
            ),
        ]
        | UnsetType
    ) = UNSET
    check_interval: (
        Annotated[
            Patience,
            about(
                "How often to look how much is available, beside the kernel's own signs of pressure. `never`: only at those.",
                "5s",
                duration_text(_RULES.check_interval),
            ),
        ]
        | UnsetType
    ) = UNSET


class Budget(Keys, frozen=True):
    """One budget."""

    size: (
        Annotated[
            str | int,
            about(
                "How much there is: a size, or a plain number. `auto`: as much memory as the GPU has.",
                "24GB",
                "auto",
            ),
        ]
        | UnsetType
    ) = UNSET
    device: (
        Annotated[
            int,
            about(
                "The number of the NVIDIA GPU whose memory this is; what other programs use of it counts.",
                0,
                ge=0,
                le=63,
            ),
        ]
        | UnsetType
    ) = UNSET


class Shared(Supervision, frozen=True):
    """The keys of an app that are about the others."""

    priority: (
        Annotated[
            int,
            about(
                f"From {LOWEST} to {HIGHEST}: the lower, the sooner the app is put to sleep for others.",
                80,
                _SHARE.priority,
                ge=LOWEST,
                le=HIGHEST,
            ),
        ]
        | UnsetType
    ) = UNSET
    evict_busy: (
        Annotated[
            bool,
            about(
                "Whether it may be put to sleep for memory while it answers requests, which `drain_timeout` then cuts off.",
                True,
                _SHARE.evict_busy,
            ),
        ]
        | UnsetType
    ) = UNSET
    memory: (
        Annotated[
            Size,
            about(
                "How much memory it takes awake, all replicas together, to tell whether a wake fits. Without it Torpor "
                "goes by what it measured last. It is no limit: that is `memory_max`.",
                "300M",
            ),
        ]
        | UnsetType
    ) = UNSET
    uses: (
        Annotated[
            dict[str, str | int],
            about(
                "How much of which of the `budgets` each of its replicas uses up.",
                {"gpu0": "18GB", "slots": 1},
            ),
        ]
        | UnsetType
    ) = UNSET
