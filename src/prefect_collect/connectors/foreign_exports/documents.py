"""What the lists of an export say of single items."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from prefect_collect.connectors.mail import texts

_MOST_METADATA: Final = 48 << 10
"""Characters of a document's metadata; the rest of an item's 64 KiB is for its message's own."""


@dataclass(frozen=True, slots=True)
class Document:
    """What a list says of one item of the export.

    Attributes:
        name: What it is called in messages: its file's name, or its id.
        files: The names or paths of the files that hold it; one of them is enough.
        messages: The ids by which a message is found in an mbox file.
        metadata: What the list says about it.
    """

    name: str
    files: tuple[str, ...]
    messages: tuple[str, ...]
    metadata: Mapping[str, Any]
    digests: tuple[tuple[str, str, str], ...] = ()
    """Checksums of its files: names, algorithms, hex digests."""
    size: str = ""
    """Its bytes, as the list states them beside the name of its file, and not among the metadata; "" if it does not."""


@dataclass(frozen=True, slots=True)
class Missing:
    """What a list names and the export does not hold.

    Attributes:
        id: By what it is found again in the lists, when these are read again.
        name: The name of its file, or what it is called.
        message: The id of the message that it is; "" if it is not a message.
        source: The path of the list that names it.
        size: Its bytes, as `Document.size`.
        metadata: What the list says about it.
        is_checksum: Whether the list only states a checksum of it.
    """

    id: str
    name: str
    message: str
    source: str
    is_checksum: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)
    size: str = ""


@dataclass(frozen=True, slots=True)
class NotExported:
    """What the exporting system says that it could not export: what it is called, why, and what a list says of it."""

    name: str
    why: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


def base_name(path: str) -> str:
    """Return the last part of a path, by which the lists of exports name files."""
    return path.replace("\\", "/").rpartition("/")[2]


def bounded(metadata: Mapping[str, Any]) -> str:
    """Return metadata as JSON, each text cut, and without what is beyond the bound."""
    kept: dict[str, Any] = {}
    left = _MOST_METADATA
    for name, value in metadata.items():
        value = texts.shortened(texts.storable(value)) if isinstance(value, str) else value
        left -= len(name) + len(json.dumps(value))
        if value not in ("", None, []) and left >= 0:
            kept[texts.storable(name)] = value
    return json.dumps(kept)
