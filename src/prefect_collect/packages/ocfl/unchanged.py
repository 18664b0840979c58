"""What a version shares with earlier ones without being given it: items that an incremental collection left unread."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from prefect_collect.errors import KeyMissing, PackageError
from prefect_collect.job_folder.manifest_rules import Batches
from prefect_collect.packages.building.agent import AGENT
from prefect_collect.packages.building.order import PackageInput
from prefect_collect.packages.building.spec import PackageSpec
from prefect_collect.packages.file_sets.lists import MANIFEST_COLUMNS
from prefect_collect.packages.file_sets.plan import PLACE
from prefect_collect.packages.ocfl.inventory import MOST_BYTES, Inventory, parsed_inventory
from prefect_collect.packages.ocfl.names import INVENTORY, ITEMS_FOLDER
from prefect_collect.packages.ocfl.stored import StoredObject
from prefect_collect.stores import Store
from prefect_collect.untrusted.bounded_json import BadValue


def require_continuing(given: PackageInput, stored: StoredObject) -> None:
    """Raise PackageError unless a version of this collection can follow the object's last one, and be whole."""
    spec, inventory = given.spec, stored.inventory
    if inventory is not None:
        _require_after(inventory, spec)
    if given.unchanged is None:
        return
    if spec.deduplicate is not None:
        raise PackageError(
            "Of an incremental collection a version cannot leave out duplicates, as the items that it shares with "
            f"earlier versions are not compared; export without deduplicate. [collection={spec.job_id}]"
        )
    places = {} if inventory is None else inventory.manifest
    for batch in given.unchanged(["path", "size", "sha256", "held_by"]):
        names = ("path", "size", "sha256", "held_by")
        for path, size, digest, job in zip(*(batch[name].to_pylist() for name in names), strict=True):
            content = places.get(digest.hex())
            if content is None:
                raise PackageError(
                    "The collection is incremental, and the object does not have an item that is unchanged since an "
                    f"earlier collection: export collection {job} to this destination first, then retry; or collect "
                    f"without since, and export that collection. [{path}]"
                )
            stored.require_content(content[0], size)


def require_later(destination: Store, key: str, spec: PackageSpec) -> None:
    """Raise PackageError if the object has a version of a later collection; write nothing.

    An object that is damaged, or is being written, is judged when the version is made. Raise StoreError.
    """
    try:
        inventory = parsed_inventory(destination.read(f"{key}/{INVENTORY}", 0, MOST_BYTES + 1))
    except (KeyMissing, BadValue):
        return
    _require_after(inventory, spec)


def created_of(spec: PackageSpec) -> str:
    """Return the time of a version: that of the collection's end, which is the same in each attempt."""
    if spec.ended is None:
        return f"{spec.bagging_date.isoformat()}T00:00:00Z"
    return _stated(spec.ended)


def message_of(spec: PackageSpec) -> str:
    """Return the message of a version, which names its collection."""
    return f"{spec.name or spec.base}{_of_collection(spec)}"


def _of_collection(spec: PackageSpec) -> str:
    return f", collection {spec.job_id}"


def _stated(moment: datetime) -> str:
    return f"{moment.replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def _require_after(inventory: Inventory, spec: PackageSpec) -> None:
    """Raise PackageError if a version that was made here is of a later collection, or of a later attempt of this one.

    A retry carries over what earlier attempts hold, so beside other collections this one is as old as that.
    """
    ended = created_of(spec)
    as_of = ended if spec.as_of is None else _stated(spec.as_of)
    for number, said in inventory.versions.items():
        name, message = str(said.get("user", {}).get("name", "")), said.get("message", "")
        if name.split(" ")[0] != AGENT:
            continue
        own = ended if message.endswith(_of_collection(spec)) else as_of
        if datetime.fromisoformat(said["created"]) > datetime.fromisoformat(own):
            raise PackageError(
                f"The object has the version v{number} of a later collection ({message[:300]}; it ended at "
                f"{said['created']}, and this one has items as they were at {own}), so a version of this one would put "
                f"back what changed since; name another destination, or collect again. [collection={spec.job_id}]"
            )


def shared_rows(unchanged: Batches) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Yield the rows of the unchanged items, and their places in the version."""
    for batch in unchanged(MANIFEST_COLUMNS):
        paths = pa.array([f"{ITEMS_FOLDER}{path}" for path in batch["path"].to_pylist()])
        none = pa.nulls(batch.num_rows, pa.int64())
        own = pa.array([True] * batch.num_rows)
        yield batch, pa.RecordBatch.from_arrays([paths, own, none, none], schema=pa.schema(PLACE))


def without_unchanged(not_delivered: Batches) -> Batches:
    """Return the items that are not delivered without those that the version shares."""

    def batches(columns: list[str]) -> Iterator[pa.RecordBatch]:
        for batch in not_delivered(columns):
            yield batch.filter(pc.fill_null(pc.not_equal(batch["error_code"], "unchanged"), True))

    return batches
