"""The part of the contract of all sources that is about odd dates."""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import unquote, unquote_plus, urlsplit

from prefect_collect.sources import Item
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobStatus
from tests.integration.sources.places import Place, collected
from tests.integration.sources.proxied import ProxiedPlace
from tests.support.run_attempts import held

MOMENTS: Final = {
    "year 1": datetime(1, 1, 1, 0, 0, 1, tzinfo=UTC),
    "before 1601": datetime(1600, 2, 29, 12, tzinfo=UTC),
    "before 1901": datetime(1900, 12, 31, 23, 59, 59, tzinfo=UTC),
    "before 1970": datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
    "with a fraction": datetime(2024, 2, 29, 7, 8, 9, 123456, tzinfo=UTC),
    "with a fraction before 1970": datetime(1969, 7, 20, 20, 17, 39, 999999, tzinfo=UTC),
    "after 2038": datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),
    "after 2106": datetime(2110, 6, 1, tzinfo=UTC),
    "year 9999": datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
}
"""Times of items, by the names of the items."""

FEWEST: Final = 5
"""The times that every place can hold."""


class DatedPlace(Place):
    """A place whose items get the times that a test wants."""

    says: ClassVar[str] = ""
    """What the job's result says of items whose time the protocol cannot state; "" if it can state all times."""

    @abstractmethod
    def put_dated(self, name: str, at: datetime) -> dict[str, datetime | None]:
        """Create an item with that time, and return the time that its source has to state, by its path.

        None is no time. What the place cannot hold is not created.
        """

    def when_opened(self, path: str) -> str | None:
        """Return the time of an item that only opening it states; None if there is none."""
        return None

    def put_oddly_dated(self) -> dict[str, datetime | None]:
        """Create items with times as only this protocol states them, and return what their source has to state."""
        return {}


def _sent_at(date: str | None) -> datetime | None:
    """Return the time of a date as `http_date` writes it."""
    try:
        return None if date is None else datetime.strptime(date, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    except ValueError:
        return None


_AT = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


class RedatedPlace(ProxiedPlace, DatedPlace):
    """A place whose proxy passes on other dates than a server of objects sends, which gives them its own.

    Attributes:
        of: What a listing has of an object: the names of its element, of its name's and of its date's.
    """

    of: ClassVar[tuple[str, str, str]]

    def put_dated(self, name: str, at: datetime) -> dict[str, datetime | None]:
        """Put an object with that time."""
        return self.put_stated(name, at.isoformat().replace("+00:00", "Z"), http_date(at), at)

    def put_oddly_dated(self) -> dict[str, datetime | None]:
        """Put objects with times in other forms, and without one."""
        found: dict[str, datetime | None] = {}
        for number, (listed, sent, at) in enumerate(self.odd_dates()):
            found |= self.put_stated(f"odd {number}", listed, sent, at)
        return found

    def odd_dates(self) -> Iterable[tuple[str | None, str | None, datetime | None]]:
        """Return dates of a listing and of an object's headers, None for none, and what they mean."""
        return (
            (None, None, None), (None, http_date(_AT), None), ("", "", None), ("yesterday", "yesterday", None),
            ("2024-05-06T07:08:09Z", None, _AT), ("2024-05-06T09:08:09+02:00", http_date(_AT), _AT),
            ("2024-05-06T07:08:09.123456789Z", http_date(_AT), _AT.replace(microsecond=123456)),
            ("0001-01-01T00:00:00+14:00", None, None), ("9999-12-31T23:59:59-14:00", None, None),
            ("10000-01-01T00:00:00Z", "Sat, 01 Jan 10000 00:00:00 GMT", None),
        )  # fmt: skip

    def put_stated(
        self, name: str, listed: str | None, sent: str | None, at: datetime | None
    ) -> dict[str, datetime | None]:
        """Put an object with a date in the listing and one in its headers, which mean that time."""
        assert self.proxy is not None
        self.proxy.rewrite, self.proxy.restate = self._in_listing, self._in_header
        self.put(name, name.encode())
        self._listed[name], self._sent[name] = listed, sent
        return {name: at}

    def when_opened(self, path: str) -> str | None:
        """Return the time of an object's header."""
        sent = _sent_at(self._sent[path])
        return None if sent is None else sent.isoformat()

    @cached_property
    def _listed(self) -> dict[str, str | None]:
        return {}

    @cached_property
    def _sent(self) -> dict[str, str | None]:
        return {}

    def _in_listing(self, _: str, body: bytes) -> bytes:
        element = rf"<{self.of[0]}>.*?</{self.of[0]}>"
        return re.sub(element, self._of_object, body.decode(), flags=re.DOTALL).encode()

    def _of_object(self, found: re.Match[str]) -> str:
        [name] = re.findall(rf"<{self.of[1]}>(.*?)</{self.of[1]}>", found[0])
        listed = self._listed[unquote_plus(name)]
        date = "" if listed is None else f"<{self.of[2]}>{listed}</{self.of[2]}>"
        said, count = re.subn(rf"<{self.of[2]}>.*?</{self.of[2]}>", date, found[0])
        assert count == 1
        return said

    def _in_header(self, path: str, header: str, value: str) -> str | None:
        name = unquote(urlsplit(path).path.rpartition("/")[2])
        return self._sent.get(name, value) if header == "last-modified" else value


class DatesContract:
    """The test of the fixture `dated`, which is an empty place for it."""

    def test_odd_dates(self, dated: DatedPlace, tmp_path: Path) -> None:
        """Items of any time, or of none, are collected; each has its own time, or none, and never another one."""
        expected = dated.put_oddly_dated()
        for name, at in MOMENTS.items():
            expected |= dated.put_dated(name, at)
        assert len(expected) > FEWEST
        source = dated.source()
        items = {item.path: item for item in items_of(source) if item.unread is None}
        assert {path: item.modified for path, item in items.items()} == expected
        for path, right in expected.items():
            if right is not None:  # when an item is looked at alone, some protocols state whole seconds
                [now] = source.relist(items[path])
                assert isinstance(now, Item)
                assert now.modified in (right, right.replace(microsecond=0), None)
        folder, status = collected(tmp_path, source)
        assert status is JobStatus.SUCCESSFULLY_COMPLETED
        assert {row["original_path"]: row["source_modified"] for row in held(folder).values()} == expected
        for row in held(folder).values():
            stated = json.loads(row["metadata"] or "{}").get("modified")
            assert stated is None or row["source_modified"] is None
            assert stated in (None, dated.when_opened(row["original_path"]))
        result = folder.result()
        assert result is not None
        assert not dated.says or any(dated.says in warning for warning in result.warnings)


SENT = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)
"""The time of the examples in HTTP's standard."""


def http_date(at: datetime) -> str:
    """Return a time as HTTP writes it, also one of a year that other functions pad with nothing."""
    return f"{at:%a, %d %b} {at.year:04d} {at:%H:%M:%S} GMT"
