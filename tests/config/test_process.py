"""As whom an app runs, what it may use up and what is taken from it: each key's value, and what is wrong with it."""

from __future__ import annotations

import grp
import os
import pwd
import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torpor.config.load import load
from torpor.config.rlimits import CountLimit, SizeLimit, TimeLimit
from torpor.config.settings import Attributes, Identity, ProcessSpec, Resources, Sandbox
from torpor.errors import ConfigInvalid

STRANGER = 2**31 - 7
"""A number that no user and no group has."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torpor believes to be root: only looking up is asked of it here."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)


@pytest.fixture
def as_stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torpor believes to be an ordinary user, one that the system has no name for."""
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    monkeypatch.setattr(os, "getegid", lambda: STRANGER)
    monkeypatch.setattr(os, "getgroups", lambda: [STRANGER])


def process_of(keys: str) -> ProcessSpec:
    Path("t.yaml").write_text(APP + keys)
    workload = load("t.yaml", {}).apps[0].workload
    assert isinstance(workload, ProcessSpec)
    return workload


def problems_of(keys: str) -> list[str]:
    with pytest.raises(ConfigInvalid) as caught:
        process_of(keys)
    return [str(problem) for problem in caught.value.problems]


APP = "apps:\n  a:\n    command: x\n"


def test_each_key_of_the_process_arrives_in_its_value(home: Path, as_root: None) -> None:
    """Each key ends in the field that the provider carries out, in the unit of the system call."""
    (home / "in.txt").touch()
    found = process_of(
        """
    clean_env: true
    stdin: ./in.txt
    umask: "027"
    nice: -5
    oom_score_adj: -100
    rlimits:
      nofile: 1024:65536
      nproc: 4611686018427387903
      core: 0
      as: 1G:unlimited
      stack: unlimited
      cpu: 500ms:1h
      rttime: 1.1ms
    memory_max: 512M
    cpus: 2
    pids_max: 100
    no_new_privileges: true
    capabilities: {drop: [CAP_SYS_PTRACE, net_raw, NET_RAW]}
    read_only: true
    private_tmp: true
"""
    )
    expected = ProcessSpec(
        ("x",),
        home,
        clean_env=True,
        stdin=home / "in.txt",
        attributes=Attributes(
            umask=0o027,
            nice=-5,
            oom_score_adj=-100,
            rlimits={
                "as": (2**30, None),
                "core": (0, 0),
                "cpu": (1, 3600),
                "nofile": (1024, 65536),
                "nproc": (2**62 - 1, 2**62 - 1),
                "rttime": (1_100, 1_100),
                "stack": (None, None),
            },
        ),
        resources=Resources(memory_max=512 * 2**20, cpus=2.0, pids_max=100),
        sandbox=Sandbox(True, ("net_raw", "sys_ptrace"), True, True),
    )
    assert expected == found


def test_without_a_key_nothing_is_changed(home: Path) -> None:
    """An app that says nothing of itself is run as Torpor is."""
    assert ProcessSpec(("x",), home) == process_of("")


def test_the_terminal_takes_the_place_of_a_file() -> None:
    """`tty` gives a terminal; `stdin: null` takes back what a default names."""
    assert process_of("    tty: true\n").tty
    Path("t.yaml").write_text("defaults: {stdin: t.yaml}\n" + APP + "    stdin: null\n    tty: true\n")
    workload = load("t.yaml", {}).apps[0].workload
    assert isinstance(workload, ProcessSpec)
    assert workload.stdin is None


def test_all_capabilities_are_one_word() -> None:
    """`all` stands for every capability, also among others."""
    assert ("all",) == process_of("    capabilities: {drop: ALL}\n").sandbox.drop_capabilities
    assert ("all",) == process_of("    capabilities: {drop: [kill, all]}\n").sandbox.drop_capabilities
    assert () == process_of("    capabilities: {}\n").sandbox.drop_capabilities


# --- as whom ---


def user_beside_root() -> pwd.struct_passwd:
    """Some user of this system that is not root."""
    return next(user for user in pwd.getpwall() if user.pw_uid != 0)


def test_a_user_brings_groups_and_home(as_root: None) -> None:
    """A name or a number is looked up: group, supplementary groups, home and shell come with it."""
    user = user_beside_root()
    expected = Identity(
        user.pw_uid,
        user.pw_gid,
        tuple(sorted(set(os.getgrouplist(user.pw_name, user.pw_gid)))),
        user.pw_name,
        user.pw_dir,
        user.pw_shell,
    )
    assert expected == process_of(f"    user: {user.pw_name}\n").identity
    assert expected == process_of(f"    user: {user.pw_uid}\n").identity


def test_groups_can_be_named_instead(as_root: None) -> None:
    """`group` and `groups` take the place of those that come with the user."""
    user, group = user_beside_root(), grp.getgrall()[0]
    found = process_of(f"    user: {user.pw_name}\n    group: {group.gr_name}\n    groups: []\n").identity
    assert found is not None
    assert (user.pw_uid, group.gr_gid, ()) == (found.uid, found.gid, found.groups)
    other = process_of(f"    user: {user.pw_name}\n    groups: [{group.gr_gid}, 0]\n").identity
    assert other is not None
    assert (user.pw_gid, tuple(sorted({group.gr_gid, 0}))) == (other.gid, other.groups)


def test_a_group_alone_leaves_the_user(as_root: None) -> None:
    """Without `user` the app runs as Torpor's own, with another group."""
    group = grp.getgrall()[-1]
    found = process_of(f"    group: {group.gr_name}\n").identity
    assert found is not None
    assert (0, group.gr_gid) == (found.uid, found.gid)
    assert tuple(sorted(os.getgroups())) == found.groups


def test_an_ordinary_user_may_name_itself() -> None:
    """Who is not root may say who it is anyway; nothing is to be changed then."""
    if os.geteuid() == 0:
        user = user_beside_root()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "geteuid", lambda: user.pw_uid)
            patch.setattr(os, "getegid", lambda: user.pw_gid)
            assert process_of(f"    user: {user.pw_name}\n    group: {user.pw_gid}\n").identity is None
    else:
        assert process_of(f"    user: {os.geteuid()}\n    group: {os.getegid()}\n").identity is None


def test_an_ordinary_user_cannot_become_another(as_stranger: None) -> None:
    """Another user, group or set of groups needs root, and that is told before anything starts."""
    needs = "; run Torpor as root, or remove the key"
    expected = [
        f"t.yaml:4:11: apps.a.user: only root may give an app another user{needs}",
        f"t.yaml:5:12: apps.a.group: only root may give an app another group{needs}",
        f"t.yaml:6:13: apps.a.groups: only root may give an app other groups{needs}",
    ]
    assert expected == problems_of("    user: root\n    group: root\n    groups: []\n")


def test_an_ordinary_user_cannot_get_ahead(as_stranger: None) -> None:
    """Priority, protection from the killer and hard limits only go down without root."""
    own = int(Path("/proc/self/oom_score_adj").read_text())
    first = min(os.getpriority(os.PRIO_PROCESS, 0), 20 - resource.getrlimit(resource.RLIMIT_NICE)[0])
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    expected = []
    keys = f"    rlimits: {{nofile: {files}:unlimited}}\n"
    if files != resource.RLIM_INFINITY:
        expected.append(
            f"t.yaml:4:23: apps.a.rlimits.nofile: only root may go beyond Torpor's own hard limit, {files}"
        )
    if first > -20:
        keys += f"    nice: {first - 1}\n"
        expected.append(
            f"t.yaml:5:11: apps.a.nice: only root may give a priority above its own; {first} is the first for Torpor"
        )
    if own > -1000:
        keys += f"    oom_score_adj: {own - 1}\n"
        line = 3 + keys.count("\n")
        expected.append(
            f"t.yaml:{line}:20: apps.a.oom_score_adj: only root may go below Torpor's own value, {own}"
        )
    assert expected
    assert expected == problems_of(keys)


def test_an_ordinary_user_can_step_back(as_stranger: None) -> None:
    """What asks for less than Torpor has itself needs no root."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    less = 1024 if files == resource.RLIM_INFINITY else files - 1
    found = process_of(f"    nice: 19\n    oom_score_adj: 1000\n    rlimits: {{nofile: {less}}}\n")
    assert Attributes(nice=19, oom_score_adj=1000, rlimits={"nofile": (less, less)}) == found.attributes


ONE_PROBLEM = {
    "unknown user": ("user: rooot", "11: apps.a.user: there is no user 'rooot' on this system (did you mean 'root'?)"),
    "unknown number": (f"user: {STRANGER}", f"11: apps.a.user: there is no user '{STRANGER}' on this system"),
    "too large a number": ("user: 99999999999", "11: apps.a.user: there is no user '99999999999' on this system"),
    "unknown group": (
        "group: rooot",
        "12: apps.a.group: there is no group 'rooot' on this system (did you mean 'root'?)",
    ),
    "unknown groups": (
        f"groups: [0, {STRANGER}]",
        f"17: apps.a.groups.1: there is no group '{STRANGER}' on this system",
    ),
    "NUL in a name": ('user: "a\\0b"', "11: apps.a.user: there is no user 'a\\x00b' on this system"),
    "bare umask": (
        "umask: 022",
        "12: apps.a.umask: must be octal text in quotes, e.g. '022'; without them it is the number 22 to YAML",
    ),
    "no octal": ("umask: '088'", "12: apps.a.umask: must be up to three octal digits in quotes, e.g. '022'"),
    "nice": ("nice: 20", "11: apps.a.nice: 20 is above 19"),
    "oom": ("oom_score_adj: -2000", "20: apps.a.oom_score_adj: -2000 is below -1000"),
    "limit's name": (
        "rlimits: {nofiles: 10}",
        "15: apps.a.rlimits.nofiles: unknown key 'nofiles' (did you mean 'nofile'?)",
    ),
    "limit": (
        "rlimits: {nofile: many}",
        "23: apps.a.rlimits.nofile: 'many' is not a limit; write a number, SOFT:HARD, or 'unlimited'",
    ),
    "three limits": (
        "rlimits: {nofile: '1:2:3'}",
        "23: apps.a.rlimits.nofile: must be a number, SOFT:HARD, or 'unlimited', e.g. 1024:65536",
    ),
    "limit upside down": (
        "rlimits: {nofile: '2:1'}",
        "23: apps.a.rlimits.nofile: '2:1': the soft limit, which stands first, is above the hard one",
    ),
    "soft limit without end": (
        "rlimits: {nofile: 'unlimited:1'}",
        "23: apps.a.rlimits.nofile: 'unlimited:1': the soft limit, which stands first, is above the hard one",
    ),
    "limit without a unit": (
        "rlimits: {as: 1024}",
        "19: apps.a.rlimits.as: '1024' needs a unit, e.g. 1024K or 1024M",
    ),
    "time without a unit": (
        "rlimits: {cpu: 30}",
        "20: apps.a.rlimits.cpu: '30' needs a unit, e.g. 30s or 30m",
    ),
    "memory without a unit": ("memory_max: 512", "17: apps.a.memory_max: 512 needs a unit, e.g. 512K or 64M"),
    "no processor": ("cpus: 0", "11: apps.a.cpus: 0 is below 0.01"),
    "no process": ("pids_max: 0", "15: apps.a.pids_max: 0 is below 1"),
    "capability": (
        "capabilities: {drop: [net_row]}",
        "27: apps.a.capabilities.drop.0: 'net_row' is no capability (did you mean 'net_raw'?)",
    ),
    "Compose's word": (
        "cap_drop: [all]",
        "5: apps.a.cap_drop: unknown key 'cap_drop' (did you mean 'capabilities'?)",
    ),
    "stdin missing": ("stdin: nope", "12: apps.a.stdin: cannot be read: {home}/nope"),
    "stdin is a directory": ("stdin: .", "12: apps.a.stdin: is a directory: {home}"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), ONE_PROBLEM.values(), ids=ONE_PROBLEM)
def test_one_mistake_is_one_problem(text: str, expected: str, home: Path, as_root: None) -> None:
    """A file with a single mistake gives exactly one problem, at the right place, in these words."""
    assert ["t.yaml:4:" + expected.replace("{home}", str(home))] == problems_of(f"    {text}\n")


def test_a_terminal_and_a_file_are_one_too_many() -> None:
    """An app reads from one place."""
    expected = [
        "t.yaml:4:12: apps.a.stdin: is a file, but with `tty` the app reads from its terminal; write one of them"
    ]
    assert expected == problems_of("    stdin: t.yaml\n    tty: true\n")


def test_the_number_of_groups_is_bounded(as_root: None) -> None:
    """A list that no process can have is refused before anybody is looked up."""
    expected = ["t.yaml:4:13: apps.a.groups: has more than 1000 groups"]
    assert expected == problems_of(f"    groups: [{', '.join(['0'] * 1001)}]\n")


COUNTS = st.integers(0, 2**62)


@given(COUNTS, COUNTS)
def test_a_pair_of_limits_is_what_is_written(one: int, other: int) -> None:
    """Soft first, hard second, in full precision; a single value is both."""
    soft, hard = sorted((one, other))
    assert (soft, hard) == CountLimit.parse(f"{soft}:{hard}")
    assert (soft, soft) == CountLimit.parse(soft) == CountLimit.parse(str(soft))
    assert (soft, None) == CountLimit.parse(f"{soft}:unlimited")


@pytest.mark.parametrize("kind", [CountLimit, SizeLimit, TimeLimit])
@pytest.mark.parametrize(
    "value", ["", ":", "-1", -1, True, None, 1.5, [], "1" * 20, "unlimited:", "1e3", "²"]
)
def test_what_is_no_limit_is_refused(kind: type[CountLimit], value: object) -> None:
    """Odd values are told, whatever their type."""
    with pytest.raises(ValueError, match=r"^."):
        kind.parse(value)
