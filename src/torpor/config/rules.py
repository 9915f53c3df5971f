"""From the rules that people write about requests to those that the core decides by."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from msgspec import UNSET

from torpor.config import declarations as declared
from torpor.config.layers import Layers, given
from torpor.core.rules import Answer, Glob, Header, Network, Rule

MAX_RULES = 100
"""Rules of one list, and patterns of one matcher: each may be looked at for every request."""
MAX_NAME = 100
MAX_PATTERN = 1024
"""Characters of one pattern, name or value of a header."""
MAX_BODY = 64 * 1024
"""Characters of an answer's body."""
MAX_HEADERS = 50

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_METHOD = re.compile(r"[A-Z][A-Z0-9_-]{0,31}")
_MEDIA_TYPE = re.compile(r"[a-zA-Z0-9.+-]+/[a-zA-Z0-9.+-]+(?: ?; ?[a-zA-Z0-9-]+=[a-zA-Z0-9-]+){0,4}")
_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
_OURS = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "date",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-torpor",
    }
)
"""Headers that Torpor writes itself, or that would change what the answer means."""
_BODILESS = frozenset({204, 304})

Place = tuple[str | int, ...]
Pattern = TypeVar("Pattern")


def build_rules(keys: Layers, written: Any, key: str, *inner: str | int) -> tuple[Rule, ...]:
    """The rules of a list.  `key` and `inner` say where it stands; what is wrong goes to the problems."""
    if len(written) > MAX_RULES:
        keys.report(key, f"has more than {MAX_RULES} rules", *inner)
        return ()
    rules: list[Rule] = []
    last: str | None = None
    for position, item in enumerate(written):
        where = (*inner, position)
        if last is not None:
            keys.report(key, f"is never reached: '{last}' before it meets every request", *where)
        rule = _rule(keys, item, key, where)
        rules.append(rule)
        if last is None and not _names_matcher(item) and not keys.broken(key, *where):
            last = rule.name
    return tuple(rules)


def build_wake_paths(keys: Layers) -> tuple[Glob, ...]:
    """Where requests wake the app."""
    value = keys.get("wake_paths", [])
    if value == []:
        if keys.own.keys.wake_paths is not UNSET:
            keys.report(
                "wake_paths", "is empty: nothing would ever wake the app; name a path, or remove the key"
            )
        return ()
    return _patterns(keys, value, _path, "wake_paths", ())


def _rule(keys: Layers, item: declared.Rule, key: str, where: Place) -> Rule:
    name = given(item.name, ".".join(map(str, (key, *where))))
    if not name.isprintable() or not 0 < len(name) <= MAX_NAME:
        keys.report(key, f"is no name; write up to {MAX_NAME} printable characters", *where, "name")
    if item.wake is UNSET and item.activity is UNSET and not keys.broken(key, *where):
        if item.answer is UNSET:
            keys.report(key, "says what it meets but not what follows; write `wake` or `activity`", *where)
        else:
            text = "does not say whether the app is woken meanwhile; write `wake: false` or `wake: true` beside it"
            keys.report(key, text, *where, "answer")
    return Rule(
        name=name,
        paths=_patterns(keys, item.path, _path, key, (*where, "path")),
        methods=_patterns(keys, item.method, _method, key, (*where, "method")),
        agents=_patterns(keys, item.user_agent, _agent, key, (*where, "user_agent")),
        networks=_patterns(keys, item.cidr, _network, key, (*where, "cidr")),
        headers=_patterns(keys, item.header, _header, key, (*where, "header")),
        wakes=given(item.wake, True),
        counts=given(item.activity, True),
        answer=None if item.answer is UNSET else _answer(keys, item.answer, key, (*where, "answer")),
    )


def _names_matcher(item: declared.Rule) -> bool:
    """Whether it says which requests it meets, be that right or wrong."""
    named = (item.path, item.method, item.user_agent, item.cidr, item.header)
    return any(matcher is not UNSET for matcher in named)


def _patterns(
    keys: Layers, value: Any, parse: Callable[[str], Pattern], key: str, where: Place
) -> tuple[Pattern, ...]:
    """What `parse` makes of one pattern or of each of a list."""
    if value is UNSET:
        return ()
    if value == []:
        keys.report(key, "is empty: no request would ever fit; name something, or remove the key", *where)
    if isinstance(value, list) and len(value) > MAX_RULES:
        keys.report(key, f"has more than {MAX_RULES} patterns", *where)
        return ()
    found: list[Pattern] = []
    for position, item in enumerate(value if isinstance(value, list) else [value]):
        inner = (*where, position) if isinstance(value, list) else where
        pattern = keys.attempt(partial(_bounded, parse, item), key, *inner)
        if pattern is not None:
            found.append(pattern)
    return tuple(found)


def _bounded(parse: Callable[[str], Pattern], text: str) -> Pattern:
    if not text:
        raise ValueError("is empty")
    if len(text) > MAX_PATTERN:
        raise ValueError(f"is longer than {MAX_PATTERN} characters")
    return parse(text)


def _path(text: str) -> Glob:
    if not text.startswith(("/", "*")):
        raise ValueError(f"'{text}' is not a path; it must begin with '/' or '*'")
    if "?" in text or "#" in text:
        raise ValueError(f"'{text}': a path is compared without its query and fragment")
    if not text.isascii() or " " in text:
        raise ValueError(f"'{text}' is not a path as it is sent; percent-encode what is not plain ASCII")
    return Glob(text)


def _method(text: str) -> str:
    method = text.upper()
    if _METHOD.fullmatch(method) is None:
        raise ValueError(f"'{text}' is not a method, like GET")
    return method


def _agent(text: str) -> Glob:
    return Glob(text.lower() if "*" in text else f"*{text.lower()}*")


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        message = (
            f"'{text}' is neither an address nor a network; write it like 10.0.0.0/8, 192.0.2.7 or fd00::/8"
        )
        raise ValueError(message) from None


def _header(text: str) -> Header:
    name, colon, value = text.partition(":")
    if _TOKEN.fullmatch(name.strip()) is None:
        raise ValueError(f"'{text}' is neither a header's name nor `Name: value`")
    return Header(name.strip().lower(), Glob(value.strip().lower()) if colon else None)


def _answer(keys: Layers, written: Any, key: str, where: Place) -> Answer:
    if isinstance(written, int):
        return Answer(written)
    default = Answer()
    answer = Answer(
        status=given(written.status, default.status),
        body=given(written.body, default.body),
        content_type=given(written.content_type, default.content_type),
        headers=tuple(given(written.headers, {}).items()),
    )
    if answer.body and answer.status in _BODILESS:
        keys.report(key, f"has no place in an answer with status {answer.status}", *where, "body")
    if len(answer.body) > MAX_BODY:
        keys.report(key, f"is longer than {MAX_BODY} characters", *where, "body")
    if _MEDIA_TYPE.fullmatch(answer.content_type) is None:
        keys.report(key, "is no media type, like text/html", *where, "content_type")
    if len(answer.headers) > MAX_HEADERS:
        keys.report(key, f"has more than {MAX_HEADERS} headers", *where, "headers")
    for name, value in answer.headers:
        if (complaint := _wrong_header(name, value)) is not None:
            keys.report(key, complaint, *where, "headers", name)
    return answer


def _wrong_header(name: str, value: str) -> str | None:
    if _TOKEN.fullmatch(name) is None:
        return f"'{name}' is not the name of a header"
    if name.lower() == "content-type":
        return "write it as `content_type` of the answer"
    if name.lower() in _OURS:
        return "is written by Torpor itself"
    if len(value) > MAX_PATTERN or _VALUE.fullmatch(value) is None:
        return "is no value of a header: it has line breaks or worse, or is too long"
    return None
