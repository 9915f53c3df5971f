"""Who may import whom, and what every file of the tree keeps to."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "torpor"
SOURCES = sorted(PACKAGE.rglob("*.py"))


def test_the_layers_hold() -> None:
    """Imports go from the command line down to the core, and the core imports nothing that acts."""
    # In a process of its own: it sets up logging anew, which other tests of this process listen to.
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"]
    result = subprocess.run(
        [*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )

    assert 0 == result.returncode, result.stdout + result.stderr


def test_every_room_has_its_place_in_the_layers() -> None:
    """A new package or module at the top has to be put into the order, or nothing would check it."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = {name.strip() for layer in contracts[0]["layers"] for name in layer.split("|")}

    rooms = {
        path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }

    assert set() == {f"torpor.{room}" for room in rooms - {"__init__", "__main__"}} - layers


def test_no_room_for_odds_and_ends() -> None:
    """A file is named after the thing that it holds; there is no drawer for the rest."""
    drawers = {"utils", "util", "helpers", "misc", "common"}

    assert [] == [path for path in SOURCES if path.stem in drawers]


def test_every_module_says_what_it_is() -> None:
    """Each file of the package begins with its promise."""
    assert [] == [path for path in SOURCES if ast.get_docstring(ast.parse(path.read_text())) is None]
