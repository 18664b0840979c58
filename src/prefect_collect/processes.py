"""Which process works on an attempt, and whether it is still there."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any


def this_process() -> dict[str, Any]:
    """What names this process for as long as the machine runs: host, machine, boot, PID namespace, pid, start time."""
    return {**_here(), "pid": os.getpid(), "pid_started": _started(os.getpid())}


def is_gone(process: dict[str, Any]) -> bool:
    """Whether a process that `this_process` named has surely ended; False also if that cannot be told from here."""
    here = _here()
    if process.get("host") != here["host"]:
        return False
    if process.get("boot") != here["boot"]:
        # Another boot of this machine, or another machine that was given the same name.
        return bool(here["machine"]) and process.get("machine") == here["machine"]
    return process.get("pid_space") == here["pid_space"] and not _runs(process) and not _is_hidden(process)


def is_alive(process: dict[str, Any]) -> bool:
    """Whether a process that `this_process` named surely runs still; False also if that cannot be told from here."""
    return all(process.get(key) == value for key, value in _here().items()) and _runs(process)


def _here() -> dict[str, Any]:
    return {"host": socket.gethostname(), "machine": _machine(), "boot": _boot(), "pid_space": _pid_space()}


def _runs(process: dict[str, Any]) -> bool:
    pid, started = process.get("pid"), process.get("pid_started")
    return isinstance(pid, int) and started is not None and _started(pid) == started


def _is_hidden(process: dict[str, Any]) -> bool:
    """Whether a process of that pid runs of which we are not shown more: another user's, with /proc's hidepid."""
    pid = process.get("pid")
    if not isinstance(pid, int) or Path(f"/proc/{pid}/stat").exists():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return False


def _machine() -> str:
    """The machine's own id (machine-id(5)); "" where there is none, as in many containers."""
    try:
        return Path("/etc/machine-id").read_text().strip()
    except OSError:
        return ""


def _pid_space() -> str:
    """The namespace that pids are counted in (namespaces(7)): the same pid in another is another process."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


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
