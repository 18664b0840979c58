"""Pipes that hold more than the system's 64 KiB, for a process to go on while the other one is busy."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

PIPE_BYTES: Final = 1 << 20
"""Bytes that a widened pipe holds: as many as Linux lets a user have for one."""

_SET_PIPE_SIZE: Final = 1031
"""F_SETPIPE_SZ of fcntl, which only newer versions of Python name."""


def widen(pipe: int) -> None:
    """Have the pipe with this descriptor hold `PIPE_BYTES`, if the system allows it."""
    import fcntl

    with suppress(OSError):  # the user's share of memory for pipes is used up
        fcntl.fcntl(pipe, _SET_PIPE_SIZE, PIPE_BYTES)
