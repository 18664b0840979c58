"""Whatever a source lists and gives, each item is found, and a good one is collected."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prefect_collect.codes import Failure
from prefect_collect.collecting import enumeration
from prefect_collect.sources import Content, Item, ListingEnd
from prefect_collect.sources.item_checks import LONGEST_TEXT
from prefect_collect.verification import verify_job
from tests.collecting.odd_values import EAST, WEST
from tests.examples import examples
from tests.support.memory_store import MemoryStore
from tests.support.odd_source import GOOD, OddSource
from tests.support.run_attempts import attempt, check_account, held, job_rows, new_job

TEXTS = st.one_of(
    st.text(st.characters(), max_size=20),
    st.just("x" * (LONGEST_TEXT + 1)),
    st.none(),
    st.integers(),
    st.binary(max_size=5),
)
ITEMS = st.one_of(
    st.none(),
    st.builds(
        Item,
        id=TEXTS,
        path=TEXTS,
        size=st.one_of(st.none(), st.integers(), st.floats(), st.booleans(), st.text(max_size=3)),
        modified=st.one_of(
            st.none(),
            st.datetimes(timezones=st.one_of(st.none(), st.timezones(), st.just(EAST), st.just(WEST))),
            st.dates(),
            st.integers(),
        ),
        etag=TEXTS,
        version=TEXTS,
        skipped=st.sampled_from([None, None, None, Failure("symlink", "\udcff"), "x"]),
        failure=st.sampled_from([None, None, None, Failure("not_found", "gone", 70_000), 5]),
        expands=st.one_of(st.none(), TEXTS),
        failed_since=st.one_of(st.none(), st.datetimes()),
        is_current=st.sampled_from([True, False, None]),
    ),
)


@settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(odd=st.lists(ITEMS, min_size=1, max_size=12), per_shard=st.integers(1, 5))
def test_any_items(odd: list[Any], per_shard: int) -> None:
    """Every listed item is found, or reported as doubled; the account adds up, and the good item is collected."""
    source = OddSource()

    def items() -> Iterator[Any]:
        yield from odd
        yield Item("the good one", "good", 6)
        yield ListingEnd("all", items=len(odd) + 1)

    source.items = items  # type: ignore[method-assign]
    folder = new_job(MemoryStore(), source)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(enumeration, "SHARD_ITEMS", per_shard)
        result = attempt(folder, source)
    check_account(folder)
    assert "the good one" in held(folder)
    assert job_rows(folder) == []
    totals = folder.inventory_totals(1) or {}
    assert result.counts.found + totals.get("doubled", {}).get("items", 0) == len(odd) + 1
    assert verify_job(folder).valid


CONTENT = st.builds(
    Content,
    chunks=st.one_of(st.lists(st.one_of(st.binary(max_size=9), st.just("x"), st.none(), st.integers())), st.none()),
    size=st.one_of(st.none(), st.just(6), st.integers(), st.floats(), st.just("6")),
    modified=st.one_of(st.none(), st.datetimes(), st.integers()),
    etag=TEXTS,
    crc32=st.one_of(st.none(), st.integers()),
    md5=st.one_of(st.none(), st.binary(max_size=20), st.text(max_size=3)),
    sha1=st.one_of(st.none(), st.binary(max_size=24), st.text(max_size=3)),
    sha256=st.one_of(st.none(), st.binary(max_size=40), st.text(max_size=3)),
    finish=st.sampled_from([None, 5, lambda: 1 / 0]),
)


@settings(max_examples=examples(30), deadline=None)
@given(content=st.one_of(CONTENT, st.none(), st.binary()), sized=st.booleans())
def test_any_content(content: Any, sized: bool) -> None:
    """Whatever an item is opened as, the other items are collected and the account adds up."""
    source = OddSource([lambda _: content], opening=True, sized=sized)
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source)
    check_account(folder)
    assert set(GOOD) <= held(folder).keys()
    assert result.counts.succeeded + result.counts.failed == len(GOOD) + 1
    assert verify_job(folder).valid
