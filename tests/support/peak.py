"""What a block of a test takes: seconds, processor time, and memory at its peak beyond what there was."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_STATUS = Path("/proc/self/status")


@dataclass
class Taken:
    """What a block took; `peak` is in MiB."""

    seconds: float = 0.0
    cpu: float = 0.0
    peak: int = 0


@contextmanager
def measured(what: str) -> Iterator[Taken]:
    """Measure the block, and print what it took."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    taken, before = Taken(), _memory("VmRSS")
    began, cpu = time.perf_counter(), time.process_time()
    yield taken
    taken.seconds, taken.cpu = time.perf_counter() - began, time.process_time() - cpu
    taken.peak = _memory("VmHWM") - before
    print(f"{what}: {taken.seconds:.1f} s, CPU {taken.cpu:.1f} s, {taken.peak} MiB more at the peak", flush=True)


def _memory(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) >> 10
