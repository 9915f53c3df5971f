"""The keys that say as whom an app runs, what it may use up, and what is taken from it."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, UnsetType

from torpor.config.declarations.guests import Guests
from torpor.config.declarations.keys import Keys, about
from torpor.config.rlimits import CountLimit, SizeLimit, TimeLimit
from torpor.config.scalars import Umask
from torpor.config.units import Size


class Rlimits(Keys, frozen=True, rename={"as_": "as"}):
    """Limits of each process: one value, `SOFT:HARD`, or `unlimited`."""

    as_: Annotated[SizeLimit, about("Address space.", "4G")] | UnsetType = UNSET
    core: Annotated[SizeLimit, about("Size of a core dump; 0 for none.", 0)] | UnsetType = UNSET
    cpu: Annotated[TimeLimit, about("Time on the processor.", "1h")] | UnsetType = UNSET
    data: Annotated[SizeLimit, about("Data segment.", "1G")] | UnsetType = UNSET
    fsize: Annotated[SizeLimit, about("Size of a file that is written.", "10G")] | UnsetType = UNSET
    memlock: Annotated[SizeLimit, about("Memory that is locked.", "64M")] | UnsetType = UNSET
    msgqueue: Annotated[SizeLimit, about("Bytes in POSIX message queues.", "800K")] | UnsetType = UNSET
    nice: (
        Annotated[CountLimit, about("How far the priority may be raised, from 0 to 40.", 20)] | UnsetType
    ) = UNSET
    nofile: Annotated[CountLimit, about("Open files.", "1024:65536")] | UnsetType = UNSET
    nproc: Annotated[CountLimit, about("Processes and threads of the user.", 500)] | UnsetType = UNSET
    rss: Annotated[SizeLimit, about("Resident memory; Linux takes no notice of it.", "1G")] | UnsetType = (
        UNSET
    )
    rtprio: Annotated[CountLimit, about("Real-time priority.", 10)] | UnsetType = UNSET
    rttime: (
        Annotated[
            TimeLimit, about("Time on the processor with real-time priority and without a pause.", "200ms")
        ]
        | UnsetType
    ) = UNSET
    sigpending: Annotated[CountLimit, about("Signals that wait.", 1000)] | UnsetType = UNSET
    stack: Annotated[SizeLimit, about("Stack.", "16M:unlimited")] | UnsetType = UNSET


class Capabilities(Keys, frozen=True):
    """Capabilities of the app."""

    drop: (
        Annotated[
            str | list[str],
            about("Capabilities that the app has not: names, or `all`.", ["net_raw", "sys_ptrace"]),
        ]
        | UnsetType
    ) = UNSET


class Privileges(Guests, frozen=True):
    """As whom it runs, and with what."""

    user: (
        Annotated[
            str | int,
            about(
                "The user that the app runs as, by name or number. `HOME`, `USER`, `LOGNAME` and `SHELL` are set to match.",
                "www-data",
            ),
        ]
        | UnsetType
    ) = UNSET
    group: Annotated[str | int, about("Its group instead of the user's own.", "www-data")] | UnsetType = UNSET
    groups: (
        Annotated[
            str | int | list[str | int],
            about("Its supplementary groups instead of the user's own.", ["video", "render"]),
        ]
        | UnsetType
    ) = UNSET
    umask: (
        Annotated[Umask, about("Permissions that new files do not get, as octal text.", "027")] | UnsetType
    ) = UNSET
    nice: (
        Annotated[int, about("Priority on the processor, from -20 (first) to 19 (last).", 10, ge=-20, le=19)]
        | UnsetType
    ) = UNSET
    oom_score_adj: (
        Annotated[
            int,
            about(
                "Who is killed when memory runs out, from -1000 (never) to 1000 (first).",
                500,
                ge=-1000,
                le=1000,
            ),
        ]
        | UnsetType
    ) = UNSET
    rlimits: (
        Annotated[Rlimits, about("Limits of each of its processes (setrlimit).", {"nofile": 65536})]
        | UnsetType
    ) = UNSET
    memory_max: (
        Annotated[Size, about("Most memory of an instance with all its processes.", "512M")] | UnsetType
    ) = UNSET
    cpus: (
        Annotated[float, about("Most processors' worth of time of an instance.", 0.5, ge=0.01, le=4096)]
        | UnsetType
    ) = UNSET
    pids_max: (
        Annotated[int, about("Most processes and threads of an instance.", 100, ge=1, le=4194304)] | UnsetType
    ) = UNSET
    no_new_privileges: (
        Annotated[
            bool,
            about("Neither setuid programs nor file capabilities can give the app more rights.", True, False),
        ]
        | UnsetType
    ) = UNSET
    capabilities: (
        Annotated[Capabilities, about("Capabilities that are taken away.", {"drop": "all"})] | UnsetType
    ) = UNSET
    read_only: Annotated[bool, about("The app sees the file system read-only.", True, False)] | UnsetType = (
        UNSET
    )
    private_tmp: (
        Annotated[bool, about("The app has a `/tmp` and a `/var/tmp` of its own.", True, False)] | UnsetType
    ) = UNSET
