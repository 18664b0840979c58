"""Times that the ledger has no column for: of creation, and of changes that only opening an item states."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from prefect_collect.blocks import FileSource
from prefect_collect.codes import CANCELED
from prefect_collect.sources import Content, Item
from prefect_collect.sources.metadata import LONGEST_METADATA, metadata_text
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from prefect_collect.threads.progress import Progress
from prefect_collect.threads.stop import Stop
from prefect_collect.verification import verify_job
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, held, new_incremental_job, new_job, unsuccessful

HOUR = timezone(timedelta(hours=1))
BORN = datetime(2019, 3, 4, 5, 6, 7, 890123, UTC)


@dataclass
class Dated(MemorySource):
    """A source whose listing states when its items were created; `said` is what it states when it opens them."""

    created: dict[str, Any] = field(default_factory=dict)
    said: dict[str, Any] | None = None
    owner: str | None = None

    def __post_init__(self) -> None:
        self.things = {id_: Thing(data=b"x") for id_ in self.created}

    def _item(self, id_: str) -> Item:
        return replace(super()._item(id_), created=self.created[id_], custodian=self.owner)

    def _content(self, item: Item) -> Content:
        return replace(super()._content(item), metadata=self.said)


def metadata(created: dict[str, Any], said: dict[str, Any] | None = None) -> dict[str, str | None]:
    """Return the metadata that a collection of these items keeps."""
    source = Dated(created=created, said=said)
    job = new_job(MemoryStore(), source)
    assert attempt(job, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(job)
    return {id_: row["metadata"] for id_, row in held(job).items()}


def test_a_creation_time_is_metadata() -> None:
    """What the listing states is kept as `created` in UTC, beside what else is stated; what says nothing is absent."""
    odd = {"none": None, "text": "soon", "epoch": datetime(1970, 1, 1, tzinfo=UTC), "naive": datetime(2019, 3, 4)}
    odd |= {"far": datetime.max.replace(tzinfo=timezone(-timedelta(hours=1)))}
    text = '{"created":"2019-03-04T05:06:07.890123+00:00"}'
    assert metadata({"born": BORN, "there": BORN.astimezone(HOUR), **odd}) == {
        "born": text, "there": text, **dict.fromkeys(odd),
    }  # fmt: skip
    found = metadata({"born": BORN, "none": None}, {"labels": ["a"]})
    assert json.loads(found["born"] or "") == {"created": "2019-03-04T05:06:07.890123+00:00", "labels": ["a"]}
    assert found["none"] == '{"labels":["a"]}'
    assert metadata({"born": BORN}, {"created": "its own"})["born"] == '{"created":"its own"}'


def test_metadata_without_room() -> None:
    """Metadata that fills its bound stays whole, without the time of creation."""
    full = {"x": "y" * (LONGEST_METADATA - len('{"x":""}'))}
    assert metadata({"born": BORN}, full)["born"] == metadata_text(full)


def test_another_time_of_creation_is_no_change() -> None:
    """An incremental job compares no times of creation: an item of which it is another one is unchanged."""
    store, source = MemoryStore(), Dated(created={"a": BORN})
    attempt(new_incremental_job(store, source), source)
    source.created["a"] = BORN + timedelta(days=1)
    job = new_incremental_job(store, source)
    attempt(job, source)
    assert {id_: row["error_code"] for id_, row in unsuccessful(job).items()} == {"a": "unchanged"}
    assert source.opened == {"a": 1}


class Canceled(Progress):
    """Cancels the job when its items are listed."""

    def __init__(self, stop: Stop) -> None:
        super().__init__()
        self._stop = stop

    def add(self, **counts: int) -> None:
        """Count, and cancel."""
        super().add(**counts)
        self._stop.set(CANCELED)


def test_times_of_items_that_were_not_attempted(tmp_path: Path) -> None:
    """Items that were not attempted keep their times for a retry, which does not list them anew; of one that was
    changed since, the time that its source states when it is opened counts, for the ledger, and in the segment.
    """
    (tmp_path / "root").mkdir()
    for name in "ab":
        (tmp_path / "root" / name).write_bytes(b"x")
        os.utime(tmp_path / "root" / name, (1_551_675_967, 1_551_675_967))
    source, stop = FileSource(root=tmp_path / "root"), Stop()
    job = new_job(DirectoryStore(tmp_path / "store"), source)
    assert attempt(job, source, stop=stop, progress=Canceled(stop)).counts.not_attempted == 2
    listed = datetime.fromtimestamp(1_551_675_967, UTC)
    assert [row["source_modified"] for row in unsuccessful(job).values()] == [listed] * 2
    os.utime(tmp_path / "root" / "b", (1_700_000_000, 1_700_000_000))
    assert attempt(job, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(job)
    assert verify_job(job).valid
    assert {row["path"]: (row["source_modified"], row["metadata"]) for row in held(job).values()} == {
        "a": (listed, None), "b": (datetime.fromtimestamp(1_700_000_000, UTC), None),
    }  # fmt: skip


def test_facts_of_items_that_were_not_attempted() -> None:
    """What a listing states of items, their creation and whose they are, travels with them through two retries; the
    error report tells it meanwhile.
    """
    source = Dated(created={"a": BORN, "b": BORN}, said={"labels": ["x"]}, owner="Ann")
    job, stop = new_job(MemoryStore(), source), Stop()
    attempt(job, source, stop=stop, progress=Canceled(stop))
    attempt(job, source, stop=stop, progress=Canceled(stop))
    assert [(row["source_created"], row["custodian"]) for row in unsuccessful(job).values()] == [(BORN, "Ann")] * 2
    attempt(job, source)
    check_account(job)
    assert [(json.loads(row["metadata"])["created"], row["custodian"]) for row in held(job).values()] == [
        (BORN.isoformat(), "Ann")
    ] * 2
