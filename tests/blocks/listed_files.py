"""What a source of files lists and reads."""

from __future__ import annotations

from pathlib import Path

from prefect_collect.blocks import FileSource
from prefect_collect.codes import Failure
from prefect_collect.sources import Item
from prefect_collect.sources.listing import items_of


def listed(root: Path, *, follow_symlinks: bool = False) -> dict[str, Item]:
    """Return the items by path."""
    return {item.path: item for item in items_of(FileSource(root=root, follow_symlinks=follow_symlinks))}


def code_of(failure: Failure | None) -> str:
    """Return the code of a failure, which must not be None."""
    assert failure is not None
    return failure.code


def read(source: FileSource, item: Item) -> bytes:
    """Return an item's bytes, read by `open`."""
    with source.open(item) as content:
        data = b"".join(content.chunks)
        assert content.finish is not None
        content.finish()
        assert content.size == len(data)
        return data
