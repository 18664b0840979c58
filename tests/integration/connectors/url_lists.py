"""Sources of lists of URLs that a test writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.blocks import HttpListSource
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item
from prefect_collect.sources.listing import items_of
from tests.integration.http_files import HttpFiles
from tests.integration.sources.places import read

BIG = (5 << 20) + 123
"""Bytes of a content that is streamed, in several pieces."""


def anew(web: HttpFiles) -> HttpFiles:
    """Return the server, without files and faults."""
    web.files.clear()
    web.faults.clear()
    web.requests.clear()
    web.released.clear()
    web.token, web.has_ranges, web.refuses_head = None, True, False
    return web


def source_of(tmp_path: Path, *lines: dict[str, Any] | str, **fields: Any) -> HttpListSource:
    """Return the source of a list of these lines."""
    path = tmp_path / "list.jsonl"
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    given = {"name": "list", "allow_private": True, "read_timeout": 5, "connect_timeout": 5, **fields}
    return HttpListSource.model_validate({"url": f"urls://{path}", **given})


def failure(source: HttpListSource, item: Item) -> SourceError:
    """Return the error of reading an item."""
    with pytest.raises(SourceError) as caught:
        read(source, item)
    return caught.value


def only(source: HttpListSource) -> Item:
    """Return the single item of a source."""
    [item] = items_of(source)
    return item
