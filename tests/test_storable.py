"""A text that Prefect's database cannot store is found at any depth, and refused with the name of its field."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from prefect_collect.errors import InvalidLocation, InvalidQuery, UsageError
from prefect_collect.sources.query import Query
from prefect_collect.storable import STORABLE_PATTERN, require_storable, unstorable
from tests.examples import examples


@dataclass
class _Group:
    inner: object


class _Model(BaseModel):
    inner: Any = None


@pytest.mark.parametrize("text", ["a\0b", "caf\udce9"])
@pytest.mark.parametrize(
    ("value", "field"),
    [
        (lambda text: {"name": text}, "name"),
        (lambda text: {"query": {"include": ["fine", text]}}, "query.include"),
        (lambda text: {"query": {"include": ("fine", {text})}}, "query.include"),
        (lambda text: {"store": Path(text)}, "store"),
        (lambda text: {"options": {text: 1}}, "options"),
        (lambda text: {"group": _Group([text])}, "group.inner"),
        (lambda text: {"auto_export": _Model(inner=text)}, "auto_export.inner"),
        (lambda text: {"source": _Model(inner=SecretStr(text))}, "source.inner.secret"),
    ],
)
def test_the_field_is_named(value: Any, field: str, text: str) -> None:
    """Wherever the text is, the message names its field and does not repeat the text, which may be a secret."""
    with pytest.raises(InvalidLocation, match=re.escape(f"[field={field}]")) as refused:
        require_storable(value(text), "", InvalidLocation)
    assert str(refused.value).startswith(f"{field} contains {unstorable(text)}, which Prefect cannot store; ")
    assert "caf" not in str(refused.value)


@settings(max_examples=examples(200), deadline=None)
@given(st.text(st.characters(exclude_categories=()), max_size=20) | st.text("a\0\ud800\U0001f600\n\x7f", max_size=5))
def test_all_other_text_is_taken(text: str) -> None:
    """Exactly the texts that PostgreSQL or UTF-8 cannot represent are refused; the forms' pattern refuses NUL."""
    is_unicode = text.encode("utf-8", "ignore").decode() == text
    assert bool(unstorable(text)) == ("\0" in text or not is_unicode)
    assert (re.search(STORABLE_PATTERN, text) is None) == ("\0" in text)
    if not unstorable(text):
        require_storable({"a": [text]}, "")
    else:
        with pytest.raises(UsageError):
            require_storable({"a": [text]}, "")


@pytest.mark.parametrize("text", ["a\0b", "caf\udce9"])
def test_queries_take_no_such_pattern(text: str) -> None:
    """A query with such a pattern is refused when it is created."""
    for field in ("include", "exclude"):
        with pytest.raises(InvalidQuery, match=rf"{field} contains .*\[field={field}\]"):
            Query.of({field: ["*.pdf", text]})
