"""The machine that was measured on, and whether something else was using it."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from benchmarks.peers import versions

_LOOK: Final = 0.5
_BUSY: Final = 0.1
"""The share of the machine's cores from which on others count as using it."""


@dataclass(frozen=True)
class Load:
    """The load average before a row, and the share of all cores that others used in a moment without work of ours."""

    average: float
    others: float

    @property
    def is_idle(self) -> bool:
        """True if others used next to nothing."""
        return self.others < _BUSY


def load() -> Load:
    """Look at the machine for a moment; nothing that was started here may work meanwhile."""
    before = cpu_times(Path("/proc/stat").read_text())
    time.sleep(_LOOK)
    after = cpu_times(Path("/proc/stat").read_text())
    busy, every = (now - then for now, then in zip(after, before, strict=True))
    return Load(os.getloadavg()[0], busy / every if every else 0.0)


def counters() -> str:
    """Return a sentence on whether this machine counts instructions."""
    argv = ["perf", "stat", "-e", "instructions:u", "true"]
    try:
        said = subprocess.run(argv, capture_output=True, text=True).stderr
    except FileNotFoundError:
        return "`perf` is not installed"
    missing = "not supported" in said or "instructions" not in said
    return "this machine gives `perf stat` no hardware counters" if missing else "`perf stat` would count here"


def cpu_times(stat: str) -> tuple[int, int]:
    """Return the ticks of all cores that were used (also those that the host took), and all ticks, of /proc/stat."""
    ticks = [int(field) for field in stat.splitlines()[0].split()[1:9]]
    idle = ticks[3] + ticks[4]
    return sum(ticks) - idle, sum(ticks)


def described() -> list[str]:
    """Return the machine and the versions, as lines."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    cpu = next(named, platform.processor())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    said = [f"{name}: {text}" for name, text in versions().items()]
    for package in ("prefect-collect", "prefect", "pyarrow", "pycurl", "pandas"):
        try:
            said.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    cores = len(os.sched_getaffinity(0))
    return [f"The machine: {cpu}, {cores} cores, {memory:.0f} GB, {system}.", "", "; ".join(said) + "."]
