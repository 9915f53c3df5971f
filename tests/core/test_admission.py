"""What a request means for its app."""

from __future__ import annotations

import pytest

from core.test_rules import Asked, calling_itself
from torpor.core.admission import Admission, Decision
from torpor.core.bots import BOTS, Kind, known_bot
from torpor.core.model import AppSpec, Route, WakeOn
from torpor.core.rules import Answer, Glob, Rule

ROUTE = Route(None)
BROWSERS = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 14; CUBOT P80) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Slack/4.38 Electron/30 Safari/537.36",
    "Lynx/2.9.0dev.12 libwww-FM/2.14",
    "curl/8.5.0",
    "python-requests/2.32.3",
    "Go-http-client/1.1",
    "",
]
"""Names of what people use, telephones with odd names and scripts included."""
KNOWN = {
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)": "Googlebot",
    "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)": "UptimeRobot",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)": "GPTBot",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)": "Slackbot",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)": "facebookexternalhit",
    "Uptime-Kuma/1.23.13": "Uptime-Kuma",
    "kube-probe/1.30": "kube-probe",
    "ELB-HealthChecker/2.0": "ELB-HealthChecker",
    "GoogleHC/1.0": "GoogleHC",
    "Mozilla/5.0 zgrab/0.x": "zgrab",
    "check_http/v2.3.3 (monitoring-plugins 2.3.3)": "check_http",
}


@pytest.mark.parametrize(("name", "bot"), KNOWN.items())
def test_programs_that_visit_by_themselves_are_known(name: str, bot: str) -> None:
    """By a part of the name that they give themselves, in upper or lower case."""
    assert bot == known_bot(name) == known_bot(name.upper())


@pytest.mark.parametrize("name", BROWSERS)
def test_what_people_use_is_no_bot(name: str) -> None:
    """Neither a browser nor a script is taken for one."""
    assert known_bot(name) is None


def test_the_list_of_bots_holds_nobody_twice() -> None:
    """No name is a part of another one; each is long enough to mean one program; every kind is there."""
    tokens = [bot.token.lower() for bot in BOTS]

    assert [] == [(one, other) for one in tokens for other in tokens if one != other and one in other]
    assert len(set(tokens)) == len(tokens)
    assert [] == [token for token in tokens if len(token) < 5]
    assert set(Kind) == {bot.kind for bot in BOTS}
    assert all(bot.source for bot in BOTS)


HEALTH = Rule("health", paths=(Glob("/health"),), wakes=False, counts=False, answer=Answer(200))
CLOSED = Rule("closed", paths=(Glob("/health"),), wakes=False)
FREE = Rule("free", paths=(Glob("/api/*"),))


@pytest.mark.parametrize(
    ("expected", "app", "route", "asked", "navigation"),
    [
        (Decision("wake_on"), AppSpec("a"), ROUTE, Asked(), False),
        (Decision("favicon", wakes=False, answer=Answer(204)), AppSpec("a"), ROUTE, Asked(path="/favicon.ico"), True),
        # The rules of the route, then those of the app; the first one decides.
        (Decision("health", False, False, Answer(200)), AppSpec("a", rules=(HEALTH, CLOSED)), ROUTE, Asked(path="/health"), False),
        (Decision("closed", False), AppSpec("a", rules=(CLOSED, HEALTH)), ROUTE, Asked(path="/health"), False),
        (Decision("closed", False), AppSpec("a", rules=(HEALTH,)), Route(None, rules=(CLOSED,)), Asked(path="/health"), False),
        (Decision("wake_on"), AppSpec("a", rules=(HEALTH,)), ROUTE, Asked(path="/healthy"), False),
        # Then the short forms, which a rule overrules.
        (Decision("ignore_bots (UptimeRobot)", False, False), AppSpec("a", ignore_bots=True), ROUTE, calling_itself("UptimeRobot/2"), True),
        (Decision("wake_on"), AppSpec("a", ignore_bots=True), ROUTE, calling_itself("curl/8"), False),
        (Decision("free"), AppSpec("a", ignore_bots=True, rules=(FREE,)), ROUTE,
         Asked(path="/api/x", fields=((b"user-agent", "UptimeRobot/2"),)), False),
        (Decision("wake_paths"), AppSpec("a", wake_paths=(Glob("/in"), Glob("/app/*"))), ROUTE, Asked(path="/app/x"), False),
        (Decision("wake_paths", False, why="this address does not wake it"),
         AppSpec("a", wake_paths=(Glob("/in"),)), ROUTE, Asked(path="/"), True),
        (Decision("free"), AppSpec("a", wake_paths=(Glob("/in"),), rules=(FREE,)), ROUTE, Asked(path="/api/x"), False),
        (Decision("wake_on"), AppSpec("a", wake_on=WakeOn.NAVIGATION), ROUTE, Asked(), True),
        (Decision("wake_on", False, why="only opening its page wakes it"),
         AppSpec("a", wake_on=WakeOn.NAVIGATION), ROUTE, Asked(), False),
        (Decision("wake_on", False, why="only opening its page wakes it"),
         AppSpec("a", wake_on=WakeOn.NAVIGATION, wake_paths=(Glob("/"),)), ROUTE, Asked(), False),
    ],
)  # fmt: skip
def test_one_function_decides_and_names_what_decided(
    expected: Decision, app: AppSpec, route: Route, asked: Asked, navigation: bool
) -> None:
    """The nearest word wins: route, app, short forms; of rules the first that meets the request."""
    assert expected == Admission(app, route).decide(asked, navigation=navigation)


def test_only_where_something_does_not_count_an_awake_app_has_to_ask() -> None:
    """The hot path of all other apps knows nothing of rules."""
    assert not Admission(AppSpec("a", rules=(CLOSED, FREE), wake_paths=(Glob("/"),)), ROUTE).discounts
    assert Admission(AppSpec("a", rules=(HEALTH,)), ROUTE).discounts
    assert Admission(AppSpec("a"), Route(None, rules=(HEALTH,))).discounts
    assert Admission(AppSpec("a", ignore_bots=True), ROUTE).discounts
