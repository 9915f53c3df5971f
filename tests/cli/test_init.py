"""`torpor init` as it is typed: what it writes, what it says, and what it leaves alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from cli.harness import Daemon, environment, torpor

FLASK = "from flask import Flask\napp = Flask(__name__)\n"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A project with one app."""
    directory = tmp_path / "shop"
    directory.mkdir()
    (directory / "app.py").write_text(FLASK, encoding="utf-8")
    (directory / "requirements.txt").write_text("flask\n", encoding="utf-8")
    return directory


def init(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it where no daemon is, and where nothing is on the search path."""
    return torpor(tmp_path / "none.sock", "init", *arguments, PATH="/nowhere")


def test_it_says_what_was_found_and_what_to_run_next(tmp_path: Path, shop: Path) -> None:
    """The evidence, the files that were written, and commands that can be pasted."""
    result = init(tmp_path, str(shop))

    address = yaml.safe_load((shop / "torpor.yaml").read_text(encoding="utf-8"))["gateway"]["listen"]
    assert (0, "") == (result.returncode, result.stderr)
    assert result.stdout == (
        "shop: Flask\n"
        "  - app.py imports flask\n"
        "  - requirements.txt names it\n"
        "  - .venv is still to be made\n"
        "\n"
        "wrote torpor.yaml, and .torpor/schema.json for editors\n"
        "run next:\n"
        f"  cd {shop}\n"
        "  python3 -m venv .venv\n"
        "  .venv/bin/python -m pip install -r requirements.txt\n"
        "  torpor up\n"
        f"then open http://shop.localhost:{address.partition(':')[2]}: the first visit starts it\n"
    )


def test_the_schema_beside_it_is_the_one_that_it_keeps_to(tmp_path: Path, shop: Path) -> None:
    """The first line leads editors to a file that is there, and that accepts the configuration."""
    init(tmp_path, str(shop))

    text = (shop / "torpor.yaml").read_text(encoding="utf-8")
    schema = shop / text.splitlines()[0].partition("$schema=")[2]
    jsonschema.validate(yaml.safe_load(text), json.loads(schema.read_text(encoding="utf-8")))


def test_a_file_that_is_there_is_left_as_it_is(tmp_path: Path, shop: Path) -> None:
    """Also a link that leads nowhere; templates do not even begin."""
    (shop / "torpor.yaml").symlink_to("nowhere")

    for arguments in ([], ["--template", "streamlit"]):
        result = init(tmp_path, str(shop), *arguments)
        assert (1, "") == (result.returncode, result.stdout)
        assert f"torpor: {shop}/torpor.yaml is there already, and is left as it is\n" in result.stderr
    assert {"app.py", "requirements.txt", "torpor.yaml"} == set(os.listdir(shop))


def test_a_template_overwrites_nothing(tmp_path: Path, shop: Path) -> None:
    """One file in its way, and none is written."""
    (shop / "app.py").unlink()

    result = init(tmp_path, str(shop), "--template", "flask")

    assert 1 == result.returncode
    assert f"torpor: {shop}/requirements.txt is there already, and is left as it is\n" in result.stderr
    assert ["requirements.txt"] == os.listdir(shop)


def test_a_dry_run_prints_the_file_alone(tmp_path: Path, shop: Path) -> None:
    """To be redirected; what there is to say goes elsewhere, and nothing is written."""
    result = init(tmp_path, str(shop), "--dry-run")

    assert ["shop"] == list(yaml.safe_load(result.stdout)["apps"])
    assert result.stderr.startswith("shop: Flask\n")
    assert {"app.py", "requirements.txt"} == set(os.listdir(shop))


def test_nothing_known_is_said_with_what_was_looked_for(tmp_path: Path) -> None:
    """And how to go on; nothing is written."""
    (tmp_path / "empty").mkdir()

    result = init(tmp_path, str(tmp_path / "empty"))

    assert (1, "", []) == (result.returncode, result.stdout, os.listdir(tmp_path / "empty"))
    assert "  Streamlit:   a Python file that imports streamlit\n" in result.stderr
    assert "hint: `torpor init --template skeleton` writes a torpor.yaml to fill in" in result.stderr


def test_a_skeleton_is_written_where_it_is_asked_for(tmp_path: Path) -> None:
    """Valid as it is, and alone."""
    result = init(tmp_path, "--template", "skeleton", str(tmp_path / "new"))

    assert (0, {"torpor.yaml", ".torpor"}) == (result.returncode, set(os.listdir(tmp_path / "new")))
    assert "once torpor.yaml names an app" in result.stdout
    assert (
        0 == torpor(tmp_path / "none.sock", "config", "check", str(tmp_path / "new/torpor.yaml")).returncode
    )


def test_every_template_can_be_named() -> None:
    """The words of the option, which is to be known without reading a file, are those of the directory."""
    from torpor.cli.init import SKELETON, TEMPLATES
    from torpor.projects import lay_down

    assert (*lay_down.TEMPLATES, SKELETON) == TEMPLATES
    assert set(lay_down.TEMPLATES) == set(os.listdir(lay_down._PLACE))


def test_a_directory_may_be_called_anything(tmp_path: Path) -> None:
    """Blanks, quotes and bytes that are no text: the app gets a name of its own."""
    odd = os.path.join(os.fsencode(tmp_path), b"My 'shop' \xff")
    os.mkdir(odd)
    with open(os.path.join(odd, b"index.html"), "wb"):
        pass

    result = init(tmp_path, os.fsdecode(odd))

    assert (0, "") == (result.returncode, result.stderr)
    assert result.stdout.startswith("my-shop: static site\n")
    assert (
        0 == torpor(tmp_path / "none.sock", "config", "check", os.fsdecode(odd + b"/torpor.yaml")).returncode
    )


def test_as_json(tmp_path: Path, shop: Path) -> None:
    """One document for programs."""
    document = json.loads(init(tmp_path, str(shop), "--json").stdout)

    assert f"{shop}/torpor.yaml" == document["file"]
    assert [("shop", "Flask", ".")] == [
        (app["name"], app["kind"], app["directory"]) for app in document["apps"]
    ]


def test_a_daemon_that_runs_already_is_named(daemon: Daemon, shop: Path) -> None:
    """Its end has to come before the new one's start."""
    result = torpor(daemon.socket, "init", str(shop))

    assert (
        "  torpor down              ends the one that runs already (/etc/torpor/torpor.yaml)\n"
        in result.stdout
    )


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["nowhere"], "cannot look into nowhere: No such file or directory"),
        (["--template", "rails", "x"], "Invalid value for '--template': 'rails' is not one of"),
        (["--template", "flask", "--dry-run", "x"], "--dry-run shows what is found"),
    ],
)
def test_misuse_is_explained(tmp_path: Path, arguments: list[str], why: str) -> None:
    """In one line, and nothing is made."""
    result = init(tmp_path, *arguments)

    assert result.returncode in {1, 2}
    assert result.stderr.startswith(f"torpor: {why}"), result.stderr


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed here")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not write")
def test_a_directory_that_may_not_be_written(tmp_path: Path, shop: Path) -> None:
    """Said in one line, with the path."""
    for directory in (tmp_path, *tmp_path.parents[:-2]):
        directory.chmod(0o755)
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-m", "torpor"]

    result = subprocess.run(
        [*command, "init", str(shop)],
        env=environment(tmp_path / "none.sock"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (1, f"torpor: cannot write {shop}/.torpor: Permission denied\n") == (
        result.returncode,
        result.stderr,
    )


def test_a_full_disk_leaves_no_half_of_a_file(tmp_path: Path) -> None:
    """What could not be written whole is taken away again."""
    from torpor.errors import ProjectUnusable
    from torpor.projects.write import create_file

    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "from torpor.errors import ProjectUnusable\n"
        "from torpor.projects.write import create_file\n"
        "try: create_file(sys.argv[1], 'x' * 100)\n"
        "except ProjectUnusable as error: print(error)\n"
    )
    path = tmp_path / "torpor.yaml"
    ran = subprocess.run(
        [sys.executable, "-c", code, path], env=environment(tmp_path / "none.sock"), capture_output=True, text=True,
        timeout=60, check=True,
    )  # fmt: skip

    assert (f"cannot write {path}: File too large\n", False) == (ran.stdout, path.exists())
    path.touch()
    with pytest.raises(ProjectUnusable, match="is there already"):
        create_file(str(path), "x")
