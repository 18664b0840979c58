"""Mail sets are built, and read as receivers do."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.escaping import csv_text
from prefect_collect.formats.mail_set import MailSet
from prefect_collect.packages import PACKAGE_FORMATS, Built, PackagePlace, check_items
from prefect_collect.stores import DirectoryStore

HEAD = b"From: Ann <ann@example.com>\r\nTo: bob@example.com, eve@example.com\r\nSubject: =HYPERLINK\r\n"
DATED = HEAD + b"Date: Mon, 1 Jan 2024 00:30:00 +0200\r\nMessage-ID: <1@example.com>\r\n\r\n"
BODIES = {
    "INBOX/1 Hi.eml": DATED + b"Hello\r\n",
    "INBOX/2.eml": DATED + b"From here\nFrom there\r\n>From old\n>>From older\nFrom\n>Fromage\nnot From me\n",
    "INBOX/Sent/1.eml": b"Subject: no sender, no end of line\n\nFrom the start\nthe last line",
    "INBOX/3.eml": b"Date: nonsense\nSubject: x\n\nFrom ",
    "mail.mbox/1.eml": b"Subject: only a header\n",
}
both = pytest.mark.parametrize("format", ["mail", "mail-directory"])


def build(staging: Any, exports: DirectoryStore, format: Any, key: str = "", **how: Any) -> Built:
    """Check and build a package; `how` are options of mail, or of the builder."""
    asked = {name: how.pop(name) for name in ("owner", "replace") if name in how}
    spec = staging.spec(mail=MailSet(**how))
    checked = check_items(staging.manifest, staging.store, spec)
    known = PACKAGE_FORMATS[format]
    key = key or f"out{known.facts.suffix}"
    return known.build(staging.input(checked, spec), PackagePlace(exports, key, **asked))


def contents(exports: DirectoryStore, key: str) -> dict[str, bytes]:
    """Return the files of the package by their names below its base folder."""
    path = Path(exports.locate(key))
    if path.is_file():
        with zipfile.ZipFile(path) as archive:
            return {name.removeprefix("docs/"): archive.read(name) for name in archive.namelist()}
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def index(files: dict[str, bytes]) -> list[dict[str, str]]:
    """Return the rows of INDEX.csv, as they were before cells were made safe."""
    rows = csv.DictReader(io.StringIO(files["INDEX.csv"].decode("utf-8-sig"), newline=""))
    return [{name: csv_text(value) for name, value in row.items()} for row in rows]
