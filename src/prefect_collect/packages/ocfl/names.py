"""The names of the files of an OCFL storage root and of its objects, and the name of a data source's object."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from prefect_collect.archive.item_paths import name_to_folder

ROOT: Final = "0=ocfl_1.1"
"""The declaration of a storage root."""

LAYOUT: Final = "ocfl_layout.json"
"""The file of a storage root that names its layout."""

LAYOUT_NAME: Final = "0002-flat-direct-storage-layout"
"""The layout: each object is in a folder that has the object's id as its name."""

OBJECT: Final = "0=ocfl_object_1.1"
"""The declaration of an object."""

ANY_OBJECT: Final = "0=ocfl_object_"
"""The beginning of the declaration of an object of any version of OCFL."""

INVENTORY: Final = "inventory.json"
"""The list of an object's files and versions; its SHA-256 is the package's fingerprint."""

SIDECAR: Final = "inventory.json.sha256"
"""The file with the inventory's hash."""

DESCRIPTION: Final = "ocfl.json"
"""The file of a version that says what was exported, and how many items."""

ITEMS_FOLDER: Final = "items/"
"""The folder of a version that items are in."""


def object_name(source: Mapping[str, Any]) -> str:
    """Return the id of a data source's object, which is the name of its folder too.

    It is made of the kind and the place of the source (`JobRecord.source`), so that it stays if the source is renamed.
    """
    kind, place = str(source.get("type") or ""), str(source.get("location") or source.get("name") or "")
    mark = hashlib.sha256(f"{kind}\n{place}".encode("utf-8", "surrogatepass")).hexdigest()[:16]
    shown = name_to_folder(place.rpartition("://")[2].rstrip("/"))
    return name_to_folder(f"{shown[:60]}-{mark}")


def declared(name: str) -> bytes:
    """Return the contents of a declaration."""
    return f"{name.partition('=')[2]}\n".encode()
