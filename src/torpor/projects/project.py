"""One directory as a kind of app sees it: names, declared needs, and what its Python files say."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from torpor.projects.environment import Environment, find_environment
from torpor.projects.folder import Folder, look_below
from torpor.projects.requirements import requirements
from torpor.projects.source import Source, read_source

MARKERS = (
    "requirements.txt",
    "pyproject.toml",
    "setup.py",
    "Pipfile",
    "manage.py",
    "package.json",
    "Procfile",
)
"""Files that make a directory a project of its own."""
LIKELY = ("streamlit_app.py", "app.py", "main.py", "server.py", "wsgi.py", "asgi.py", "api.py", "web.py")
"""Names of files that people start, the likeliest one first."""
WORDS = (b"streamlit", b"gradio", b"fastapi", b"starlette", b"litestar", b"quart", b"flask", b"__main__")
"""Without one of these a file cannot be what is looked for, and is not parsed."""
MAX_READ = 300
MAX_PARSED = 60
"""Python files of one directory that are read, and of these parsed: some tenths of a second."""


@dataclass(frozen=True)
class Project:
    """A directory, and the one that `init` was asked about: itself, or the one above it."""

    folder: Folder
    root: Folder

    @property
    def where(self) -> str:
        """The directory, relative to the one that was asked about."""
        return os.path.relpath(self.folder.path, self.root.path)

    @cached_property
    def needs(self) -> dict[str, str]:
        """Packages that it says it needs → the file that says so."""
        return dict(requirements(self.folder))

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """What its Python files say, those first that are likely to be started."""
        return self._read[0]

    @cached_property
    def remarks(self) -> tuple[str, ...]:
        """What could not be looked at."""
        return self._read[1]

    def environment(self, program: str, package: str | None) -> Environment:
        """The Python for what needs the package, and `program` to run it."""
        return find_environment(self.folder, self.root, program, package)

    def importing(self, package: str) -> list[Source]:
        """The files that import the package and are not themselves imported by another of these."""
        found = [source for source in self.sources if package in source.imports]
        used = {name for source in found for name in source.imports}
        return [source for source in found if source.module.partition(".")[0] not in used] or found

    def why(self, source: Source, package: str) -> tuple[str, ...]:
        """What speaks for it that a file of it is started."""
        named = self.needs.get(package)
        return (f"{source.file} imports {package}", *([f"{named} names it"] if named else ()))

    @cached_property
    def _read(self) -> tuple[tuple[Source, ...], tuple[str, ...]]:
        files = sorted(_python_files(self.folder), key=_rank)
        found: list[Source] = []
        remarks: list[str] = []
        parsed = read = 0
        for file in files:
            if read == MAX_READ or parsed == MAX_PARSED:
                remarks.append(f"only {read} of {len(files)} Python files in {self.where} were looked into")
                break
            read += 1
            text = self.folder.read(file)
            if text is None or not any(word in text for word in WORDS):
                continue
            parsed += 1
            source = read_source(file, text)
            if source is None:
                remarks.append(f"{os.path.normpath(os.path.join(self.where, file))} is no valid Python")
            else:
                found.append(source)
        return tuple(found), tuple(remarks)


def _python_files(folder: Folder) -> Iterator[str]:
    """The files here and in the packages here, `src` included."""
    yield from filter(_may_be_started, folder.ending(".py"))
    for name in folder.folders:
        below = look_below(folder, name) if name == "src" or _is_package(folder, name) else None
        if below is None:
            continue
        yield from (f"{name}/{file}" for file in below.ending(".py") if _may_be_started(file))
        for package in below.folders if name == "src" else ():
            inner = look_below(below, package) if _is_package(below, package) else None
            if inner is not None:
                yield from (
                    f"{name}/{package}/{file}" for file in inner.ending(".py") if _may_be_started(file)
                )


def _is_package(folder: Folder, name: str) -> bool:
    inside = [os.path.join(folder.path, name, file) for file in ("__init__.py", *MARKERS)]
    return os.path.isfile(inside[0]) and not any(map(os.path.isfile, inside[1:]))


def _may_be_started(file: str) -> bool:
    return not (file.startswith("test_") or file.endswith("_test.py") or file in {"setup.py", "conftest.py"})


def _rank(file: str) -> tuple[int, int, str]:
    """How likely it is that people start this one."""
    name = file.rpartition("/")[2]
    return (file.count("/"), LIKELY.index(name) if name in LIKELY else len(LIKELY), file)


def first(sources: Sequence[Source]) -> Source | None:
    """The likeliest one."""
    return sources[0] if sources else None
