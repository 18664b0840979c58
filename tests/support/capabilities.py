"""Removes capabilities of root that a test must not have."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_VERSION = 0x20080522  # linux/capability.h, _LINUX_CAPABILITY_VERSION_3
_READING = (1 << 1) | (1 << 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


@contextmanager
def permissions_hold() -> Iterator[None]:
    """Run this thread, and those that it starts, without the right to read what file modes forbid, even as root."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable, twice: for the low and the high 32
    if libc.capget(header, sets) != 0:
        pytest.skip("this system has no capabilities to give up")
    before = sets[0]
    sets[0] = before & ~_READING
    if libc.capset(header, sets) != 0:
        pytest.skip("capabilities cannot be given up here")
    try:
        yield
    finally:
        sets[0] = before
        libc.capset(header, sets)
