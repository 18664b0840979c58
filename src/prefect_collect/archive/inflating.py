"""Inflates ZIP entries in steps, so that no entry is ever held in memory."""

from __future__ import annotations

import bz2
import lzma
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from prefect_collect.archive.problems import Damaged

_STEP: Final = 1 << 20
_FED: Final = 64 << 10
"""Bytes given to the decompressor at a time: what it does not use of them is copied at each step."""

_LZMA_MEMORY: Final = 128 << 20
"""Most bytes of memory for one LZMA entry, which states the size of its dictionary. 7-Zip's default is 64 MiB."""

_one_lzma: Final = threading.Semaphore(1)

METHODS: Final = {
    1: "Shrink", 6: "Implode", 9: "Deflate64", 10: "IBM TERSE", 18: "IBM TERSE", 19: "IBM LZ77", 93: "Zstandard",
    95: "XZ", 96: "JPEG", 97: "WavPack", 98: "PPMd", 99: "AES encryption",
}  # fmt: skip
"""Names of ZIP's compression methods (APPNOTE.TXT, 4.4.5) that are not inflated here."""

DEFLATED: Final = 8
SUPPORTED: Final = frozenset({0, DEFLATED, 12, 14})
"""The methods that are inflated: stored, deflated, bzip2 and LZMA."""


def inflated(chunks: Iterable[bytes | memoryview], size: int) -> Iterator[bytes]:
    """Yield the bytes of raw deflated data, at most 1 MiB at a time.

    Raise Damaged if they cannot be inflated, are more than `size` bytes, or do not end with the last chunk.
    """
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for chunk in _fed(chunks):
            waiting: bytes | memoryview = chunk
            while data := unpacker.decompress(waiting, _STEP):
                size = _rest(size, data)
                yield data
                waiting = unpacker.unconsumed_tail
    except zlib.error as error:
        raise Damaged(f"its deflated bytes were changed ({error})") from error
    if not unpacker.eof or unpacker.unused_data:
        raise Damaged("its deflated bytes do not end where they should")


def unpacked(method: int, chunks: Iterable[bytes | memoryview], size: int) -> Iterator[bytes]:
    """Do as `inflated` for any method of SUPPORTED but stored."""
    if method == DEFLATED:
        return inflated(chunks, size)
    return _unpacked(chunks, size, "bzip2", lambda _: bz2.BZ2Decompressor()) if method == 12 else _lzma(chunks, size)


def _lzma(chunks: Iterable[bytes | memoryview], size: int) -> Iterator[bytes]:
    with _one_lzma:
        yield from _unpacked(chunks, size, "LZMA", _lzma_unpacker)


def _lzma_unpacker(start: bytes) -> Any:
    """Return a decompressor for a ZIP entry's LZMA (5.8.8), from its version, the size of its properties, and these."""
    if start[2:4] != b"\x05\x00" or len(start) < 9:
        raise Damaged("its LZMA properties are damaged")
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_LZMA_MEMORY)
    # The header of an .lzma file: the same properties, and a size that is not known.
    unpacker.decompress(start[4:9] + b"\xff" * 8, 0)
    return unpacker


def _unpacked(
    chunks: Iterable[bytes | memoryview], size: int, kind: str, start: Callable[[bytes], Any]
) -> Iterator[bytes]:
    unpacker: Any = None
    stated = size
    try:
        for chunk in _fed(chunks):
            waiting = bytes(chunk)
            if unpacker is None:
                unpacker = start(waiting)
                waiting = waiting[9:] if kind == "LZMA" else waiting
            if unpacker.eof:
                raise Damaged(f"its {kind} bytes do not end where they should")
            while True:
                data = unpacker.decompress(waiting, _STEP)
                waiting = b""
                size = _rest(size, data)
                if data:
                    yield data
                if unpacker.eof or unpacker.needs_input:
                    break
    except (OSError, EOFError, ValueError, lzma.LZMAError) as error:
        raise Damaged(f"its {kind} bytes were changed, or need too much memory ({error})") from error
    # LZMA may lack a mark at its end; then its size tells where the end is.
    if (
        unpacker is None
        or (not unpacker.eof and (kind != "LZMA" or size or not stated))
        or (unpacker.eof and unpacker.unused_data)
    ):
        raise Damaged(f"its {kind} bytes do not end where they should")


def _rest(size: int, data: bytes) -> int:
    if len(data) > size:
        raise Damaged("it inflates to more than its stated size")
    return size - len(data)


def _fed(chunks: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    for chunk in chunks:
        for start in range(0, len(chunk), _FED):
            yield chunk[start : start + _FED]
