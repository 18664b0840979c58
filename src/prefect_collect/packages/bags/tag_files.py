"""The tag files of a bag (RFC 8493, version 1.0), written to temporary files while its items are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from prefect_collect.codes import Failure
from prefect_collect.documents.files import DOCUMENT_FILES, PDF_FILE
from prefect_collect.errors import PackageError
from prefect_collect.escaping import FORMULA, csv_cell, one_line
from prefect_collect.job_folder.manifest_rules import Batches
from prefect_collect.packages.bags.text import bag_encode
from prefect_collect.packages.building.agent import AGENT, agent_version
from prefect_collect.packages.building.custody_documents import custody_documents
from prefect_collect.packages.building.duplicate_columns import COPIES, DUPLICATE_OF
from prefect_collect.packages.building.metadata_lines import METADATA, MetadataLines
from prefect_collect.packages.building.spec import DELIVERED, DUPLICATE, NOT_DELIVERED, PackageSpec, outcome_of
from prefect_collect.packages.building.tag_file import TagFile, hashed
from prefect_collect.packages.building.text_columns import csv_rows, hex_texts
from prefect_collect.packages.seals import BAG_SEAL
from prefect_collect.threads.pool import in_background

_TIME: Final = pa.timestamp("us", tz="UTC")

ITEMS: Final = pa.schema(
    [
        pa.field("path", pa.string()),
        pa.field("original_path", pa.string()),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("size", pa.int64()),
        pa.field("sha256", pa.string()),
        pa.field("source_modified", _TIME),
        pa.field("source_etag", pa.string()),
        pa.field("collected_at", _TIME),
        pa.field("error_code", pa.string()),
        pa.field("message", pa.string()),
        pa.field("md5", pa.string()),
        pa.field("sha1", pa.string()),
        pa.field("custodian", pa.string()),
        pa.field(DUPLICATE_OF, pa.string()),
        *(pa.field(name, pa.string()) for name in COPIES),
    ]
)
"""The columns of items.parquet and items.csv: every item of the collection, delivered or not.

`path` is the payload file's path in the bag (``data/…``), null if it is not delivered; hashes are in hex;
`duplicate_of` is the id of the item that has the same bytes, or ``job/id`` of one of an earlier job.
"""

_ASKED: Final = frozenset({"md5", "sha1", "custodian", *COPIES})
"""The columns that are there only if they were asked for."""

ITEMS_OPTIONAL: Final = _ASKED | {DUPLICATE_OF}
"""The columns that a package may lack; those of earlier versions have no `duplicate_of`."""

TAG_MANIFEST: Final = BAG_SEAL
_TAGS: Final = ["bagit.txt", "bag-info.txt", "items.csv", "items.parquet", METADATA, *DOCUMENT_FILES]

_MOST_CUSTODIANS: Final = 1_000
"""The most custodians that bag-info.txt names."""

_GROUP_BYTES: Final = 32 << 20
"""Bytes of text in one row group of items.parquet: bounded readers refuse larger ones."""

FOREIGN: Final = {"original_path", "item_id", "source_etag", "message", "custodian", DUPLICATE_OF, *COPIES}
"""The columns whose text comes from outside; the text of the others cannot be a formula."""

_LISTED: Final = ["original_path", "item_id", "size", "source_modified", "source_etag", "collected_at", "custodian"]


class TagFiles:
    """Collects the contents of the tag files, item by item, and writes them into `folder`."""

    def __init__(self, folder: Path, spec: PackageSpec) -> None:
        self._folder, self._spec = folder, spec
        self.root = "data/"
        """The folder, from where the lists are, that paths of items begin with."""
        self.items = 0
        self.bytes = 0
        self.missing = self.duplicates = self.withheld = 0
        self._manifests = {name: self._text(f"manifest-{name}.txt") for name in spec.algorithms}
        asked = {*spec.hashes, *(["custodian"] if spec.custodians else []), *(COPIES if spec.deduplicate else [])}
        self._schema = pa.schema([one for one in ITEMS if one.name not in _ASKED - asked])
        self._parquet = pq.ParquetWriter(
            folder / "items.parquet", self._schema, compression="zstd", compression_level=1
        )
        self._csv = open(folder / "items.csv", "wb")  # noqa: SIM115
        pa_csv.write_csv(self._schema.empty_table(), self._csv, pa_csv.WriteOptions(include_header=True))
        self._metadata = MetadataLines(folder)
        self._custodians: set[str] = set()

    def _text(self, name: str) -> IO[str]:
        return open(self._folder / name, "w", encoding="utf-8", newline="\n")

    def close(self) -> None:
        """Close the open files; they are not removed."""
        for file in self._manifests.values():
            file.close()
        self._csv.close()
        self._metadata.close()
        self._parquet.close()

    def deliver(
        self, paths: Sequence[str], sizes: Sequence[int], sha256: Sequence[bytes], sha512: Sequence[bytes]
    ) -> None:
        """Add payload files to the manifests; `sha512` may be empty if it was not asked for."""
        names = [f"  {self.root}{bag_encode(path)}\n" for path in paths]
        for algorithm, digests in (("sha256", sha256), ("sha512", sha512)):
            if algorithm in self._manifests:
                lines = [digest.hex() + name for digest, name in zip(digests, names, strict=True)]
                self._manifests[algorithm].write("".join(lines))
        self.items += len(paths)
        self.bytes += sum(sizes)

    def list_batch(
        self, batch: pa.RecordBatch, paths: Sequence[str | None], failures: list[Failure | None],
        repeats: Mapping[str, list[str | None]],
    ) -> None:  # fmt: skip
        """Add a batch of the manifest to the item lists, each item with its path or why it is not delivered.

        `repeats` are its `duplicate_columns`.
        """
        columns: dict[str, Any] = {name: batch.column(name) for name in _LISTED} | dict(repeats)
        marks = repeats[DUPLICATE_OF]
        self.duplicates += len(marks) - marks.count(None)
        self.withheld += sum(failure is not None and failure.code == DUPLICATE for failure in failures)
        columns["path"] = [None if path is None else f"{self.root}{path}" for path in paths]
        for name in ("sha256", *self._spec.hashes):
            columns[name] = hex_texts(batch.column(name))
        for name in self._spec.hashes:
            self._list_hashes(name, columns["path"], columns[name], batch)
        missing = len(failures) - failures.count(None)
        if missing:
            columns["outcome"] = [outcome_of(failure) for failure in failures]
            columns["error_code"] = [failure and failure.code for failure in failures]
            columns["message"] = [failure and failure.message for failure in failures]
        else:
            columns["outcome"] = pa.repeat(DELIVERED, len(failures))
            columns["error_code"] = columns["message"] = pa.nulls(len(failures), pa.string())
        self.missing += missing
        self._list(columns)
        if batch["metadata"].null_count < batch.num_rows:
            self._metadata.add(columns["path"], batch["item_id"].to_pylist(), batch["metadata"].to_pylist())

    def _list_hashes(self, name: str, paths: list[str | None], texts: pa.Array[Any], batch: pa.RecordBatch) -> None:
        """Add the delivered items to the manifest of a hash that the collection computed."""
        digests = texts.to_pylist()
        if None in digests:
            item = batch.column("item_id")[digests.index(None)].as_py()
            raise PackageError(
                f"The collection's manifest lacks the {name} of an item; collect it again. [{one_line(item)}]"
            )
        lines = [f"{digest}  {bag_encode(path)}\n" for digest, path in zip(digests, paths, strict=True) if path]
        self._manifests[name].write("".join(lines))

    def list_missing(self, not_delivered: Batches) -> None:
        """Add the items that the collection did not collect to the item lists."""
        for batch in not_delivered(NOT_DELIVERED):
            columns: dict[str, Any] = {name: batch.column(name) for name in NOT_DELIVERED}
            columns["size"] = columns.pop("source_size")
            nothing: list[None] = [None] * batch.num_rows
            columns |= dict.fromkeys(("md5", "sha1", DUPLICATE_OF, *COPIES), nothing)
            self.missing += batch.num_rows
            self._list(columns | {"path": nothing, "sha256": nothing, "collected_at": nothing})

    def _list(self, columns: dict[str, Any]) -> None:
        arrays = [
            value.cast(field.type)
            if isinstance(value := columns[field.name], pa.Array)
            else pa.array(value, field.type)
            for field in self._schema
        ]
        table = pa.Table.from_arrays(arrays, schema=self._schema)
        if self._spec.custodians and len(self._custodians) <= _MOST_CUSTODIANS:
            self._custodians.update(pc.unique(table["custodian"]).drop_null().to_pylist())
        if not table.num_rows:
            return
        rows = max(1, table.num_rows // (1 + table.nbytes // _GROUP_BYTES))
        written = in_background(self._parquet.write_table, table, rows, name="parquet")
        try:
            self._csv.write(csv_rows(_neutralised(table)))
        finally:
            written.result()

    def finish(self) -> list[TagFile]:
        """Write the rest, and return all tag files in the order of the package; the tag manifests come last."""
        (self._folder / "bagit.txt").write_bytes(b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
        (self._folder / "bag-info.txt").write_bytes(self._info().encode())
        tags = self.lists("bagit.txt", "bag-info.txt")
        return tags + [self._tag_manifest(name, tags) for name in self._manifests]

    def lists(self, *before: str) -> list[TagFile]:
        """Close the manifests and item lists, and return them, after the files `before` and with the documents."""
        self.close()
        names = [*before, *(f"manifest-{name}.txt" for name in self._manifests), "items.csv", "items.parquet"]
        tags = [hashed(name, self._folder / name, self._manifests) for name in [*names, *self._metadata.names]]
        return tags + custody_documents(self._folder, self._spec, tags, self._manifests)

    def _tag_manifest(self, algorithm: str, tags: list[TagFile]) -> TagFile:
        name = f"tagmanifest-{algorithm}.txt"
        lines = (f"{tag.hashes[algorithm]}  {tag.name}\n" for tag in sorted(tags, key=lambda tag: tag.name))
        (self._folder / name).write_bytes("".join(lines).encode())
        return self._hashed(name)

    def _hashed(self, name: str) -> TagFile:
        return hashed(name, self._folder / name, self._manifests)

    def _info(self) -> str:
        every = self.items + self.missing
        lines = {
            "Bag-Software-Agent": f"{AGENT} {agent_version()}",
            "Bagging-Date": self._spec.bagging_date.isoformat(),
            "Payload-Oxum": f"{self.bytes}.{self.items}",
            "Bag-Size": _readable(self.bytes),
            "External-Identifier": self._spec.job_id,
            "External-Description": self._spec.name,
            "Internal-Sender-Description": f"{self.items} of {every} items delivered; items.csv lists all",
        } | dict(self._spec.info)
        if self._spec.custody is not None:
            lines["Chain-Of-Custody"] = PDF_FILE
        if self.duplicates or self._spec.deduplicate:
            delivered = "none is left out for that"
            if self._spec.deduplicate:
                delivered = f"{self.withheld} are not delivered again (deduplicate: {self._spec.deduplicate})"
            lines["Duplicate-Items"] = f"{self.duplicates} have the bytes of another item, {delivered}"
        named = sorted(self._custodians - {lines.get("Custodian", "")})
        if len(named) > _MOST_CUSTODIANS:
            named[_MOST_CUSTODIANS:] = ["and more, whom items.csv names"]
        pairs = [*lines.items(), *(("Custodian", name) for name in named)]
        lines_ours = "".join(f"{_one_line(label)}: {_one_line(value)}\n" for label, value in pairs if value)
        rules = self._spec.bag.rules
        profile = [] if rules is None else [("BagIt-Profile-Identifier", rules.identifier)]
        return lines_ours + "".join(f"{label}: {value}\n" for label, value in (*profile, *self._spec.bag.lines))


def _one_line(text: str) -> str:
    return one_line(" ".join(text.split()))


def _readable(size: int) -> str:
    """Return a size in words for Bag-Size (RFC 8493, section 2.2.2)."""
    if size < 1000:
        return f"{size} B"
    power = min((len(str(size)) - 1) // 3, 4)
    return f"{size / 1000**power:.1f} {('KB', 'MB', 'GB', 'TB')[power - 1]}"


def tag_names(spec: PackageSpec) -> set[str]:
    """Return the names of the tag files in a package made here."""
    return {*_TAGS, *(f"{kind}-{name}.txt" for kind in ("manifest", "tagmanifest") for name in spec.algorithms)}


def _neutralised(table: pa.Table) -> pa.Table:
    """Return the table with formulas neutralised by `csv_cell`; columns without any stay as they are."""
    for index, field in enumerate(table.schema):
        if field.name not in FOREIGN:
            continue
        column = table.column(index)
        if pc.any(pc.match_substring_regex(column, FORMULA)).as_py():
            cells = [text and csv_cell(text) for text in column.to_pylist()]
            table = table.set_column(index, field, pa.array(cells, field.type))
    return table
