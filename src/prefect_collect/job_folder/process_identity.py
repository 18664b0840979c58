"""Identifies the process that works on an attempt, and finds out whether it still runs.

psutil lists the processes and when they started. What it lacks is here: the machine, its boot and the namespace of its
pids, without which a pid that was recorded on another machine, or in another container, identifies nothing.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any, Final

import psutil

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")


def this_process() -> dict[str, Any]:
    """Return what identifies this process for as long as the machine runs.

    Its host, machine, boot, PID namespace, pid, and start time in clock ticks since boot (``pid_started``).
    """
    return {**_here(), "pid": os.getpid(), "pid_started": _started(os.getpid())}


def is_gone(process: dict[str, Any]) -> bool:
    """Return whether a process (by `this_process`) has certainly ended.

    False also if that cannot be known from here.
    """
    here = _here()
    if process.get("host") != here["host"]:
        return False
    if process.get("boot") != here["boot"]:
        # Another boot of this machine, or another machine that was given the same name.
        return bool(here["machine"]) and process.get("machine") == here["machine"]
    return process.get("pid_space") == here["pid_space"] and _runs(process) is False


def is_alive(process: dict[str, Any]) -> bool:
    """Return whether a process (by `this_process`) certainly runs; False also if that cannot be known from here."""
    return all(process.get(key) == value for key, value in _here().items()) and _runs(process) is True


def _here() -> dict[str, Any]:
    return {"host": socket.gethostname(), "machine": _machine(), "boot": _boot(), "pid_space": _pid_space()}


def _runs(process: dict[str, Any]) -> bool | None:
    """Return whether the process runs; None if its pid is used by a hidden process (proc(5), ``hidepid``)."""
    pid, started = process.get("pid"), process.get("pid_started")
    if not isinstance(pid, int) or pid <= 0 or started is None:
        return False
    try:
        return bool(_started(pid) == started)
    except psutil.AccessDenied:
        return None


def _machine() -> str:
    """Return the machine's own id (machine-id(5)); "" where there is none, as in many containers."""
    try:
        return Path("/etc/machine-id").read_text().strip()
    except OSError:
        return ""


def _pid_space() -> str:
    """Return the namespace of the pids (namespaces(7)): the same pid in another namespace is another process."""
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
    """Return when the process started, in clock ticks since boot; None if it does not exist, or is a zombie.

    psutil takes the times of the process and of the boot from the machine's clock. When that clock is set, both times
    move and only their difference stays, so both are read again if the clock was set in between.

    Raise psutil.AccessDenied if the process exists but is hidden.
    """
    try:
        while True:
            boot: float = psutil.boot_time()
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            created: float = process.create_time()
            if psutil.boot_time() == boot:
                return round((created - boot) * _TICKS_PER_SECOND)
    except psutil.NoSuchProcess:
        _require_none_hidden(pid)
        return None


def _require_none_hidden(pid: int) -> None:
    # psutil reads /proc, which shows nothing of another user's process where it is mounted with hidepid=2.
    try:
        os.kill(pid, 0)
    except PermissionError as error:
        raise psutil.AccessDenied(pid) from error
    except ProcessLookupError:
        pass
