"""Every package format, of a folder, a mailbox and a database: time and memory, and the time of `7z`, `tar` or `cp`.

    apt-get install dovecot-imapd postgresql 7zip zstd
    python -m benchmarks.formats [ITEMS] [FOLDER]

Collects ITEMS (100,000) of a folder, of Dovecot and of PostgreSQL, and one file of 5 GiB and a byte, into FOLDER (by
default one in memory, which needs 12 GB). Then exports each in every format, and verifies the packages, each in a
process of its own, the latter by `prefect-collect verify`. Beside them the same files, as the package in a folder has
them, are packed by the tool that a user would take. Prints Markdown: times of the check and the build together, and the
peak memory beyond that of a process that does nothing (of `verify`, all memory of the command's processes); what makes
no sense is refused, with the words of the refusal.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.verified import run_verify
from prefect_collect.blocks import FileSource
from prefect_collect.errors import CollectError
from prefect_collect.formats import FORMATS, require_source
from prefect_collect.formats.bag_options import BagOptions
from prefect_collect.sources import Source
from prefect_collect.stores import DirectoryStore
from tests.integration.databases import postgres_database
from tests.integration.mail_server import dovecot
from tests.support.peak import measured
from tests.support.run_attempts import attempt, export, new_job

ITEMS: Final = 100_000
LARGE: Final = (5 << 30) + 1
_ODD: Final = (
    "a b %41 =.txt",
    "ü/日本語.txt",
    "line\nbreak",
    "=1+1.csv",
    "CON",
    "dot.",
    "x" * 200,
    "þ®\x14",
    "'\"`;$(x)",
)


@dataclass(frozen=True)
class Peer:
    """A tool that packs a folder; `command` takes the folder and the place of the package."""

    name: str
    command: Callable[[Path, Path], list[str]]


_ZIP: Final = Peer("7z -mx=0", lambda tree, out: ["7z", "a", "-bd", "-mx=0", "-tzip", f"{out}.zip", f"{tree}/."])
_TAR: Final = Peer("tar", lambda tree, out: ["tar", "-cf", f"{out}.tar", "-C", str(tree), "."])
_ZST: Final = Peer("tar --zstd", lambda tree, out: ["tar", "--zstd", "-cf", f"{out}.tar.zst", "-C", str(tree), "."])
_COPY: Final = Peer("cp -r", lambda tree, out: ["cp", "-r", str(tree), str(out)])


def peer_of(name: str) -> Peer:
    """Return the tool that makes the most similar package."""
    if FORMATS[name].is_folder and name != "bagit-group":  # type: ignore[index]
        return _COPY
    return {"bagit-tar": _TAR, "bagit-tar-zst": _ZST}.get(name, _ZIP)


def _answer(work: Callable[..., Any], say: Any, *given: Any) -> None:
    try:
        say.send(work(*given))
    except CollectError as error:
        say.send(str(error))


def apart(work: Callable[..., Any], *given: Any) -> Any:
    """Call a function of this module in a process of its own; return what it returns, or why it was refused."""
    context = multiprocessing.get_context("spawn")
    heard, say = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(work, say, *given))
    process.start()
    say.close()
    answer = heard.recv()
    process.join()
    return answer


def collected(source: Source, place: Path, count: int, kind: str) -> str:
    """Collect everything of a source; return the job's id."""
    job = new_job(DirectoryStore(place / "store"), source)
    with measured(f"{kind}: collect"):
        result = attempt(job, source, workers=2)
    counts = result.counts
    why = [(row["error_code"], row["message"]) for row in result.unsuccessful.to_arrow().slice(0, 3).to_pylist()]
    assert counts.succeeded == counts.found >= count, (counts, result.message, why)
    return job.job_id


def exported(place: Path, job_id: str, kind: str, format: Any) -> tuple[float, float, int]:
    """Export a collection; return seconds, of them CPU, and the peak memory in MiB."""
    from prefect_collect.job_folder.folder import JobFolder

    require_source(format, {"type": kind})
    collection = JobFolder(DirectoryStore(place / "store"), job_id)
    options: dict[str, Any] = {"bag": BagOptions(volume_bytes=1 << 30)} if format == "bagit-group" else {}
    with measured(f"{kind}, {format}: export") as taken:
        _, result = export(collection, DirectoryStore(place / "out" / format), format, **options)
    if not result.counts.succeeded:
        raise CollectError(result.unsuccessful.to_arrow()["message"][0].as_py())
    return taken.seconds, taken.cpu, taken.peak


def verified(package: str, count: int) -> tuple[float, float, int]:
    """Verify a package by the command; return seconds, of them CPU, and the peak memory of its processes in MiB."""
    taken, found = run_verify(package)
    print(f"  verify: {taken.seconds:.1f} s, CPU {taken.cpu:.1f} s, {taken.peak} MiB at the peak", flush=True)
    assert found["valid"], found["problems"][:3]
    assert found["items"] >= count, found["items"]
    return taken.seconds, taken.cpu, taken.peak


def packed(peer: Peer, tree: Path, out: Path) -> float:
    """Return the seconds that the tool takes to pack a folder."""
    began = time.perf_counter()
    subprocess.run(peer.command(tree, out), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def measure(source: Source, kind: str, place: Path, count: int, tree: Path | None = None) -> None:
    """Collect, export in every format, verify, and print the table.

    Args:
        source: The source.
        kind: Its block's type.
        place: The folder to work in.
        count: The number of items.
        tree: The files that the tools pack; by default those of the package in a folder, which is kept for that.
    """
    job_id = apart(collected, source, place, count, kind)
    rows: list[str] = []
    for name in sorted(FORMATS, key=lambda name: name != "directory"):
        ours = apart(exported, place, job_id, kind, name)
        if isinstance(ours, str):
            rows.append(f"| {name} | refused: {ours.splitlines()[0][:150]} | | | | | |")
            continue
        [made] = [path for path in (place / "out" / name).iterdir() if not path.name.startswith(("0=", "ocfl_"))]
        checked = verified(str(made), count)
        if tree is None:
            tree = made / "data"
        else:
            shutil.rmtree(place / "out" / name)  # one package at a time, as they may be large
        theirs = packed(peer_of(name), tree, place / "packed")
        rows.append(
            f"| {name} | {ours[0]:.1f} | {ours[1]:.1f} | {ours[2]} | {checked[0]:.1f} | {checked[2]} "
            f"| {theirs / ours[0]:.2f} × {peer_of(name).name} |"
        )
        for path in place.glob("packed*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    print(f"\n{kind}, {count:,} items\n")
    print("| format | export, s | CPU, s | memory, MiB | verify, s | memory, MiB | speed |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | --- |")
    print("\n".join(rows), flush=True)
    for folder in ("out", "store"):
        shutil.rmtree(place / folder)


def fill_folder(root: Path, count: int) -> None:
    """Write files of up to 4 KiB into folders of 1,000, some with odd names."""
    for number in range(count):
        folder = root / f"folder {number // 1000:03d}"
        name = _ODD[number // 1000 % len(_ODD)] if number % 1000 == 0 else f"file {number:07d}.txt"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%08d\n" % number * (number % 450 + 1))


def message(number: int) -> bytes:
    """Return a message of about 2 KB, with a header and a line that mbox files quote."""
    head = (
        f"From: Ann <ann@x.example>\r\nTo: bob@x.example\r\nSubject: =?utf-8?q?m=C3=A4il_{number}?=\r\n"
        f"Date: Thu, 01 Feb 2024 10:00:00 +0200\r\nMessage-ID: <{number}@x.example>\r\n\r\nFrom here on\r\n"
    )
    return (head + f"{number:08d} line\r\n" * 120).encode()


@contextmanager
def mailbox(count: int) -> Iterator[Source]:
    """Yield a mailbox of messages."""
    with dovecot(connections=20) as server:
        os.environ["SSL_CERT_FILE"] = str(server.certificate)
        try:
            box = server.new_user()
            box.deliver(message(number) for number in range(count))
            yield box.source()
        finally:
            del os.environ["SSL_CERT_FILE"]


def database(count: int) -> Source:
    """Return a database of one table of that many slices, of five rows each."""
    made = postgres_database()
    made.run(
        'CREATE TABLE "odd = name" (id bigint PRIMARY KEY, made timestamptz, amount numeric(12, 2), note text)',
        "INSERT INTO \"odd = name\" SELECT x, timestamptz '2020-01-01' + x * interval '1 s', x / 100.0, "
        f"repeat('note ', x::int % 9) FROM generate_series(1, {5 * count}) AS x",
    )
    return made.source(rows=5)


def main(count: int | str = ITEMS, folder: str = "/dev/shm") -> None:
    """Measure all three, and the large file."""
    count = int(count)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        place = Path(name)
        fill_folder(place / "tree", count)
        measure(FileSource(root=place / "tree"), "file-source", place, count)
        shutil.rmtree(place / "tree")
        with mailbox(count) as source:
            measure(source, "imap-source", place, count)
        measure(database(count), "sql-source", place, count)
        (place / "large").mkdir()
        with (place / "large" / "5 GiB and a byte").open("wb") as file:
            file.truncate(LARGE)
        measure(FileSource(root=place / "large"), "file-source", place, 1, place / "large")


if __name__ == "__main__":
    main(*sys.argv[1:])
