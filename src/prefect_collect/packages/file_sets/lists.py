"""The lists of a file set, written to temporary files.

EXCEPTIONS.csv         every found item that is not delivered, and why
items.parquet          every found item, exactly: its id, hash and place, or why it is not delivered
metadata.jsonl         what the source states of the items beside their bytes, if it states anything
mail.json, dataset.json   how the package is made, and the counts
chain-of-custody.*     what was asked and done, as JSON, HTML and PDF
manifest-sha256.txt    the SHA-256 of every other file, as ``sha256sum -c`` reads it: the package's seal
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from prefect_collect.codes import Failure
from prefect_collect.errors import PackageError
from prefect_collect.job_folder.manifest_rules import Batches
from prefect_collect.packages.building.agent import AGENT, agent_version
from prefect_collect.packages.building.check import Checked
from prefect_collect.packages.building.custody_documents import custody_documents
from prefect_collect.packages.building.duplicate_columns import DUPLICATE_OF, duplicate_columns
from prefect_collect.packages.building.metadata_lines import MetadataLines
from prefect_collect.packages.building.spec import NOT_DELIVERED, PackageSpec, outcome_of
from prefect_collect.packages.building.tag_file import PackageFile, hashed
from prefect_collect.packages.contents.hash_lines import hash_line
from prefect_collect.packages.file_sets.plan import SetPlan
from prefect_collect.packages.load_files.item_lists import ItemLists
from prefect_collect.packages.seals import SET_SEAL
from prefect_collect.untrusted.bounded_json import BadValue, parse_json

SEAL: Final = SET_SEAL
EXCEPTIONS: Final = "EXCEPTIONS.csv"
ITEMS: Final = "items.parquet"
VERSION: Final = 1
"""The version of the layout of file sets."""

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
    "source_etag",
    "collected_at",
    "md5",
    "sha1",
]
"""The columns of the manifest that lists are made of."""

ITEMS_SCHEMA: Final = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("original_path", pa.string()),
        pa.field("custodian", pa.string()),
        pa.field("path", pa.string()),
        pa.field("offset", pa.int64()),
        pa.field("length", pa.int64()),
        pa.field("size", pa.int64()),
        pa.field("sha256", pa.string()),
        pa.field("error_code", pa.string()),
        pa.field("message", pa.string()),
        pa.field(DUPLICATE_OF, pa.string()),
        pa.field("source_modified", pa.timestamp("us", tz="UTC")),
        pa.field("source_etag", pa.string()),
        pa.field("collected_at", pa.timestamp("us", tz="UTC")),
        pa.field("md5", pa.string()),
        pa.field("sha1", pa.string()),
    ]
)
"""The columns of items.parquet; an item that is not delivered has no path, one that is a file has no offset."""

HASHES: Final = ("md5", "sha1")
"""The columns of hashes beside the SHA-256, as the algorithms are called."""

ITEMS_OPTIONAL: Final = frozenset({"custodian", "source_modified", "source_etag", "collected_at", *HASHES})
"""The columns that packages of earlier versions lack, and the hashes that are there only if they were asked for."""


class SetLists:
    """Writes the lists, batch by batch in the manifest's order."""

    def __init__(self, folder: Path, spec: PackageSpec, plan: SetPlan, description: str) -> None:
        self._folder, self._spec, self._plan, self._description = folder, spec, plan, description
        self._own = plan.lists(folder)
        unasked = {*HASHES} - {*spec.hashes}
        schema = pa.schema([one for one in ITEMS_SCHEMA if one.name not in unasked])
        self._lists = ItemLists(folder / ITEMS, folder / EXCEPTIONS, schema, numbered=False)
        self._metadata = MetadataLines(folder)
        self._manifest = open(folder / SEAL, "wb")  # noqa: SIM115
        self.items = self.bytes = self.missing = 0

    def close(self) -> None:
        """Close the open files; they are not removed."""
        self._own.close()
        self._lists.close()
        self._metadata.close()
        self._manifest.close()

    def fill(
        self,
        manifest: Batches,
        not_delivered: Batches,
        checked: Checked,
        failed: Mapping[int, Failure],
        shared: Iterable[tuple[pa.RecordBatch, pa.RecordBatch]] = (),
    ) -> None:
        """List every item, those of the manifest with their places, or why they are not delivered.

        `shared` are rows of items that are delivered without being in the manifest, and their places.
        """
        start = 0
        for batch, places in zip(manifest(MANIFEST_COLUMNS), self._plan.places(), strict=True):
            paths, segments = batch["path"].to_pylist(), batch["segment"].to_pylist()
            why = [
                failed.get(row) or checked.failure(row, path, segment) or self._plan.refused.get(row)
                for row, (path, segment) in enumerate(zip(paths, segments, strict=True), start)
            ]
            marks = duplicate_columns(checked.duplicates, start, batch, [failure is None for failure in why])
            self._list(batch, places, why, marks[DUPLICATE_OF])
            start += batch.num_rows
        for batch, places in shared:
            self._list(batch, places, [None] * batch.num_rows, [None] * batch.num_rows)
        for batch in not_delivered(NOT_DELIVERED):
            self._lists.add_missing(batch)
            self.missing += batch.num_rows

    def _list(
        self,
        batch: pa.RecordBatch,
        places: pa.RecordBatch,
        why: Sequence[Failure | None],
        marks: Sequence[str | None],
    ) -> None:
        given = [failure is None for failure in why]
        mask = pa.array(given)
        sizes: list[int] = batch["size"].to_pylist()
        digests = [None if digest is None else digest.hex() for digest in batch["sha256"].to_pylist()]
        paths, own = places["path"].to_pylist(), places["own"].to_pylist()
        self._own.add(batch, places, given)
        self._manifest.write(
            b"".join(
                hash_line(digest, path).encode()
                for digest, path, is_own, one in zip(digests, paths, own, given, strict=True)
                if one and is_own and digest is not None
            )
        )
        self.items += sum(given)
        self.missing += len(given) - sum(given)
        self.bytes += sum(size for size, one in zip(sizes, given, strict=True) if one)
        place = {
            name: pa.compute.if_else(mask, places[name], pa.scalar(None, places[name].type))
            for name in ("path", "offset", "length")
        }
        self._lists.write(
            {
                "item_id": batch["item_id"],
                "outcome": [outcome_of(failure) for failure in why],
                "original_path": batch["original_path"],
                "custodian": batch["custodian"],
                **place,
                "size": batch["size"],
                "sha256": digests,
                "error_code": [failure and failure.code for failure in why],
                "message": [failure and failure.message for failure in why],
                DUPLICATE_OF: marks,
                **{name: batch[name] for name in ("source_modified", "source_etag", "collected_at")},
                **{name: [digest and digest.hex() for digest in batch[name].to_pylist()] for name in self._spec.hashes},
            }
        )
        if batch["metadata"].null_count < batch.num_rows:
            self._metadata.add(place["path"].to_pylist(), batch["item_id"].to_pylist(), batch["metadata"].to_pylist())
        self._lists.add_refused(batch, why)

    def finish(self) -> list[PackageFile]:
        """Write the rest, and return the composed files and all lists; the seal comes last. Raise PackageError."""
        own, more = self._own.finish()
        self._lists.close()
        self._metadata.close()
        self._describe(more)
        try:
            parsed_description((self._folder / self._description).read_bytes())
        except BadValue as error:
            raise PackageError(
                f"{self._description} cannot be written, because its readers would refuse it: {error}; collect fewer "
                f"tables at once. [collection={self._spec.job_id}]"
            ) from error
        names = (self._description, EXCEPTIONS, ITEMS, *self._metadata.names)
        lists = [*own, *(hashed(name, self._folder / name) for name in names)]
        lists += custody_documents(self._folder, self._spec, lists)
        files: list[PackageFile] = [*self._plan.files, *lists]
        self._manifest.write(b"".join(hash_line(file.hashes["sha256"], file.name).encode() for file in files))
        self._manifest.close()
        return [*files, hashed(SEAL, self._folder / SEAL)]

    def _describe(self, more: Mapping[str, Any]) -> None:
        """Write the package's description, piece by piece: that of a large dataset has millions of pieces."""
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
        with open(self._folder / self._description, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(json.JSONEncoder(ensure_ascii=False, indent=1).iterencode(said))
            file.write("\n")


def parsed_description(data: bytes) -> dict[str, Any]:
    """Return what a package's description says, read within bounds. Raise BadValue."""
    return parse_json(data, lambda values, field: None)
