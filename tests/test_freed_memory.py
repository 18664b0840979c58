"""What the allocators keep of freed memory goes back to the system when it is asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pyarrow as pa
import pytest

from prefect_collect.freed_memory import give_back

_POOL: Final = "ARROW_DEFAULT_MEMORY_POOL"


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


@pytest.mark.parametrize(("chosen", "used"), [(None, "system"), ("mimalloc", "mimalloc")])
def test_arrow_uses_the_allocator_of_the_system(chosen: str | None, used: str) -> None:
    """Arrow's memory comes from the system's allocator, which gives back more, unless the user has chosen another."""
    env = {**os.environ, _POOL: chosen} if chosen else {k: v for k, v in os.environ.items() if k != _POOL}
    asked = "import prefect_collect, pyarrow; print(pyarrow.default_memory_pool().backend_name)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, env=env)
    assert done.stdout.strip() == used
