"""The query: which items a collection takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_collect.codes import Failure
from prefect_collect.errors import InvalidQuery
from prefect_collect.sources import Item, ListingEnd
from prefect_collect.sources.query import Query

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
DENIED = Failure("access_denied", "The folder cannot be listed. [x]")


def item(path: str = "inbox/a.pdf", size: int | None = 10, modified: datetime | None = NOON) -> Item:
    """An item as a source lists it."""
    return Item(path, path, size, modified)


def test_no_query_takes_everything() -> None:
    """None, an empty table and an empty query are the same, and take any item."""
    for query in (Query(), Query.of(None), Query.of({})):
        assert query == Query()
        assert query.matches(item())
        assert query.matches(Item("x", "x"))
        assert query.to_json() == {}


def test_include_and_exclude() -> None:
    """One include must match, no exclude may; one glob may be given as a text."""
    query = Query(include=["*.pdf", "inbox/**"], exclude="*.tmp")  # type: ignore[arg-type]
    assert query.include == ("*.pdf", "inbox/**")
    assert query.exclude == ("*.tmp",)
    taken = [path for path in ("a.pdf", "x/a.pdf", "inbox/b", "inbox/c.tmp", "b") if query.matches(item(path))]
    assert taken == ["a.pdf", "x/a.pdf", "inbox/b"]


def test_times_are_from_inclusive_to_exclusive() -> None:
    """`modified_after` includes its own instant, `modified_before` does not: adjacent queries share no item."""
    assert Query(modified_after=NOON).matches(item())
    assert not Query(modified_before=NOON).matches(item())
    assert not Query(modified_after=NOON + timedelta(microseconds=1)).matches(item())
    assert Query(modified_before=NOON + timedelta(microseconds=1)).matches(item())


def test_sizes_are_inclusive() -> None:
    """`min_size` and `max_size` take items of exactly that many bytes; 0 is a bound too."""
    assert Query(min_size=10, max_size=10).matches(item())
    assert not Query(min_size=11).matches(item())
    assert not Query(max_size=0).matches(item())
    assert Query(max_size=0).matches(item(size=0))


def test_what_the_source_does_not_say_keeps_nothing_out() -> None:
    """An item without size and time is taken, as nothing shows that it should be left out."""
    query = Query(min_size=1, max_size=2, modified_after=NOON, modified_before=NOON + timedelta(1))
    assert query.matches(item(size=None, modified=None))


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-31T12:00:00Z",
        "2026-01-31T13:00:00+01:00",
        "2026-01-31 12:00",
        datetime(2026, 1, 31, 12),
        datetime(2026, 1, 31, 13, tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_times_are_utc(value: object) -> None:
    """Times are taken as text or datetime; without a zone they are UTC."""
    assert Query.of({"modified_after": value}).modified_after == NOON


def test_a_date_is_its_midnight() -> None:
    """A date, as text or as a date, stands for its first instant in UTC."""
    midnight = datetime(2026, 1, 31, tzinfo=UTC)
    for value in ("2026-01-31", date(2026, 1, 31)):
        assert Query.of({"modified_after": value}).modified_after == midnight


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ({"includes": ["*"]}, "'includes'"),
        ({"include": 5}, "include"),
        ({"include": [""]}, "include"),
        ({"include": ["[a"]}, "include"),
        ({"exclude": [5]}, "exclude"),
        ({"modified_after": "soon"}, "modified_after"),
        ({"modified_before": 5}, "modified_before"),
        ({"modified_before": "0001-01-01T00:00:00+05:00"}, "modified_before"),
        ({"min_size": -1}, "min_size"),
        ({"max_size": "10"}, "max_size"),
        ({"limit": True}, "limit"),
        ({"min_size": 2, "max_size": 1}, "min_size"),
        ({"modified_after": NOON, "modified_before": NOON}, "modified_after"),
        ("*.pdf", "query"),
        (["include"], "query"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(value: object, names: str) -> None:
    """Wrong values, unknown fields and contradictions raise InvalidQuery, which names the field."""
    with pytest.raises(InvalidQuery, match=names):
        Query.of(value)  # type: ignore[arg-type]


SIZES = st.none() | st.integers(0, 1 << 50)
TIMES = st.none() | st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5))]),
                                 min_value=datetime(1970, 1, 1))  # fmt: skip
GLOBS = st.lists(st.sampled_from(["*.pdf", "inbox/**", "[!a]*", "x/", "é?"]), max_size=3)


@given(GLOBS, GLOBS, TIMES, TIMES, SIZES, SIZES, SIZES)
def test_json_round_trip(
    include: list[str],
    exclude: list[str],
    after: datetime | None,
    before: datetime | None,
    low: int | None,
    high: int | None,
    limit: int | None,
) -> None:
    """A query survives conversion to JSON text and back; None and empty lists are the same as absent."""
    try:
        query = Query(tuple(include), tuple(exclude), after, before, low, high, limit)
    except InvalidQuery:
        return
    form = query.to_json()
    assert Query.of(json.loads(json.dumps(form))) == query
    assert Query.of({"include": None, "exclude": None, "limit": None, **form}) == query
    assert hash(Query.of(form)) == hash(query)


def test_select_stops_at_the_limit() -> None:
    """At most `limit` items are taken, and the source is not listed beyond the last one."""
    read = []

    def listing() -> Iterator[Item]:
        for number in range(10):
            read.append(number)
            yield item(f"{number}.{'pdf' if number % 2 else 'txt'}")

    *taken, end = Query(include=("*.pdf",), limit=2).select(listing())
    assert [found.path for found in taken if isinstance(found, Item)] == ["1.pdf", "3.pdf"]
    assert end == ListingEnd("the limit of 2 items was reached")
    assert read == [0, 1, 2, 3]
    assert list(Query(limit=0).select(listing())) == [ListingEnd("the limit of 0 items was reached")]
    assert len(list(Query(limit=99).select(listing()))) == 10


def test_select_passes_on_the_end_of_the_listing() -> None:
    """The source's ListingEnd stays last, whatever is filtered out; without one, none is added."""
    end = ListingEnd("all was read", items=2)
    for query in (Query(), Query(include=("none",)), Query(limit=9)):
        assert list(query.select([item("1.pdf"), item("2.pdf"), end]))[-1] == end
        assert end not in list(query.select([item("1.pdf"), item("2.pdf")]))


def test_only_items_that_will_be_read_count() -> None:
    """Skipped items and items that failed while listing are accounted for, but do not count for the limit."""
    skipped = [Item(f"link{n}", f"link{n}", skipped=Failure("symlink", "It is a link. [x]")) for n in range(3)]
    closed = Item("private/", "private/", failure=DENIED)
    files = [item(str(number)) for number in range(4)]
    assert list(Query(limit=3).select([*skipped, closed, *files]))[:-1] == [*skipped, closed, *files[:3]]
    assert list(Query(limit=3).select([files[0], *skipped, *files[1:]]))[:-1] == [files[0], *skipped, *files[1:3]]


@pytest.mark.parametrize(
    ("query", "taken"),
    [
        (Query(include=("*.pdf",)), True),
        (Query(include=("private/2024/*.pdf",)), True),
        (Query(include=("inbox/**",)), False),
        (Query(exclude=("*.tmp",)), True),
        (Query(exclude=("private/*",)), True),
        (Query(exclude=("private/",)), False),
        (Query(exclude=("*",)), False),
        (Query(min_size=5, modified_after=NOON), True),
    ],
)
def test_a_folder_that_cannot_be_listed_is_taken_if_it_may_hold_what_is_asked_for(query: Query, taken: bool) -> None:
    """A filter by file name does not hide that a whole folder could not be read; a filter by its path may."""
    assert query.matches(Item("private/", "private/", failure=DENIED)) is taken


@pytest.mark.parametrize(
    ("query", "taken"),
    [
        (Query(include=("mail/*",)), True),
        (Query(include=("a.pdf",)), True),
        (Query(include=("mail/**",), exclude=("a.pdf",)), False),
        (Query(include=("a.pdf",), exclude=("mail/*",)), False),
        (Query(include=("other/*",)), False),
        (Query(max_size=5), False),
    ],
)
def test_what_another_item_names_is_taken_with_it(query: Query, taken: bool) -> None:
    """An item that another names is taken if that one is, or by its own path, unless one of them is excluded."""
    assert query.matches(Item("1!link", "mail/1/a.pdf", named_by=Item("1", "mail/1", size=9))) is taken


def test_a_file_that_was_looked_into_is_taken_if_what_it_holds_may_be() -> None:
    """Where the items of a file are listed in its place, the file is taken as a folder would be, of whatever size."""
    query = Query(include=("x.zip/mail/*",), max_size=5)
    assert query.matches(Item("x.zip", "x.zip", size=9, holds="x.zip/"))
    assert query.matches(Item("y.zip", "y.zip", size=9, holds=""))
    assert not query.matches(Item("y.zip", "y.zip", size=9, holds="y.zip/"))
    assert query.matches(Item("y.zip!/", "y.zip/", failure=Failure("read_error", "x"), holds=""))
    assert not query.matches(Item("y.zip!/", "y.zip/", failure=Failure("read_error", "x"), holds="y.zip/"))


def test_a_file_that_fails_is_filtered_like_any_other() -> None:
    """An unreadable file counts only if it matches the query."""
    query = Query(include=("*.pdf",))
    assert query.matches(Item("a.pdf", "a.pdf", failure=DENIED))
    assert not query.matches(Item("a.txt", "a.txt", failure=DENIED))
