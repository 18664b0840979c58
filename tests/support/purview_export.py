"""A small export of Microsoft Purview, as https://learn.microsoft.com/purview/edisc-search-export describes it."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from pathlib import Path

from tests.support.mbox_bytes import mail

MESSAGES = {f"Exchange/ann@x.example/Inbox/{number}.eml": mail(number) for number in range(1, 4)}
SENT = {"Exchange/ann@x.example/Sent/1.eml": mail(11)}
DOCUMENT = {"SharePoint/site/Report ü.docx": b"document" * 900}


def table(rows: list[dict[str, str]], encoding: str = "utf-8-sig") -> bytes:
    """Return rows as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*dict.fromkeys(name for row in rows for name in row)])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(encoding)


def row(number: int, path: str, data: bytes | None) -> dict[str, str]:
    """Return an item's row, as Items.csv has it."""
    return {
        "File ID": f"id-{number}", "Export_native_path": path.replace("/", "\\"), "Subject": f"subject {number}",
        "Native_SHA_256": "" if data is None else hashlib.sha256(data).hexdigest().upper(), "Error message": "",
    }  # fmt: skip


def write_purview_export(folder: Path, *, absent: bool = False) -> None:
    """Write an export: two ZIP files with items, a PST file, and a ZIP file with reports.

    Args:
        folder: An empty folder.
        absent: The reports name two files that are not there.
    """
    files = {**MESSAGES, **SENT, **DOCUMENT}
    with zipfile.ZipFile(folder / "Items.1.001.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    with zipfile.ZipFile(folder / "PSTs.001.zip", "w") as archive:
        archive.writestr("Exchange/bob@x.example.pst", b"!BDN" + bytes(600))
    rows = [row(number, path, data) for number, (path, data) in enumerate(files.items())]
    rows += [row(20 + number, f"Exchange/bob@x.example.pst/Inbox/{number}", b"m") for number in range(3)]
    rows.append({**row(30, "", None), "Error message": "The item is encrypted"})
    if absent:
        rows += [
            row(40, "Exchange/ann@x.example/Drafts/1.eml", b"x"),
            row(41, "Exchange/eve@x.example.pst/Inbox/1", b"x"),
        ]
    with zipfile.ZipFile(folder / "Reports.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Items_0.csv", table(rows))
        archive.writestr("Summary.csv", table([{"Name": "Total", "Value": "8"}]))
        archive.writestr("Settings.csv", b"Setting,Value\r\n")
