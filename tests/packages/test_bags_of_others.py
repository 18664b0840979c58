"""Bags of other tools are judged by RFC 8493 and its drafts: each row of docs/verifying.md is caused here."""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefect_collect.errors import KeyMissing
from prefect_collect.packages import Verification, verify
from prefect_collect.packages.bags.tag_files import ITEMS
from tests.packages.foreign_bags import PAYLOAD, as_folder, as_zip, bag, declared, line, manifest, with_files
from tests.support.memory_store import MemoryStore

PAGE: Final = Path(__file__).parents[2] / "docs/verifying.md"
VALID, WARNING, WRONG = "valid", "valid, with a warning", "not valid"
A, C = PAYLOAD["data/a.txt"], PAYLOAD["data/b/c.txt"]
LINES: Final = manifest(PAYLOAD)
BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Case:
    """A row of the page, a bag for it, and words that the reason must have."""

    row: str
    verdict: str
    make: Callable[[Path], Path]
    words: str = ""


CASES: list[Case] = []


def case(row: str, verdict: str, files: dict[str, bytes], words: str = "", *, zipped: bool = False) -> None:
    """Add a bag for a row."""
    write = (lambda path: as_zip(files, path / "bag.zip")) if zipped else (lambda path: as_folder(files, path / "bag"))
    CASES.append(Case(row, verdict, write, words))


def made(row: str, verdict: str, words: str = "") -> Callable[[Callable[[Path], Path]], Callable[[Path], Path]]:
    """Add a bag that a function makes."""

    def add(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
        CASES.append(Case(row, verdict, make, words))
        return make

    return add


def listing(text: bytes, version: str = "1.0", payload: dict[str, bytes] | None = None) -> dict[str, bytes]:
    """Return a bag with that manifest."""
    return bag(version, PAYLOAD if payload is None else payload, manifest__sha256_txt=text)


SPACED = b"BagIt-Version : 1.0\nTag-File-Character-Encoding : UTF-8\n"
case(
    "`bagit.txt` is spaced otherwise, or has more lines, in 1.0", WRONG, bag(bagit_txt=SPACED), "not exactly the lines"
)
case(
    "`bagit.txt` is spaced otherwise, or has more lines, before 1.0",
    WARNING,
    bag(bagit_txt=SPACED.replace(b"1.0", b"0.97")),
    "not exactly the lines",
)
for version in ("1.0", "0.96"):
    text = declared(version).replace(b"BagIt-Version", b"BagIt-version")  # as the example in section 4.1 does
    case(
        "`bagit.txt` writes its labels in other upper and lower case",
        WARNING,
        bag(bagit_txt=text),
        "in other upper and lower case",
    )
case("`bagit.txt` begins with a BOM", WRONG, bag(bagit_txt=BOM + declared()), "byte order mark")
case("the version is not 0.93 to 0.97 or 1.0", WRONG, bag("1.7"), "1.7 is not known")
case("the version is not 0.93 to 0.97 or 1.0", WRONG, bag("١.٠"), "does not declare a BagIt version")
for encoding in ("zlib", "bz2", "hex", "rot13", "punycode", "undefined", "unicode_escape", "no-such"):
    text = bag(bagit_txt=declared("1.0", encoding))
    case("the encoding is no character set, or one that Python does not have", WRONG, text, "not a known character set")
for encoding in ("UTF-16", "ISO-8859-1", "UTF-8"):
    payload = {"data/ü.txt": b"x"}
    text = bag("1.0", payload, bagit_txt=declared("1.0", encoding))
    text["manifest-sha256.txt"] = text["manifest-sha256.txt"].decode().encode(encoding)
    tags = {name: text[name] for name in ("bagit.txt", "manifest-sha256.txt")}
    text["tagmanifest-sha256.txt"] = manifest(tags).decode().encode(encoding)
    case("tag files are in the declared encoding (UTF-16, ISO-8859-1, …)", VALID, text)
case("a tag file is not in the declared encoding", WRONG, listing(LINES + b"\xff\n"), "not in the declared encoding")
for version, verdict in (("1.0", WRONG), ("0.97", WRONG)):
    case(
        "a tag file begins with a BOM that its encoding does not need, from 0.97",
        verdict,
        listing(BOM + LINES, version),
        "BOM",
    )
case(
    "a tag file begins with a BOM that its encoding does not need, before 0.97",
    WARNING,
    listing(BOM + LINES, "0.96"),
    "BOM",
)
for end in (b"\r\n", b"\r"):
    case("lines end in CR or CRLF", VALID, listing(LINES.replace(b"\n", end)))

row = "a payload manifest leaves out a payload file, in 1.0"
for version, verdict in (("1.0", WRONG), ("0.97", VALID), ("0.93", VALID)):
    more = {"manifest-sha512.txt": line("data/a.txt", A, "sha512")}
    case(
        row if verdict == WRONG else "one of several payload manifests leaves out a payload file, before 1.0",
        verdict,
        with_files(bag(version), more),
        "data/b/c.txt: manifest-sha512.txt does not" if verdict == WRONG else "",
    )
case(
    "no payload manifest lists a payload file",
    WRONG,
    listing(line("data/a.txt", A), "0.96"),
    "data/b/c.txt: manifest-sha256.txt does not list it",
)
case("a manifest lists a file that is missing", WRONG, listing(LINES + line("data/x", b"")), "data/x: it is missing")
case(
    "a payload file's bytes were changed",
    WRONG,
    {**bag(), "data/a.txt": b"alphA"},
    "not those that manifest-sha256.txt lists",
)
row = "a line stands twice, with the same checksum, in 1.0"
case(row, WRONG, listing(LINES + line("data/a.txt", A)), "twice with the same checksum")
case(
    "a line stands twice, with the same checksum, before 1.0",
    WARNING,
    listing(LINES + line("data/a.txt", A), "0.97"),
    "twice with the same checksum",
)
case(
    "a file is listed twice with different checksums",
    WRONG,
    listing(LINES + line("data/a.txt", b"?"), "0.97"),
    "data/a.txt: manifest-sha256.txt lists it twice, with different",
)
case(
    "checksums have upper-case digits",
    VALID,
    listing(LINES.upper().replace(b"DATA/A.TXT", b"data/a.txt").replace(b"DATA/B/C.TXT", b"data/b/c.txt")),
)
case("`*` before a path, as md5sum writes it", WARNING, listing(LINES.replace(b"  ", b" *")), 'have a "*"')
row = "`./` before a path, or empty or `.` parts in it"
for written in (b"./data/b/c", b"././data/b/c", b"data//b/c", b"data/./b/c", b"./data/.//b/c"):
    case(row, WARNING, listing(LINES.replace(b"data/b/c", written)), 'have "./"')
case(
    "spaces at the end of a line that are not the file's",
    WARNING,
    listing(LINES.replace(b"\n", b" \n")),
    "end in spaces",
)
escaped = b"\\" + line("data/a\\\\b", b"x")
case(
    "a backslash escaped as md5sum does",
    WARNING,
    listing(escaped.replace(escaped[1:65], hashlib.sha256(b"x").hexdigest().encode()), payload={"data/a\\b": b"x"}),
    "as md5sum does",
)
case("empty lines", WARNING, listing(LINES + b"\n"), "lines are empty")
case(
    "a path is written with backslashes instead of slashes",
    WRONG,
    listing(LINES.replace(b"b/c", b"b\\c")),
    "data/b/c.txt exists",
)
accented = unicodedata.normalize("NFC", "data/Núñez")
case(
    "a path differs from the file's only in its Unicode form (NFC, NFD)",
    WARNING,
    listing(manifest({unicodedata.normalize("NFD", accented): b"x"}), payload={accented: b"x"}),
    "only in their Unicode form",
)
case(
    "a path differs from the file's in upper and lower case",
    WRONG,
    listing(LINES.replace(b"a.txt", b"A.txt")),
    "data/a.txt exists, whose name differs only in upper",
)
percent = {"data/100%.txt": b"x"}
case(
    "`%`, CR and LF in a path, as the version writes them",
    VALID,
    listing(manifest(percent).replace(b"%", b"%25"), payload=percent),
)
case("`%`, CR and LF in a path, as the version writes them", VALID, listing(manifest(percent), "0.97", percent))
breaks = {"data/a\nb": b"1", "data/c\r\nd": b"2"}
for version in ("0.97", "0.93"):
    text = manifest(breaks).replace(b"a\nb", b"a%0ab").replace(b"c\r\nd", b"c%0D%0Ad")
    case("CR and LF in a path percent-encoded, before 1.0", VALID, listing(text, version, breaks))
case(
    "`%` in a path, as another version writes it",
    WARNING,
    listing(manifest(percent), payload=percent),
    "write % in another way",
)
case(
    "`%` in a path, as another version writes it",
    WARNING,
    listing(manifest(percent).replace(b"%", b"%25"), "0.97", percent),
    "write % in another way",
)
for outside in ("../x", "data/../../x", "/etc/passwd", "~/x", "~root/x", "C:\\x", "\\\\?\\UNC\\x", "bagit.txt"):
    case(
        "a manifest lists a path outside of the bag or of its part",
        WRONG,
        listing(LINES + line(outside, b"")),
        "line 3",
    )
case("a manifest lists a folder", WRONG, listing(LINES + line("data/b", b"")), "lists a folder")
for bad in (b"zz  data/a.txt\n", b"abc\n", LINES[:10] + b"  data/a.txt\n", b"# comment\n"):
    case("a line is malformed, or its checksum has another length", WRONG, listing(LINES + bad), "line 3 is malformed")
case("there is no payload manifest", WRONG, bag(manifest__sha256_txt=None), "no payload manifest")

for name in ("sha3256", "blake2b", "blake2s", "sha512256", "sha1", "md5", "shake128", "blake2b256"):
    algorithm = {"sha3256": "sha3_256", "sha512256": "sha512_256"}.get(name, name)

    def digest(content: bytes, algorithm: str = algorithm) -> str:
        """Return the checksum."""
        if algorithm == "shake128":
            return hashlib.shake_128(content).hexdigest(32)
        if algorithm == "blake2b256":
            return hashlib.blake2b(content, digest_size=32).hexdigest()
        return hashlib.new(algorithm, content).hexdigest()

    good = "".join(f"{digest(content)}  {path}\n" for path, content in PAYLOAD.items()).encode()
    wrong = good.replace(digest(A).encode(), digest(b"?").encode())
    case(
        "a manifest of any algorithm that Python's hashlib has",
        VALID,
        with_files(bag(), {f"manifest-{name}.txt": good}),
    )
    case(
        "a checksum of any of these algorithms is wrong",
        WRONG,
        with_files(bag(), {f"manifest-{name}.txt": wrong}),
        f"manifest-{name}.txt lists",
    )
case(
    "an algorithm's name is not normalised",
    WARNING,
    with_files(bag(), {"manifest-SHA3_256.txt": manifest(PAYLOAD, "sha3_256")}),
    "names it manifest-sha3256.txt",
)
unknown = {"manifest-xxh3.txt": LINES}
case(
    "an algorithm is not known, beside one that is",
    WARNING,
    with_files(bag(), unknown),
    "no checksum in it was checked",
)
case(
    "no algorithm of a payload manifest is known",
    WRONG,
    with_files(bag(manifest__sha256_txt=None), unknown),
    "no payload manifest that can be checked",
)
case(
    "two manifests are for one algorithm",
    WRONG,
    with_files(bag(), {"manifest-SHA256.txt": LINES}),
    "for the same algorithm",
)

case("there is no tag manifest, or it leaves out tag files", WARNING, bag(tagged=False), "nothing proves its bytes")
case(
    "a tag manifest lists payload",
    WRONG,
    {**bag(), "tagmanifest-sha256.txt": bag()["tagmanifest-sha256.txt"] + line("data/a.txt", A)},
    "may list no payload",
)
row = "a tag manifest leaves out a payload manifest, or lists a tag manifest, in 1.0"
case(row, WRONG, {**bag(), "tagmanifest-sha256.txt": line("bagit.txt", declared())}, "must list every manifest")
tags = bag()["tagmanifest-sha256.txt"]
case(
    row,
    WRONG,
    {
        **bag(),
        "tagmanifest-md5.txt": manifest(
            {n: bag()[n] for n in ("bagit.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt")}, "md5"
        ),
    },
    "may list no tag manifest",
)
case(
    "a tag file that a tag manifest lists is missing or changed",
    WRONG,
    {**bag(), "bagit.txt": declared("0.97")},
    "not those that tagmanifest-sha256.txt",
)

OXUM: Final = b"Payload-Oxum: 9.2\n"
case("`Payload-Oxum` is right", VALID, bag(bag__info_txt=OXUM))
for text in (b"Payload-Oxum: 10.2\n", b"payload-oxum: x\n", b"Payload-Oxum: 9\n  .3\n"):
    case("`Payload-Oxum` is wrong or malformed", WRONG, bag(bag__info_txt=text), "Payload-Oxum is")
case("`Payload-Oxum` stands twice, in 1.0", WRONG, bag(bag__info_txt=OXUM * 2), "has 2 Payload-Oxum")
case("`Payload-Oxum` stands twice, before 1.0", WARNING, bag("0.97", bag__info_txt=OXUM * 2), "has 2 Payload-Oxum")
case("other elements of `bag-info.txt` stand twice", VALID, bag(bag__info_txt=b"Contact-Name: a\nContact-Name: b\n"))
case("a line of `bag-info.txt` has no label and colon", WRONG, bag(bag__info_txt=b"nothing\n"), "line 1 is malformed")
case(
    "`bag-info.txt` is spaced otherwise, in 1.0",
    WARNING,
    bag(bag__info_txt=b"A : b\n"),
    "lines are not written as BagIt 1.0",
)
case("`bag-info.txt` is spaced otherwise, before 1.0", VALID, bag("0.97", bag__info_txt=b"A   :b\n"))
case(
    "`package-info.txt`, as it is called before 0.96, has a wrong `Payload-Oxum`",
    WRONG,
    bag("0.95", package__info_txt=b"Payload-Oxum: 1.1\n"),
    "package-info.txt: its Payload-Oxum",
)

HOLE: Final = line("data/hole", b"12345")
URL: Final = b"https://example.org/hole"
row = "a missing file is listed by a manifest and by `fetch.txt`"
case(
    row,
    WRONG,
    with_files(listing(LINES + HOLE), {"fetch.txt": URL + b" 5 data/hole\n"}),
    "data/hole: it is to be fetched from https://example.org/hole (fetch.txt)",
)
case("`fetch.txt` lists a file that is there", VALID, with_files(bag(), {"fetch.txt": URL + b" 5 data/a.txt\n"}))
case(
    "`fetch.txt` lists a file that no manifest lists",
    WRONG,
    with_files(bag(), {"fetch.txt": URL + b" - data/hole\n"}),
    "no payload manifest lists it",
)
partly = with_files(
    listing(LINES + HOLE), {"manifest-md5.txt": manifest(PAYLOAD, "md5"), "fetch.txt": URL + b" - data/hole\n"}
)
case(
    "`fetch.txt` lists one that a payload manifest leaves out, in 1.0",
    WRONG,
    partly,
    "but manifest-md5.txt does not list it",
)
for outside in (b"../x", b"bag-info.txt", b"/etc/passwd", b"data/../../x", b"~/x"):
    case(
        "`fetch.txt` lists a tag file or a path outside of the bag",
        WRONG,
        with_files(bag(), {"fetch.txt": URL + b" - " + outside + b"\n"}),
        "fetch.txt: line 1",
    )
case(
    "a path in `fetch.txt` begins with `/` and means the bag's folder, before 1.0",
    WARNING,
    with_files(bag("0.97"), {"fetch.txt": URL + b" 5 /data/a.txt\n"}),
    'begin with "/"',
)
for bad in (b"data/a.txt\n", b"hole 5 data/a.txt\n", URL + b" x data/a.txt\n", URL + b" -5 data/a.txt\n"):
    case(
        "a line of `fetch.txt` is malformed, or its URL is not absolute",
        WRONG,
        with_files(bag(), {"fetch.txt": bad}),
        "line 1 is malformed",
    )
case(
    "`fetch.txt` gives another length than the file's",
    WARNING,
    with_files(bag(), {"fetch.txt": URL + b" 7 data/a.txt\n"}),
    "gives it 7 bytes, but it has 5",
)


def item_rows(*rows: dict[str, object]) -> bytes:
    """Return an items.parquet of these rows."""
    table = pa.Table.from_pylist([{"item_id": "1", "outcome": "delivered", **row} for row in rows], schema=ITEMS)
    pq.write_table(table, file := io.BytesIO())
    return file.getvalue()


row = "`items.parquet` has the columns of prefect-collect, and does not agree with the payload"
for rows_of, words in (
    ({"path": "data/a.txt"}, "data/a.txt: items.parquet and manifest-sha256.txt do not agree"),
    ({"path": "data/other"}, "data/other: it is missing; items.parquet lists it"),
    ({"path": None}, "items.parquet: it lists the item '1' as delivered, but without a path"),
):
    case(row, WARNING, with_files(bag(), {"items.parquet": item_rows(rows_of), "None": b"a file of that name"}), words)
case("there is no `bagit.txt`", WRONG, {**bag(bagit_txt=None), "BAGIT.TXT": b""}, "BAGIT.TXT exists, which differs in")
case("there is no `bagit.txt`", WRONG, {"data/a": b""}, "this is not a bag")
case("there is no folder `data`", WRONG, bag("1.0", {}), "the payload folder is missing")
case(
    "files that macOS's archiver puts into `__MACOSX`",
    WARNING,
    {**bag(), "../__MACOSX/bag/._a": b""},
    "no part of it",
    zipped=True,
)
case(
    "other files beside the bag's folder in a ZIP file",
    WRONG,
    {**bag(), "../other.txt": b""},
    "outside of the bag's folder",
    zipped=True,
)
both = {"data/a": b"", "data/A": b""}
case(
    "files whose names differ only in case or Unicode form",
    WARNING,
    bag("1.0", both),
    "differ only in upper and lower case",
)
forms = {accented: b"", unicodedata.normalize("NFD", accented): b""}
case("files whose names differ only in case or Unicode form", WARNING, bag("1.0", forms), "only in their Unicode form")
case(
    "`.DS_Store`, `Thumbs.db` and the like in the payload",
    WARNING,
    bag("1.0", {"data/.DS_Store": b""}),
    "systems make by themselves",
)


@made("a symbolic link, pipe, socket or device", WRONG, "a symbolic link")
def _link(path: Path) -> Path:
    root = as_folder(bag(), path / "bag")
    (root / "data/link").symlink_to("/etc/passwd")
    return root


@made("a symbolic link, pipe, socket or device", WRONG, "a pipe")
def _pipe(path: Path) -> Path:
    root = as_folder(bag(), path / "bag")
    (root / "data/a.txt").unlink()
    os.mkfifo(root / "data/a.txt")
    return root


def moded(path: Path, mode: int) -> Path:
    """Return a ZIP file with an entry of that mode."""
    as_zip(bag(), path / "bag.zip")
    with zipfile.ZipFile(path / "bag.zip", "a") as archive:
        for info in archive.infolist():
            if info.filename == "bag/data/a.txt":
                info.external_attr = mode << 16
        archive.writestr("bag/folder/", b"")
    return path / "bag.zip"


CASES += [
    Case("a symbolic link, pipe, socket or device", WRONG, lambda path, mode=kind: moded(path, mode | 0o644), "it is a")  # type: ignore[misc]
    for kind in (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK)
]
row = "an entry asks for set-user-ID, set-group-ID or sticky rights"
CASES.append(Case(row, WARNING, lambda path: moded(path, stat.S_IFREG | 0o4755), "set-user-ID"))
row = "compressed with Deflate, bzip2 or LZMA"
for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_STORED):
    large = bag("1.0", {"data/a": os.urandom(100) * 30_000})
    CASES.append(Case(row, VALID, lambda path, m=method, files=large: as_zip(files, path / "bag.zip", m)))  # type: ignore[misc]


def patched(path: Path, change: Callable[[bytearray], bytes | bytearray]) -> Path:
    """Return a stored ZIP file whose bytes were changed."""
    file = as_zip(bag(), path / "bag.zip", zipfile.ZIP_STORED)
    file.write_bytes(change(bytearray(file.read_bytes())))
    return file


def record(data: bytearray, name: bytes) -> int:
    """Return the offset of an entry's central record."""
    return data.rindex(name) - 46


@made(
    "compressed in another way, or encrypted",
    WRONG,
    "data/a.txt: its compression method 93 (Zstandard) is not supported",
)
def _zstandard(path: Path) -> Path:
    def change(data: bytearray) -> bytearray:
        at = record(data, b"bag/data/a.txt") + 10
        data[at : at + 2] = (93).to_bytes(2, "little")
        return data

    return patched(path, change)


@made("compressed in another way, or encrypted", WRONG, "data/a.txt: it is encrypted")
def _encrypted(path: Path) -> Path:
    def change(data: bytearray) -> bytearray:
        data[record(data, b"bag/data/a.txt") + 8] |= 1
        return data

    return patched(path, change)


@made("entries share bytes, as in a ZIP bomb", WRONG, "belong to another entry")
def _overlapping(path: Path) -> Path:
    def change(data: bytearray) -> bytearray:
        one, other = record(data, b"bag/bagit.txt"), record(data, b"bag/data/a.txt")
        data[other + 42 : other + 46] = data[one + 42 : one + 46]
        return data

    return patched(path, change)


@made("a local header and the central directory do not agree", WRONG, "names another file: bag/data/z.txt")
def _other_name(path: Path) -> Path:
    def change(data: bytearray) -> bytearray:
        at = data.index(b"bag/data/a.txt")
        data[at + 9] = ord("z")
        return data

    return patched(path, change)


@made("a local header and the central directory do not agree", WRONG, "do not agree on its size or CRC-32")
def _other_crc(path: Path) -> Path:
    def change(data: bytearray) -> bytearray:
        data[data.index(b"bag/data/a.txt") - 16] ^= 1
        return data

    return patched(path, change)


@made("a size or place that is beyond the file (ZIP64's 2⁶⁴-1)", WRONG, "a size or a place that it cannot have")
def _endless(path: Path) -> Path:
    def change(data: bytearray) -> bytearray:
        at = record(data, b"bag/data/a.txt")
        data[at + 20 : at + 28] = b"\xff" * 8
        extra = b"\x01\x00\x10\x00" + b"\xff" * 16
        data[at + 30 : at + 32] = len(extra).to_bytes(2, "little")
        end = at + 46 + len("bag/data/a.txt")
        data[end:end] = extra
        size = data.rindex(b"PK\x05\x06") + 12
        data[size : size + 4] = (int.from_bytes(data[size : size + 4], "little") + len(extra)).to_bytes(4, "little")
        return data

    return patched(path, change)


@made("bytes before the first entry that its place counts, as in a self-extracting file", VALID)
def _self_extracting(path: Path) -> Path:
    with (path / "bag.exe").open("wb") as file:
        file.write(b"MZ" + bytes(500))
        with zipfile.ZipFile(file, "a") as archive:
            for name, content in bag().items():
                archive.writestr(f"bag/{name}", content)
    return path / "bag.exe"


@made("bytes before the first entry that its place does not count", WRONG, "4 bytes were added before it")
def _prefixed(path: Path) -> Path:
    return patched(path, lambda data: b"more" + data)


@made("backslashes instead of slashes in all names", WRONG, "bag\\bagit.txt exists, with")
def _backslashes(path: Path) -> Path:
    with zipfile.ZipFile(path / "bag.zip", "w") as archive:
        for name, content in bag().items():
            archive.writestr(f"bag\\{name}".replace("/", "\\"), content)
    return path / "bag.zip"


def written(path: Path, data: bytes) -> Path:
    """Return a file of these bytes."""
    (path / "bag.zip").write_bytes(data)
    return path / "bag.zip"


row = "another kind of archive (tar, gzip, 7z, …)"
CASES += [
    Case(row, WRONG, lambda path, data=mark: written(path, data), said)  # type: ignore[misc]
    for mark, said in (
        (b"\x1f\x8b", "it is a gzip archive"),
        (b"7z\xbc\xaf\x27\x1c", "it is a 7z archive"),
        (bytes(257) + b"ustar", "it is a tar archive"),
        (b"", "it is an empty file"),
    )
]


def renamed(path: Path, name: str, raw: bytes, other: str = "") -> Path:
    """Return a ZIP file whose record names the file `name` by `raw`, and a Unicode Path extra field by `other`."""
    with zipfile.ZipFile(path / "bag.zip", "w") as archive:
        for each, content in bag("1.0", {name: b"x"}).items():
            info = zipfile.ZipInfo(f"bag/{each}" if each != name else "z" * len(raw))
            if other and each == name:
                data = b"\x01" + zlib.crc32(raw).to_bytes(4, "little") + other.encode()
                info.extra = b"up" + len(data).to_bytes(2, "little") + data
            archive.writestr(info, content)
    file = path / "bag.zip"
    file.write_bytes(file.read_bytes().replace(b"z" * len(raw), raw))
    return file


row = "names that are no UTF-8: a Unicode Path extra field is there, or they are in code page 437"
CASES += [
    Case(row, VALID, lambda path: renamed(path, "data/ø.txt", "bag/data/ø.txt".encode("cp850"), "bag/data/ø.txt")),
    Case(row, VALID, lambda path: renamed(path, "data/ü.txt", "bag/data/ü.txt".encode("cp437"))),
    Case(
        "names that are no UTF-8, in another code page",
        WRONG,
        lambda path: renamed(path, "data/ø.txt", "bag/data/ø.txt".encode("cp850")),
        "1 entries are no UTF-8 and were read as code page 437",
    ),
]


row = "an entry to which a Unicode Path extra field gives another name than its record"
CASES += [
    Case(
        row, WRONG, lambda path: renamed(path, "data/a.txt", b"bag/data/a.txt", "../evil.txt"), "gives it another name"
    ),
    Case(
        row,
        WRONG,
        lambda path: renamed(path, "data/a.txt", b"../ev\xe9l", "bag/data/a.txt"),
        "without Unicode Path fields its name",
    ),
]


@made("bytes after the end, or two ends that fit", WRONG, "4 bytes follow")
def _trailing(path: Path) -> Path:
    return patched(path, lambda data: data + b"more")


@made("bytes after the end, or two ends that fit", WRONG, "2 end records fit")
def _two_ends(path: Path) -> Path:
    def change(data: bytearray) -> bytearray:
        end = bytes(data[-22:])
        return data[:-2] + len(end).to_bytes(2, "little") + end

    return patched(path, change)


@made("two entries have one name", WRONG, "data/a.txt: two entries have this name")
def _twice(path: Path) -> Path:
    as_zip(bag(), path / "bag.zip")
    with zipfile.ZipFile(path / "bag.zip", "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("bag/data/a.txt", b"other")
    return path / "bag.zip"


for bad in ("../../x", "bag/data/../../x", "/x", "C:/x", "bag//x", "bag/./x"):
    name = bad if bad.startswith("bag") else f"../{bad}"
    name = name.removeprefix("bag/")
    case(
        "an entry's name leads outside, or has empty or `.` parts", WRONG, {**bag(), name: b""}, "its name", zipped=True
    )
slashed = {"data/a\\b": b""}
case("a name has a backslash", WARNING, bag("1.0", slashed), "which Windows reads")


def rows() -> dict[str, str]:
    """Return the rows of the page and their verdicts; a row that refers to the one above is named after both."""
    found: dict[str, str] = {}
    for text in PAGE.read_text().splitlines():
        cells = re.fullmatch(r"\| (.+) \| (valid|valid, with a warning|not valid) \| .+ \|", text)
        if cells:
            found[cells[1]] = cells[2] if cells[1] not in found else f"{found[cells[1]]}/{cells[2]}"
    return found


def test_each_row_of_the_page_has_a_case_and_each_case_a_row() -> None:
    """The page's table and its verdicts cannot differ from what is tested."""
    tested: dict[str, set[str]] = {}
    for each in CASES:
        tested.setdefault(each.row, set()).add(each.verdict)
    assert {row: set(verdict.split("/")) for row, verdict in rows().items()} == tested


def verdict_of(found: Verification) -> str:
    """Return the verdict in the words of the page."""
    return WRONG if not found.valid else WARNING if found.warnings else VALID


@pytest.mark.parametrize("each", CASES, ids=lambda each: f"{each.row[:60]}-{each.words[:20]}")
def test_a_bag_is_judged_as_the_page_says(each: Case, tmp_path: Path) -> None:
    """The verdict is that of the table, and a reason names the cause."""
    found = verify(each.make(tmp_path))
    said = "\n".join(map(str, found.problems if each.verdict == WRONG else found.warnings))
    assert verdict_of(found) == each.verdict, said
    assert each.words in said


@dataclass
class _Leaving(MemoryStore):
    """A store whose blob was removed after it was listed."""

    lost: str = ""

    def read(self, key: str, start: int, end: int) -> bytes:
        """Return the bytes."""
        if key == self.lost:
            raise KeyMissing(f"There is no such blob. [{key}]")
        return super().read(key, start, end)


@pytest.mark.parametrize("lost", ["manifest-sha512.txt", "fetch.txt", "bag-info.txt", "bagit.txt", ""])
def test_a_tag_file_that_cannot_be_read_is_told_though_no_tag_manifest_lists_it(lost: str) -> None:
    """A lost tag file is not taken for an empty one: it could have named a problem."""
    more = {
        "manifest-sha512.txt": manifest(PAYLOAD, "sha512"),
        "fetch.txt": URL + b" - data/a.txt\n",
        "bag-info.txt": OXUM,
    }
    files = {f"bag/{name}": content for name, content in {**bag(tagged=False), **more}.items()}
    found = verify("bag", store=_Leaving(files, lost=f"bag/{lost}"))
    assert [problem.path for problem in found.problems if "it was not read" in problem.what] == ([lost] if lost else [])
