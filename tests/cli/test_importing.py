"""`torpor import`, as people type it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.harness import torpor


@pytest.fixture
def procfile(tmp_path: Path) -> Path:
    """A file to import."""
    path = tmp_path / "Procfile"
    path.write_text("web: ./serve --port $PORT\nnonsense\n")
    return path


def test_the_result_goes_to_stdout_and_the_rest_to_stderr(procfile: Path) -> None:
    """So that `> torpor.yaml` does what it should."""
    result = torpor(procfile.parent / "s", "import", str(procfile))

    assert 0 == result.returncode
    assert result.stdout.startswith("# Written by `torpor import`")
    assert "  web:\n" in result.stdout
    assert (
        "torpor: 1 app; 1 setting could not be carried over, and stand as comments in the result\n"
        == result.stderr
    )


def test_a_file_is_written_and_not_overwritten(procfile: Path) -> None:
    """What stands there stays, unless --force says otherwise."""
    target = procfile.parent / "torpor.yaml"
    assert 0 == torpor(procfile.parent / "s", "import", str(procfile), "-o", str(target)).returncode
    target.write_text("mine")

    refused = torpor(procfile.parent / "s", "import", str(procfile), "-o", str(target))
    assert (1, "mine", "") == (refused.returncode, target.read_text(), refused.stdout)
    assert (
        f"torpor: {target} exists\nhint: Write elsewhere, or overwrite it with --force.\n" == refused.stderr
    )
    assert (
        0 == torpor(procfile.parent / "s", "import", str(procfile), "-o", str(target), "--force").returncode
    )
    assert target.read_text().startswith("# Written by")
    assert {"Procfile", "torpor.yaml"} == {path.name for path in procfile.parent.iterdir()}


def test_who_may_not_read_the_source_may_not_read_the_result(procfile: Path) -> None:
    """Its secrets are in there too."""
    procfile.chmod(0o600)
    target = procfile.parent / "torpor.yaml"
    assert 0 == torpor(procfile.parent / "s", "import", str(procfile), "-o", str(target)).returncode

    assert 0o600 == target.stat().st_mode & 0o777


def test_a_place_that_cannot_be_written_is_told(procfile: Path) -> None:
    """Nothing is left behind."""
    target = procfile.parent / "not-there" / "torpor.yaml"
    result = torpor(procfile.parent / "s", "import", str(procfile), "-o", str(target))

    assert (1, "") == (result.returncode, result.stdout)
    assert f"torpor: {target} cannot be written: no such file or directory" in result.stderr


def test_what_cannot_be_understood_is_6(tmp_path: Path) -> None:
    """As any configuration that is wrong; with the place, and nothing on stdout."""
    (tmp_path / "compose.yaml").write_text("services: [\n")
    result = torpor(tmp_path / "s", "import", str(tmp_path / "compose.yaml"))

    assert (6, "") == (result.returncode, result.stdout)
    assert "compose.yaml:2:1: is not valid YAML" in result.stderr


@pytest.mark.parametrize("args", [[], ["x", "--format", "nobodys"]])
def test_wrong_usage_is_2(tmp_path: Path, args: list[str]) -> None:
    """As everywhere."""
    assert 2 == torpor(tmp_path / "s", "import", *args).returncode


def test_a_format_can_be_said(tmp_path: Path) -> None:
    """Where neither name nor content tells."""
    (tmp_path / "x").write_text("")

    assert 6 == torpor(tmp_path / "s", "import", str(tmp_path / "x")).returncode
    result = torpor(tmp_path / "s", "import", "--format", "procfile", str(tmp_path / "x"))
    assert (0, True) == (result.returncode, result.stdout.endswith("apps: {}\n"))


def test_one_of_several_environments_is_chosen(tmp_path: Path) -> None:
    """As with `pm2 start --env`; one that nobody has is a warning."""
    file = tmp_path / "ecosystem.json"
    file.write_text('{"apps": [{"script": "x.js", "env": {"A": "1"}, "env_live": {"A": "2"}}]}')
    result = torpor(tmp_path / "s", "import", str(file), "--env", "live")
    other = torpor(tmp_path / "s", "import", str(file), "--env", "gone")

    assert (0, True) == (result.returncode, 'A: "2"' in result.stdout)
    assert (0, True) == (other.returncode, f"torpor: {file}: no app has env_gone\n" in other.stderr)


def test_what_the_machine_lacks_is_told_with_its_line(tmp_path: Path) -> None:
    """The result is there all the same."""
    (tmp_path / "supervisord.conf").write_text("[program:x]\ncommand=x\ndirectory=/not/there\n")
    result = torpor(tmp_path / "s", "import", str(tmp_path / "supervisord.conf"))

    assert 0 == result.returncode
    assert "torpor: cannot be loaded here yet: torpor.yaml:" in result.stderr
    assert "apps.x.working_dir: there is no such directory: /not/there" in result.stderr
