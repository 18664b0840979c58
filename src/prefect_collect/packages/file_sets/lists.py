"""The lists of a file set, written to temporary files.

EXCEPTIONS.csv         every found item that is not delivered, and why
items.parquet          every found item, exactly: its id, hash and place, or why it is not delivered
mail.json, dataset.json   how the package is made, and the counts
chain-of-custody.*     what was asked and done, as JSON, HTML and PDF
manifest-sha256.txt    the SHA-256 of every other file, as ``sha256sum -c`` reads it: the package's seal
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from prefect_collect.codes import Failure
from prefect_collect.errors import PackageError
from prefect_collect.job_folder.manifest_rules import Batches
from prefect_collect.packages.building.agent import AGENT, agent_version
from prefect_collect.packages.building.check import Checked
from prefect_collect.packages.building.custody_documents import custody_documents
from prefect_collect.packages.building.duplicate_columns import DUPLICATE_OF
from prefect_collect.packages.building.spec import DELIVERED, NOT_DELIVERED, PackageSpec
from prefect_collect.packages.building.tag_file import PackageFile, hashed
from prefect_collect.packages.file_sets.plan import SetPlan
from prefect_collect.packages.load_files.exceptions import Exceptions

SEAL: Final = "manifest-sha256.txt"
EXCEPTIONS: Final = "EXCEPTIONS.csv"
ITEMS: Final = "items.parquet"
VERSION: Final = 1
"""The version of the layout of file sets."""

LARGEST_DESCRIPTION: Final = 32 << 20
"""The most bytes of a package's description."""

MANIFEST_COLUMNS: Final = [
    "item_id",
    "path",
    "original_path",
    "size",
    "sha256",
    "source_modified",
    "custodian",
    "metadata",
    "segment",
]
"""The columns of the manifest that lists are made of."""

ITEMS_SCHEMA: Final = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("original_path", pa.string()),
        pa.field("path", pa.string()),
        pa.field("offset", pa.int64()),
        pa.field("length", pa.int64()),
        pa.field("size", pa.int64()),
        pa.field("sha256", pa.string()),
        pa.field("error_code", pa.string()),
        pa.field("message", pa.string()),
        pa.field(DUPLICATE_OF, pa.string()),
    ]
)
"""The columns of items.parquet; an item that is not delivered has no path, one that is a file has no offset."""

_GROUP_BYTES: Final = 32 << 20


class SetLists:
    """Writes the lists, batch by batch in the manifest's order."""

    def __init__(self, folder: Path, spec: PackageSpec, plan: SetPlan, description: str) -> None:
        self._folder, self._spec, self._plan, self._description = folder, spec, plan, description
        self._own = plan.lists(folder)
        self._items = pq.ParquetWriter(folder / ITEMS, ITEMS_SCHEMA, compression="zstd", compression_level=1)
        self._exceptions = Exceptions(folder / EXCEPTIONS, numbered=False)
        self._manifest = open(folder / SEAL, "wb")  # noqa: SIM115
        self.items = self.bytes = self.missing = 0

    def close(self) -> None:
        """Close the open files; they are not removed."""
        self._own.close()
        self._exceptions.close()
        self._items.close()
        self._manifest.close()

    def fill(self, manifest: Batches, not_delivered: Batches, checked: Checked, failed: Mapping[int, Failure]) -> None:
        """List every item, those of the manifest with their places, or why they are not delivered."""
        start = 0
        for batch, places in zip(manifest(MANIFEST_COLUMNS), self._plan.places(), strict=True):
            paths, segments = batch["path"].to_pylist(), batch["segment"].to_pylist()
            why = [
                failed.get(row) or checked.failure(row, path, segment) or self._plan.refused.get(row)
                for row, (path, segment) in enumerate(zip(paths, segments, strict=True), start)
            ]
            marks = None if checked.duplicates is None else checked.duplicates.marks(start, batch.num_rows)
            self._list(batch, places, why, marks or [None] * batch.num_rows)
            start += batch.num_rows
        for batch in not_delivered(NOT_DELIVERED):
            self._list_missing(batch)

    def _list(
        self, batch: pa.RecordBatch, places: pa.RecordBatch, why: Sequence[Failure | None], marks: list[str | None]
    ) -> None:
        given = [failure is None for failure in why]
        mask = pa.array(given)
        sizes: list[int] = batch["size"].to_pylist()
        digests = [None if digest is None else digest.hex() for digest in batch["sha256"].to_pylist()]
        paths, own = places["path"].to_pylist(), places["own"].to_pylist()
        self._own.add(batch, places, given)
        self._manifest.write(
            b"".join(
                f"{digest}  {path}\n".encode()
                for digest, path, is_own, one in zip(digests, paths, own, given, strict=True)
                if one and is_own
            )
        )
        self.items += sum(given)
        self.missing += len(given) - sum(given)
        self.bytes += sum(size for size, one in zip(sizes, given, strict=True) if one)
        place = {
            name: pa.compute.if_else(mask, places[name], pa.scalar(None, places[name].type))
            for name in ("path", "offset", "length")
        }
        self._write_items(
            {
                "item_id": batch["item_id"],
                "outcome": [DELIVERED if one else "failed" for one in given],
                "original_path": batch["original_path"],
                **place,
                "size": batch["size"],
                "sha256": digests,
                "error_code": [failure and failure.code for failure in why],
                "message": [failure and failure.message for failure in why],
                DUPLICATE_OF: marks,
            }
        )
        for row, failure in enumerate(why):
            if failure is not None:
                values = {name: batch[name][row].as_py() for name in ("custodian", "original_path", "item_id", "size")}
                modified = batch["source_modified"][row].as_py()
                self._exceptions.add("", "failed", failure.code, failure.message, modified, values)

    def _list_missing(self, batch: pa.RecordBatch) -> None:
        """List items that the collection did not collect."""
        nothing = [None] * batch.num_rows
        kept = ("item_id", "outcome", "original_path", "error_code", "message")
        self._write_items(
            {name: batch[name] for name in kept}
            | {"size": batch["source_size"]}
            | dict.fromkeys(("path", "offset", "length", "sha256", DUPLICATE_OF), nothing)
        )
        self.missing += batch.num_rows
        for values in batch.to_pylist():
            values["size"] = values.pop("source_size")
            code, message = values["error_code"] or "", values["message"] or ""
            self._exceptions.add("", values["outcome"], code, message, values["source_modified"], values)

    def _write_items(self, columns: Mapping[str, Any]) -> None:
        arrays = [
            value if isinstance(value := columns[field.name], pa.Array) else pa.array(value, field.type)
            for field in ITEMS_SCHEMA
        ]
        table = pa.Table.from_arrays(arrays, schema=ITEMS_SCHEMA)
        if table.num_rows:
            self._items.write_table(table, row_group_size=max(1, table.num_rows // (1 + table.nbytes // _GROUP_BYTES)))

    def finish(self) -> list[PackageFile]:
        """Write the rest, and return the composed files and all lists; the seal comes last. Raises PackageError."""
        own, more = self._own.finish()
        self._exceptions.close()
        self._items.close()
        described = self._described(more).encode()
        if len(described) > LARGEST_DESCRIPTION:
            raise PackageError(
                f"{self._description} would have {len(described):,} bytes, more than {LARGEST_DESCRIPTION:,}; export "
                f"fewer tables. [collection={self._spec.job_id}]"
            )
        (self._folder / self._description).write_bytes(described)
        lists = [*own, *(hashed(name, self._folder / name) for name in (self._description, EXCEPTIONS, ITEMS))]
        lists += custody_documents(self._folder, self._spec, lists)
        files: list[PackageFile] = [*self._plan.files, *lists]
        self._manifest.write(b"".join(f"{file.hashes['sha256']}  {file.name}\n".encode() for file in files))
        self._manifest.close()
        return [*files, hashed(SEAL, self._folder / SEAL)]

    def _described(self, more: Mapping[str, Any]) -> str:
        spec = self._spec
        said = {
            "version": VERSION,
            "tool": f"{AGENT} {agent_version()}",
            "collection": spec.job_id,
            "name": spec.name,
            "date": spec.bagging_date.isoformat(),
            "source": spec.source,
            "found": self.items + self.missing,
            "delivered": self.items,
            "exceptions": self.missing,
            "chain_of_custody": spec.custody is not None,
            **more,
        }
        return json.dumps(said, ensure_ascii=False, indent=1) + "\n"
