"""One item is read out of its segment only if its bytes are the collected ones."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from prefect_collect.errors import CorruptPart, CorruptSegment, UsageError
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.checked_files import CheckedFiles
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.parquet import CopiedTable, PartWriter
from prefect_collect.packages import held_item
from prefect_collect.sources import Content, Item
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, new_job

LARGE = bytes(range(256)) * (40 << 10)  # 10 MiB, more than is kept in memory, and two windows
THINGS = {"a": b"first", "b": b"", "c": b"ab" * 4_000, "d": LARGE}


def collected(**policy: Any) -> JobFolder:
    """Return a collection of small items, an empty one and a large one."""
    folder = new_job(MemoryStore(), source := MemorySource({name: Thing(data=data) for name, data in THINGS.items()}))
    attempt(folder, source, **policy)
    return folder


@pytest.mark.parametrize("compress", [False, True])
def test_every_item_is_read_as_it_was_collected(compress: bool) -> None:
    """Stored or deflated, small, empty or large: the bytes and what the manifest says of them are those collected."""
    files = CheckedFiles(collected(compress=compress), 1)
    for number, (name, data) in enumerate(sorted(THINGS.items())):
        item = held_item(files, number)
        assert (item.number, item.item_id, item.original_path, item.size) == (number, name, name, len(data))
        assert b"".join(item.read()) == data
        assert data.startswith(item.head())
    for number in (-1, 4):
        with pytest.raises(UsageError):
            held_item(files, number)


class Mail(MemorySource):
    """A source that states something of its items beside their bytes."""

    def _content(self, item: Item) -> Content:
        return replace(super()._content(item), metadata={"subject": "<b>Ü</b>", "to": ["a@x", "b@x"]})


def test_what_is_known_of_an_item() -> None:
    """Custodian, the hashes that were asked for, and what the source states beside the bytes are the manifest's."""
    source = Mail({"a": Thing(data=b"first")})
    folder = new_job(MemoryStore(), source, options={"custodian": "Ann", "hashes": ["sha1"]})
    attempt(folder, source, hashes=("sha1",))
    files = CheckedFiles(folder, 1)
    item = held_item(files, 0)
    assert (item.custodian, item.hashes, item.version) == ("Ann", {"sha1": hashlib.sha1(b"first").hexdigest()}, None)
    assert item.metadata == {"subject": "<b>Ü</b>", "to": ["a@x", "b@x"]}


@pytest.mark.parametrize("number", [0, 3])
@pytest.mark.parametrize("compress", [False, True])
def test_altered_bytes_are_not_given(number: int, compress: bool) -> None:
    """One changed byte in the segment, or a segment that was cut off or lost: nothing of the item is given."""
    folder = collected(compress=compress)
    store, item = folder.store, held_item(CheckedFiles(folder, 1), number)
    assert isinstance(store, MemoryStore)
    key = store_keys.segment_key(folder.job_id, item.segment)
    whole, end = store.blobs[key], item._row.end
    for damaged in (whole[: end - 2] + bytes([whole[end - 2] ^ 1]) + whole[end - 1 :], whole[: end - 1], None):
        if damaged is None:
            del store.blobs[key]
        else:
            store.blobs[key] = damaged
        given = list[bytes]()
        with pytest.raises(CorruptSegment):
            given.extend(item.read())
        assert given == []


@pytest.mark.parametrize(
    ("column", "value"),
    [("segment", "../other.zip"), ("metadata", "[1"), ("metadata", "[1]"), ("metadata", "[" * 9999)],
)
def test_a_row_that_no_collection_writes_is_refused(monkeypatch: pytest.MonkeyPatch, column: str, value: str) -> None:
    """A manifest whose row names a place outside of the job's segments, or whose metadata is none, is refused."""
    folder = collected()
    files = CheckedFiles(folder, 1)
    row = files.manifest.take([0])
    forged = row.set_column(row.schema.get_field_index(column), row.schema.field(column), [[value]])
    store, key = MemoryStore(), store_keys.manifest_key(folder.job_id, 1)
    with PartWriter(row.schema) as part:
        part.write(forged.combine_chunks().to_batches())
        part.store(store, key)
    monkeypatch.setattr(CheckedFiles, "manifest", property(lambda _: CopiedTable(store, key, store.open(key))))
    with pytest.raises(CorruptPart, match=column):
        held_item(files, 0)
