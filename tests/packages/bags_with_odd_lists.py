"""How `bagit.txt` and payload manifests of other tools are written, and how that is judged."""

from __future__ import annotations

import hashlib
import unicodedata
from typing import Final

from tests.packages.foreign_bags import bag, declared, line, manifest, with_files
from tests.packages.judged_bags import LINES, VALID, WARNING, WRONG, A, Cases, listing

CASES = Cases()
case, made = CASES.add, CASES.made

BOM: Final = b"\xef\xbb\xbf"
SPACED: Final = b"BagIt-Version : 1.0\nTag-File-Character-Encoding : UTF-8\n"
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
    label = declared(version).replace(b"BagIt-Version", b"BagIt-version")  # as the example in section 4.1 does
    case(
        "`bagit.txt` writes its labels in other upper and lower case",
        WARNING,
        bag(bagit_txt=label),
        "in other upper and lower case",
    )
case("`bagit.txt` begins with a BOM", WRONG, bag(bagit_txt=BOM + declared()), "byte order mark")
case("the version is not 0.93 to 0.97 or 1.0", WRONG, bag("1.7"), "1.7 is not known")
case("the version is not 0.93 to 0.97 or 1.0", WRONG, bag("١.٠"), "does not declare a BagIt version")
for encoding in ("zlib", "bz2", "hex", "rot13", "punycode", "undefined", "unicode_escape", "no-such"):
    files = bag(bagit_txt=declared("1.0", encoding))
    case(
        "the encoding is no character set, or one that Python does not have", WRONG, files, "not a known character set"
    )
for encoding in ("UTF-16", "ISO-8859-1", "UTF-8"):
    payload = {"data/ü.txt": b"x"}
    files = bag("1.0", payload, bagit_txt=declared("1.0", encoding))
    files["manifest-sha256.txt"] = files["manifest-sha256.txt"].decode().encode(encoding)
    tags = {name: files[name] for name in ("bagit.txt", "manifest-sha256.txt")}
    files["tagmanifest-sha256.txt"] = manifest(tags).decode().encode(encoding)
    case("tag files are in the declared encoding (UTF-16, ISO-8859-1, …)", VALID, files)
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
