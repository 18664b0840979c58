"""Have the allocators give back to the system what they keep of memory that was freed.

The allocators of C and of Arrow keep freed memory for the next call. A job's process walks long tables and holds arrays
of all items, step after step, and what one allocator or thread has freed does not serve another: an export of 1,000,000
items kept 85 MB so.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

import pyarrow as pa

_LIBC: Final = ctypes.CDLL(None)
_TRIM: Final[Any] = getattr(_LIBC, "malloc_trim", None)
"""Of the GNU C library; musl has none, and keeps little."""


def give_back() -> None:
    """Give back what is free; some milliseconds, for the end of a long step."""
    pa.default_memory_pool().release_unused()
    if _TRIM is not None:
        _TRIM(0)
