"""10,000 items and an item of 5 GB, of sources that have no place of the contract (`make large`)."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path

import pytest

from prefect_collect.blocks import DataSource, MboxSource, source_from
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from tests.examples import LARGE
from tests.integration.databases import Database
from tests.integration.mail_server import Mailbox
from tests.integration.sources.imap_messages import message
from tests.integration.sources.places import HUGE, MANY, MOST_MEMORY, hash_of_zeros
from tests.support.mbox_bytes import mail, separator
from tests.support.peak import measured
from tests.support.run_attempts import attempt, held, new_job
from tests.support.slack_export import write_days
from tests.support.vault_export import write_matter, xml

pytestmark = [pytest.mark.integration, pytest.mark.skipif(not LARGE, reason="with LARGE=all (make large)")]

LINES = (b"of a large message " * 5 + b"\n") * 100_000


def rows_of(tmp_path: Path, source: DataSource, what: str) -> list[dict[str, object]]:
    """Collect a source within the bounds of memory; return the rows of the manifest."""
    folder = new_job(DirectoryStore(tmp_path / "store"), source)
    with measured(f"{type(source).__name__}, {what}") as taken:
        assert attempt(folder, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    rows = [*held(folder).values()]
    shutil.rmtree(tmp_path / "store")
    assert taken.peak < MOST_MEMORY
    return rows


def written(path: Path, *parts: bytes, line: bytes) -> bytes:
    """Write a file of the parts and lines, of more than 5 GB; return the SHA-256 of all but the first part."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        file.write(parts[0])
        for part in (*parts[1:], *(line for _ in range(HUGE // len(line) + 1))):
            file.write(part)
            digest.update(part)
    return digest.digest()


def test_a_mailbox(mailbox: Mailbox, tmp_path: Path) -> None:
    """A mailbox of 10,000 messages is collected."""
    mailbox.deliver(message(number) for number in range(MANY))
    assert len(rows_of(tmp_path, mailbox.source(), "10,000 messages")) == MANY


def test_a_large_message(mailbox: Mailbox, tmp_path: Path) -> None:
    """A message of 5 GB is collected whole."""
    mailbox.deliver([message(0)])
    [path] = (mailbox.folder() / "cur").iterdir()
    digest = written(path, b"", message(0), line=LINES.replace(b"\n", b"\r\n"))
    [row] = rows_of(tmp_path, mailbox.source(), "a message of 5 GB")
    path.unlink()
    assert row["sha256"] == digest


def test_an_mbox_file(tmp_path: Path) -> None:
    """An mbox file of 10,000 messages is collected."""
    with (tmp_path / "a.mbox").open("wb") as file:
        for number in range(MANY):
            file.write(separator() + mail(number) + b"\n")
    source = MboxSource(inside=str(tmp_path / "a.mbox"))
    assert len(rows_of(tmp_path, source, "10,000 messages")) == MANY


def test_a_large_message_of_an_mbox_file(tmp_path: Path) -> None:
    """A message of 5 GB of an mbox file is collected whole."""
    digest = written(tmp_path / "a.mbox", separator(), mail(1), line=LINES)
    with (tmp_path / "a.mbox").open("ab") as file:
        file.write(b"\n")
    [row] = rows_of(tmp_path, MboxSource(inside=str(tmp_path / "a.mbox")), "a message of 5 GB")
    (tmp_path / "a.mbox").unlink()
    assert row["sha256"] == digest


def test_a_vault_export(tmp_path: Path) -> None:
    """An export of Google Vault of 10,000 messages, which its metadata describes, is collected."""
    (tmp_path / "export").mkdir()
    write_matter(tmp_path / "export", MANY)
    rows = rows_of(tmp_path, source_from(f"vault:{tmp_path / 'export'}"), "10,000 messages")
    assert sum("RFC822MessageID" in str(row["metadata"]) for row in rows) == MANY


def test_a_large_file_of_a_vault_export(tmp_path: Path) -> None:
    """A file of 5 GB in a ZIP file of an export of Google Vault is collected whole."""
    folder, block = tmp_path / "export", bytes(10_000_000)
    folder.mkdir()
    (folder / "Matter-metadata.xml").write_bytes(xml(("1abc", {"#Title": "Huge"}, "huge_1abc.bin")))
    with (
        zipfile.ZipFile(folder / "Matter-1.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("huge_1abc.bin", "w", force_zip64=True) as entry,
    ):
        for _ in range(HUGE // len(block)):
            entry.write(block)
    rows = rows_of(tmp_path, source_from(f"vault:{folder}"), "a file of 5 GB")
    row = max(rows, key=itemgetter("size"))
    assert (row["size"], row["sha256"]) == (HUGE, hash_of_zeros(HUGE))


def test_a_slack_export(tmp_path: Path) -> None:
    """An export of Slack of 10,000 days of channels is collected."""
    (tmp_path / "export").mkdir()
    write_days(tmp_path / "export", channels=20, days=MANY // 20)
    rows = rows_of(tmp_path, source_from(f"slack:{tmp_path / 'export'}"), "10,000 days")
    assert sum(re.search(r"/\d{4}-\d\d-\d\d\.json", str(row["path"])) is not None for row in rows) == MANY


def test_a_table(database: Database, tmp_path: Path) -> None:
    """A table of 10,000 slices is collected."""
    database.run("CREATE TABLE t (id integer PRIMARY KEY)")
    database.run("INSERT INTO t VALUES (?)", rows=[(number,) for number in range(2 * MANY)])
    found = rows_of(tmp_path, database.source(rows=2), f"10,000 slices of {database.dialect}")
    assert len(found) == MANY + 1  # the schema too


def texts() -> Iterator[str]:
    """Yield texts of 8 MB, of 5 GB together."""
    text = "x" * 8_000_000
    return (text for _ in range(HUGE // len(text)))


def test_a_large_slice(database: Database, tmp_path: Path) -> None:
    """A slice of 5 GB of texts is collected."""
    kind = "longtext" if database.dialect == "mysql" else "text"
    database.run(f"CREATE TABLE t (id integer PRIMARY KEY, note {kind})")
    for number, text in enumerate(texts()):
        database.run("INSERT INTO t VALUES (?, ?)", rows=[(number, text)])
    found = rows_of(tmp_path, database.source(), f"a slice of 5 GB of {database.dialect}")
    database.run("DROP TABLE t")
    [row] = (row for row in found if str(row["path"]).endswith(".parquet"))
    assert json.loads(str(row["metadata"]))["rows"] == HUGE // 8_000_000
