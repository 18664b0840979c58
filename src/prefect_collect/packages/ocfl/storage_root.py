"""The storage root that exports write to: made in an empty folder, or recognised."""

from __future__ import annotations

import contextlib
import json
from itertools import islice
from typing import Final

from prefect_collect.errors import KeyExists, KeyMissing, PackageError, PackageExists
from prefect_collect.packages.ocfl.names import LAYOUT, LAYOUT_NAME, ROOT, declared
from prefect_collect.stores import DirectoryStore, Store
from prefect_collect.threads.abandoned import current_fence
from prefect_collect.untrusted.bounded_json import BadValue, parse_json

_DESCRIBED: Final = "Each object is in a folder of the storage root that has the object's id as its name."
_SMALL: Final = 1 << 20


def require_possible(destination: Store) -> None:
    """Return if the destination is a storage root as it is written here, or empty; write nothing.

    Raises:
        PackageError: It is a storage root of another layout.
        PackageExists: It holds other things.
        StoreError: It cannot be read.
    """
    declaration = _read(destination, ROOT)
    names = [ROOT] if declaration is not None else _names(destination)
    # An export that was killed while it made the root may have left the layout alone.
    if declaration is None and names not in ([], [LAYOUT]):
        declaration = _read(destination, ROOT)  # another export may have made it meanwhile
    if declaration is None and names not in ([], [LAYOUT]):
        raise PackageExists(
            f"The destination is no OCFL 1.1 storage root and holds other things ({names[0]!r}); name an empty one, "
            f"or a storage root. [{destination.url}]"
        )
    if declaration not in (None, declared(ROOT)):
        raise PackageError(f"The declaration of the storage root is damaged; restore it. [{destination.url}/{ROOT}]")
    if names:
        try:
            layout = parse_json(_read(destination, LAYOUT) or b"{}", lambda values, name: None).get("extension")
        except BadValue:
            layout = None
        if layout != LAYOUT_NAME:
            raise PackageError(
                f"The storage root has another layout than {LAYOUT_NAME}, the only one that is written; name another "
                f"destination. [layout={str(layout)[:100]}, {destination.url}]"
            )


def require_storage_root(destination: Store) -> None:
    """Make the destination a storage root if it is empty; raise as `require_possible` does."""
    require_possible(destination)
    described = json.dumps({"description": _DESCRIBED, "extension": LAYOUT_NAME}, indent=1) + "\n"
    for name, data in ((LAYOUT, described.encode()), (ROOT, declared(ROOT))):
        if _read(destination, name) is None:
            with contextlib.suppress(KeyExists), current_fence().passing():  # another export makes the same root
                destination.create(name, data)


def _names(destination: Store) -> list[str]:
    """Return the names of some of the things at the destination, at most two of them files.

    A listing of all that is in a bucket is read whole before it is sorted; its folders are few.
    """
    if not isinstance(destination, DirectoryStore) and (folders := [*islice(destination.folders(), 1)]):
        return folders
    return [blob.key for blob in islice(destination.list(), 2)]


def _read(destination: Store, name: str) -> bytes | None:
    try:
        return destination.read(name, 0, _SMALL)
    except KeyMissing:
        return None
