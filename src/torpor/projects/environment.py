"""By which Python a project's programs are run: its own virtual environment, if there is any way to it."""

from __future__ import annotations

import glob
import os
import shutil
from dataclasses import dataclass

from torpor.projects.folder import Folder
from torpor.projects.found import step

VENVS = (".venv", "venv", "env")
INTERPRETER = "bin/python"
LOCKS = {"poetry.lock": "poetry", "Pipfile.lock": "pipenv"}
"""Lock files of tools that keep their environments elsewhere, and only themselves know where."""


@dataclass(frozen=True)
class Program:
    """How to run something of a package."""

    words: tuple[str, ...]
    """The beginning of a command."""
    evidence: str
    steps: tuple[str, ...] = ()
    """Commands that have to be run before it can be."""


@dataclass(frozen=True)
class Environment:
    """A project's Python."""

    name: str
    prefix: tuple[str, ...] = ()
    """What stands before `-m MODULE` or a script; empty: programs are on the search path."""
    programs: str = ""
    """The directory of the search path whose programs are meant."""
    site: str | None = None
    """The directory that holds its packages; None: not known."""
    place: str = "."
    """Where the commands that fill it are run, relative to the directory that was asked about."""
    install: tuple[str, ...] = ()
    """These commands; `{}` stands for packages."""

    def has(self, package: str) -> bool:
        """Whether the package is there, as far as can be seen."""
        if self.site is not None:
            module = os.path.join(self.site, package)
            return os.path.isdir(module) or os.path.isfile(f"{module}.py")
        return not self.prefix

    def module(self, package: str, *others: str, program: str | None = None) -> Program:
        """How to run the package's program (of that name, if it is another), for what needs the others too."""
        words = (*self.prefix, "-m", package) if self.prefix else (self._named(program or package),)
        return Program(words, self.name, self._steps(package, *others))

    def script(self, file: str, package: str | None = None) -> Program:
        """How to run a file that needs the package."""
        words = (*(self.prefix or (self._named("python3"),)), file)
        return Program(words, self.name, () if package is None else self._steps(package))

    def _steps(self, *packages: str) -> tuple[str, ...]:
        missing = " ".join(package for package in packages if not self.has(package))
        return tuple(step(self.place, command.format(missing)) for command in self.install if missing)

    def _named(self, program: str) -> str:
        """The program's name, with its directory only where another one would be found first."""
        first = shutil.which(program)
        return (
            program
            if first and os.path.dirname(first) == self.programs
            else os.path.join(self.programs, program)
        )


def find_environment(folder: Folder, root: Folder, program: str, package: str | None) -> Environment:
    """The Python for something in `folder` that needs the package, and `program` to run it.

    The project's own virtual environment wins, then what its lock file makes, then the search
    path if it leads to the program and the package; else a `.venv` that is still to be made.
    """
    places = [folder] if folder.path == root.path else [folder, root]
    for place in places:
        found = _own(place, folder, root)
        if found is not None:
            return found
    searched = _on_the_search_path(program)
    if searched is not None and (package is None or searched.has(package)):
        return searched
    place = next((each for each in places if each.has("requirements.txt", "pyproject.toml")), folder)
    return Environment(
        ".venv is still to be made",
        (_relative(".venv", place, folder),),
        place=os.path.relpath(place.path, root.path),
        install=("python3 -m venv .venv", _pip(place, ".venv")),
    )


def _own(place: Folder, folder: Folder, root: Folder) -> Environment | None:
    """The environment that belongs to the directory, if it is there or a tool keeps it."""
    where = os.path.relpath(place.path, root.path)
    for name in VENVS:
        if os.access(os.path.join(place.path, name, INTERPRETER), os.X_OK):
            shown = os.path.normpath(os.path.join(where, name))
            return Environment(
                f"{shown} is its environment",
                (_relative(name, place, folder),),
                site=_site(os.path.join(place.path, name)),
                place=where,
                install=("uv sync",) if place.has("uv.lock") else (_pip(place, name),),
            )
    if place.has("uv.lock"):
        words = (_relative(".venv", place, folder),)
        return Environment("uv.lock says that uv makes .venv", words, place=where, install=("uv sync",))
    lock = place.has(*LOCKS)
    if lock is None:
        return None
    tool = LOCKS[lock]
    return Environment(f"{lock} is there", (tool, "run", "python"), place=where, install=(f"{tool} install",))


def _on_the_search_path(program: str) -> Environment | None:
    found = shutil.which(program)
    if found is None:
        return None
    programs = os.path.dirname(found)
    return Environment(
        f"{program} is on the search path", programs=programs, site=_site(os.path.dirname(programs))
    )


def _relative(venv: str, place: Folder, folder: Folder) -> str:
    """The interpreter as seen from the app's directory."""
    return os.path.join(os.path.relpath(place.path, folder.path), venv, INTERPRETER).removeprefix("./")


def _site(prefix: str) -> str | None:
    pattern = os.path.join(glob.escape(prefix), "lib/python3*/site-packages")
    return next(iter(sorted(glob.glob(pattern))), None)


def _pip(place: Folder, venv: str) -> str:
    what = "{}"
    if place.has("requirements.txt"):
        what = "-r requirements.txt"
    elif place.has("pyproject.toml"):
        what = "-e ."
    return f"{venv}/bin/python -m pip install {what}"
