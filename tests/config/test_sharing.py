"""Settings about sharing: memory, budgets, and what apps use of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from torpor.config.load import load
from torpor.config.settings import Settings
from torpor.core.sharing import Admission, Budget, MemoryRules, Share
from torpor.errors import ConfigInvalid

GB = 10**9


def read(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "t.yaml"
    path.write_text(text)
    return load(path)


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigInvalid) as caught:
        read(tmp_path, text)
    return [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems]


def test_what_is_shared_is_read(tmp_path: Path) -> None:
    """All of it, in its units."""
    settings = read(
        tmp_path,
        "memory: {keep_free: 10%, admission: refuse, check_interval: never}\n"
        "budgets: {gpu0: 24GB, slots: 2, gpu1: {device: 1}, gpu2: {size: 8GB, device: 2}}\n"
        "apps:\n"
        "  a: {command: x, priority: 80, evict_busy: true, memory: 300M, uses: {gpu0: 18GB, slots: 1}}\n",
    )

    assert MemoryRules(0.1, Admission.REFUSE, None) == settings.sharing.memory
    assert {
        "gpu0": Budget(24 * GB, sized=True),
        "slots": Budget(2),
        "gpu1": Budget(None, sized=True, device=1),
        "gpu2": Budget(8 * GB, sized=True, device=2),
    } == settings.sharing.budgets
    assert Share(80, True, 300 * 2**20, {"gpu0": 18 * GB, "slots": 1}) == settings.apps[0].share


def test_nothing_is_shared_where_nothing_is_said(tmp_path: Path) -> None:
    """No app is put to sleep for memory unless somebody says how much is to stay free."""
    settings = read(tmp_path, "memory:\nbudgets:\napps: {a: {command: x}}\n")

    assert None is settings.sharing.memory.keep_free
    assert {} == settings.sharing.budgets
    assert Share() == settings.apps[0].share


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("memory: {keep_free: 256}", "1:21: memory.keep_free: 256 needs a unit"),
        (
            "memory: {keep_free: 95%}",
            "1:21: memory.keep_free: '95%' is no share from 0% to 90%; write it like 10%",
        ),
        ("memory: {admission: no}", "1:21: memory.admission: 'no' is not one of evict, refuse, allow"),
        ("budgets: {gpu: 0}", "1:16: budgets.gpu: 0 is not from 1 to 1000000; sizes need a unit"),
        ("budgets: {gpu: 24Gx}", "1:16: budgets.gpu: '24Gx' is not a size"),
        ("budgets: {'a b': 1}", "1:18: budgets.a b: 'a b' is no name; write up to 63 letters, digits,"),
        (
            "budgets: {gpu: auto}",
            "1:16: budgets.gpu: only the memory of a GPU is known by itself; write {device: 0}",
        ),
        ("budgets: {gpu: {}}", "1:16: budgets.gpu: says not how much there is"),
        ("budgets: {gpu: {size: 4, device: 0}}", "1:16: budgets.gpu: the memory of a GPU is a size"),
        ("apps: {a: {command: x, priority: 0}}", "1:34: apps.a.priority: 0 is below 1"),
        ("apps: {a: {command: x, priority: 101}}", "1:34: apps.a.priority: 101 is above 100"),
        (
            "budgets: {gpu: 4GB}\napps: {a: {command: x, uses: {gpus: 1GB}}}",
            "2:31: apps.a.uses.gpus: there is no budget 'gpus' (there is gpu)",
        ),
        (
            "budgets: {gpu: 4GB}\napps: {a: {command: x, uses: {gpu: 1}}}",
            "2:36: apps.a.uses.gpu: 'gpu' is counted otherwise: write a size, e.g. 18GB",
        ),
        (
            "budgets: {slots: 4}\napps: {a: {command: x, uses: {slots: 5}}}",
            "2:38: apps.a.uses.slots: uses 5 of 'slots', of which there is 4",
        ),
        (
            "budgets: {slots: 4}\napps: {a: {command: x, replicas: 3, uses: {slots: 2}}}",
            "2:51: apps.a.uses.slots: 3 replicas use 6 of 'slots', of which there is 4",
        ),
        (
            "budgets: {slots: 1}\ndefaults: {command: x, always_on: true, uses: {slots: 1}}\napps: {a: {}, b: {}}",
            "2:55: defaults.uses.slots: apps that are always on use 2 of 'slots' together, of which there is 1",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    """Each mistake is told at its place, with what to write instead."""
    found = problems(tmp_path, text if "apps" in text else text + "\napps: {}")

    assert 1 == len(found)
    assert f"t.yaml:{expected}" in found[0]


def test_only_the_main_file_shares(tmp_path: Path) -> None:
    """An included file that names budgets is refused."""
    (tmp_path / "b.yaml").write_text("budgets: {slots: 1}\nmemory: {keep_free: 1M}\n")
    found = problems(tmp_path, "include: b.yaml\napps: {}\n")

    assert [
        "b.yaml:1:1: budgets: belongs into the main file, t.yaml",
        "b.yaml:2:1: memory: belongs into the main file, t.yaml",
    ] == found
