"""Parquet files that claim more than they hold are refused as CorruptPart, in memory bounded by their real size."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefect_collect.errors import CorruptPart
from prefect_collect.job_folder import table_columns
from prefect_collect.job_folder.parquet import PartWriter, part_bytes, read_batches, read_part
from prefect_collect.stores import DirectoryStore
from tests.examples import QUICK, examples
from tests.support.thrift import BINARY, I32, I64, LIST, STRUCT, read_struct, write_struct

KEY = "job/reports/0001/errors.parquet"
TEXT = "item_id"


def report(rows: int, **columns: Any) -> pa.Table:
    """Return an error report; columns that are not named are empty, or the same in every row."""
    filled: list[Any] = []
    for field in table_columns.ERRORS:
        values = columns.get(field.name)
        if values is None and field.nullable:
            filled.append(pa.nulls(rows, field.type))
        else:
            filled.append(pa.array(values or ["x" if field.type == pa.string() else 1] * rows, field.type))
    return pa.Table.from_arrays(filled, schema=table_columns.ERRORS)


def written(table: pa.Table, **how: Any) -> bytes:
    """Return the table as a Parquet file of another writer."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", **how)
    return sink.getvalue()


def footer_of(data: bytes) -> tuple[dict[int, Any], int]:
    """Return a file's description of itself, and the offset at which it begins."""
    size = int.from_bytes(data[-8:-4], "little")
    return read_struct(data, len(data) - 8 - size)[0], len(data) - 8 - size


def with_footer(data: bytes, footer: dict[int, Any], body: bytes | None = None) -> bytes:
    """Return the file with another description of itself."""
    written = write_struct(footer)
    start = data[: footer_of(data)[1]] if body is None else body
    return start + written + len(written).to_bytes(4, "little") + b"PAR1"


def dictionary_bomb() -> bytes:
    """Return one text of 4 MiB that 200,000 rows refer to: 800 GB in a file of a few KiB."""
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 200_000, pa.int32()), pa.array(["y" * (4 << 20)]))
    table = report(200_000)
    at = table.schema.get_field_index(TEXT)
    sink = io.BytesIO()
    spread = table.set_column(at, pa.field(TEXT, text.type), text)
    pq.write_table(spread, sink, compression="zstd", store_schema=False)
    return sink.getvalue()


def delta_bomb() -> bytes:
    """Return texts that each repeat the one before, which takes two bytes whatever their length."""
    table = report(20, **{TEXT: ["z" * (1 << 20)] * 20})
    return written(table, use_dictionary=False, column_encoding={TEXT: "DELTA_BYTE_ARRAY"})


def packed_bomb() -> bytes:
    """Return one text of 120 MB that packs to a few KiB."""
    return written(report(1, **{TEXT: ["w" * 120_000_000]}), use_dictionary=False, write_statistics=False)


def row_bomb() -> bytes:
    """Return a file that states 2**62 rows."""
    data = written(report(2))
    footer, _ = footer_of(data)
    footer[3] = I64, 2**62
    footer[4][1][1][0][3] = I64, 2**62
    return with_footer(data, footer)


def null_bomb() -> bytes:
    """Return two million empty rows, which take a few hundred bytes."""
    return written(report(2_000_000), row_group_size=2_000_000)


def group_bomb() -> bytes:
    """Return the same well packed row group 1,000 times: a list of 32 GB that takes under 1 MiB."""
    data = written(report(16, message=["v" * (2 << 20)] * 16), use_dictionary=False, write_statistics=False)
    footer, _ = footer_of(data)
    footer[3] = I64, 16 * 1_000
    footer[4] = LIST, (STRUCT, [write_struct(footer[4][1][1][0])] * 1_000)
    return with_footer(data, footer)


def footer_bomb() -> bytes:
    """Return a description of itself of 6 MB, for which Arrow uses over 1 GB of memory."""
    data = written(report(1))
    footer, _ = footer_of(data)
    group = {**footer[4][1][1][0], 1: (LIST, (STRUCT, [{2: (I64, 0)}] * 17))}
    footer[4] = LIST, (STRUCT, [write_struct(group)] * 90_000)
    return with_footer(data, footer)


def deep_schema() -> bytes:
    """Return columns nested 100,000 deep."""
    data = written(report(1))
    footer, _ = footer_of(data)
    nested = [write_struct({3: (I32, 1), 4: (BINARY, b"g"), 5: (I32, 1)})] * 100_000
    footer[2] = LIST, (STRUCT, [{4: (BINARY, b"schema"), 5: (I32, 1)}, *nested, footer[2][1][1][1]])
    return with_footer(data, footer)


def page_claim() -> bytes:
    """Return a page of a few bytes whose header announces 2 GiB."""
    data = written(report(1), use_dictionary=False, write_statistics=False)
    footer, _ = footer_of(data)
    chunk = footer[4][1][1][0][1][1][1][0][3][1]
    start = chunk[9][1]
    header, end = read_struct(data, start)
    header[2] = I32, 2**31 - 1
    forged = write_struct(header)
    body = data[: footer_of(data)[1]]
    page = forged + data[end : start + chunk[7][1]]
    chunk[9], chunk[7] = (I64, len(body)), (I64, len(page))
    return with_footer(data, footer, body + page)


def far_away() -> bytes:
    """Return a column that is placed beyond the file's end."""
    data = written(report(1))
    footer, _ = footer_of(data)
    chunk = footer[4][1][1][0][1][1][1][0][3][1]
    chunk[9], chunk[11] = (I64, 2**40), (I64, 2**40)
    return with_footer(data, footer)


def bad_utf8() -> bytes:
    """Return an item's id that is not UTF-8, under a right checksum."""
    raw = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")])
    table = report(1)
    return bytes(part_bytes(table.set_column(table.schema.get_field_index(TEXT), table.schema.field(TEXT), raw)))


def bad_time() -> bytes:
    """Return a time in the year 294,000."""
    return bytes(
        part_bytes(report(1, last_failed_at=pa.array([2**63 - 1], pa.int64()).cast(pa.timestamp("us", "UTC"))))
    )


def nested() -> bytes:
    """Return a column that holds lists."""
    table = report(1)
    at = table.schema.get_field_index(TEXT)
    return written(table.set_column(at, TEXT, pa.array([["a", "b"]])))


BOMBS = [
    dictionary_bomb, delta_bomb, packed_bomb, row_bomb, null_bomb, group_bomb, footer_bomb, deep_schema, page_claim,
    far_away, bad_utf8, bad_time, nested,
]  # fmt: skip

READER = """
import json, sys
from prefect_collect.errors import CorruptPart
from prefect_collect.job_folder.parquet import read_batches, read_part
from prefect_collect.stores import DirectoryStore

store = DirectoryStore(sys.argv[1])
said = {}
for name in sys.argv[2:]:
    for how in ("batches", "part"):
        try:
            key = f"{name}/reports/0001/errors.parquet"
            rows = sum(len(b) for b in read_batches(store, key)) if how == "batches" else len(read_part(store, key))
            said[f"{name} {how}"] = rows
        except CorruptPart as error:
            said[f"{name} {how}"] = str(error)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(json.dumps([said, int(peak.split()[1])]))
"""


FLIPPER = """
import io, sys
from prefect_collect.untrusted.bounded_parquet import BadParquet, BoundedParquet

data = sys.stdin.buffer.read()
refused = 0
for at in range(len(data) - 8 - int.from_bytes(data[-8:-4], "little"), len(data)):
    for bit in range(8):
        changed = bytearray(data)
        changed[at] ^= 1 << bit
        try:
            for _ in BoundedParquet(io.BytesIO(changed)).batches():
                pass
        except BadParquet:
            refused += 1
print(refused)
"""


def test_no_damage_to_a_footer_ends_the_process() -> None:
    """With any bit of a file's description of itself flipped, it is read or refused; Arrow alone ends the process."""
    table = pa.table({"name": pa.array(["a", "b"] * 3), "number": pa.array(range(6))})
    data = bytes(part_bytes(table))
    done = subprocess.run([sys.executable, "-c", FLIPPER], input=data, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    assert int(done.stdout) > 100


@pytest.mark.skipif(QUICK, reason="it takes long because of its size")
def test_bombs_are_refused_in_little_memory(tmp_path: Path) -> None:
    """Each forged file, of at most some MB, is refused by name, and reading all of them takes under 512 MiB."""
    store = DirectoryStore(tmp_path)
    for make in BOMBS:
        store.create(f"{make.__name__}/reports/0001/errors.parquet", make())
    names = [make.__name__ for make in BOMBS]
    done = subprocess.run([sys.executable, "-c", READER, str(tmp_path), *names], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said, peak = json.loads(done.stdout)
    for name in names:
        for how in ("batches", "part"):
            assert f"{name}/reports/0001/errors.parquet]" in str(said[f"{name} {how}"]), (name, how, said)
    assert len(said) == 2 * len(BOMBS)
    assert peak < 512 << 10, f"{peak} KiB"


def test_what_others_write_is_read(tmp_path: Path) -> None:
    """Files with dictionaries (earlier versions, other writers) are read as they were written, in every page format."""
    store = DirectoryStore(tmp_path)
    ids = [f"inbox/{row}" for row in range(9_000)]
    table = report(9_000, **{TEXT: ids, "message": ["long " * 3_000, None, "short"] * 3_000})
    ways: list[dict[str, Any]] = [{}, {"data_page_version": "2.0"}, {"row_group_size": 7_000}, {"version": "1.0"}]
    for number, how in enumerate(ways):
        store.create(f"{number}/reports/0001/errors.parquet", written(table, **how))
        found = pa.Table.from_batches(read_batches(store, f"{number}/reports/0001/errors.parquet"))
        assert found.select([TEXT, "message"]).equals(table.select([TEXT, "message"]))


def test_the_longest_paths_can_be_read_back(tmp_path: Path) -> None:
    """What is written here stays within the bounds: a shard of 2,000 items whose paths have 20,000 bytes each."""
    store = DirectoryStore(tmp_path)
    rows = examples(2_000)
    long = [random.Random(row).randbytes(10_000).hex() for row in range(rows)]
    table = report(rows, **{TEXT: long, "path": long, "message": long})
    store.create("job/reports/0001/errors.parquet", part_bytes(table))
    assert read_part(store, KEY).equals(table)
    with PartWriter(table_columns.ERRORS) as writer:
        for _ in range(2):
            writer.write(table.to_batches())
        writer.store(store, "many/reports/0001/errors.parquet")
    batches = read_batches(store, "many/reports/0001/errors.parquet")
    assert sum(batch.num_rows for batch in batches) == 2 * rows


def test_a_list_of_another_kind_is_refused(tmp_path: Path) -> None:
    """A manifest under a report's name is CorruptPart, before any of it is decoded."""
    store = DirectoryStore(tmp_path)
    store.create(KEY, part_bytes(table_columns.MANIFEST.empty_table()))
    with pytest.raises(CorruptPart, match="other columns"):
        list(read_batches(store, KEY))
