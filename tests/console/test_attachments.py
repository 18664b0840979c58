"""The names under which browsers save what the console sends."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.console.attachments import disposition, saved
from tests.examples import examples

FORM = re.compile(r"attachment; filename=\"([ !#-\[\]-~]*)\"; filename\*=UTF-8''([A-Za-z0-9!#$&+\-.^_`|~%]*)", re.ASCII)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("report.pdf", "report.pdf"),
        ("Grüße 100%.txt", "Grüße 100%.txt"),
        ('a"b\\c/d\r\ne.txt', "a_b_c_d__e.txt"),
        ("\u202etxt.exe", "_txt.exe"),
        ("..", "item"),
        ("", "item"),
        ("x" * 300 + ".eml", "x" * 196 + ".eml"),
        ("ü" * 300, "ü" * 100),
    ],
)
def test_names_of_files(name: str, shown: str) -> None:
    """The name is the item's, without what a header or a file system cannot hold; a long one keeps its ending."""
    found = FORM.fullmatch(disposition(name))
    assert found is not None
    assert unquote(found[2]) == shown
    assert found[1].isascii()


@given(name=st.text())
@settings(max_examples=examples(100))
def test_any_name_makes_one_header(name: str) -> None:
    """Whatever the name holds, the header has one form, and the name is one of a file in a folder."""
    found = FORM.fullmatch(disposition(name))
    assert found is not None
    assert 0 < len(unquote(found[2]).encode()) <= 200
    assert not set('/\\\0\r\n"') & set(unquote(found[2]))


def test_what_is_wrong_from_the_start_is_raised() -> None:
    """The first piece is fetched before an answer begins."""

    def damaged() -> object:
        raise ValueError("damaged")
        yield b""

    with pytest.raises(ValueError, match="damaged"):
        saved(damaged(), name="x", size=1)  # type: ignore[arg-type]
