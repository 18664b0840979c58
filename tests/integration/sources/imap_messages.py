"""Messages for tests of mailboxes, and incremental jobs of these."""

from __future__ import annotations

from dataclasses import replace

from prefect_collect.collecting.incremental import since_options
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.sources import SMALL_ITEM
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import new_job

LARGE = SMALL_ITEM + 200_000
"""Bytes of a message that is read alone."""


def message(number: int, size: int = 100) -> bytes:
    """Return a message of about that size, unlike every other."""
    body = (f"{number:08d}" * 9 + "\r\n") * (size // 74 + 1)
    head = f"From: Ann <ann{number % 3}@x.example>\r\nSubject: message {number}\r\nMessage-ID: <{number}@x.example>\r\n"
    return f"{head}Date: Mon, 5 Jan 2026 10:00:00 +0100\r\n\r\n{body}".encode()


def incremental(store: MemoryStore, source: object) -> JobFolder:
    """Return the folder of a new job that compares with those before it."""
    record = replace(new_job(MemoryStore(), source).record(), job_id="probe")  # type: ignore[arg-type]
    return new_job(store, source, options=since_options(store, record))  # type: ignore[arg-type]
