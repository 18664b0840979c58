"""The error codes, and the page that explains them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_collect import errors
from prefect_collect.codes import CODES, Category, Code, Failure, Who
from prefect_collect.codes.page import render_page
from prefect_collect.errors import CollectError

PAGE = Path(__file__).parents[2] / "docs" / "error-codes.md"
DESIGNED = (
    *("access_denied", "not_found", "changed_during_read", "checksum_mismatch", "throttled", "timeout"),
    *("connection_lost", "quota_exceeded", "disk_full", "path_unsafe", "too_large", "worker_lost", "canceled"),
    *("threshold_exceeded", "collection_deleted"),
)


OF_ITEMS_ALONE = {
    "special_file", "symlink", "staging_store", "unchanged", "missing_in_export", "not_exported", "unsure_split",
    "not_a_message", "not_a_table", "list_mismatch",
}  # fmt: skip


def _classes(base: type[CollectError] = CollectError) -> Iterator[type[CollectError]]:
    yield base
    for child in base.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _classes(child)


def test_the_page_is_the_table() -> None:
    """docs/error-codes.md is generated from the table; generate it again after a change of the table."""
    made = subprocess.run([sys.executable, "-m", "prefect_collect.codes"], capture_output=True, check=True).stdout
    assert made.decode() == render_page()
    assert PAGE.read_text(encoding="utf-8") == render_page(), (
        "run: python -m prefect_collect.codes > docs/error-codes.md"
    )


def test_every_code_has_one_row_on_the_page() -> None:
    """Each code stands once on the page, under its category, with its meaning, action, who must act, and retry."""
    rows = re.findall(r"(?m)^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \| (yes|no) \|$", PAGE.read_text(encoding="utf-8"))
    expected = [(c.name, c.meaning, c.action, str(c.who), "yes" if c.retryable else "no") for c in CODES.values()]
    assert sorted(rows) == sorted(expected)


@pytest.mark.parametrize("code", CODES.values(), ids=lambda code: code.name)
def test_every_code_is_whole(code: Code) -> None:
    """A code is a snake_case word with a category, a meaning and an action in whole sentences, and a role to act."""
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code.name)
    assert CODES[code.name] is code
    assert code.category in Category
    assert code.who in Who
    assert isinstance(code.retryable, bool)
    for sentence in (code.meaning, code.action, code.meaning_for(whole=True), code.action_for(whole=True)):
        assert re.fullmatch(r"[A-Z][^|\n]+\.", sentence)
    if code.retryable or code.who is not Who.NOBODY:
        assert code.action != "Nothing to do."


def test_codes_are_kept() -> None:
    """The designed codes exist, every category has a code, and no two codes have the same meaning."""
    assert set(DESIGNED) <= set(CODES)
    assert {code.category for code in CODES.values()} == set(Category)
    assert len({code.meaning for code in CODES.values()}) == len(CODES)


@pytest.mark.parametrize("error", list(_classes()), ids=lambda error: error.__name__)
def test_every_error_that_has_a_code_has_a_known_one(error: type[CollectError]) -> None:
    """The code of an error class is in the table, and that of a transient error is retryable there."""
    code = getattr(error, "code", None)
    if code is not None:
        assert code in CODES
        if error.transient:
            assert CODES[code].retryable


def test_a_failure_takes_only_known_codes() -> None:
    """A failure with an unknown code cannot be created."""
    assert Failure("timeout", "No answer. [a]").retryable
    assert not Failure("access_denied", "Not allowed. [a]").retryable
    with pytest.raises(ValueError, match="'broken' is not an error code"):
        Failure("broken", "It broke. [a]")


@pytest.mark.parametrize("code", CODES.values(), ids=lambda code: code.name)
def test_what_is_said_of_a_whole_job_is_of_no_item(code: Code) -> None:
    """A code that a source, a store or a job as a whole can have asks nothing of "the item" then."""
    if code.name not in OF_ITEMS_ALONE:
        for text in (code.meaning_for(whole=True), code.action_for(whole=True)):
            assert "the item" not in text
            assert "The item" not in text
    else:
        assert code.whole_meaning == code.whole_action == ""


def test_what_to_do_about_a_file_that_is_no_mbox_file() -> None:
    """The action of `unsure_split` also fits a file that is no mbox file, and was collected as it is."""
    code = CODES["unsure_split"]
    assert "the file is no mbox file" in code.meaning
    assert code.action.endswith("if the file is no mbox file, nothing is to do, as it was collected as it is.")
