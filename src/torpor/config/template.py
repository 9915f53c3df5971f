"""The template of a waiting page: HTML with placeholders.

`{{name}}` is replaced by that value; anything else, other braces included, is kept.
There are no loops or conditions: what a page can show is given ready-made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torpor.config.problems import near_miss

MAX_BYTES = 512 * 1024

PLACEHOLDERS: Mapping[str, str] = {
    "app": "The app's name.",
    "title": "`loading_page.title`, or the app's name.",
    "state": "What the app is doing, in one word.",
    "elapsed": "Seconds since the wake began.",
    "eta": "Seconds that a wake usually takes; empty while unknown.",
    "refresh": "The `<meta http-equiv=refresh>` element for browsers without JavaScript.",
    "steps": "The steps of the wake so far, as `<li>` elements.",
    "logs": "The app's last log lines, where `show_logs` allows it.",
    "script": "The `<script>` element that follows the wake and reloads the page.",
    "events_url": "The URL of the wake's event stream, for a script of your own.",
    "reason": "One sentence: what is going on, or what went wrong.",
}
"""What may stand between the braces, and what it means."""

_PLACEHOLDER = re.compile(r"\{\{\s*([^{}\s]*)\s*\}\}")


def check_template(text: str) -> list[str]:
    """What is wrong with the template, one sentence each; empty if it can be used.

    Without `script` or `refresh` the page would never reload, so one must be there.
    """
    problems: list[str] = []
    names: set[str] = set()
    for match in _PLACEHOLDER.finditer(text):
        name = match[1]
        line = text.count("\n", 0, match.start()) + 1
        if name in PLACEHOLDERS:
            names.add(name)
            continue
        guess = near_miss(name, PLACEHOLDERS)
        hint = f" (did you mean '{guess}'?)" if guess else f"; known are {', '.join(PLACEHOLDERS)}"
        problems.append(f"line {line}: unknown placeholder '{name}'{hint}")
    if not names & {"script", "refresh", "events_url"}:
        problems.append("has neither {{script}} nor {{refresh}}: the page would never reload")
    return problems


def render_template(text: str, values: Mapping[str, str]) -> str:
    """The page.  Values are inserted as they are: the caller has escaped them for HTML.

    A placeholder without a value is left empty.  Inserted text is not looked at again.
    """
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], ""), text)
