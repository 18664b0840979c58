"""A server whose answers to WebDAV's requests are those that a test has it say."""

from __future__ import annotations

from itertools import count
from typing import Any

from prefect_collect.blocks import WebDavSource
from prefect_collect.sources import Item
from tests.integration.http_files import Fault, HttpFiles
from tests.support.multistatus import multistatus

_NUMBERS = count()


def source_at(server: HttpFiles, path: str = "/top/", **fields: Any) -> WebDavSource:
    """Return the source of a scripted server, with a connection that no other test has made."""
    fresh = 5 + next(_NUMBERS) / 1_000
    return WebDavSource(name="dav", url=f"webdav://127.0.0.1:{server.port}{path}", read_timeout=fresh, **fields)


def say(server: HttpFiles, path: str, *responses: str, left: int = 100, **fault: Any) -> None:
    """Answer PROPFIND of a path with a document of these responses."""
    body = multistatus(*responses)
    server.faults.append(Fault(left=left, method="PROPFIND", path=f"^{path}$", status=207, body=body, **fault))


def codes(items: list[Item]) -> dict[str, str]:
    """Return the codes of the items that failed, by their paths."""
    return {item.path: item.failure.code for item in items if item.failure is not None}
