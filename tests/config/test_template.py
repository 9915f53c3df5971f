"""A waiting page of one's own is checked when it is read and cannot fail later."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from torpor.config.template import PLACEHOLDERS, check_template, render_template


def test_placeholders_are_replaced_once() -> None:
    """Values stand where their names did; a value that looks like a placeholder is not looked at."""
    text = "<b>{{app}}</b> {{ reason }}{{eta}} {x} {{{app}}}"
    assert "<b>{{state}}</b> r {x} {{{state}}}" == render_template(text, {"app": "{{state}}", "reason": "r"})


def test_a_good_template_has_no_problems() -> None:
    """All known names may be used, with or without blanks; CSS braces are no placeholders."""
    text = "<style>a{b:c}</style>" + "".join(f"{{{{ {name} }}}}{{{{{name}}}}}" for name in PLACEHOLDERS)
    assert [] == check_template(text)


def test_unknown_names_are_told_with_their_line() -> None:
    """A typing error is found when the file is loaded, with a guess."""
    assert ["line 2: unknown placeholder 'scrpt' (did you mean 'script'?)"] == check_template(
        "{{refresh}}\n{{scrpt}}"
    )


def test_a_page_must_be_able_to_reload() -> None:
    """Without script, refresh or the events a visitor would wait for ever."""
    assert ["has neither {{script}} nor {{refresh}}: the page would never reload"] == check_template(
        "<p>{{app}}</p>"
    )


@given(st.text("{} abscript\n", max_size=60))
def test_a_checked_template_always_renders(text: str) -> None:
    """After the check no placeholder is left in the page."""
    if not check_template(text):
        assert "{{script}}" not in render_template(text, dict.fromkeys(PLACEHOLDERS, "x"))
