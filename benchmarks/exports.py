"""The rows of exports and of `verify`, beside tools that copy, pack or test the same files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from benchmarks.context import Bench, all_of, peer
from benchmarks.data import EMPTY, Buckets, DataSet
from benchmarks.formats import peer_of
from benchmarks.measure import Comparison, Contender, Folders, FreshBuckets, Place
from benchmarks.objects import bucket_copies, s3, seaweedfs_with
from benchmarks.peers import Command, seven_zip
from benchmarks.servers import find_program
from benchmarks.took import Took
from benchmarks.worker import Worker

_OF_FILES: Final = (
    "directory", "bagit-tar", "bagit-tar-zst", "bagit-group", "loadfile", "loadfile-directory", "ocfl",
)  # fmt: skip
"""The formats beside `bagit` that files can be exported in."""


def _exporting(worker: Worker, source: dict[str, Any], nothing: dict[str, Any], store: str, items: int) -> Any:
    """Collect both sources; return what makes a contender's run: ``export()`` of one of them, in a format."""
    collected = [
        (items, worker.call("product.run_collection", source=source, store=store)["job_id"]),
        (0, worker.call("product.run_collection", source=nothing, store=store)["job_id"]),
    ]

    def run_of(place: Place, scheme: str = "", format: str = "bagit") -> Contender:
        def run(setting: int, where: str, empty: bool) -> Took:
            count, job_id = collected[empty]
            arguments = {"job_id": job_id, "store": store, "destination": scheme + where, "format": format}
            return all_of(worker.call("product.run_export", **arguments), count)

        return Contender("prefect-collect", place, run)

    return run_of


def _export_s3(bench: Bench, title: str, endpoint: str, data: DataSet) -> Comparison:
    buckets, worker = Buckets(endpoint), bench.worker(endpoint)
    place = FreshBuckets(buckets)
    buckets.make("staged")
    sources = s3(data.name, endpoint), s3("empty", endpoint)
    ours = _exporting(worker, *sources, "s3://staged", data.count)(place, "s3://")
    peers = bucket_copies(bench, endpoint, place, data, {"client": 10.0, "server": 10.0}, (16,))
    return Comparison(title, data.count, ours, peers)


def export_s3(bench: Bench) -> Comparison:
    """Compare 1 GB in 10,000 objects on S3, as one ZIP on S3. The server's copies share bytes, for all contenders."""
    data = DataSet("staging", bench.small.count, 100 << 10, 110 << 10)
    server = bench.s3bench(data, EMPTY)
    return _export_s3(bench, f"export S3 to S3, {data.count * 105 // 1000} MB", server.endpoint, data)


def export_s3_seaweedfs(bench: Bench) -> Comparison:
    """Compare a part of it on a server that does move the bytes of a copy."""
    data = DataSet("staging", bench.fewer(2_000).count, 100 << 10, 110 << 10)
    endpoint = seaweedfs_with(bench, data)
    return _export_s3(bench, f"export S3 to S3, {data.count * 105 // 1000} MB, SeaweedFS", endpoint, data)


def export_zip(bench: Bench) -> Comparison:
    """Compare a local ZIP of 10,000 collected files with 7z's ZIP of the same files."""
    data, place, worker = bench.small, Folders(bench.out), bench.worker()
    tree, store = bench.tree(data), str(bench.scratch("staged"))
    sources = {"files": str(tree)}, {"files": str(bench.nothing)}

    def seven(n: int, where: str, empty: bool) -> Command:
        return seven_zip(bench.nothing if empty else tree, Path(where) / "package.zip", n)

    ours = _exporting(worker, *sources, store, data.count)(place)
    seven_z = peer(bench, "7z a -mx=0", place, seven, sweep=(1, 2), expect=1, target=1.2)
    return Comparison("export to a local ZIP", data.count, ours, [seven_z])


def export_formats(bench: Bench) -> list[Comparison]:
    """Compare each other format that a folder's collection can be exported in with what packs or copies the files."""
    data, place, worker = bench.fewer(5_000), Folders(bench.out), bench.worker()
    tree, store = bench.tree(data), str(bench.scratch("staged"))
    sources = {"files": str(tree)}, {"files": str(bench.nothing)}
    exporting = _exporting(worker, *sources, store, data.count)
    rows = []
    for name in _OF_FILES:
        tool = peer_of(name)

        def packed(_: int, where: str, empty: bool, tool: Any = tool) -> Command:
            return Command([tool.command(bench.nothing if empty else tree, Path(where) / "packed")])

        beside = peer(bench, tool.name, place, packed, sweep=(0,), expect=None)
        rows.append(Comparison(f"export as {name}", data.count, exporting(place, format=name), [beside]))
    return rows


def verify_zip(bench: Bench) -> Comparison:
    """Compare the whole command `verify` of a package with ``unzip -t``, which checks CRC-32 alone."""
    data = DataSet("documents", 500 if bench.quick else 7_733, 1 << 10, 62 << 10)
    tree, store, out, worker = bench.tree(data), bench.scratch("staged"), bench.scratch("package"), bench.worker()
    job = worker.call("product.run_collection", source={"files": str(tree)}, store=str(store))["job_id"]
    worker.call("product.run_export", job_id=job, store=str(store), destination=str(out))
    [package] = out.glob("*.zip")

    def command(*words: str) -> Any:
        return lambda setting, where, empty: Command([[*words, str(package)]], {"PREFECT_HOME": str(store)})

    place = Folders(bench.out)
    ours = command(find_program("prefect-collect", "."), "verify")
    unzip = command(find_program("unzip", "unzip (from the Linux distribution)"), "-tqq")
    return Comparison(
        f"verify of a ZIP file of {package.stat().st_size >> 20} MiB, the whole command", data.count,
        peer(bench, "prefect-collect", place, ours, sweep=(0,), expect=None),
        [peer(bench, "unzip -t", place, unzip, sweep=(0,), expect=None, target=1.5)], is_whole=True,
    )  # fmt: skip
