"""Finds the items that are text, whose bytes are then also the text that receivers search."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from typing import Final

from prefect_collect.errors import CorruptSegment, KeyMissing
from prefect_collect.job_folder.manifest_rules import Batches
from prefect_collect.job_folder.store_keys import segment_key
from prefect_collect.packages.building.check import Checked
from prefect_collect.packages.building.reading import SegmentReader, each_item, plain_chunks
from prefect_collect.packages.building.rows import Row, by_segment, read_rows
from prefect_collect.stores import Store
from prefect_collect.threads.stop import Stop

_NAMED: Final = re.compile(r"[^/]\.(?:txt|text|log|md|csv|tsv)\Z", re.IGNORECASE)


def is_named_as_text(path: str) -> bool:
    """Return whether an item is text if its bytes are, by its name."""
    return _NAMED.search(path) is not None


def find_texts(
    manifest: Batches, items: int, checked: Checked, staging: Store, job_id: str, stop: Stop, *, withheld: bool = False
) -> bytearray:
    """Return, by row, 1 for each item that is text: it is named as one (such as .txt), and all of it is UTF-8.

    Only such items are read, and nothing is extracted: the text of a text is its bytes. Other encodings are left out,
    because a receiver reads all texts of a load file in one. Items that are not delivered are not text; with
    `withheld`, those that are only withheld as duplicates may be. Raise StoreError, JobCanceled.
    """
    found, bad = bytearray(items), checked.bad
    for rows in read_rows(manifest):
        named = [
            row
            for row in rows
            if is_named_as_text(row.path) and (checked.is_good(row.number) or (withheld and not bad[row.number]))
        ]
        for group in by_segment(named):
            _find(group, staging, segment_key(job_id, group[0].segment), found, stop)
    return found


def _find(rows: list[Row], staging: Store, key: str, found: bytearray, stop: Stop) -> None:
    def visit(reader: SegmentReader, row: Row, ahead: int) -> None:
        found[row.number] = _is_utf8(plain_chunks(reader, row, ahead))

    try:
        each_item(staging, key, rows, visit, stop)
    except (CorruptSegment, KeyMissing):  # it was changed after it was checked, which building the package reports
        return


def _is_utf8(chunks: Iterable[bytes | memoryview]) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for chunk in chunks:
            data = bytes(chunk)
            if b"\0" in data:  # no other character of UTF-8 has it in its bytes
                return False
            decoder.decode(data)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
