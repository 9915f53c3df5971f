"""The maps that together say what one app is: its own, then the defaults, nearest first."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from msgspec import UNSET

from torpor.config import declarations as declared
from torpor.config.document import Document
from torpor.config.hosts import Hosts
from torpor.config.problems import KeyPath, Problems

T = TypeVar("T")


@dataclass(frozen=True)
class Layer:
    """The keys of an app as one place gives them: its own map, or a `defaults`."""

    document: Document
    path: KeyPath
    keys: declared.App

    def refused(self, key: str) -> bool:
        """Whether `key` is written but its value was refused already."""
        return (*self.path, key) in self.document.broken

    def absolute(self, file: str) -> str:
        """The absolute path of a file that this layer names."""
        return absolute(self.document, file)


class Layers:
    """Looks keys up, nearest layer first, and reports problems at the place that decided."""

    def __init__(
        self,
        name: str,
        layers: Sequence[Layer],
        environ: Mapping[str, str],
        problems: Problems,
        hosts: Hosts,
    ) -> None:
        self.name = name
        self.layers = layers
        self.environ = environ
        """Torpor's own environment."""
        self.problems = problems
        self.hosts = hosts
        """Where guests may live."""

    @property
    def own(self) -> Layer:
        """The app's own map."""
        return self.layers[0]

    def find(self, key: str) -> Layer | None:
        """The layer that decides `key`; None if nobody wrote it."""
        for layer in self.layers:
            if getattr(layer.keys, key) is not UNSET:
                return layer
            if layer.document.broken and layer.refused(key):  # hardly ever: asked for every key of every app
                return layer
        return None

    def get(self, key: str, otherwise: Any) -> Any:
        """The value of `key`, or `otherwise` where nobody wrote it or it was refused already."""
        layer = self.find(key)
        return otherwise if layer is None else given(getattr(layer.keys, key), otherwise)

    def broken(self, key: str, *inner: str | int) -> bool:
        """Whether something in there was refused already, so that what is left of it tells nothing."""
        layer = self.find(key) or self.own
        path = (*layer.path, key, *inner)
        return any(place[: len(path)] == path for place in layer.document.broken)

    def report(
        self, key: str, message: str, *inner: str | int, suggestion: str | None = None, at_key: bool = False
    ) -> None:
        """A problem of `key`, or of what lies inside of its value."""
        layer = self.find(key) or self.own
        path = (*layer.path, key, *inner)
        self.problems.add(layer.document.problem(path, message, suggestion=suggestion, at_key=at_key))

    def report_app(self, message: str, suggestion: str | None = None) -> None:
        """A problem of the app as a whole."""
        own = self.own
        self.problems.add(own.document.problem(own.path, message, suggestion=suggestion, at_key=True))

    def attempt(self, parse: Callable[[], T], key: str, *inner: str | int) -> T | None:
        """What `parse` gives; its `ValueError` becomes a problem and None."""
        try:
            return parse()
        except ValueError as error:
            self.report(key, str(error), *inner)
            return None

    def read_text(self, key: str, path: str, most: int, *inner: str | int) -> str | None:
        """The text of a file of at most `most` bytes that `key` names; None after a report."""
        complaint = unreadable(path)
        if complaint is None:
            try:
                with open(path, "rb") as file:
                    raw = file.read(most + 1)
                if len(raw) <= most:
                    return raw.decode("utf-8-sig")
                complaint = f"is larger than {most // 1024} KiB: {path}"
            except UnicodeDecodeError:
                complaint = f"is not UTF-8 text: {path}"
            except OSError as error:
                complaint = f"cannot be read: {path} ({error.strerror})"
        self.report(key, complaint, *inner)
        return None


def given(value: Any, otherwise: Any) -> Any:
    """The value of a key, or `otherwise` where it is not written."""
    return otherwise if value is UNSET else value


def absolute(document: Document, file: str) -> str:
    """The absolute path of `file`, which `document` names."""
    base = os.path.dirname(os.path.abspath(document.file))
    return os.path.abspath(os.path.join(base, os.path.expanduser(file)))


def unreadable(path: str) -> str | None:
    """Why the file cannot be read; None if it can."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return f"is not a file: {path}"
        if not os.access(path, os.R_OK):
            return f"may not be read: {path}"
    except (OSError, ValueError) as error:
        return f"cannot be read: {path} ({_reason(error)})"
    return None


def _reason(error: OSError | ValueError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
