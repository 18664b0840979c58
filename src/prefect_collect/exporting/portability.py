"""Reports names that not every system accepts: a warning with their number, and a list of all of them.

    reports/0001/names.csv    item_id, original_path, path (in the package), portable_path, why

The list is written if a delivered item has such a name. `portable_path` is the path that the item has in the package,
or would have with portable names.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator
from typing import Final

from prefect_collect.escaping import csv_cell
from prefect_collect.exporting.bound_collection import BoundCollection
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.parquet import put_file
from prefect_collect.packages import Built, Checked

NAMES: Final = "names.csv"
"""The report that lists the names."""

COLUMNS: Final = ("item_id", "original_path", "path", "portable_path", "why")
_NAMED: Final = 3


def report_names(
    folder: JobFolder, attempt: int, bound: BoundCollection, checked: Checked, built: Built
) -> tuple[str, ...]:
    """Write the list, and return the warning about it; nothing if every system accepts every name.

    Raise StoreError.
    """
    names = checked.names
    if not names.unportable:
        return ()
    count, first = 0, list[str]()
    with tempfile.TemporaryFile() as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="backslashreplace", newline="")
        written = csv.writer(text, lineterminator="\r\n")
        written.writerow(COLUMNS)
        for row in _rows(bound, checked, built):
            written.writerow(map(csv_cell, row))
            count += 1
            if len(first) < _NAMED:
                first.append(f"{row[1]} ({row[4]})")
        if not count:
            return ()
        text.flush()
        file.seek(0)
        key = store_keys.report_key(folder.job_id, attempt, NAMES)
        put_file(folder.store, key, file, replace=True)
        text.detach()
    return (_warning(count, first, folder.store.locate(key), applied=names.applied),)


def _rows(bound: BoundCollection, checked: Checked, built: Built) -> Iterator[tuple[str, ...]]:
    names, number = checked.names, -1
    portable = names.portable
    if portable is None:
        return
    for batch in bound.manifest(["item_id", "original_path", "path"]):
        for item_id, original, staged in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            number += 1
            if not names.is_unportable(number) or not checked.is_good(number) or number in built.failed:
                continue
            path = names.renamed.get(number, staged)
            why = "; ".join(portable.reasons(number, path))
            yield item_id, original, f"data/{names.path(number, staged)}", f"data/{portable.path(number, path)}", why


def _warning(count: int, first: list[str], where: str, *, applied: bool) -> str:
    items = f"{count:,} {'item' if count == 1 else 'items'}"
    shown = ", ".join(first) + (", …" if count > len(first) else "")
    if applied:
        return (
            f"{items} got another name in the package, one that every system accepts: {shown}. The package's items.csv "
            f"has the original names. [{where}]"
        )
    names, better = ("its own name", "a name") if count == 1 else ("their own names", "names")
    return (
        f"{items} of the package cannot be unpacked under {names} on Windows or macOS: {shown}. Export with portable "
        f"names to have {better} that every system accepts. [{where}]"
    )
