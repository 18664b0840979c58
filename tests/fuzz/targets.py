"""The fuzzing targets: readers of untrusted bytes, which accept any bytes or raise an error of ours."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect_collect.blocks import FileSource
from prefect_collect.codes import Failure
from prefect_collect.connectors.buckets.s3_page import read_page
from prefect_collect.connectors.containers.entries import Entry
from prefect_collect.connectors.containers.tree import FileTree
from prefect_collect.connectors.errors import body_error
from prefect_collect.connectors.foreign_exports.documents import Document
from prefect_collect.connectors.foreign_exports.edrm_xml import BadList
from prefect_collect.connectors.foreign_exports.edrm_xml import documents as edrm_documents
from prefect_collect.connectors.foreign_exports.json_arrays import elements as json_elements
from prefect_collect.connectors.foreign_exports.lists import Lists
from prefect_collect.connectors.foreign_exports.tables import checksums
from prefect_collect.connectors.foreign_exports.tables import rows as table_rows
from prefect_collect.connectors.http.addresses import checked_url, redirected
from prefect_collect.connectors.http.headers import http_date
from prefect_collect.connectors.imap.describing import file_name, metadata_of
from prefect_collect.connectors.imap.responses import BadAnswer
from prefect_collect.connectors.mail.attachments import Attachments
from prefect_collect.connectors.mail.header import Header
from prefect_collect.connectors.mail.header import metadata_of as header_metadata
from prefect_collect.connectors.mail.texts import few
from prefect_collect.connectors.mail.texts import named as message_name
from prefect_collect.connectors.mbox.splitting import messages as split_mbox
from prefect_collect.connectors.object_store._azure_page import read_azure_page
from prefect_collect.connectors.s3.headers import content_of
from prefect_collect.connectors.sftp import _packets as packets
from prefect_collect.connectors.url_list.entries import BadLine, parse_line
from prefect_collect.connectors.webdav.multistatus import BadDocument, Multistatus, Resource
from prefect_collect.connectors.webdav.root import BadHref, Root
from prefect_collect.errors import CorruptPart, PackageError, SourceError, UsageError
from prefect_collect.job_folder import json_fields, store_keys
from prefect_collect.job_folder.custody_events import listed_hashes
from prefect_collect.job_folder.error_report_reading import reported_items
from prefect_collect.job_folder.ledger import inventory_table
from prefect_collect.job_folder.parquet import part_bytes, read_part
from prefect_collect.packages import verify
from prefect_collect.sources import Item
from prefect_collect.sources.metadata import metadata_text
from prefect_collect.untrusted.bounded_json import BadValue, parse_json
from tests.connectors.test_azure_pages import PAGE as AZURE_PAGE
from tests.connectors.test_s3_pages import PAGE
from tests.packages.foreign_bags import as_zip, bag, manifest
from tests.support.imap_bytes import answer_of
from tests.support.mbox_bytes import Held, mail, mbox
from tests.support.memory_store import MemoryStore
from tests.support.multistatus import failed, file, folder, multistatus
from tests.support.vault_export import xml

_SCHEMAS = [
    json_fields.RECORD, json_fields.PATTERNS, json_fields.CLAIM, json_fields.INVENTORY_END, json_fields.STOP_MARK,
    json_fields.RESULT, json_fields.ENTRY, json_fields.VOUCHED, json_fields.SEGMENTS,
]  # fmt: skip
_TAGS = ["bagit.txt", "bag-info.txt", "manifest-sha256.txt", "fetch.txt", "tagmanifest-sha256.txt"]
_HEADERS = [
    b"etag", b"content-length", b"last-modified", b"x-amz-checksum-crc32", b"x-amz-checksum-crc64nvme",
    b"x-amz-checksum-sha256", b"x-amz-checksum-type", b"x-amz-server-side-encryption",
]  # fmt: skip
_SFTP = [
    packets.version,
    packets.status,
    packets.handle,
    packets.data,
    packets.attributes,
    packets.names,
    packets.limits,
]
_ROOT = Root("https://host", "host", (b"dav",), "webdavs://host/dav")
_FOLDER = Path(tempfile.gettempdir())


@dataclass(frozen=True)
class Target:
    """A function that reads bytes, the errors that it may raise, and example bytes (seeds)."""

    read: Callable[[bytes], object]
    allowed: tuple[type[Exception], ...]
    seeds: Callable[[], Iterable[bytes]]

    def __call__(self, data: bytes) -> None:
        """Read the bytes; let an error pass through that is not allowed."""
        try:
            self.read(data)
        except self.allowed as error:
            str(error).encode()


def _page(data: bytes) -> None:
    for entry in read_page(data, "bucket", "p/", "s3://bucket/p/").entries:
        assert entry.key.startswith(b"p/")


def _azure_page(data: bytes) -> None:
    for entry in read_azure_page(data, "box", "p/", "az://box/p/").entries:
        assert entry.key.startswith(b"p/")


def _headers(data: bytes) -> None:
    values = data.decode("latin-1").split("\n")
    content_of(dict(zip(_HEADERS, values, strict=False)), (), Item("a", "a"))
    for value in values:
        http_date(value)


def _sftp(data: bytes) -> None:
    """Read the rest as the SFTP packet that the first byte selects."""
    read = _SFTP[data[0] % len(_SFTP)] if data else _SFTP[0]
    read(data[1:])


def _json(data: bytes) -> None:
    parse_json(data[1:], _SCHEMAS[data[0] % len(_SCHEMAS)] if data else json_fields.ENTRY)


def _part(data: bytes) -> None:
    store = MemoryStore()
    store.blobs["job/inventory/0001/part-00000.parquet"] = data
    read_part(store, "job/inventory/0001/part-00000.parquet")


def _parts() -> list[bytes]:
    table = inventory_table([Item("a", "a", 1), Item("ü", "ü/b", failure=Failure("not_found", "It is gone. [ü]"))])
    return [bytes(part_bytes(table)), bytes(part_bytes(table.slice(0, 0)))]


def _report(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".csv", dir=_FOLDER) as file:
        file.write(data)
        file.flush()
        reported_items(file.name)


def _list(data: bytes) -> None:
    store = MemoryStore()
    store.blobs[store_keys.evidence_key("job", 1)] = data
    assert listed_hashes(store, store_keys.evidence_key("job", 1), hashlib.sha256(data).hexdigest()) is not None


def _tags(data: bytes) -> None:
    """Read the rest as the tag file that the first byte selects."""
    name = _TAGS[data[0] % len(_TAGS)] if data else _TAGS[0]
    with tempfile.TemporaryDirectory(dir=_FOLDER) as folder:
        verify(as_zip(bag() | {name: data[1:]}, Path(folder) / "x.zip"), threads=1)


def _zip(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".zip", dir=_FOLDER) as file:
        file.write(data)
        file.flush()
        verify(Path(file.name), threads=1)


def _zips() -> list[bytes]:
    with tempfile.TemporaryDirectory(dir=_FOLDER) as folder:
        return [as_zip(bag(version), Path(folder) / "x.zip").read_bytes() for version in ("0.97", "1.0")]


def _multistatus(data: bytes) -> None:
    """Read a listing in pieces of the size that the first byte says, and the addresses in it."""
    found: list[Resource] = []
    document = Multistatus(found.append)
    size = 1 + (data[0] if data else 0)
    try:
        for at in range(1, len(data), size):
            document.feed(data[at : at + size])
        document.close()
    finally:
        for resource in found:
            assert resource.href
            with suppress(BadHref):
                _ROOT.name_in(b"a/", resource.href)


def _url_line(data: bytes) -> None:
    entry = parse_line(data)
    assert checked_url(entry.url) == entry.url
    assert entry.id.encode()
    with suppress(SourceError):
        redirected("http://host/", data.decode("latin-1"), 0, "list")


def _imap_answer(data: bytes) -> None:
    """Read the rest as a value, or as the attributes of a message, as the first byte selects."""
    answer = answer_of(data[1:])
    if data[:1] == b"\x00":
        answer.value()
        return
    attributes: dict[bytes, Any] = dict(answer.attributes())
    file_name(1, attributes.get(b"ENVELOPE"))
    metadata_text(metadata_of(attributes))


def _mbox(data: bytes) -> None:
    """Split the bytes, read in pieces of the size that the first byte says, and describe each message."""
    held = Held(data[1:], 1 + (data[0] if data else 0))
    at = 0
    for message in split_mbox(held):
        assert at <= message.start <= message.end <= held.size
        at = message.end
        message_name(message.number, Header(message.head).text(b"subject"))
        attachments = Attachments()
        for _ in attachments.passing(held.stream(message.start, message.end)):
            pass
        metadata_text(header_metadata(Header(message.head)) | {"attachments": few(attachments.names)})


def _entries(data: bytes) -> None:
    """List the bytes as a ZIP file of an export, and read each entry."""
    with tempfile.NamedTemporaryFile(suffix=".zip", dir=_FOLDER) as file:
        file.write(data)
        file.flush()
        tree = FileTree(FileSource(root=file.name))
        (archive,) = tree.files()
        assert not isinstance(archive, Item)
        for entry in tree.entries(archive):
            if isinstance(entry, Entry):
                for piece in entry.stream():
                    assert len(piece) <= 1 << 20


def _export_list(data: bytes) -> None:
    """Read the rest as the kind of list that the first byte selects, in pieces of the size that the second says."""
    read: Any = [edrm_documents, table_rows, checksums, json_elements][data[0] % 4 if data else 0]
    size = 1 + (data[1] if len(data) > 1 else 0)
    lists = Lists()
    for found in read(data[at : at + size] for at in range(2, len(data), size)):
        if isinstance(found, Document):
            lists.add([found], "list")
            for name in found.files:
                lists.saw_file(name)
                metadata_text(lists.metadata(name))
    list(lists.missing())


_ENVELOPE = b'("5 Jan 2026 10:00:00 +0100" "=?utf-8?q?=C3=BC?=" (("A" NIL "a" "x.y")) NIL NIL NIL NIL NIL NIL "<m>")'
_STRUCTURE = b'(("text" "plain" NIL NIL NIL "7bit" 3 1)("a" "b" ("name*" "utf-8\'\'x") NIL NIL "base64" 3) "mixed")'

TARGETS = {
    "imap-answer": Target(
        _imap_answer,
        (BadAnswer, EOFError),
        lambda: [
            b'\x00(a "b" {1}\r\nc NIL (d))\r\n',
            b"\x01(UID 7 ENVELOPE " + _ENVELOPE + b" BODYSTRUCTURE " + _STRUCTURE + b" BODY[] {2}\r\nab)\r\n",
        ],
    ),
    "listing-page": Target(_page, (SourceError,), lambda: [PAGE.encode(), b"<Error><Code>SlowDown</Code></Error>"]),
    "azure-page": Target(_azure_page, (SourceError,), lambda: [AZURE_PAGE.encode()]),
    "error-document": Target(
        lambda data: body_error(403, data, "s3://bucket"), (), lambda: [b"<Error><Code>AccessDenied</Code></Error>"]
    ),
    "headers": Target(
        _headers, (), lambda: [b'"d41d8cd98f00b204e9800998ecf8427e"\n3\nSun, 06 Nov 1994 08:49:37 GMT\nAAAAAA==']
    ),
    "multistatus": Target(
        _multistatus,
        (BadDocument,),
        lambda: [
            b"\x20" + multistatus(folder("/dav/a/"), file("/dav/a/b"), failed("https://host/dav/a/c", "403 No")),
            b"\xff<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
        ],
    ),
    "url-line": Target(
        _url_line,
        (BadLine,),
        lambda: [b'{"url":"http://h/\xc3\xbc?sig=1","name":"a","size":1,"headers":{"X":"y"}}', b"//h/../%00"],
    ),
    "mbox": Target(
        _mbox,
        (),
        lambda: [
            b"\x40" + mbox(mail(1, b">From x\n", b"Content-Length: 8"), mail(2, b"From x\n")),
            b"\xff" + mbox(mail(1, b"--b\nContent-Type: a/b; name*0*=\"utf-8''%41\"\n\n--b--\n", b"To: a, b <c@d.e>")),
        ],
    ),
    "zip-entries": Target(_entries, (SourceError,), _zips),
    "export-lists": Target(
        _export_list,
        (BadList,),
        lambda: [
            b"\x00\xff" + xml(("1", {"#Subject": "a & b", "RFC822MessageID": "<m>"}, "a/b.eml")),
            b'\x01\x07Export_native_path,Native_MD5\r\n"a\\b",x\r\n',
            b"\x02\x40" + b"0" * 32 + b"  a.zip\na.zip," + b"0" * 64 + b"\n",
            b'\x03\x05[{"ts": "1", "files": [{"name": "a"}]}, 7]',
        ],
    ),
    "sftp": Target(
        _sftp,
        (packets.BadPacket,),
        lambda: [
            b"\x05\x68\0\0\0\1\0\0\0\1\0\0\0\1a\0\0\0\0\0\0\0\5" + bytes(8) + b"\0\0\x81\xa4",
            b"\x01\x65\0\0\0\1\0\0\0\2\0\0\0\1x\0\0\0\0",
            b"\x00\x02\0\0\0\3\0\0\0\1a\0\0\0\1b",
        ],
    ),
    "json": Target(
        _json,
        (BadValue,),
        lambda: [
            b"\x00{}",
            b'\x04{"code":7,"message":""}',
            b'\x04{"code":"canceled","message":"x","http_status":200}',
            b'\x08{"a":[1,"e"]}',
        ],
    ),
    "parquet": Target(_part, (CorruptPart,), _parts),
    "report": Target(_report, (UsageError,), lambda: [b"item_id,job_id,outcome,path\na,j,failed,a\n", *_parts()]),
    "evidence-list": Target(_list, (), lambda: [b"0" * 64 + b"  job.json\n"]),
    "tag-files": Target(
        _tags,
        (PackageError,),
        lambda: [
            b"\x00BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
            b"\x01Bag-Software-Agent: x\nPayload-Oxum: 9.2\n",
            b"\x02" + manifest({"data/a.txt": b"alpha", "data/b%0A": b""}),
            b"\x03https://example.org/a - data/a.txt\n",
        ],
    ),
    "zip": Target(_zip, (PackageError,), _zips),
}
