"""What a browser is shown of an item: decided by its bytes alone, and never in a form that a browser could execute."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from prefect_collect.console.mail_text import is_mail, mail_text
from prefect_collect.console.pdf_actions import may_act
from prefect_collect.packages import HeldItem

MOST_SHOWN: Final = 128 << 20
"""Bytes of the largest item that is shown; a larger one can be downloaded."""

_SAMPLE: Final = 64 << 10
_MOST_KEPT: Final = 2 << 20
"""Bytes of an item that are kept for its preview, unless it shows all; all bytes are proven."""

_MOST_TEXT: Final = 1 << 20
_MOST_HEX: Final = 16 << 10
_LINE: Final = 16
_CUT: Final = "\n\n[The rest is not shown: {left:,} of {size:,} bytes. Download the item to read all of it.]\n"
_ACTS: Final = (
    "The PDF is not shown: it has scripts, forms that are sent, or the like, or may hide them, and a browser's viewer "
    "would carry them out.\nDownload it.\n"
)
_CONTROL: Final = re.compile(rb"[\x00-\x07\x0e-\x1a\x1c-\x1f]")
_BMP_HEADERS: Final = frozenset({12, 40, 52, 56, 64, 108, 124})
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_IMAGES: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


class Shown(StrEnum):
    """How an item is shown."""

    TEXT = "text"
    MAIL = "e-mail"
    PDF = "PDF"
    IMAGE = "image"
    BYTES = "bytes"
    NOTHING = "too large to be shown"


@dataclass(frozen=True)
class Preview:
    """What is sent to the browser: a content type of this module's own list, and the bytes."""

    media_type: str
    content: bytes


def shown_as(item: HeldItem) -> Shown:
    """Return how an item will be shown. Raise CorruptSegment, StoreError."""
    return Shown.NOTHING if item.size > MOST_SHOWN else _kind(item.head())[0]


def preview_of(item: HeldItem) -> Preview:
    """Return the preview of an item, whose bytes are proven. Raise CorruptSegment, StoreError."""
    if item.size > MOST_SHOWN:
        return _text(f"The item has {item.size:,} bytes, more than are shown here. Download it.\n")
    whole = _kind(item.head())[0] in (Shown.PDF, Shown.IMAGE)
    kept = bytearray()
    for chunk in item.read():
        kept += chunk if whole else chunk[: max(0, _MOST_KEPT - len(kept))]
    return _preview(bytes(kept), item.size)  # of the bytes that are proven


def bytes_shown_as(content: bytes) -> Shown:
    """Return how content will be shown that is in memory, such as an attachment of an e-mail."""
    return _kind(content)[0]


def preview_of_bytes(content: bytes) -> Preview:
    """Return the preview of content that is in memory."""
    return _preview(content, len(content))


def _preview(content: bytes, size: int) -> Preview:
    """Return the preview of something of that size, by its beginning, or by all of it if all is sent."""
    kind, detail = _kind(content)
    if kind is Shown.PDF and may_act(content):
        return _text(_ACTS)
    if kind in (Shown.PDF, Shown.IMAGE):
        return Preview(detail, content)
    if kind is Shown.MAIL:
        return _text(mail_text(content, size))
    return _text(_decoded(content, detail, size) if kind is Shown.TEXT else hex_dump(content, size))


def _kind(content: bytes) -> tuple[Shown, str]:
    """Return how content is shown, with its content type or its encoding."""
    for start, media_type in _IMAGES:
        if content.startswith(start):
            return Shown.IMAGE, media_type
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return Shown.IMAGE, "image/webp"
    if content[:2] == b"BM" and int.from_bytes(content[14:18], "little") in _BMP_HEADERS:
        return Shown.IMAGE, "image/bmp"
    if content.startswith(b"%PDF-"):
        return Shown.PDF, "application/pdf"
    encoding = _encoding(content[:_SAMPLE])
    if encoding is None:
        return Shown.BYTES, ""
    return (Shown.MAIL if is_mail(content[:_SAMPLE]) else Shown.TEXT), encoding


def _encoding(sample: bytes) -> str | None:
    """Return the encoding of a text by its beginning; None if it is no text."""
    for mark, encoding in _MARKS:
        if sample.startswith(mark):
            return encoding
    if _CONTROL.search(sample):
        return None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        # A text in an encoding of one byte a letter has more ASCII than other bytes.
        return "cp1252" if sum(byte >= 0x80 for byte in sample) * 3 < len(sample) else None
    return "utf-8"


def _decoded(content: bytes, encoding: str, size: int) -> str:
    return content[:_MOST_TEXT].decode(encoding, "replace") + _cut(size - _MOST_TEXT, size)


def hex_dump(content: bytes, size: int) -> str:
    """Return the first 16 KiB of content of that size in lines of 16 bytes: offset, hexadecimal digits, ASCII."""
    lines = []
    for start in range(0, min(len(content), _MOST_HEX), _LINE):
        row = content[start : start + _LINE]
        letters = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        lines.append(f"{start:08x}  {row.hex(' '):<47}  {letters}\n")
    return "".join(lines) + _cut(size - _MOST_HEX, size)


def _cut(left: int, size: int) -> str:
    return _CUT.format(left=left, size=size) if left > 0 else ""


def _text(text: str) -> Preview:
    return Preview("text/plain; charset=utf-8", text.encode("utf-8", "replace"))
