"""What docs/waiting-page.md says is true."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.waiting.fakes import FakeSeam, head, with_page
from torpor.config.template import PLACEHOLDERS, check_template
from torpor.gateway.waiting.room import WaitingRoom

GUIDE = (Path(__file__).parents[3] / "docs" / "waiting-page.md").read_text("utf-8")


def test_the_example_template_works() -> None:
    """The template in the guide passes the check of the configuration and shows a wake."""
    (template,) = re.findall(r"```html\n(.*?)```", GUIDE, re.DOTALL)
    assert [] == check_template(template)
    seam = FakeSeam(with_page(template=template, title="Field notes"))
    seam.happen("waiting", "waiting for http /health")
    body = WaitingRoom(seam).page(seam.gates["notes"], head()).body.decode()
    assert "{{" not in body
    assert "<h1>Field notes</h1>" in body
    assert "Waiting for http /health" in body
    assert 'http-equiv="refresh"' in body
    assert "EventSource" in body


def test_every_placeholder_is_explained() -> None:
    """The guide names the placeholders that the configuration accepts, no more and no fewer."""
    assert set(PLACEHOLDERS) == set(re.findall(r"^\| `\{\{(\w+)\}\}` \|", GUIDE, re.MULTILINE))
