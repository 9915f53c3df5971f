"""The documentation is built, complete and true."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import click
import msgspec
import pytest

from torpor.cli.app import VERBS, torpor
from torpor.config import declarations
from torpor.config.labels.own import OWN
from torpor.config.labels.reading import DIALECTS
from torpor.config.load import load
from torpor.control.render import AppDocument
from torpor.core.model import Cause, Condition, ManualStop
from torpor.core.wake_events import Action
from torpor.gateway import replies

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
MANUALS = sorted(map(str, (ROOT / "man").glob("man*/*")))
PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]


def by_name(path: Path) -> str:
    """The id of a test about a file."""
    return path.name


def blocks(language: str, path: Path) -> list[str]:
    """The code blocks of a page."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def whole_files(path: Path) -> list[str]:
    """The configurations of a page that stand for themselves."""
    return [block for block in blocks("yaml", path) if re.search(r"^apps:", block, re.MULTILINE)]


class Loads(HTMLParser):
    """Collects what a page makes the browser fetch by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            fetched = name in {"src", "srcset", "poster"} or (name == "href" and tag == "link")
            if fetched and value is not None:
                self.addresses.append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `scripts/docs` does, elsewhere."""
    place = tmp_path_factory.mktemp("docs")
    shutil.copytree(DOCS, place / "docs")
    shutil.copy(ROOT / "mkdocs.yml", place)
    program = Path(sys.executable).with_name("zensical")
    done = subprocess.run(
        [program, "build", "--clean", "--strict"],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return place / "site"


@pytest.mark.slow
def test_the_site_is_built_without_a_broken_link(site: Path) -> None:
    """Each page becomes one, is reachable, and all links between pages lead somewhere (the build is strict)."""
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")

    assert [] == [page for page in PAGES if not (site / page.relative_to(DOCS).with_suffix(".html")).exists()]
    assert [] == [page for page in PAGES if f": {page.relative_to(DOCS)}\n" not in config]


@pytest.mark.slow
def test_the_site_fetches_nothing_from_elsewhere(site: Path) -> None:
    """Whoever reads the documentation is seen by nobody else."""
    loads = Loads()
    for page in site.rglob("*.html"):
        loads.feed(page.read_text(encoding="utf-8"))

    assert len(loads.addresses) > len(PAGES)
    assert [] == [address for address in loads.addresses if re.match(r"(https?:)?//", address)]


def test_the_phase_table_is_the_one_that_the_core_decides_by() -> None:
    """`docs/make_phase_table.py` was run after the last change of the table or of the rule for ends."""
    page = (DOCS / "how-it-works.md").read_text(encoding="utf-8")

    assert script("make_phase_table").page_with_tables(page) == page


def test_the_commands_page_is_current() -> None:
    """`docs/make_commands.py` was run after the last change of a verb or an option."""
    assert script("make_commands").commands_page() == (DOCS / "commands.md").read_text(encoding="utf-8")


def test_the_tables_of_labels_are_those_that_are_read() -> None:
    """`docs/make_labels.py --write` was run after the last change of a dialect."""
    labels = script("make_labels")

    assert {dialect.name for dialect in DIALECTS} == set(labels.PAGES)
    assert [] == [
        name for name, page in labels.PAGES.items() if labels.page_with_table(name) != page.read_text("utf-8")
    ]


def test_the_plot_of_the_tiers_is_current() -> None:
    """`docs/make_plot.py --write` was run after the last change of the table that it draws."""
    assert script("make_plot").picture() == (DOCS / "images/tiers.svg").read_text(encoding="utf-8")


def test_the_manual_pages_are_current() -> None:
    """`docs/make_man.py --write` was run after the last change of a verb, an option or a setting."""
    assert [] == script("make_man").outdated()


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed here")
def test_the_manual_pages_are_set_without_a_warning() -> None:
    """By groff, with all of its warnings."""
    said = subprocess.run(
        ["man", "--warnings=w", "--encoding=UTF-8", "--local-file", *MANUALS],
        env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8", "PAGER": "cat"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert "" == said.stderr
    assert len(MANUALS) == said.stdout.count("\nNAME\n") == len(VERBS) + 2


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed here")
def test_the_manual_pages_please_mandoc() -> None:
    """The other formatter, which the BSDs and Alpine have, finds nothing either, but that they bear no date."""
    said = subprocess.run(
        ["mandoc", "-T", "lint", *MANUALS], capture_output=True, text=True, timeout=60, check=False
    )

    assert [] == [line for line in said.stdout.splitlines() if "missing date" not in line]


@pytest.mark.parametrize("path", TEXTS, ids=by_name)
def test_only_real_verbs_are_mentioned(path: Path) -> None:
    """Whatever is written as `torpor VERB …` can be typed."""
    root = click.Context(torpor)
    mentioned = set(re.findall(r"(?:`|\$ |bin/)torpor (?!-)([a-z]+)", path.read_text(encoding="utf-8")))

    assert [] == [verb for verb in sorted(mentioned) if torpor.get_command(root, verb) is None]


def test_every_verb_is_documented() -> None:
    """Each verb has its place on the commands page."""
    page = (DOCS / "commands.md").read_text(encoding="utf-8")

    assert [] == [verb for verb in VERBS if f"\n## torpor {verb}\n" not in page]


def test_every_setting_is_documented() -> None:
    """Each key that a configuration may have stands on the reference page."""
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")

    assert [] == [key for key in sorted(settings()) if f"`{key}`" not in page and f"{key}`" not in page]


@pytest.mark.parametrize("path", TEXTS, ids=by_name)
def test_only_real_settings_are_mentioned(path: Path) -> None:
    """A word in code type that looks like a setting is one."""
    text = path.read_text(encoding="utf-8")
    if path.parent.name == "coming-from":
        # Words of others stand there too; in tables the second column is ours.
        text = "\n".join(re.findall(r"^\|[^|]*\|([^|]*)\|", text, re.MULTILINE))
    looks_like_one = re.findall(r"`([a-z]+(?:_[a-z]+)+)(?:: [^`]*)?`", text)
    known = (
        settings()
        | {*Condition, *Action, *ManualStop}
        | {*AppDocument.__struct_fields__}
        | {"sd_notify", "anyio_backend", "next_deadline"}
    )

    assert [] == sorted(set(looks_like_one) - known)


def test_every_cause_that_a_client_can_meet_is_documented() -> None:
    """Each value of `X-Torpor` that comes with an error stands on the page about it, and no other does."""
    page = (DOCS / "server-behaviour.md").read_text(encoding="utf-8")
    never_sent = {Cause.IDLE, Cause.EVICTED}
    causes = ({*Cause} - never_sent) | causes_of_the_gateway()
    last_cells = re.findall(r"\| ([^|]*`[^|]*) \|(?: [^|`]* \|)?$", page, re.MULTILINE)
    told = set(re.findall(r"`([a-z-]+)`", " ".join(last_cells)))

    assert set() == {str(cause) for cause in causes} - told
    assert set() == {word for word in told if "-" in word} - causes


def test_every_cause_has_a_verdict() -> None:
    """Each cause that the gateway's code names is listed with its status, and no other is."""
    assert {*Cause} | causes_of_the_gateway() == set(replies._VERDICTS)


@pytest.mark.parametrize("path", TEXTS, ids=by_name)
def test_what_is_named_exists(path: Path) -> None:
    """Each `torpor.module.name` can be imported; each path of the tree is there."""
    text = path.read_text(encoding="utf-8")
    names = re.findall(r"`(torpor(?:\.\w+)+)`", text)
    paths = re.findall(r"`((?:docs|tests|scripts|benchmarks|examples|src|\.ci)/[\w./-]*)`", text)

    names = [name for name in names if name != "torpor.yaml" and not is_label(name)]
    assert [] == [name for name in names if not exists(name)]
    assert [] == [name for name in paths if not (ROOT / name).exists()]


@pytest.mark.parametrize("path", TEXTS, ids=by_name)
def test_links_into_the_tree_resolve(path: Path) -> None:
    """A link or a picture that is a path leads to a file."""
    targets = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))

    assert [] == [target for target in targets if not (path.parent / target).exists()]


@pytest.mark.parametrize("path", [path for path in TEXTS if whole_files(path)], ids=by_name)
def test_examples_of_whole_files_are_valid(path: Path, tmp_path: Path) -> None:
    """A YAML block with apps can be pasted into a file and run; so can the template that it names."""
    for block in whole_files(path):
        for folder in re.findall(r"working_dir: (\S+)", block):
            (tmp_path / folder).mkdir(exist_ok=True)
        for template in re.findall(r"template: ([^\s,}]+)", block):
            (tmp_path / template).write_text(blocks("html", path)[0], encoding="utf-8")
        file = tmp_path / "torpor.yaml"
        file.write_text(block, encoding="utf-8")
        load(file)


def script(name: str) -> ModuleType:
    """A script of docs/ as a module."""
    spec = spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def causes_of_the_gateway() -> set[str]:
    """The causes that its code names in the calls that make refusals."""
    files = (ROOT / "src/torpor/gateway").rglob("*.py")
    call = re.compile(r"\b(?:Malformed|problem|_?refuse)\(\s*(?:(?:None|head),\s*)?\"([a-z-]+)\"")
    return {cause for file in files for cause in call.findall(file.read_text(encoding="utf-8"))}


def settings() -> set[str]:
    """Every key of the configuration."""
    structs = [one for one in vars(declarations).values() if isinstance(one, type)]
    return {
        field.encode_name
        for one in structs
        if issubclass(one, msgspec.Struct)
        for field in msgspec.structs.fields(one)
    }


def is_label(name: str) -> bool:
    """Whether a dotted name is a label of a container."""
    own = {entry.label for entry in OWN.table}
    return name in own or name.split(".")[1] in settings()


def exists(name: str) -> bool:
    """Whether a dotted name leads to a module or to something in one."""
    module, _, attribute = name.rpartition(".")
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        try:
            return hasattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError:
            return False
    return True


def test_the_examples_are_the_files_that_are_tested() -> None:
    """`docs/make_examples.py --write` was run after the last change of one, and the page misses none."""
    examples = script("make_examples")
    page = (DOCS / "behind-a-proxy.md").read_text(encoding="utf-8")
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "integrations").rglob("*") if path.is_file()}

    assert examples.page_with_files(page) == page
    assert set() == {
        name for name in files - examples.shown(page) if f"`{name}`" not in page and "__pycache__" not in name
    }
