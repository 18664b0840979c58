"""Small packages that expand to much more: run as a program, it verifies each and prints the outcome.

    python hostile_bags.py FOLDER

One line of JSON for each: its name, whether it is valid, the first problems, and the most memory (MiB) that the
process has had so far.
"""

from __future__ import annotations

import json
import resource
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from prefect_collect.archive.zip64 import central_record_at, end_of_directory, local_header_at
from prefect_collect.packages import verify
from prefect_collect.packages.bags.tag_files import ITEMS
from tests.packages.foreign_bags import as_zip, bag, declared, line

MIB = 1 << 20
CPU_SECONDS = 200


def dictionary(folder: Path) -> Path:
    """Return an item list of kilobytes that has one text of 1 MiB in each of 8,000 rows."""
    size = 8000
    columns: dict[str, pa.Array] = {}
    text = pa.DictionaryArray.from_arrays(pa.array([0] * size, pa.int32()), pa.array(["x" * MIB]))
    for field in ITEMS:
        if field.name == "path":
            columns[field.name] = text
        elif pa.types.is_string(field.type):
            columns[field.name] = pa.DictionaryArray.from_arrays(pa.array([0] * size, pa.int32()), pa.array(["x"]))
        else:
            columns[field.name] = pa.nulls(size, field.type)
    table = pa.table(columns)
    fields = [pa.field(f.name, table.schema.field(f.name).type, f.nullable) for f in ITEMS]
    pq.write_table(table.cast(pa.schema(fields)), folder / "items", compression="zstd", store_schema=False)
    info = b"Bag-Software-Agent: prefect-collect 1\n"
    files = bag(bag__info_txt=info) | {"items.parquet": (folder / "items").read_bytes()}
    return as_zip(files, folder / "dictionary.zip")


def long_line(folder: Path) -> Path:
    """Return a manifest of one line of 64 MiB."""
    return as_zip(bag(manifest__sha256_txt=b"a" * (64 * MIB), tagged=False), folder / "line.zip")


def folded(folder: Path) -> Path:
    """Return a bag-info.txt of one value that continues over a million lines."""
    return as_zip(
        bag(bag__info_txt=b"Bag-Software-Agent: x\n" + b" yz\n" * 1_000_000, tagged=False), folder / "folded.zip"
    )


def held_back(folder: Path) -> Path:
    """Return a bag-info.txt in UTF-7, whose decoder holds back all of one run in Base64."""
    text = b"A: +" + b"AGEA" * (8 * MIB)
    return as_zip(bag(bagit_txt=declared("1.0", "UTF-7"), bag__info_txt=text, tagged=False), folder / "utf7.zip")


def many_missing(folder: Path) -> Path:
    """Return a manifest of 20,000 missing files with long names."""
    text = b"".join(line(f"data/{number}{'x' * 1500}", b"") for number in range(20_000))
    return as_zip(bag(manifest__sha256_txt=text, tagged=False), folder / "missing.zip")


def long_url(folder: Path) -> Path:
    """Return a fetch.txt with a URL of 32 MiB."""
    return as_zip(bag(fetch_txt=b"https://" + b"x" * (32 * MIB) + b" - data/a\n", tagged=False), folder / "url.zip")


def long_names(folder: Path) -> Path:
    """Return a central directory of 2,000 names of 20,000 bytes, for entries that do not exist."""
    names = [b"items.csv", *(b"%05d" % number + b"n" * 20_000 for number in range(1, 2_000))]
    records = [central_record_at(name, 0, 0, 0, 0, 0) for name in names]
    with open(folder / "names.zip", "wb") as file:
        for record in records:
            file.write(record)
        file.write(end_of_directory(len(records), sum(map(len, records)), 0))
    return folder / "names.zip"


def marks(folder: Path) -> Path:
    """Return names of combining marks, which Unicode orders in squared time."""
    name = "data/a" + "\u0301\u0327" * 10_000
    return as_zip(bag("1.0", {f"{name}{number}": b"" for number in range(50)}), folder / "marks.zip")


def bomb(folder: Path) -> Path:
    """Return 2,000 entries that share the bytes of one, which inflates to 256 MiB."""
    packer = zlib.compressobj(9, wbits=-15)
    data = b"".join([packer.compress(bytes(MIB)) for _ in range(256)]) + packer.flush()
    crc = 0
    for _ in range(256):
        crc = zlib.crc32(bytes(MIB), crc)
    files = bag("1.0", {})
    as_zip(files, folder / "bomb.zip")
    with zipfile.ZipFile(folder / "bomb.zip") as archive:
        start = archive.start_dir
    body = (folder / "bomb.zip").read_bytes()[:start]
    names = [b"bag/data/%04d" % number for number in range(2000)]
    local = local_header_at(names[0], crc, 256 << 20, len(data), 0, True)
    with zipfile.ZipFile(folder / "bomb.zip") as archive:
        records = [
            central_record_at(i.filename.encode(), i.CRC, i.file_size, i.compress_size, i.header_offset, 0, True)
            for i in archive.infolist()
        ]
    records += [central_record_at(name, crc, 256 << 20, len(data), start, 0, True) for name in names]
    directory = b"".join(records)
    at = start + len(local) + len(data)
    (folder / "bomb.zip").write_bytes(
        body + local + data + directory + end_of_directory(len(records), len(directory), at)
    )
    return folder / "bomb.zip"


def dictionary_of_lzma(folder: Path) -> Path:
    """Return an entry whose LZMA states that it needs 4 GiB."""
    file = as_zip(bag(), folder / "lzma.zip", zipfile.ZIP_LZMA)
    data = bytearray(file.read_bytes())
    at = data.index(b"bag/data/a.txt") + len("bag/data/a.txt") + 5
    struct.pack_into("<L", data, at, 0xFFFFFFFF)
    file.write_bytes(data)
    return file


def deep(folder: Path) -> Path:
    """Return a file 10,000 folders deep."""
    return as_zip(bag("1.0", {"data/" + "d/" * 10_000 + "f": b""}), folder / "deep.zip")


def many_manifests(folder: Path) -> Path:
    """Return 1,000 manifests, each of another algorithm."""
    files = bag(tagged=False) | {f"manifest-x{number}.txt": b"" for number in range(1000)}
    return as_zip(files, folder / "manifests.zip")


MAKERS: tuple[Callable[[Path], Path], ...] = (
    dictionary, long_line, folded, held_back, many_missing, long_url, long_names, marks, bomb, dictionary_of_lzma, deep,
    many_manifests,
)  # fmt: skip


def peak_mib() -> int:
    """Return the peak memory of this process, in MiB (`ru_maxrss` is at least what its parent used)."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) // 1024


def main(root: Path, what: str) -> None:
    """Make the packages, or verify them."""
    if what == "make":
        for make in MAKERS:
            make(root)
        return
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    for path in sorted(root.glob("*.zip")):
        found = verify(path, threads=8)
        told = [str(problem)[:300] for problem in found.problems[:3]]
        used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        print(
            json.dumps({"name": path.stem, "valid": found.valid, "problems": told, "mib": peak_mib(), "cpu": used}),
            flush=True,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
