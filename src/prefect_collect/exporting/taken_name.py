"""What is said if a package's name is taken at the destination: which export wrote it, and what to do."""

from __future__ import annotations

import shlex
from contextlib import suppress

from prefect_collect.errors import CollectError, PackageExists
from prefect_collect.job_folder.exports_made import exports_of_folder
from prefect_collect.job_folder.folder import JobFolder


def taken_name(place: str, collection: JobFolder | None) -> PackageExists:
    """Return the error of a name that is taken; the custody log of the `collection` knows its own exports."""
    job_id = None if collection is None else _writer(place, collection)
    if collection is None or job_id is None:
        return PackageExists(
            "Something else already has the package's name, which no export of this collection is known to have "
            f"written; name another destination, or move it away. [{place}]"
        )
    return PackageExists(
        f"The package of an earlier export of this collection is already there: export {job_id}"
        f"{_described(collection.beside(job_id))}. Take that one (`prefect-collect verify {shlex.quote(place)}`, "
        f"`prefect-collect download {job_id} --to DIR`), or name another destination. [{place}]"
    )


def _writer(place: str, collection: JobFolder) -> str | None:
    """Return the id of the last export of the collection that wrote a package there; None if none is known."""
    with suppress(CollectError):
        made = [one.job_id for one in exports_of_folder(collection) if one.package == place]
        return made[-1] if made else None
    return None


def _described(export: JobFolder) -> str:
    """Return its format and the time of its end, as far as they are known."""
    with suppress(CollectError):
        result, format = export.result(), export.record().options.get("format")
        if result is not None:
            return f" ({format}, ended {result.ended:%Y-%m-%d %H:%M} UTC)"
    return ""
