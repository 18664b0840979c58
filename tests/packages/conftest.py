"""A small staging store to make packages of."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from prefect_collect.archive.segments import SegmentWriter
from prefect_collect.job_folder import store_keys, table_columns
from prefect_collect.packages import (
    NOT_DELIVERED,
    Built,
    Checked,
    PackageInput,
    PackagePlace,
    PackageSpec,
    build_directory,
    build_zip,
    check_items,
)
from prefect_collect.stores import DirectoryStore, Store
from tests.packages.mail_packages import BODIES

JOB = "0b1f2a54-6a3c-4f5e-9d53-1f2f3c4d5e6f"
WHEN = datetime(2024, 5, 6, 7, 8, 10, 123456, tzinfo=UTC)


@dataclass
class Staging:
    """A collection's staged items: segments in a store, and the manifest's rows."""

    store: Store
    base: str = "docs"
    rows: list[dict[str, Any]] = field(default_factory=list)
    lost: list[dict[str, Any]] = field(default_factory=list)
    segments: int = 0

    def stage(self, items: dict[str, bytes] | list[tuple[str, bytes]], *, deflate: bool = False) -> str:
        """Write one segment of these items; return its name."""
        name = store_keys.segment_name(1, self.segments)
        self.segments += 1
        writer = SegmentWriter(self.store.writer(store_keys.segment_key(JOB, name)), self.base)
        for path, data in items.items() if isinstance(items, dict) else items:
            entry = writer.append(path, data, zlib.crc32(data), WHEN, deflate)
            self.hold(name, path, data, entry)
        writer.close()
        return name

    def hold(self, segment: str, path: str, data: bytes, entry: Any) -> None:
        """Add a row to the manifest."""
        self.rows.append(
            {
                "item_id": f"id-{len(self.rows):05d}", "path": path, "original_path": path, "source_size": len(data),
                "source_modified": WHEN, "source_etag": "e", "source_version": None, "size": len(data),
                "sha256": hashlib.sha256(data).digest(), "crc32": zlib.crc32(data), "segment": segment,
                "entry_offset": entry.entry_offset, "offset": entry.offset, "stored_size": entry.stored_size,
                "deflated": entry.deflated, "collected_at": WHEN, "attempt": 1,
            }
        )  # fmt: skip

    def lose(self, path: str, code: str = "not_found") -> None:
        """Add an item that was not collected."""
        row = dict.fromkeys(table_columns.LEDGER.names) | {
            "item_id": f"lost {path}",
            "path": path,
            "original_path": path,
        }
        self.lost.append(row | {"outcome": "failed", "tries": 1, "error_code": code, "message": f"Gone [{path}]"})

    def manifest(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Return the manifest, in batches."""
        return iter(pa.Table.from_pylist(self.rows, table_columns.MANIFEST).select(columns).to_batches(1000))

    def missing(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Return the items that were not collected."""
        assert columns == NOT_DELIVERED
        return iter(pa.Table.from_pylist(self.lost, table_columns.LEDGER).select(columns).to_batches(1000))

    def spec(self, **changes: Any) -> PackageSpec:
        """Return the package to make."""
        return replace(PackageSpec(self.base, JOB, date(2024, 6, 1), "d"), **changes)

    def check(self, **changes: Any) -> Checked:
        """Check every item."""
        known = changes.pop("known", None)
        return check_items(self.manifest, self.store, self.spec(**changes), known=known)

    def input(self, checked: Checked, spec: PackageSpec | None = None) -> PackageInput:
        """Return what a package is made of."""
        return PackageInput(self.manifest, self.missing, checked, self.store, spec or self.spec())

    def zip(self, destination: Store, key: str = "out.zip", **changes: Any) -> Built:
        """Check and build a ZIP file."""
        given = self.input(self.check(**changes), self.spec(**changes))
        return build_zip(given, PackagePlace(destination, key))

    def directory(self, destination: Store, key: str = "out", **changes: Any) -> Built:
        """Check and build a directory."""
        given = self.input(self.check(**changes), self.spec(**changes))
        return build_directory(given, PackagePlace(destination, key))


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    """Return an empty staging store in a directory."""
    return Staging(DirectoryStore(tmp_path / "staging"))


@pytest.fixture
def exports(tmp_path: Path) -> DirectoryStore:
    """Return a destination."""
    return DirectoryStore(tmp_path / "exports")


@pytest.fixture
def damage(tmp_path: Path) -> Callable[[str, int, bytes], None]:
    """Return a function that overwrites bytes of a segment, as a failing disk would."""

    def overwrite(segment: str, offset: int, data: bytes) -> None:
        with open(tmp_path / "staging" / JOB / segment, "r+b") as file:
            file.seek(offset)
            file.write(data)

    return overwrite


MAIL = {
    "from": ["Ann <ann@example.com>"],
    "to": ["bob@example.com", "eve@example.com"],
    "cc": ["c@example.com"],
    "subject": "Hi\nthere",
    "date": "2024-01-01T00:30:00+02:00",
    "message_id": "<1@example.com>",
}


@pytest.fixture
def filled(staging: Any) -> Any:
    """Return a staging store with items of many kinds."""
    staging.stage({"a/letter.txt": "Grüße".encode(), "b/scan.PDF": b"%PDF-1.7", "mail/1.eml": b"Subject: Hi\r\n\r\n"})
    staging.stage({"big.bin": b"0" * 300_000, "latin.txt": b"Gr\xfc\xdfe", "noext": b"", ".hidden": b"h"}, deflate=True)
    staging.rows[2]["metadata"] = json.dumps(MAIL)
    staging.rows[0]["custodian"] = "Jordan Lee"
    staging.lose("gone.docx")
    staging.lose("=odd.txt", "access_denied")
    return staging


@pytest.fixture
def filled_mail(staging: Any) -> Any:
    """Return a staging store with messages, stored and compressed, and items that are none."""
    staging.stage(dict([*BODIES.items()][:3]))
    staging.stage({**dict([*BODIES.items()][3:]), "notes.txt": b"Dear all: hello\n", "empty": b""}, deflate=True)
    staging.rows[0]["custodian"] = "Jordan Lee"
    staging.rows[0]["metadata"] = json.dumps({"received": "2024-02-03T04:05:06+01:00"})
    staging.lose("INBOX/9.eml", "timeout")
    return staging
