"""The lists of a load file package, written to temporary files: load files, exceptions, items and hashes.

EXCEPTIONS.csv         every found item that is not in the load file, and why
items.parquet          every found item, exactly: its number, id, hash and paths, or why it is not delivered
load-file.json         how the load files are written, and the counts
VOL001/VOL001.dat      the load file of a volume (or VOL001.csv, or both)
VOL001/manifest-sha256.txt   the SHA-256 of every other file of the volume, as ``sha256sum -c`` reads it
chain-of-custody.*     what was asked and done, as JSON, HTML and PDF
manifest-sha256.txt    the SHA-256 of the files above and of each volume's manifest: the package's seal
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import IO, Any, Final, Literal

import pyarrow as pa

from prefect_collect.codes import Failure
from prefect_collect.errors import PackageError
from prefect_collect.formats import FORMATS
from prefect_collect.formats.facts import FAMILY_RANGE
from prefect_collect.job_folder.manifest_rules import Batches
from prefect_collect.packages.building.agent import AGENT, agent_version
from prefect_collect.packages.building.check import Checked
from prefect_collect.packages.building.custody_documents import custody_documents
from prefect_collect.packages.building.duplicate_columns import COPIES, DUPLICATE_OF, duplicate_columns
from prefect_collect.packages.building.spec import NOT_DELIVERED, PackageSpec, outcome_of
from prefect_collect.packages.building.tag_file import TagFile, hashed
from prefect_collect.packages.contents.hash_lines import hash_line
from prefect_collect.packages.load_files.item_columns import items_schema
from prefect_collect.packages.load_files.item_lists import ItemLists
from prefect_collect.packages.load_files.plan import Place, Plan, volume_name
from prefect_collect.packages.load_files.stated import with_custodians
from prefect_collect.packages.load_files.text import MARKS, RowWriter
from prefect_collect.packages.load_files.values import MANIFEST_COLUMNS, ItemFacts
from prefect_collect.packages.seals import SET_SEAL
from prefect_collect.sources.metadata import CREATED

SEAL: Final = SET_SEAL
DESCRIPTION: Final = FORMATS["loadfile"].description
EXCEPTIONS: Final = "EXCEPTIONS.csv"
ITEMS: Final = "items.parquet"
VERSION: Final = 1
"""The version of the package's layout."""

_OF_THE_PLACE: Final = (
    "control_number", "end_number", "native_path", "text_path", DUPLICATE_OF, *COPIES, *FAMILY_RANGE,
)  # fmt: skip


class LoadFileLists:
    """Writes the lists, batch by batch in the manifest's order."""

    def __init__(self, folder: Path, spec: PackageSpec, plan: Plan, *, has_created: bool) -> None:
        self._folder, self._spec, self._plan = folder, spec, plan
        self._profile = spec.load_file.columns
        self._columns = self._profile.columns_for(has_families=plan.families is not None)
        self._names = [name for name, _ in self._columns]
        tables = spec.load_file.tables
        kinds: tuple[Literal["dat", "csv"], ...] = ("dat", "csv") if tables == "both" else (tables,)
        self._rows = {kind: RowWriter(spec.load_file.encoding) for kind in kinds}
        self._open: dict[str, IO[bytes]] = {}
        self._kinds, self._has_created = kinds, has_created
        self._files: list[TagFile] = []
        self._volumes: list[dict[str, Any]] = []
        schema = items_schema(has_families=plan.families is not None, has_created=has_created)
        self._lists = ItemLists(folder / ITEMS, folder / EXCEPTIONS, schema)
        self.items = self.bytes = self.missing = self._silent = 0

    def close(self) -> None:
        """Close the open files; they are not removed."""
        for file in self._open.values():
            file.close()
        self._lists.close()

    def fill(
        self,
        manifest: Batches,
        not_delivered: Batches,
        checked: Checked,
        texts: Sequence[int],
        failed: Mapping[int, Failure],
    ) -> None:
        """List every item, those of the manifest with their places, or why they are not delivered."""
        start = 0
        for batch in manifest(MANIFEST_COLUMNS):
            facts = ItemFacts(batch, self._spec.source)
            if self._spec.deduplicate is None:  # else duplicates were found by the custodians of the manifest
                batch = facts.batch = with_custodians(batch, facts.custodians())
            paths, segments = batch["path"].to_pylist(), batch["segment"].to_pylist()
            places = [*self._plan.places(enumerate(paths, start))]
            why = [
                failed.get(row) or checked.failure(row, path, segment)
                for row, (path, segment) in enumerate(zip(paths, segments, strict=True), start)
            ]
            is_text = [bool(texts[row]) for row in range(start, start + len(paths))]
            repeats = duplicate_columns(checked.duplicates, start, batch, [failure is None for failure in why])
            inside = {} if checked.duplicates is None else checked.duplicates.inside(start, len(paths))
            numbers = {row - start: self._plan.control(original) for row, original in inside.items()}
            self._list(facts, places, why, is_text, repeats, numbers, self._families(facts, start))
            start += batch.num_rows
        for batch in not_delivered(NOT_DELIVERED):
            self._lists.add_missing(batch)
            self.missing += batch.num_rows

    def _families(self, facts: ItemFacts, start: int) -> dict[str, list[str]]:
        """Return the columns of families of a batch."""
        ranges = [self._plan.family(row) for row in range(start, start + facts.batch.num_rows)]
        return {name: [one[at] for one in ranges] for at, name in enumerate(FAMILY_RANGE)}

    def _list(
        self, facts: ItemFacts, places: list[Place], why: list[Failure | None], is_text: list[bool],
        repeats: dict[str, list[str | None]], numbers: dict[int, str], families: dict[str, list[str]],
    ) -> None:  # fmt: skip
        """List a batch; `repeats` are its `duplicate_columns`, `numbers` those of the items that its rows repeat."""
        batch = facts.batch
        columns = {fact: facts.column(fact) for _, fact in self._columns if fact not in _OF_THE_PLACE}
        self._silent += sum(one and failure is None for one, failure in zip(facts.silent_messages(), why, strict=True))
        sizes: list[int] = batch["size"].to_pylist()
        digests = facts.column("sha256")
        columns["control_number"] = columns["end_number"] = [place.control for place in places]
        columns["native_path"] = [_within(place.volume, place.native) for place in places]
        columns["text_path"] = [
            _within(place.volume, place.text) if text else "" for place, text in zip(places, is_text, strict=True)
        ]
        columns[DUPLICATE_OF] = [numbers.get(row, mark or "") for row, mark in enumerate(repeats[DUPLICATE_OF])]
        columns |= {name: [text or "" for text in repeats[name]] for name in COPIES} | families
        chosen = [columns[fact] for _, fact in self._columns]
        for volume, group in groupby(range(len(places)), lambda row: places[row].volume):
            self._open_volume(volume)
            rows = [row for row in group if why[row] is None]
            values = [[column[row] for row in rows] for column in chosen]
            controls = [places[row].control for row in rows]
            for kind in self._kinds:
                self._open[kind].write(self._rows[kind].rows(kind, values, self._names, controls))
            lines: list[str] = []
            for row in rows:
                lines.append(hash_line(digests[row], places[row].native.partition("/")[2]))
                if is_text[row]:
                    lines.append(hash_line(digests[row], places[row].text.partition("/")[2]))
            self._open["manifest"].write("".join(lines).encode())
            about = self._volumes[-1]
            about["texts"] += len(lines) - len(rows)
            about["bytes"] += sum(sizes[row] for row in rows)
            about["items"] += len(rows)
        more = {DUPLICATE_OF: repeats[DUPLICATE_OF]}
        if self._plan.families is not None:
            families["family"] = facts.column("family")
            more |= {name: [text or None for text in texts] for name, texts in families.items()}
        if self._has_created:
            more[CREATED] = [text or None for text in facts.column(CREATED)]
        self._list_items(batch, places, why, is_text, digests, more)

    def _list_items(
        self, batch: pa.RecordBatch, places: list[Place], why: list[Failure | None], is_text: list[bool],
        digests: list[str], more: Mapping[str, list[str | None]],
    ) -> None:  # fmt: skip
        given = [failure is None for failure in why]
        controls = [place.control for place in places]
        self.missing += len(why) - sum(given)
        self._lists.write(
            {
                "control_number": controls,
                "item_id": batch["item_id"],
                "outcome": [outcome_of(failure) for failure in why],
                "original_path": batch["original_path"],
                "custodian": batch["custodian"],
                "native_path": [place.native if one else None for place, one in zip(places, given, strict=True)],
                "text_path": [
                    place.text if one and text else None
                    for place, one, text in zip(places, given, is_text, strict=True)
                ],
                "size": batch["size"],
                "sha256": digests,
                "error_code": [failure and failure.code for failure in why],
                "message": [failure and failure.message for failure in why],
                **more,
            }
        )
        self._lists.add_refused(batch, why, controls)

    def _open_volume(self, volume: str) -> None:
        """Begin a volume, and end the one before it."""
        if self._volumes and self._volumes[-1]["name"] == volume:
            return
        self._end_volume()
        self._volumes.append({"name": volume, "items": 0, "bytes": 0, "texts": 0})
        for kind in (*self._kinds, "manifest"):
            self._open[kind] = open(self._folder / f"{volume}.{kind}", "wb")  # noqa: SIM115
        for kind in self._kinds:
            header = RowWriter(self._spec.load_file.encoding)
            row = (header.dat if kind == "dat" else header.csv)(self._names, self._names)
            self._open[kind].write(MARKS[header.encoding] + row)

    def _end_volume(self) -> None:
        if not self._open:
            return
        volume = self._volumes[-1]["name"]
        tables = []
        for kind in self._kinds:
            self._open[kind].close()
            name = f"{volume}.{kind}"
            tables.append(hashed(f"{volume}/{name}", self._folder / name))
        lines = "".join(hash_line(file.hashes["sha256"], file.name.partition("/")[2]) for file in tables)
        self._open["manifest"].write(lines.encode())
        self._open["manifest"].close()
        self._files += [*tables, hashed(f"{volume}/{SEAL}", self._folder / f"{volume}.manifest")]
        self._open = {}

    def finish(self) -> list[TagFile]:
        """Write the rest, and return all lists; the seal comes last.

        Raise PackageError if values cannot be written in the asked encoding, and that was to be refused.
        """
        if not self._volumes:
            self._open_volume(volume_name(0))
        self._end_volume()
        self.close()
        self._require_encodable()
        self.items = sum(volume["items"] for volume in self._volumes)
        self.bytes = sum(volume["bytes"] for volume in self._volumes)
        (self._folder / DESCRIPTION).write_text(self._described(), encoding="utf-8", newline="\n")
        top = [hashed(name, self._folder / name) for name in (DESCRIPTION, EXCEPTIONS, ITEMS)]
        top += custody_documents(self._folder, self._spec, [*self._files, *top])
        manifests = [file for file in self._files if file.name.endswith(f"/{SEAL}")]
        lines = (hash_line(file.hashes["sha256"], file.name) for file in (*top, *manifests))
        (self._folder / SEAL).write_text("".join(lines), encoding="utf-8", newline="\n")
        return [*self._files, *top, hashed(SEAL, self._folder / SEAL)]

    def warnings(self) -> tuple[str, ...]:
        """Return what a user should read of the finished lists."""
        found = []
        for kind, rows in self._rows.items():
            if rows.replaced["unencodable"]:
                found.append(
                    f"{rows.replaced['unencodable']:,} values of the {kind.upper()} have ? for characters that "
                    f"{self._spec.load_file.encoding} does not have."
                )
        families = self._plan.families
        if families is not None and families.scattered:
            found.append(
                "Families that have no first and last number, because their items are not numbered one after the "
                f"other, or earlier exports have more of them: {families.scattered:,}."
            )
        if self._silent and any(fact in ("from", "subject", "sent") for _, fact in self._columns):
            found.append(
                "Items named .eml whose message columns (from, subject and the like) are empty, because neither "
                f"the source nor a header states them: {self._silent:,}."
            )
        return tuple(found)

    def _require_encodable(self) -> None:
        options = self._spec.load_file
        for rows in self._rows.values():
            if options.unencodable == "refuse" and rows.first is not None:
                column, number = rows.first
                raise PackageError(
                    f"{rows.replaced['unencodable']:,} values have characters that {options.encoding} does not have, "
                    f"the first in the column {column!r} of {number}; export with another encoding, or let them be "
                    f"replaced by a question mark (unencodable=replace). [encoding={options.encoding}]"
                )

    def _described(self) -> str:
        options, spec = self._spec.load_file, self._spec
        said = {
            "load_file": VERSION,
            "tool": f"{AGENT} {agent_version()}",
            "collection": spec.job_id,
            "name": spec.name,
            "date": spec.bagging_date.isoformat(),
            "source": spec.source,
            "prefix": options.prefix,
            "width": options.width,
            "continues": options.continue_from,
            "profile": self._profile.name,
            "encoding": options.encoding,
            "tables": list(self._kinds),
            "columns": [list(column) for column in self._columns],
            "found": self.items + self.missing,
            "delivered": self.items,
            "exceptions": self.missing,
            "chain_of_custody": spec.custody is not None,
            "replaced": {kind: dict(sorted(rows.replaced.items())) for kind, rows in self._rows.items()},
            "volumes": self._volumes,
        }
        return json.dumps(said, ensure_ascii=False, indent=1) + "\n"


def _within(volume: str, path: str) -> str:
    """Return a path of the package as it is seen from its volume's folder, in the form of Windows."""
    return ".\\" + path.removeprefix(f"{volume}/").replace("/", "\\")
