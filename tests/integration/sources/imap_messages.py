"""Messages for tests of mailboxes."""

from __future__ import annotations

from prefect_collect.sources import SMALL_ITEM

LARGE = SMALL_ITEM + 200_000
"""Bytes of a message that is read alone."""


def message(number: int, size: int = 100) -> bytes:
    """Return a message of about that size, unlike every other."""
    body = (f"{number:08d}" * 9 + "\r\n") * (size // 74 + 1)
    head = f"From: Ann <ann{number % 3}@x.example>\r\nSubject: message {number}\r\nMessage-ID: <{number}@x.example>\r\n"
    return f"{head}Date: Mon, 5 Jan 2026 10:00:00 +0100\r\n\r\n{body}".encode()
