"""What the allocators keep of freed memory goes back to the system when it is asked for."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from prefect_collect.freed_memory import give_back


def resident() -> int:
    """Return the bytes of memory of this process that are no file's."""
    text = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("RssAnon:"))


def test_memory_between_what_is_kept() -> None:
    """The process gets smaller by what was freed, though later allocations, which are still in use, lie above it."""
    held = [b"x" * 60_000 for _ in range(1_000)]
    tables = [pa.array(b"y" * 60_000 for _ in range(10)) for _ in range(50)]
    last = held[-1], tables[-1]
    held.clear()
    tables.clear()
    before = resident()
    give_back()
    assert before - resident() > 40_000_000
    assert last[0] == b"x" * 60_000
    assert len(last[1]) == 10
