"""What is made of systemd's signals, in whichever order they and its answers are read."""

from __future__ import annotations

import pytest

from torpor.providers.guests.driver import Notice
from torpor.providers.guests.systemd.news import News
from torpor.providers.guests.systemd.unit import path_of

UNIT = "it.service"
PATH = path_of(UNIT)
JOB = 7


def tell(news: News, *activities: str, job: int = 0) -> None:
    """Systemd tells of a unit's activity."""
    for activity in activities:
        news.hear(PATH, "PropertiesChanged", ["", {"ActiveState": activity, "Job": (job, "/")}, []])


def end_job(news: News, result: str = "done") -> None:
    """Systemd tells what became of a job."""
    news.hear("/", "JobRemoved", [JOB, f"/job/{JOB}", UNIT, result])


@pytest.fixture
def news() -> News:
    """Of a unit that runs."""
    news = News()
    news.attend(PATH)
    news.learn(PATH, "active")
    assert news.is_active(PATH)
    return news


def test_a_stop_is_by_hand(news: News) -> None:
    """A job has ended it, and that was done."""
    tell(news, "deactivating", "inactive", job=JOB)
    assert not news.was_by_hand(PATH)
    end_job(news)
    assert news.was_by_hand(PATH)
    assert not news.is_active(PATH)


@pytest.mark.parametrize("ends", [(0, "done"), (JOB, "canceled")], ids=["no job", "a job that was not done"])
def test_another_end_is_not(news: News, ends: tuple[int, str]) -> None:
    """Nor is one after it."""
    job, result = ends
    tell(news, "deactivating", "inactive", job=job)
    end_job(news, result)
    assert not news.was_by_hand(PATH)


@pytest.mark.parametrize("late", ["active", "deactivating"])
def test_an_answer_that_is_read_late(news: News, late: str) -> None:
    """It came before the end that was told since, and undoes nothing of that."""
    news.attend(PATH)
    tell(news, "deactivating", "inactive", job=JOB)
    end_job(news)
    news.learn(PATH, late)
    assert news.was_by_hand(PATH)
    assert not news.is_active(PATH)


def test_the_first_answer_is_read_late() -> None:
    """Of a unit that nobody asked for before."""
    news = News()
    news.attend(PATH)
    tell(news, "inactive", job=JOB)
    end_job(news)
    news.learn(PATH, "deactivating")
    assert news.was_by_hand(PATH)


def test_a_one_shot_ends_by_itself(news: News) -> None:
    """The job that is done then has started it."""
    tell(news, "inactive", "activating", "inactive", job=JOB)
    end_job(news)
    assert not news.was_by_hand(PATH)


def test_another_run_is_not_ended_by_it(news: News) -> None:
    """Once it is told to run again, or an answer says so after something was missed."""
    tell(news, "deactivating", "inactive", job=JOB)
    end_job(news)
    tell(news, "activating")
    assert not news.was_by_hand(PATH)
    tell(news, "active", "inactive", job=JOB)
    end_job(news)
    assert news.was_by_hand(PATH)
    with news.subscribed():
        news.miss()
    assert not news.is_active(PATH)
    news.learn(PATH, "active")
    assert news.is_active(PATH)
    assert not news.was_by_hand(PATH)


def test_of_a_unit_that_nobody_asked_for_nothing_is_kept() -> None:
    """It is told of all the same: somebody may follow it by now."""
    news = News()
    with news.subscribed() as inbox:
        tell(news, "active", "inactive", job=JOB)
        end_job(news)
        assert not news.was_by_hand(PATH)
        assert list(inbox._notices.values()) == [Notice(UNIT)]
