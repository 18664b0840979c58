"""Which process works on an attempt, and whether it is still there."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any


def this_process() -> dict[str, Any]:
    """What names this process for as long as the machine runs: host, boot, pid and start time."""
    return {"host": socket.gethostname(), "boot": _boot(), "pid": os.getpid(), "pid_started": _started(os.getpid())}


def is_gone(process: dict[str, Any]) -> bool:
    """Whether a process that `this_process` named has surely ended; False also if that cannot be told from here."""
    if process.get("host") != socket.gethostname():
        return False
    if process.get("boot") != _boot():
        return True
    pid = process.get("pid")
    return isinstance(pid, int) and _started(pid) != process.get("pid_started")


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _started(pid: int) -> int | None:
    """When the process started, in clock ticks since boot (proc(5), field 22 of stat); None if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])
