"""What the console's pages make of messages: code between backticks, and the colour of a job's status."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from prefect_collect.console.pages import Pages, status_class
from prefect_collect.statuses import JobStatus

CONSOLE = Path(str(files("prefect_collect.console")))


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Run `prefect-collect serve`.", "Run <code>prefect-collect serve</code>."),
        ("Not <b> (`a<b>`), `c`", "Not &lt;b&gt; (<code>a&lt;b&gt;</code>), <code>c</code>"),
        ("One ` alone", "One ` alone"),
        ("[path=a`b`c]", "[path=a`b`c]"),
        ("`\u202e`", "<code>\\u202e</code>"),
    ],
)
def test_backticks_are_code(message: str, shown: str) -> None:
    """What a message has between backticks is shown as code, all of it escaped; names with backticks are left."""
    assert f'<p class="message">{shown} <button' in Pages().text("_message.html", message=message)


def test_every_message_is_shown_with_its_code() -> None:
    """No template shows a message, an action to take or a problem with the backticks that it may have."""
    shown_bare = re.compile(
        r'(?<!")\{\{ (?!entry\.)([\w.\[\]]*(?:message|action|problem|only_by_command|guidance)) \}\}'
    )
    templates = sorted(CONSOLE.glob("templates/*.html"))
    left = [(one.name, found) for one in templates for found in shown_bare.findall(one.read_text())]
    assert templates
    assert left == []


def test_a_message_has_the_colour_of_its_status() -> None:
    """The message of a job is marked in the colour of the job's status, for each of them."""
    sheet, css = (CONSOLE / name for name in ("templates/_sheet.html", "static/console.css"))
    assert '<p class="message {{ job.status | status_class }}">' in sheet.read_text()
    styled = dict(
        re.findall(r"\.message(?:\.(\w+))? \{[^}]*border-left(?:-color)?:[^}]*var\((--\w+)\)", css.read_text())
    )
    default = re.search(r"\.message \{[^}]*border-left: 4px solid var\((--\w+)\)", css.read_text())
    assert default is not None
    colours = {status: styled.get(status_class(status), default[1]) for status in JobStatus}
    assert colours == {status: f"--{status_class(status)}" for status in JobStatus}
