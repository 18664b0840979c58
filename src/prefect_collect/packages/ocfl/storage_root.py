"""The storage root that exports write to: made in an empty folder, or recognised."""

from __future__ import annotations

import contextlib
import json
from typing import Final

from prefect_collect.errors import KeyExists, KeyMissing, PackageError, PackageExists
from prefect_collect.packages.ocfl.names import LAYOUT, LAYOUT_NAME, ROOT, declared
from prefect_collect.stores import DirectoryStore, Store
from prefect_collect.untrusted.bounded_json import BadValue, parse_json

_DESCRIBED: Final = "Each object is in a folder of the storage root that has the object's id as its name."
_SMALL: Final = 1 << 20


def require_storage_root(destination: Store) -> None:
    """Make the destination a storage root if it is empty; leave one that is there as it is.

    Raises:
        PackageError: It is not a folder, or a storage root of another layout or version.
        PackageExists: It holds other things.
        StoreError: It cannot be read or written.
    """
    require_local(destination)
    where = destination.locate("").rstrip("/")
    if not _is_root(destination, where):
        blob = next(iter(destination.list()), None)
        if blob is not None:
            raise PackageExists(
                f"The destination is no OCFL 1.1 storage root and holds other things ({blob.key!r}); name an empty "
                f"folder, or a storage root. [{where}]"
            )
        layout = json.dumps({"description": _DESCRIBED, "extension": LAYOUT_NAME}, indent=1) + "\n"
        for name, data in ((LAYOUT, layout.encode()), (ROOT, declared(ROOT))):
            with contextlib.suppress(KeyExists):  # another export makes the same root
                destination.create(name, data)
    try:
        layout_found = parse_json(destination.read(LAYOUT, 0, _SMALL), lambda values, name: None).get("extension")
    except (BadValue, KeyMissing):
        layout_found = None
    if layout_found != LAYOUT_NAME:
        raise PackageError(
            f"The storage root has another layout than {LAYOUT_NAME}, the only one that is written; name another "
            f"folder. [layout={str(layout_found)[:100]}, {where}]"
        )


def require_local(destination: Store) -> None:
    """Raise PackageError if the destination is not a folder: in buckets no object was written and checked yet."""
    if not isinstance(destination, DirectoryStore):
        raise PackageError(
            "OCFL objects are written to folders only; name a folder, and copy the storage root from there. "
            f"[{destination.url}]"
        )


def _is_root(destination: Store, where: str) -> bool:
    """Return whether there is the declaration. Raises PackageError if it is not what it should be."""
    try:
        if destination.read(ROOT, 0, 100) == declared(ROOT):
            return True
    except KeyMissing:
        # A root whose declaration was not yet written when its export was killed has the layout alone.
        names = [blob.key for _, blob in zip(range(2), destination.list(), strict=False)]
        if names == [LAYOUT]:
            with contextlib.suppress(KeyExists):
                destination.create(ROOT, declared(ROOT))
            return True
        return False
    raise PackageError(f"The declaration of the storage root is damaged; restore it. [{where}/{ROOT}]")
