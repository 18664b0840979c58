"""Load file packages that were changed or forged are not valid, and what was changed is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prefect_collect.packages import (
    verify,
)
from prefect_collect.stores import DirectoryStore
from tests.packages.load_file_packages import build, contents, resealed


def _edits(files: dict[str, bytes]) -> Iterator[tuple[str, dict[str, bytes | None], str]]:
    """Yield ways to change a package, each with what verify must say."""
    dat = files["VOL001/VOL001.dat"]
    yield "a native is changed", {"VOL001/NATIVES/0001/DOC00000002.PDF": b"%PDF-1.8"}, "its bytes are not those"
    yield "a native is gone", {"VOL001/NATIVES/0001/DOC00000002.PDF": None}, "it is missing"
    yield "a text is gone", {"VOL001/TEXT/0001/DOC00000001.txt": None}, "it is missing"
    yield "a file is added", {"VOL001/NATIVES/0001/DOC00000099.txt": b"x"}, "no manifest of the package lists it"
    yield "the load file is changed", {"VOL001/VOL001.dat": dat.replace(b"scan", b"scam")}, "its bytes are not those"
    yield (
        "an exception is dropped",
        {"EXCEPTIONS.csv": files["EXCEPTIONS.csv"].splitlines(True)[0]},
        "is not the exception",
    )
    yield "the manifest is gone", {"manifest-sha256.txt": None}, "it is missing"
    yield "the description is damaged", {"load-file.json": b"{}"}, "cannot be read as the description"


def test_a_changed_package_is_not_valid(filled: Any, exports: DirectoryStore) -> None:
    """Whatever is changed, removed or added, verify names it."""
    build(filled, exports, "loadfile-directory")
    files = contents(exports, "loadfile-directory")
    for what, edit, said in _edits(files):
        for name, data in edit.items():
            path = Path(exports.locate(f"out/{name}"))
            path.unlink() if data is None else path.write_bytes(data)
        problems = "\n".join(map(str, verify(exports.locate("out")).problems))
        assert said in problems, f"{what}: {problems}"
        for name in edit:
            path = Path(exports.locate(f"out/{name}"))
            path.write_bytes(files[name]) if name in files else path.unlink()
    assert verify(exports.locate("out")).valid


def test_a_forged_load_file_is_not_valid(filled: Any, exports: DirectoryStore) -> None:
    """With hashes that fit, rows that are changed, dropped, added or malformed are still found by the list of items."""
    build(filled, exports, "loadfile-directory", tables="both")
    good = contents(exports, "loadfile-directory")
    dat, table = good["VOL001/VOL001.dat"], good["VOL001/VOL001.csv"]
    lines, cells = dat.splitlines(True), table.split(b"\r\n")
    native = "VOL001/NATIVES/0001/DOC00000002.PDF"
    said = json.loads(good["load-file.json"])
    edits: list[tuple[dict[str, bytes | None], str]] = [
        ({"VOL001/VOL001.dat": b"".join(lines[:-1])}, "row 7 of the DAT is not the item DOC00000007"),
        ({"VOL001/VOL001.dat": dat + lines[-1]}, "the DAT has more than the 7 delivered items"),
        (
            {"VOL001/VOL001.dat": b"".join([lines[0], lines[2], lines[1], *lines[3:]])},
            "row 1 of the DAT is not the item",
        ),
        ({"VOL001/VOL001.dat": lines[0][:3] + b"".join(lines[1:])}, "its header is not the columns"),
        ({"VOL001/VOL001.dat": dat.replace(b"\x14", b"", 1)}, "its header is not the columns"),
        ({"VOL001/VOL001.csv": b"\r\n".join([*cells[:2], *cells[3:]])}, "row 2 of the CSV is not the item DOC00000002"),
        ({"VOL001/VOL001.csv": table + b'"'}, "it does not end with a whole row"),
        ({native: None}, "it is missing; items.parquet lists it"),
        ({native: b"%PDF-1.8"}, "items.parquet and the manifest do not agree on it"),
        ({"VOL001/NATIVES/0001/DOC99.txt": b"x"}, "items.parquet does not list it"),
        ({"EXCEPTIONS.csv": good["EXCEPTIONS.csv"].replace(b"not_found", b"not_wanted")}, "row 1 is not the exception"),
        ({"EXCEPTIONS.csv": good["EXCEPTIONS.csv"] * 2}, "it has more than the 2 exceptions"),
        ({"load-file.json": json.dumps({**said, "found": 10}).encode()}, "it states 10 found items, but there are 9"),
        ({"load-file.json": json.dumps({**said, "volumes": []}).encode()}, "its volumes are not VOL001"),
        ({"load-file.json": json.dumps({**said, "load_file": 2}).encode()}, "only version 1 is known"),
        ({"items.parquet": b"PAR1"}, "it cannot be read as the list of items"),
    ]
    for edit, what in edits:
        files = {name: data for name, data in (good | edit).items() if data is not None}
        resealed(files, exports)
        problems = "\n".join(map(str, verify(exports.locate("forged")).problems))
        assert what in problems, f"{what}: {problems}"
        exports.delete("forged/")
    resealed(good, exports)
    assert verify(exports.locate("forged")).valid
