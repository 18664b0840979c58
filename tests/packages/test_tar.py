"""Bags as TAR files: read by every program, always the same bytes, replaced only by their own job, and verified."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bagit
import pyarrow as pa
import pytest

from prefect_collect.archive.problems import Problems
from prefect_collect.archive.tar import BLOCK, END, FOLDER, end_after, header_of, padding
from prefect_collect.archive.tar_entries import TarReader
from prefect_collect.archive.zstd_frames import MAGIC
from prefect_collect.codes import Failure
from prefect_collect.errors import CorruptSegment, JobCanceled, PackageError, PackageExists
from prefect_collect.packages import Built, Owner, PackagePlace, fetch_package, require_fingerprint, verify
from prefect_collect.packages.bags.tar import build_tar, build_tar_zst
from prefect_collect.packages.contents.bytes import LocalBytes
from prefect_collect.stores import DirectoryStore
from prefect_collect.threads.stop import Stop

ODD = {
    "plain.txt": b"plain" * 10,
    "new\nline.txt": b"1",
    "=cmd": b"3",
    "日本語/é.txt": b"6",
    "x" * 255: b"7",
    "/".join(["folder" * 10] * 4 + ["ü"]): b"8",
    "/".join(["folder" * 10] * 2 + ["name"]): b"9",
    "block": b"b" * BLOCK,
    "empty": b"",
}
ME = Owner("my-job")


def make(
    staging: Any, exports: DirectoryStore, key: str = "out.tar", owner: Owner = ME, *, replace: bool = False, **how: Any
) -> Built:
    """Check and build a TAR file, compressed if its key says so."""
    changes = {name: how.pop(name) for name in ("sha512", "info") if name in how}
    build = build_tar_zst if key.endswith(".zst") else build_tar
    given = staging.input(staging.check(**changes), staging.spec(**changes))
    return build(given, PackagePlace(exports, key, owner, replace), **how)


@pytest.mark.parametrize("key", ["out.tar", "out.tar.zst"])
def test_every_program_reads_it(staging: Any, exports: DirectoryStore, tmp_path: Path, key: str) -> None:
    """GNU tar (with zstd) and Python unpack every item under its name, and bagit finds the unpacked bag valid."""
    staging.stage(ODD)
    staging.stage({"deflated": b"again and again " * 9999}, deflate=True)
    staging.lose("gone")
    built = make(staging, exports, key, sha512=True)
    path = exports.locate(key)
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-xf", path, "-C", tmp_path / "out"], check=True)
    for name, data in (ODD | {"deflated": b"again and again " * 9999}).items():
        file = tmp_path / "out/docs/data" / name
        assert file.read_bytes() == data
        assert file.stat().st_mtime == 1714979290
    plain = pa.CompressedInputStream(path, "zstd").read() if key.endswith(".zst") else Path(path).read_bytes()
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        names = archive.getnames()
    assert names[0] == "docs/tagmanifest-sha256.txt"
    assert [name.removeprefix("docs/data/") for name in names[-len(ODD) - 1 :]] == [*ODD, "deflated"]
    assert bagit.Bag(str(tmp_path / "out/docs")).validate(processes=1)
    found = verify(path)
    assert (found.problems, found.warnings, found.fingerprint) == ([], [], built.fingerprint)
    assert (found.items, found.not_delivered) == (len(ODD) + 1, 1)


def test_the_same_items_give_the_same_bytes(staging: Any, exports: DirectoryStore) -> None:
    """Both forms are made again byte for byte; the compressed one holds exactly the other, as zstd says too."""
    staging.stage({"a": b"a" * 700, "b": b"b" * 3_000_000})
    for key in ("one.tar", "two.tar", "one.tar.zst", "two.tar.zst"):
        make(staging, exports, key)
    one, two = (exports.read(f"{name}.tar") for name in ("one", "two"))
    assert one == two
    assert exports.read("one.tar.zst") == exports.read("two.tar.zst")
    plain = subprocess.run(["zstd", "-dc", exports.locate("one.tar.zst")], capture_output=True, check=True).stdout
    assert plain == one
    assert len(one) % (20 * BLOCK) == 0


@pytest.mark.parametrize("key", ["out.tar", "out.tar.zst"])
def test_what_may_be_replaced(staging: Any, exports: DirectoryStore, key: str) -> None:
    """A retry keeps the identical file, replaces what its job delivered, and touches nothing else."""
    staging.stage({"a": b"alpha", "b": b"beta"})
    first = make(staging, exports, key, replace=True)
    again = make(staging, exports, key, replace=True)
    assert (again.fingerprint, again.blob.size) == (first.fingerprint, first.blob.size)
    whole = exports.read(key)
    staging.stage({"c": b"gamma"})
    with pytest.raises(PackageExists):
        make(staging, exports, key, replace=True)
    second = make(staging, exports, key, replace=True, owner=Owner("my-job", frozenset({first.fingerprint})))
    assert second.fingerprint != first.fingerprint
    assert verify(exports.locate(key)).items == 3
    Path(exports.locate(key)).write_bytes(whole + b"more that others wrote")
    for owner in (ME, Owner("my-job", frozenset({first.fingerprint}))):
        with pytest.raises(PackageExists):
            make(staging, exports, key, replace=True, owner=owner)
    with pytest.raises(PackageExists):
        make(staging, exports, key)


@pytest.mark.parametrize("key", ["docs.tar", "docs.tar.zst"])
def test_a_copy_is_known_by_its_fingerprint(staging: Any, exports: DirectoryStore, tmp_path: Path, key: str) -> None:
    """A package is copied if it has its fingerprint, and refused if it is another one, or cut off in its list."""
    staging.stage({"a": b"alpha"})
    built = make(staging, exports, key)
    format = "bagit-tar-zst" if key.endswith(".zst") else "bagit-tar"
    require_fingerprint(exports, key, "docs", built.fingerprint, format)
    copy = fetch_package(exports, key, tmp_path / "copy", "docs", built.fingerprint, format)
    assert copy.read_bytes() == exports.read(key)
    with pytest.raises(PackageError, match="fingerprint differs"):
        require_fingerprint(exports, key, "docs", "00" * 32, format)
    Path(exports.locate(key)).write_bytes(exports.read(key)[:600])
    with pytest.raises(PackageError, match="fingerprint differs"):
        require_fingerprint(exports, key, "docs", built.fingerprint, format)


@pytest.mark.parametrize("key", ["out.tar", "out.tar.zst"])
def test_a_cancel_or_a_lost_segment_leaves_nothing(staging: Any, exports: DirectoryStore, key: str) -> None:
    """A job that is canceled, or whose segment is lost after it was checked, leaves no file."""
    staging.stage({"a": b"a" * 100_000})
    stop = Stop()
    stop.set(Failure("canceled", "by the test"))
    with pytest.raises(JobCanceled):
        make(staging, exports, key, stop=stop)
    checked = staging.check()
    for segment in staging.store.root.rglob("*.zip"):
        segment.unlink()
    build = build_tar_zst if key.endswith(".zst") else build_tar
    with pytest.raises(CorruptSegment):
        build(staging.input(checked), PackagePlace(exports, key))
    assert [*exports.list()] == []


def foreign(*entries: tuple[str, bytes], end: bytes = END, kind: bytes | None = None) -> bytes:
    """Return a bag of another tool as a TAR file, with further entries; a `kind` is given to the last one."""
    manifest = hashlib.sha256(b"x").hexdigest().encode() + b"  data/x\n"
    files = [
        ("bag/bagit.txt", b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"),
        ("bag/manifest-sha256.txt", manifest), ("bag/data/x", b"x"), *entries,
    ]  # fmt: skip
    made = [header_of(name, len(data), 0) + data + padding(len(data)) for name, data in files]
    if kind is not None:
        made[-1] = kinded(header_of(entries[-1][0], len(entries[-1][1]), 0, kind)) + made[-1][BLOCK:]
    return b"".join(made) + end


def kinded(block: bytes, at: int = 0, data: bytes = b"") -> bytes:
    """Return a header with other bytes at that place, and the checksum of them."""
    block = block[:at] + data + block[at + len(data) :]
    return block[:148] + b"%06o\0 " % sum(block[:148] + b" " * 8 + block[156:]) + block[156:]


def pax(records: bytes, kind: bytes = b"x") -> bytes:
    """Return an extended header."""
    return header_of("PaxHeaders/x", len(records), 0, kind) + records + padding(len(records))


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "hard link": (lambda: foreign(("bag/data/l", b""), kind=b"1"), "it is a hard link"),
    "symbolic link": (lambda: foreign(("bag/data/l", b""), kind=b"2"), "it is a symbolic link"),
    "device": (lambda: foreign(("bag/data/l", b""), kind=b"3"), "it is a device"),
    "pipe": (lambda: foreign(("bag/data/l", b""), kind=b"6"), "it is a pipe"),
    "sparse": (lambda: foreign(("bag/data/l", b"l"), kind=b"S"), "it is a sparse file"),
    "link with bytes": (lambda: foreign(("bag/data/l", b"l"), kind=b"1"), "its type does not have"),
    "absolute": (lambda: foreign(("/etc/passwd", b"")), "could lead outside"),
    "upwards": (lambda: foreign(("bag/data/../../../x", b"")), "could lead outside"),
    "twice": (lambda: foreign(("bag/data/x", b"x")), "two entries have this name"),
    "beside": (lambda: foreign(("other", b"")), "it is outside of the bag's folder"),
    "cut": (lambda: foreign(("bag/long", b"l" * 5000))[:-4000], "it was cut off"),
    "cut header": (lambda: foreign(("bag/e", b""), end=b"")[:-100], "it was cut off"),
    "after the end": (lambda: foreign() + foreign(), "bytes after the end of the archive"),
    "endless end": (lambda: foreign() + bytes(2 << 20), "bytes after the end of the archive"),
    "no header": (lambda: foreign(end=b"no header" * 200), "there is no header"),
    "two names": (lambda: foreign(end=pax(b"11 path=aa\n11 path=bb\n") + foreign()), "path more than once"),
    "name of all": (lambda: foreign(end=pax(b"11 path=aa\n", b"g") + foreign()), "one path for all entries"),
    "pax sparse": (
        lambda: foreign(end=pax(b"22 GNU.sparse.major=1\n") + header_of("bag/s", 0, 0) + END), "it is a sparse file",
    ),
    "pax bomb": (lambda: foreign(end=pax(b"1" * (2 << 20)) + END), "more than any has"),
    "pax of pax": (lambda: foreign(end=pax(b"11 path=aa\n") * 3000), "more than any has"),
    "odd pax": (lambda: foreign(end=pax(b"99 path=aa\n") + END), "a pax header is malformed"),
    "odd size": (lambda: foreign(end=pax(b"11 size=-1\n") + header_of("b", 0, 0)), "size that is no number"),
    "large size": (
        lambda: foreign(end=kinded(header_of("bag/l", 0, 0), 124, b"\x80" + b"\xff" * 11)), "an impossible size",
    ),
    "negative size": (
        lambda: foreign(end=kinded(header_of("bag/l", 0, 0), 124, b"\xff" * 12)), "an impossible size",
    ),
    "a file with a folder's name": (lambda: foreign(("bag/data/f/", b"")), "by its type it is a file"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tar_files(name: str, tmp_path: Path) -> None:
    """What no package may have is a problem, in words, plain and compressed, and nothing is unpacked or followed."""
    made, expected = HOSTILE[name]
    for file, data in (("a.tar", made()), ("a.tar.zst", pa.compress(made(), "zstd", asbytes=True))):
        (tmp_path / file).write_bytes(data)
        found = verify(tmp_path / file)
        assert expected in "; ".join(map(str, found.problems)), found.problems
    assert len([*tmp_path.iterdir()]) == 2


@pytest.mark.parametrize("form", ["--format=gnu", "--format=ustar", "--format=pax", "--format=v7", "-b 100"])
def test_bags_that_others_packed(form: str, staging: Any, exports: DirectoryStore, tmp_path: Path) -> None:
    """A bag that GNU tar packed in any of its forms is valid, and what else there is said of it is a warning."""
    staging.stage({"a": b"alpha", ("n" * 60 + "/") * (1 if "v7" in form else 3) + "b": b"beta"})
    staging.directory(exports, "docs")
    agent = exports.root / "docs/bag-info.txt"
    agent.write_bytes(agent.read_bytes().replace(b"prefect-collect ", b"another tool "))
    for tags in exports.root.glob("docs/tagmanifest-*"):
        tags.unlink()
    packed = tmp_path / "a.tar"
    subprocess.run(["tar", *form.split(), "-C", exports.root, "-cf", packed, "./docs"], check=True)
    assert verify(packed).problems == []
    assert verify(packed).items == 2
    subprocess.run(["zstd", "-q", packed], check=True)
    assert verify(f"{packed}.zst").problems == []


@pytest.mark.parametrize("key", ["out.tar", "out.tar.zst"])
def test_ours_must_be_as_it_was_written(staging: Any, exports: DirectoryStore, key: str) -> None:
    """Bytes in the padding, other rights, a longer end, a changed item and a further frame make it invalid."""
    staging.stage({"a": b"alpha"})
    make(staging, exports, key)
    path = Path(exports.locate(key))
    whole = path.read_bytes()
    plain = pa.CompressedInputStream(pa.BufferReader(whole), "zstd").read() if key.endswith("zst") else whole
    at = plain.index(b"docs/data/a\0")
    changes = [
        plain[: at + 2 * BLOCK - 1] + b"!" + plain[at + 2 * BLOCK :],
        plain[:at] + kinded(plain[at : at + BLOCK], 100, b"0000777") + plain[at + BLOCK :],
        plain + bytes(20 * BLOCK),
        plain[: -20 * BLOCK] + plain[-20 * BLOCK :].rstrip(b"\0"),
        plain[: at + BLOCK] + b"Alpha" + plain[at + BLOCK + 5 :],
    ]
    files = [pa.compress(one, "zstd", asbytes=True) if key.endswith("zst") else one for one in changes]
    if key.endswith("zst"):
        files += [whole + b"\x50\x2a\x4d\x18\4\0\0\0hide", whole[:-7], whole + MAGIC]
    for number, data in enumerate(files):
        path.write_bytes(data)
        assert not verify(path).valid, number
    path.write_bytes(whole)
    assert verify(path).valid


def test_entries_of_any_size(tmp_path: Path) -> None:
    """An entry of 9 GiB states its size in a pax record, and GNU tar, Python and verify find the entry after it."""
    size = 9 << 30
    first, second = header_of("large", size, 0), header_of("f/", 0, 0, FOLDER)
    path = tmp_path / "large.tar"
    with open(path, "wb") as file:
        file.write(first)
        file.seek(len(first) + size)
        file.write(second + end_after(len(first) + size + len(second)))
    with tarfile.open(path) as archive:
        assert [(one.name, one.size) for one in archive] == [("large", size), ("f", 0)]
    listed = subprocess.run(["tar", "-tvf", path], capture_output=True, text=True, check=True).stdout
    assert str(size) in listed
    source, problems = LocalBytes(path), Problems()
    found = [*TarReader(source, problems, problems, problems).entries()]
    source.close()
    assert [(one.name, one.size, one.is_folder) for one in found] == [("large", size, False), ("f/", 0, True)]
    assert problems.kept == []
