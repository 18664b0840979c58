"""Inflating what ZIP entries hold, in steps, so that no entry is ever held in memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from prefect_collect.packages._verification import Damaged

_STEP: Final = 1 << 20


def inflated(chunks: Iterable[bytes | memoryview], size: int) -> Iterator[bytes]:
    """The bytes that raw deflated ones stand for, at most 1 MiB at a time.

    Raises Damaged if they cannot be inflated, are more than `size` bytes, or do not end with the last chunk.
    """
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for chunk in chunks:
            waiting: bytes | memoryview = chunk
            while data := unpacker.decompress(waiting, _STEP):
                size -= len(data)
                if size < 0:
                    raise Damaged("it inflates to more than its stated size")
                yield data
                waiting = unpacker.unconsumed_tail
    except zlib.error as error:
        raise Damaged(f"its deflated bytes were changed ({error})") from error
    if not unpacker.eof or unpacker.unused_data:
        raise Damaged("its deflated bytes do not end where they should")
