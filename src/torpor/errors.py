"""Every error that Torpor raises on purpose.

An error is named after the situation, carries a stable `code` for programs, a
`hint` that says what to do, and whose `fault` it is.  Foreign exceptions are
translated into one of these once, at the border where they occur.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import ClassVar


class Fault(StrEnum):
    """Who has to act for the error to go away."""

    CONFIG = "config"
    APP = "app"
    PROVIDER = "provider"
    CLIENT = "client"
    US = "torpor"


class TorporError(Exception):
    """The root of the tree.  Never raised itself."""

    code: ClassVar[str] = "error"
    fault: ClassVar[Fault] = Fault.US
    status: ClassVar[int] = 500
    """HTTP status of this error on the control API."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def advice(self) -> str:
        """The message with what to do behind it, for a place that has one line for both."""
        return f"{self.message}; {self.hint}" if self.hint else self.message

    def advice_about(self, whom: str) -> str:
        """The same, behind the name of whom it is about, unless the message names them itself."""
        return self.advice if whom in self.message else f"{whom}: {self.advice}"


class ConfigInvalid(TorporError):
    """The configuration was refused as a whole; nothing was applied.

    `problems` lists every problem of every file, in the order of the text.
    """

    code = "config-invalid"
    fault = Fault.CONFIG
    status = 422

    def __init__(self, problems: tuple[object, ...], *, hint: str | None = None) -> None:
        super().__init__("\n".join(str(problem) for problem in problems), hint=hint)
        self.problems = problems


class ConfigNotFound(TorporError):
    """No configuration file was named and none lies in the usual places."""

    code = "config-not-found"
    fault = Fault.CONFIG
    status = 422


class CannotImport(TorporError):
    """Another manager's file cannot be read or understood; the message says where."""

    code = "cannot-import"
    fault = Fault.CONFIG
    status = 422


class ConfigUnwritable(TorporError):
    """What was to be written into the configuration could not be; nothing was changed."""

    code = "config-unwritable"
    fault = Fault.CONFIG
    status = 409


class NameTaken(TorporError):
    """An app of that name is there already."""

    code = "name-taken"
    fault = Fault.CLIENT
    status = 409


class UnknownApp(TorporError):
    """No app of that name is configured."""

    code = "unknown-app"
    fault = Fault.CLIENT
    status = 404


def unknown_app(name: str, known: Iterable[str]) -> UnknownApp:
    """The error for a name that none of the `known` apps has, with the one that was probably meant."""
    import difflib  # noqa: PLC0415  # only a typo pays for it

    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "`torpor status` lists the apps"
    return UnknownApp(f"no app is named {name!r}", hint=hint)


class NotAllowed(TorporError):
    """The app's configuration or state forbids what was asked."""

    code = "not-allowed"
    fault = Fault.CLIENT
    status = 409


class RunsAlone(TorporError):
    """A daemon that runs one program alone has no other apps."""

    code = "runs-alone"
    fault = Fault.CLIENT
    status = 409


class BadRequest(TorporError):
    """A control request that makes no sense; the message says what would."""

    code = "bad-request"
    fault = Fault.CLIENT
    status = 400


class StartFailed(TorporError):
    """A provider could not bring an instance to life (no such program, no permission …)."""

    code = "start-failed"
    fault = Fault.APP
    status = 503


class ProviderFailed(TorporError):
    """A provider could not do what it was asked for reasons outside the app."""

    code = "provider-failed"
    fault = Fault.PROVIDER
    status = 502


class NotMeasured(TorporError):
    """The system does not tell how much memory there is."""

    code = "not-measured"
    status = 503


class ProjectUnusable(TorporError):
    """A project's directory cannot be read or written, or has already what was to be written."""

    code = "project-unusable"
    fault = Fault.CLIENT
    status = 400


class StateUnusable(TorporError):
    """The state directory cannot be used (unwritable, or another daemon lives on it)."""

    code = "state-unusable"
    fault = Fault.US
    status = 500


class ListenFailed(TorporError):
    """An address to listen on could not be bound (taken, not permitted, not ours)."""

    code = "listen-failed"
    fault = Fault.CONFIG
    status = 500


class DaemonUnreachable(TorporError):
    """No daemon answers on the control socket."""

    code = "daemon-unreachable"
    fault = Fault.CLIENT
    status = 503
