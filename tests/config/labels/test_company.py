"""Groups of containers that wake as a whole: who goes with whom, and who needs whom."""

from __future__ import annotations

from pathlib import Path

from config.labels.test_reading import COMPOSE, SABLIER, container, read, service
from torpor.config.labels.container import Container
from torpor.config.labels.joining import join
from torpor.config.labels.reading import read_labels
from torpor.core.companions import MOST, Company


def front(name: str, group: str = "shop", /, **labels: str) -> Container:
    """A member that requests come to."""
    rule = {f"traefik.http.routers.{name}.rule": f"Host(`{name}.org`)"}
    return container(name, **SABLIER, **{"sablier.group": group}, **rule, **labels)


def back(name: str, group: str = "shop", /, **labels: str) -> Container:
    """A member without a route."""
    return container(name, **SABLIER, **{"sablier.group": group}, **labels)


def company(tmp_path: Path, *containers: Container) -> Company:
    """What the apps of the containers are to each other, as the daemon loads them."""
    path = tmp_path / "torpor.yaml"
    path.write_text("engines: {docker: {discover: true}}\napps: {}\n")
    settings, left = join(path, [], read_labels(containers))
    assert {} == left
    return Company(settings.apps)


def test_members_with_routes_are_each_others_companions(tmp_path: Path) -> None:
    """Whoever comes to one of them wakes the others."""
    members = front("web"), front("api"), front("alone", "other")

    found = read(*members)

    assert ["group:shop"] == found["web"].settings["companions"] == found["api"].settings["companions"]
    assert "depends_on" not in found["web"].settings
    assert ("web",) == company(tmp_path, *members).of("api")
    assert () == company(tmp_path, *members).of("alone")
    assert "sablier.group" == found["web"].label("companions")


def test_members_without_a_route_are_waited_for_and_sleep_soon_after() -> None:
    """Sablier serves nobody before the whole group is ready."""
    found = read(front("web"), back("db"), back("cache"))

    assert ["cache", "db"] == found["web"].settings["depends_on"]
    assert "companions" not in found["web"].settings  # nobody is left who would only go along
    assert "sablier.group" == found["web"].label("depends_on")
    assert {"1m"} == {found[name].settings["idle_timeout"] for name in ("db", "cache")}
    assert "5m" == found["web"].settings["idle_timeout"]


def test_a_shared_member_belongs_to_each_of_its_groups(tmp_path: Path) -> None:
    """A database of two groups stays as long as either is awake, and does not tie them together."""
    members = front("web"), front("blog", "blog"), back("db", "shop,blog")

    found = read(*members)

    assert ["db"] == found["web"].settings["depends_on"] == found["blog"].settings["depends_on"]
    assert () == company(tmp_path, *members).of("web") == company(tmp_path, *members).of("db")


def test_the_order_of_compose_wins(tmp_path: Path) -> None:
    """A worker that needs the page is no need of the page, but its companion: no circle comes of it."""
    group = {**SABLIER, "sablier.group": "shop"}
    rule = {"traefik.http.routers.w.rule": "Host(`w.org`)"}
    members = (
        service("p", "web", **group, **rule, **{f"{COMPOSE}.depends_on": "db:service_started:false"}),
        service("p", "worker", **group, **{f"{COMPOSE}.depends_on": "queue:service_healthy:false"}),
        service("p", "queue", **{f"{COMPOSE}.depends_on": "web:service_healthy:false"}),
        service("p", "db", **group),
    )

    found = read(*members)

    assert {"p-db-1": "started"} == found["p-web-1"].settings["depends_on"]
    assert ["group:shop"] == found["p-web-1"].settings["companions"]
    assert ["p-queue-1"] == found["p-worker-1"].settings["depends_on"]
    assert {"p-db-1", "p-worker-1"} == set(company(tmp_path, *members).of("p-web-1"))


def test_own_labels_win() -> None:
    """Torpor's say who goes along; how soon a member sleeps that has said so stays, too."""
    own = {"torpor.enable": "true"}
    found = read(
        front("web", **own, **{"torpor.companions": "api"}),
        front("api"),
        back("db", **own, **{"torpor.idle_timeout": "9m"}),
    )

    assert ["api"] == found["web"].settings["companions"]
    assert ["sablier.group: the labels of torpor say what `companions` is"] == list(
        map(str, found["web"].remarks)
    )
    assert "9m" == found["db"].settings["idle_timeout"]


def test_companions_by_torpors_own_label_are_services_first() -> None:
    """They are named as in `torpor.depends_on`; groups keep their names."""
    own = {"torpor.enable": "true"}
    found = read(
        service("a", "web", **own, **{"torpor.companions": "api, group:b, ledger"}),
        service("a", "api", **own),
        service("b", "api", **own),
    )

    assert ["a-api-1", "group:b", "ledger"] == found["a-web-1"].settings["companions"]
    (told,) = found["a-web-1"].remarks
    assert str(told).startswith("torpor.companions: there is no app of a container ledger; ")
    assert not told.wrong


def test_a_container_without_labels_is_nobodys_companion() -> None:
    """It is no app, and does not become one for that, as it would if it were needed."""
    found = read(
        container("web", **{"torpor.enable": "true", "torpor.companions": "bare"}), container("bare")
    )

    assert ["web"] == [*found]
    assert 1 == len(found["web"].remarks)


def test_without_a_group_nobody_goes_along() -> None:
    """In Sablier nothing wakes `default` unless a middleware names it; here every app wakes by itself."""
    found = read(container("web", **SABLIER, caddy="a.org"), container("api", **SABLIER, caddy="b.org"))

    assert all("companions" not in reading.settings for reading in found.values())
    named = read(front("web", "default"), front("api", "default"))
    assert ["group:default"] == named["web"].settings["companions"]


def test_a_group_has_an_end() -> None:
    """More than can be looked at each time is told, and wakes one by one."""
    found = read(*(front(f"w{number}") for number in range(MOST + 1)))

    assert all("companions" not in reading.settings for reading in found.values())
    assert [f"sablier.group: shop has more than {MOST} members: each wakes alone"] == list(
        map(str, found["w0"].remarks)
    )


def test_members_come_and_go() -> None:
    """What the others are changes with it."""
    assert "companions" not in read(front("web"))["web"].settings
    assert ["db"] == read(front("web"), back("db"))["web"].settings["depends_on"]
    assert "depends_on" not in read(front("web"), front("db"))["web"].settings
