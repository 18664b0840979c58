"""The user whom a custody log names for what a process does."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_ACTING: Final[ContextVar[str | None]] = ContextVar("acting", default=None)


@contextmanager
def acting_as(user: str | None) -> Iterator[None]:
    """Within this context, name `user` as the operator, for whom this process acts; None for the process's own user."""
    token = _ACTING.set(user)
    try:
        yield
    finally:
        _ACTING.reset(token)


def operator() -> str:
    """Return the user for whom this process acts: the one of `acting_as`, else the process's own as ``user@host``."""
    if acting := _ACTING.get():
        return acting
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"
