"""The settings of an app that was found, with the words for whoever reads them first."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from torpor.projects.found import App, Setting, Value
from torpor.projects.project import Project

ROUTE = "Browsers lead every name below .localhost to this machine."
READY = "It counts as ready when this path answers; until then visitors wait."
PORT_IS_ENOUGH = "It counts as ready when its port takes connections. Better, if it has such a path:\nreadiness: {http: /healthz}"
IDLE = "It sleeps after that long without a request, and the next one wakes it."
TABS = "A forgotten tab reconnects for ever; only opening the page may wake it."
RESTART = "It is started with the daemon, never sleeps, and is started again whenever it ends."
IDLE_TIMEOUT = "30m"


def web_app(
    kind: str,
    project: Project,
    name: str,
    command: str,
    *,
    evidence: Sequence[str],
    steps: Sequence[str] = (),
    health: str | None = None,
    more: Sequence[Setting] = (),
    comment: str = "",
) -> App:
    """An app that requests wake."""
    settings = [
        Setting("command", command, comment),
        *_place(project),
        *more,
        Setting("routes", [f"{name}.localhost"], ROUTE),
    ]
    if health is not None:
        settings.append(Setting("readiness", {"http": health}, READY))
    idle = Setting("idle_timeout", IDLE_TIMEOUT, IDLE if health else f"{PORT_IS_ENOUGH}\n{IDLE}")
    return App(
        kind,
        name,
        tuple(evidence),
        (*settings, idle),
        folder=project.where,
        steps=tuple(steps),
    )


def background_app(
    kind: str,
    project: Project,
    name: str,
    command: str,
    *,
    evidence: Sequence[str],
    more: Sequence[Setting] = (),
    steps: Sequence[str] = (),
) -> App:
    """An app that no request reaches, and that always runs."""
    settings = (
        Setting("command", command),
        *_place(project),
        *more,
        Setting("always_on", value=True, comment=RESTART),
        Setting("restart", "always"),
    )
    return App(kind, name, tuple(evidence), settings, folder=project.where, serves=False, steps=tuple(steps))


def command_text(words: Sequence[str]) -> str:
    """The words as one string that is split into the same words again.  `$PORT` stays readable."""
    return " ".join(word if re.fullmatch(r"[^\s'\"\\#]+", word) else shlex.quote(word) for word in words)


def _place(project: Project) -> list[Setting]:
    place: Value = project.where
    return [] if place == "." else [Setting("working_dir", f"./{place}")]
