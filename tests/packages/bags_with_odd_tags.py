"""Algorithms, tag manifests, `bag-info.txt`, `fetch.txt` and `items.parquet` of bags, and how they are judged."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from prefect_collect.packages.bags.tag_files import ITEMS
from tests.packages.foreign_bags import PAYLOAD, bag, declared, line, manifest, with_files
from tests.packages.judged_bags import HOLE, LINES, OXUM, URL, VALID, WARNING, WRONG, A, Cases, listing

CASES = Cases()
case, made = CASES.add, CASES.made

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


def item_rows(*rows: Mapping[str, object]) -> bytes:
    """Return an items.parquet of these rows."""
    table = pa.Table.from_pylist([{"item_id": "1", "outcome": "delivered", **row} for row in rows], schema=ITEMS)
    pq.write_table(table, file := io.BytesIO())
    return file.getvalue()


row = "`items.parquet` has the columns of prefect-collect, and does not agree with the payload"
odd_rows: tuple[tuple[dict[str, object], str], ...] = (
    ({"path": "data/a.txt"}, "data/a.txt: items.parquet and manifest-sha256.txt do not agree"),
    ({"path": "data/other"}, "data/other: it is missing; items.parquet lists it"),
    ({"path": None}, "items.parquet: it lists the item '1' as delivered, but without a path"),
)
for odd_row, words in odd_rows:
    case(row, WARNING, with_files(bag(), {"items.parquet": item_rows(odd_row), "None": b"a file of that name"}), words)
