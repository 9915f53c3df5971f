"""Tell a person who looks at a page from a program that wants its answer.

A person gets the waiting page at once; a program is held until the app can answer.
Whoever is not certainly a page load is a program: showing HTML to an API client is
the worse mistake.
"""

from __future__ import annotations

from torpor.gateway.replies import names_html
from torpor.gateway.request import RequestHead


def is_navigation(head: RequestHead) -> bool:
    """Whether a browser is loading a document to show.

    True for a GET without Upgrade whose Sec-Fetch-Dest is `document` (and whose
    Sec-Fetch-Mode, if sent, is `navigate`); where the browser sends no Sec-Fetch-Dest (old
    ones, and all of them on plain http away from localhost), for one whose Accept names
    text/html explicitly and that no script marked as its own.
    """
    if head.method != b"GET" or head.get(b"upgrade") is not None:
        return False
    destination = head.get(b"sec-fetch-dest")
    if destination is not None:
        return destination == b"document" and head.get(b"sec-fetch-mode") in {None, b"navigate"}
    return names_html(head) and head.get(b"x-requested-with") is None
