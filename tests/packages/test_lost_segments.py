"""Packages of segments that are lost, cut or altered, or that lie elsewhere: only their items fail."""

from __future__ import annotations

import io
import random
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from prefect_collect.archive.segments import SegmentWriter
from prefect_collect.errors import CorruptSegment
from prefect_collect.job_folder import store_keys
from prefect_collect.packages import PackagePlace, build_zip, verify
from prefect_collect.stores import DirectoryStore
from tests.packages.zip_packages import JOB, ODD, WHEN, unzipped


def test_a_lost_segment_fails_only_its_items(staging: Any, exports: DirectoryStore) -> None:
    """The rest is delivered, and the package lists what is missing."""
    lost = staging.stage({"a": b"1", "b": b"2"})
    staging.stage({"c": b"3"})
    Path(staging.store.locate(f"{JOB}/{lost}")).unlink()
    checked = staging.check()
    assert checked.failed == 2
    failures = list(checked.failures(staging.manifest))
    assert [(row, item, failure.code) for row, item, failure in failures] == [
        (0, "id-00000", "segment_corrupt"),
        (1, "id-00001", "segment_corrupt"),
    ]
    assert "its segment is lost. Restore the segment from a backup" in failures[0][2].message
    assert failures[0][2].message.endswith(f"[item=a, segment={lost}]")
    staging.zip(exports)
    rows = pq.read_table(io.BytesIO(unzipped(exports)["docs/items.parquet"])).to_pylist()
    assert [row["outcome"] for row in rows] == ["failed", "failed", "delivered"]
    found = verify(exports.locate("out.zip"))
    assert (found.problems, found.items, found.not_delivered) == ([], 1, 2)


@pytest.mark.parametrize("deflate", [False, True])
def test_altered_bytes_fail_only_their_item(
    staging: Any, exports: DirectoryStore, damage: Callable[[str, int, bytes], None], deflate: bool
) -> None:
    """One flipped byte fails its item; the items around it are delivered."""
    segment = staging.stage({"a": b"aaaa" * 99, "b": b"bbbb" * 99, "c": b"cccc" * 99}, deflate=deflate)
    damage(segment, staging.rows[1]["offset"] + 2, b"\x7f")
    staging.zip(exports)
    names = unzipped(exports)
    assert "docs/data/b" not in names
    assert names["docs/data/c"] == b"cccc" * 99
    assert verify(exports.locate("out.zip")).valid


def test_a_truncated_segment(staging: Any) -> None:
    """What is still in the segment is good, what was behind the cut is not."""
    segment = staging.stage({"a": b"a" * 100, "b": b"b" * 100, "c": b"c" * 100})
    with open(staging.store.locate(f"{JOB}/{segment}"), "r+b") as file:
        file.truncate(staging.rows[1]["offset"] + 10)
    assert [row for row, _, _ in staging.check().failures(staging.manifest)] == [1, 2]


def test_a_damaged_header_is_written_anew(
    staging: Any, exports: DirectoryStore, damage: Callable[[str, int, bytes], None]
) -> None:
    """An item whose bytes are good is delivered even if its local header is damaged."""
    segment = staging.stage({"a": b"a" * 100, "b": b"b" * 100, "c": b"c" * 100})
    good = staging.zip(exports, "good.zip")
    damage(segment, staging.rows[1]["entry_offset"], b"XX")
    checked = staging.check()
    assert checked.failed == 0
    assert not checked.keeps_header(1)
    mended = staging.zip(exports, "mended.zip")
    assert exports.read("good.zip") == exports.read("mended.zip")
    assert good.fingerprint == mended.fingerprint


def test_segments_of_another_folder(staging: Any, exports: DirectoryStore) -> None:
    """A package with another base folder than the segments' gets new headers, and is valid."""
    staging.stage(ODD)
    staging.zip(exports, base="renamed")
    assert unzipped(exports)["renamed/data/empty"] == b""
    assert verify(exports.locate("out.zip")).problems == []


def test_a_segment_that_is_lost_after_the_check(staging: Any, exports: DirectoryStore) -> None:
    """No partial package appears at the destination."""
    segment = staging.stage({"a": b"a" * 100})
    checked = staging.check()
    Path(staging.store.locate(f"{JOB}/{segment}")).unlink()
    with pytest.raises(CorruptSegment):
        build_zip(staging.input(checked), PackagePlace(exports, "out.zip"))
    assert list(exports.list()) == []


def test_streamed_items_in_segments_of_their_own(staging: Any, exports: DirectoryStore) -> None:
    """An item whose header has ZIP64 sizes, because its size was not known, is copied as it is."""
    data = random.Random(5).randbytes(3_000_000)
    name = store_keys.segment_name(1, 0, 17)
    writer = SegmentWriter(staging.store.writer(f"{JOB}/{name}"), "docs")
    writer.begin("big.bin", None, WHEN)
    writer.write(data)
    staging.hold(name, "big.bin", data, writer.end(zlib.crc32(data), len(data)))
    writer.close()
    staging.stage({"small": b"s"})
    assert staging.check().keeps_header(0)
    staging.zip(exports)
    assert unzipped(exports)["docs/data/big.bin"] == data
    assert verify(exports.locate("out.zip")).problems == []
