"""What `prefect-collect verify` of a package or a job's folder takes, with the forks by which it hashes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sysconfig
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from benchmarks.servers import family
from tests.support.peak import Taken

_PROGRAM: Final = Path(sysconfig.get_path("scripts")) / "prefect-collect"
_SAMPLE: Final = 0.05
"""Seconds between two looks at the memory."""


def run_verify(what: str | os.PathLike[str]) -> tuple[Taken, dict[str, Any]]:
    """Run the command; return what it took, and what it found.

    CPU is that of the command and its forks. The peak is the most that all of them hold together, of some 20 looks a
    second: memory that several share is counted once.
    """
    began, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([_PROGRAM, "verify", os.fspath(what), "--json"], stdout=said)
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            peak = max(peak, sum(map(_held, family(process.pid))))
            time.sleep(_SAMPLE)
        _, status, usage = ended
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
        said.seek(0)
        found: dict[str, Any] = json.load(said)
    return Taken(seconds, usage.ru_utime + usage.ru_stime, peak >> 10), found


def _held(pid: int) -> int:
    """Return the KiB that a process holds, its share of what others hold too; 0 if it has ended."""
    with suppress(OSError):
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        return int(found[1]) if found else 0
    return 0
