"""Items with odd names, and what is in a package of them that is a ZIP file."""

from __future__ import annotations

import subprocess
import zipfile
from datetime import UTC, datetime

from prefect_collect.stores import DirectoryStore

WHEN = datetime(2024, 5, 6, 7, 8, 10, 123456, tzinfo=UTC)
JOB = "0b1f2a54-6a3c-4f5e-9d53-1f2f3c4d5e6f"
ODD = {
    "plain.txt": b"plain" * 10,
    "new\nline.txt": b"1",
    "car\rriage": b"2",
    "100%0A.txt": b"3",
    "quote\"'.txt": b"4",
    "=cmd|' /C calc'!A0": b"5",
    "-minus": b"55",
    "日本語/é.txt": b"6",
    "x" * 255: b"7",
    "empty": b"",
}


def unzipped(exports: DirectoryStore, key: str = "out.zip") -> dict[str, bytes]:
    """Return everything in a package that Info-ZIP and Python accept as a good ZIP file."""
    path = exports.locate(key)
    assert subprocess.run(["unzip", "-tqq", path], check=False).returncode == 0
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}
