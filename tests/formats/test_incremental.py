"""Exports that are asked for with an incremental collection, and cannot be made of one."""

from __future__ import annotations

import pytest

from prefect_collect.errors import UsageError
from prefect_collect.formats import FORMATS, Format
from prefect_collect.formats.incremental import require_possible_since


@pytest.mark.parametrize("format", ["dataset", "dataset-directory"])
def test_a_format_that_needs_everything(format: Format) -> None:
    """A dataset has each table whole; the message names the formats that need not, and databases have."""
    require_possible_since(format, since=None, deduplicate=None)
    with pytest.raises(UsageError, match="collect without since, or export as bagit, directory") as caught:
        require_possible_since(format, since="last", deduplicate=None)
    assert "mail" not in str(caught.value)


def test_a_format_that_shares_what_is_unchanged() -> None:
    """An OCFL object takes the unchanged items of earlier versions, but cannot compare them."""
    require_possible_since("ocfl", since="last", deduplicate=None)
    require_possible_since("ocfl", since=None, deduplicate="global")
    with pytest.raises(UsageError, match="leave out deduplicate, or since"):
        require_possible_since("ocfl", since="last", deduplicate="global")


@pytest.mark.parametrize("format", [name for name, facts in FORMATS.items() if not facts.whole])
def test_all_others(format: Format) -> None:
    """They list the unchanged items as not delivered."""
    require_possible_since(format, since="last", deduplicate="global")
