"""Load file packages are built, and read as receivers do."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path
from typing import Any

import pandas
import pytest

from prefect_collect.formats.load_file import LoadFile
from prefect_collect.packages import (
    PACKAGE_FORMATS,
    Built,
    PackagePlace,
    check_items,
)
from prefect_collect.stores import DirectoryStore
from tests.packages.zip_packages import unzipped

FORMATS = ["loadfile", "loadfile-directory"]
both = pytest.mark.parametrize("format", FORMATS)


def build(staging: Any, exports: DirectoryStore, format: Any = "loadfile", **how: Any) -> Built:
    """Check and build a package; `how` are options of the load file, or of the builder."""
    asked = {name: how.pop(name) for name in ("owner", "replace") if name in how}
    changes = {name: how.pop(name) for name in ("continued", "hashes", "source") if name in how}
    spec = staging.spec(load_file=LoadFile(**how), **({"source": "Share"} | changes))
    checked = check_items(staging.manifest, staging.store, spec)
    known = PACKAGE_FORMATS[format]
    key = f"out{known.facts.suffix}"
    return known.build(staging.input(checked, spec), PackagePlace(exports, key, **asked))


def contents(exports: DirectoryStore, format: str) -> dict[str, bytes]:
    """Return the files of the package by their names below its base folder."""
    if format == "loadfile":
        return {name.removeprefix("docs/"): data for name, data in unzipped(exports).items()}
    root = Path(exports.locate("out"))
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def rows(data: bytes, encoding: str = "utf-8-sig") -> list[dict[str, str]]:
    """Return the rows of a DAT file, read by pandas."""
    table: Any = pandas.read_csv(
        io.BytesIO(data), sep="\x14", quotechar="þ", dtype=str, keep_default_na=False, engine="python",
        encoding=encoding,
    )  # fmt: skip
    found: list[dict[str, str]] = table.to_dict("records")
    return found


def exceptions(data: bytes) -> list[dict[str, str]]:
    """Return the rows of EXCEPTIONS.csv."""
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def resealed(files: dict[str, bytes], exports: DirectoryStore) -> None:
    """Write the files as a package whose manifests list them as they are, as a forger would."""
    volume = {name: data for name, data in files.items() if name.startswith("VOL001/")}
    volume.pop("VOL001/manifest-sha256.txt", None)
    top = {name: files[name] for name in ("load-file.json", "EXCEPTIONS.csv", "items.parquet")}

    def lines(listed: dict[str, bytes], cut: str = "") -> bytes:
        digests = {name.removeprefix(cut): hashlib.sha256(data).hexdigest() for name, data in listed.items()}
        return "".join(f"{digest}  {name}\n" for name, digest in digests.items()).encode()

    manifest = {"VOL001/manifest-sha256.txt": lines(volume, "VOL001/")}
    every = volume | top | manifest | {"manifest-sha256.txt": lines(top | manifest)}
    for name, data in every.items():
        exports.create(f"forged/{name}", data)
