"""A small export of Google Vault, written as https://support.google.com/vault/answer/6099459 describes it."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from xml.sax.saxutils import quoteattr

from tests.support.mbox_bytes import mail, mbox, separator

CHAT = "AAAAA6HZ1qY-MBI-FLAT:2022-09-19T23:31:18.656498"


def xml(*documents: tuple[str, dict[str, str], str]) -> bytes:
    """Return an EDRM XML file of documents: id, tags, and the name of the file."""
    found = "".join(
        f"<Document DocID={quoteattr(id_)}><Tags>"
        + "".join(f"<Tag TagName={quoteattr(n)} TagDataType='Text' TagValue={quoteattr(v)}/>" for n, v in tags.items())
        + f"</Tags><Files><File FileType='Native'><ExternalFile FileName={quoteattr(file)} FileSize='9'/>"
        "</File></Files></Document>"
        for id_, tags, file in documents
    )
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<Root DataInterchangeType="Update"><Batch name="New Batch">'
    return f"{head}<Documents>{found}</Documents></Batch></Root>".encode()


def messages() -> list[bytes]:
    """Return the messages of the export's mbox file."""
    return [mail(number, b"text %d\n" % number) for number in range(1, 5)]


def chat() -> bytes:
    """Return an mbox file of Google Chat: the sender of a separator line is the id of the document."""
    return separator(f"{CHAT}@xxx".encode()) + mail(9) + b"\n"


def drive(number: int) -> bytes:
    """Return a file of the export."""
    return b"file %d" % number * 2_000


def write_vault_export(folder: Path, *, absent: bool = False) -> None:
    """Write an export with two ZIP files, metadata, an error report and checksums.

    Args:
        folder: An empty folder.
        absent: The metadata names a file and a message that the ZIP files do not hold, and a checksum a file.
    """
    with zipfile.ZipFile(folder / "Matter-1.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Matter-ann@x.example.mbox", mbox(*messages()))
        archive.writestr("Matter-chat.mbox", chat())
    with zipfile.ZipFile(folder / "Matter-2.zip", "w") as archive:
        archive.writestr("report_1abc.docx", drive(1))
        archive.writestr("plan_2def.pdf", drive(2))
        archive.writestr("their archive_3.zip", (folder / "Matter-1.zip").read_bytes())
    mail_tags = [
        (f"doc-{number}", {"RFC822MessageID": f"<{number}@x.example>", "Labels": "^INBOX,^OPENED"}, "Matter-1.mbox")
        for number in range(1, 6 if absent else 5)
    ]
    files = [
        ("1abc", {"#Title": "The report", "Collaborators": "bob@y.example"}, "report_1abc.docx"),
        ("2def", {"#Title": "Plan ü"}, "plan_2def.pdf"),
        ("3", {"#Title": "An archive"}, "their archive_3.zip"),
    ]
    if absent:
        files.append(("4", {"#Title": "Lost"}, "lost_4.txt"))
    rooms = [("c", {"RoomName": "dept", "Participants": "ken@x.example"}, CHAT)]
    (folder / "Matter-metadata.xml").write_bytes(xml(*mail_tags, *files, *rooms))
    (folder / "Matter-errors.xml").write_bytes(xml(("5", {"ErrorDescription": "The item was deleted"}, "gone_5.txt")))
    (folder / "error.csv").write_bytes(b"Account,Error\r\nbob@y.example,mailbox unavailable\r\n")
    names = ["Matter-1.zip", "Matter-2.zip", "Matter-metadata.xml", "error.csv"]
    lines = [f"{hashlib.md5((folder / name).read_bytes()).hexdigest()}  {name}" for name in names]
    if absent:
        lines.append(f"{'0' * 32}  Matter-3.zip")
    (folder / "File checksums.md5").write_text("\n".join(lines) + "\n")


def write_matter(folder: Path, count: int) -> None:
    """Write an export of so many messages in one mbox file, with their metadata and the checksums."""
    with zipfile.ZipFile(folder / "Matter-1.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("Matter-ann@x.example.mbox", mbox(*(mail(number, b"text\n" * 200) for number in range(count))))
    documents = [
        (f"doc-{number}", {"RFC822MessageID": f"<{number}@x.example>", "Labels": "^INBOX"}, "Matter-1.mbox")
        for number in range(count)
    ]
    (folder / "Matter-metadata.xml").write_bytes(xml(*documents))
    names = ["Matter-1.zip", "Matter-metadata.xml"]
    lines = [f"{hashlib.md5((folder / name).read_bytes()).hexdigest()}  {name}" for name in names]
    (folder / "File checksums.md5").write_text("\n".join(lines) + "\n")
