"""The chain of custody documents of a package of any format: made when its lists are finished, and counted again.

A builder of a format adds what `custody_documents` returns to its lists before it writes its seal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from prefect_collect.documents.account import MOST_LISTS, meanings_of
from prefect_collect.documents.files import document_files
from prefect_collect.packages.building.spec import DELIVERED, PackageSpec
from prefect_collect.packages.building.tag_file import TagFile, hashed
from prefect_collect.untrusted.bounded_parquet import BadParquet, BoundedParquet

ITEM_LIST: Final = "items.parquet"
"""The list of all items, which a package of every format has in its base folder."""

_COLUMNS: Final = ["outcome", "error_code", "size"]
_OUTCOMES: Final = frozenset({"failed", "skipped", "not_attempted"})


@dataclass(slots=True)
class Counted:
    """The items of a package's own list: those delivered, their bytes, and the others by outcome and code."""

    delivered: int = 0
    bytes: int = 0
    not_delivered: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def listed(self) -> int:
        """The number of all items."""
        return self.delivered + sum(sum(codes.values()) for codes in self.not_delivered.values())


def count_items(file: Any) -> Counted:
    """Count the items of an item list, which is read within bounds. Raise BadParquet."""
    counted = Counted()
    try:
        for batch in BoundedParquet(file).batches(_COLUMNS):
            given = pc.fill_null(pc.equal(batch["outcome"], DELIVERED), False)
            counted.bytes += pc.sum(batch["size"].filter(given)).as_py() or 0
            counted.delivered += given.true_count
            _count(batch.filter(pc.invert(given)), counted)
    except (pa.ArrowException, KeyError, TypeError) as error:
        raise BadParquet("it has no items with outcomes, codes and sizes") from error
    return counted


def _count(others: pa.RecordBatch, counted: Counted) -> None:
    """Add items that are not delivered. Raise BadParquet if one has an outcome that no item has."""
    every = Counter(zip(others["outcome"].to_pylist(), others["error_code"].to_pylist(), strict=True))
    for (outcome, code), items in every.items():
        if outcome not in _OUTCOMES:
            raise BadParquet(f"it has an item with the outcome {str(outcome)[:60]!r}")
        codes = counted.not_delivered.setdefault(outcome, {})
        codes[code or ""] = codes.get(code or "", 0) + items


def custody_documents(
    folder: Path, spec: PackageSpec, lists: Sequence[TagFile], algorithms: Iterable[str] = ("sha256",)
) -> list[TagFile]:
    """Write the documents of a package with these finished lists into `folder`, and return them.

    None if the package is made without the evidence of a job.
    """
    if spec.custody is None:
        return []
    items = next(file for file in lists if file.name == ITEM_LIST)
    with open(items.file, "rb") as opened:
        counted = count_items(opened)
    codes = {code for outcome in counted.not_delivered.values() for code in outcome}
    meanings = {**spec.custody["meanings"], **meanings_of(codes)}
    account = {**spec.custody, "meanings": meanings, "package": package_account(spec, counted, lists)}
    made = []
    for name, data in document_files(account).items():
        (folder / name).write_bytes(data)
        made.append(hashed(name, folder / name, algorithms))
    return made


def package_account(spec: PackageSpec, counted: Counted, lists: Sequence[TagFile]) -> dict[str, Any]:
    """Return what an account says of the package."""
    named = [[file.name, file.hashes["sha256"]] for file in sorted(lists, key=lambda file: file.name)]
    return {
        "base": spec.base,
        "date": spec.bagging_date.isoformat(),
        "delivered": counted.delivered,
        "bytes": counted.bytes,
        "not_delivered": {outcome: dict(sorted(codes.items())) for outcome, codes in counted.not_delivered.items()},
        "lists": named[:MOST_LISTS],
        "lists_left": max(0, len(named) - MOST_LISTS),
    }
