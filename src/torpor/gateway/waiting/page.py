"""The waiting page: a view of an app put into the template, with the headers that go with it.

Laws of this file:

- Every value that reaches the template is escaped here, and nowhere else.
- The page needs nothing but itself: its content security policy names its one
  script and one style by hash and forbids everything else.
- The page's own script holds no data; what differs between two pages stands in
  attributes, so the hash is one constant.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from urllib.parse import quote, urlencode

from torpor.config.template import render_template
from torpor.core.model import AppSpec
from torpor.gateway.replies import Reply
from torpor.gateway.waiting.view import Step, View

EVENTS = "/_torpor/events"
STATUS = "/_torpor/status"

_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
# What a user's own template loads and runs is its author's decision; what it cannot need is closed.
_FOREIGN_POLICY = "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"


def waiting_page(
    spec: AppSpec, view: View, steps: Sequence[Step], logs: Sequence[str], *, target: bytes
) -> Reply:
    """The page for a visitor who asked for `target`, as a 503 that no cache keeps."""
    template = spec.loading_page.template
    own = template is None
    body = render_template(
        _page() if template is None else template, values(spec, view, steps, logs, target=target)
    )
    headers = (
        ("X-Torpor", view.cause),
        ("Retry-After", str(view.retry_after)),
        ("Cache-Control", "no-store"),
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Security-Policy", _policy() if own else _FOREIGN_POLICY),
        ("Referrer-Policy", "no-referrer"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Robots-Tag", "noindex"),
        ("Vary", "Accept, Sec-Fetch-Dest"),
    )
    return Reply(503, headers, body.encode())


def values(
    spec: AppSpec, view: View, steps: Sequence[Step], logs: Sequence[str], *, target: bytes
) -> dict[str, str]:
    """What a template may show, each value escaped for HTML text and quoted attributes."""
    query = urlencode({"app": spec.name})
    events_url = f"{EVENTS}?{query}"
    return {
        "app": escape(spec.name),
        "title": escape(spec.loading_page.title or spec.name),
        "state": escape(view.state),
        "elapsed": f"{view.elapsed or 0.0:.0f}",
        "eta": "" if view.eta is None else f"{max(1.0, view.eta):.0f}",
        "refresh": _refresh(view, target),
        "steps": "".join(_item(step, steps[0].at) for step in steps),
        "logs": escape("\n".join(logs)),
        "script": _script(view, events_url, f"{STATUS}?{query}"),
        "events_url": escape(events_url),
        "reason": escape(view.sentence),
    }


def _item(step: Step, begun: float) -> str:
    after = max(0.0, step.at - begun)
    mark = ' class="error"' if step.failed else ""
    return f'<li{mark} data-seq="{step.seq}">{escape(step.text)}<time>{after:.1f} s</time></li>'


def _refresh(view: View, target: bytes) -> str:
    """For browsers without script.  In `noscript`, so that the script's tab is not reloaded under it."""
    if view.refresh is None:
        return ""
    seconds = max(1, -int(-view.refresh // 1))
    return f'<noscript><meta http-equiv="refresh" content="{seconds};url={escape(_here(target))}"></noscript>'


def _here(target: bytes) -> str:
    """The page's own address, below the same host whatever was asked for.

    It has to be named: without it a browser that stands at `/page#part` goes to
    `#part` of the page that it already has, and never asks again.
    """
    path = quote(target, safe="!$%&'()*+,/:;=?@[]~")
    return f"/.{path}" if path.startswith("//") else path


def _script(view: View, events_url: str, status_url: str) -> str:
    data = {
        "events": events_url,
        "status": status_url,
        "elapsed": f"{view.elapsed or 0.0:.3f}",
        "eta": f"{view.eta or 0.0:.3f}",
        "final": "1" if view.final and view.state != "ready" else "",
        "retry": "" if view.retry is None else f"{view.retry:.3f}",
    }
    attributes = " ".join(f'data-{name}="{escape(value)}"' for name, value in data.items())
    return f"<script {attributes}>{_code()}</script>"


@cache
def _page() -> str:
    return _asset("page.html")


@cache
def _code() -> str:
    return _asset("page.js")


@cache
def _policy() -> str:
    style = _STYLE.search(_page())
    assert style is not None
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(_code())}",
            f"style-src {_hash(style[1])}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'self'",
        )
    )


def _hash(content: str) -> str:
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    text = (files("torpor.gateway.waiting") / name).read_text("utf-8")
    # Indentation and comments are for those who edit it.
    return "\n".join(line.partition("  // ")[0].strip() for line in text.splitlines())
