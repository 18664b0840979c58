"""The ids of items that are versions of objects: the key and the version, as a URL names them."""

from __future__ import annotations

from typing import Final

_MARK: Final = "?versionId="


def version_id(key: str, version: str) -> str:
    """Return the item's id for a version of an object."""
    return f"{key}{_MARK}{version}"


def split_version(item_id: str) -> tuple[str, str]:
    """Return key and version of an item's id; a version's id holds no mark, whatever the key holds."""
    key, _, version = item_id.rpartition(_MARK)
    return key, version
