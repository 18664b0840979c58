"""The objects in an OCFL storage root, each of which `verify` takes as a package."""

from __future__ import annotations

import os

from prefect_collect.errors import CollectError, KeyMissing, UsageError
from prefect_collect.packages.ocfl.names import OBJECT, ROOT
from prefect_collect.stores import Store, open_store


def objects_in(place: str) -> list[str] | None:
    """Return the paths or URLs of the objects in a storage root; None if the place is no storage root.

    Raise UsageError if none of its folders is an object, as in a layout with deeper folders.
    """
    is_url = "://" in place
    if not is_url and not os.path.isfile(os.path.join(place, ROOT)):
        return None
    root = place.rstrip("/") or "/"
    try:
        store = open_store(root if is_url else os.path.abspath(root))
        if not _has(store, ROOT):
            return None
        found = [f"{root}/{name}" for name in store.folders() if _has(store, f"{name}/{OBJECT}")]
    except CollectError:
        return None  # the check of the package says why it cannot be read
    if not found:
        raise UsageError(
            f"It is an OCFL storage root, and none of the folders in it is an OCFL object; name the folder of an "
            f"object. [{place}]"
        )
    return found


def _has(store: Store, key: str) -> bool:
    try:
        store.stat(key)
    except KeyMissing:
        return False
    return True
