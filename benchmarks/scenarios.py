"""The side-by-side rows: each function sets up servers and data and returns the comparison to run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.context import Bench, all_of
from benchmarks.data import EMPTY, Buckets, DataSet, remove
from benchmarks.drives import drive_big, drive_to_files
from benchmarks.measure import Comparison, Contender, Folders, FreshBuckets, Place
from benchmarks.peers import Command, aws_copy, rclone_copy, rclone_remote, s5cmd_copy, seven_zip
from benchmarks.sftp import sftp_big, sftp_to_files, sftp_to_files_latency
from benchmarks.took import Took
from benchmarks.urls import urls_to_files, urls_to_files_latency
from benchmarks.webdav import webdav_big, webdav_to_files, webdav_to_files_latency
from benchmarks.worker import Worker

Build = Callable[[int, str, bool], Command]
"""Concurrency, target and whether the source is to be empty → the command."""

_NEAR: Final = (16, 32, 64)
_FAR: Final = (64, 128, 256)


def _small(bench: Bench) -> DataSet:
    return DataSet("small", 2_000 if bench.quick else 10_000, 4 << 10, 16 << 10)


def _peer(
    bench: Bench, name: str, place: Place, build: Build, *, sweep: tuple[int, ...], expect: int, **more: Any
) -> Contender:
    def run(setting: int, where: str, empty: bool) -> Took:
        return build(setting, where, empty).run(bench.log(name.split()[0]))

    return Contender(name, place, run, sweep, expect, **more)


def _folders(bench: Bench) -> Folders:
    return Folders(bench.work / "out")


def _collect(
    worker: Worker, source: dict[str, Any], nothing: dict[str, Any], items: int, scheme: str = ""
) -> Callable[..., Took]:
    """Return a function that runs ``collect()`` from a source, or from an empty one, into the place."""

    def run(setting: int, where: str, empty: bool) -> Took:
        store = scheme + where
        spec, count = (nothing, 0) if empty else (source, items)
        return all_of(
            worker.call("product.run_collection", source=spec, store=store, concurrency=setting or None), count
        )

    return run


def _prototype(worker: Worker, function: str, key: str, items: int, **arguments: Any) -> Callable[..., Took]:
    def run(setting: int, where: str, empty: bool) -> Took:
        if empty:
            return Took(0.0)
        return all_of(worker.call(f"prototypes.{function}", **{key: where}, concurrency=setting, **arguments), items)

    return run


def _s3(bucket: str, endpoint: str) -> dict[str, Any]:
    return {"s3": bucket, "endpoint": endpoint}


def _to_files(
    bench: Bench, title: str, endpoint: str, data: DataSet, sweep: tuple[int, ...], targets: dict[str, float]
) -> Comparison:
    """Compare copying a bucket named as the data set into local files; the bucket `empty` holds nothing."""
    place, worker = _folders(bench), bench.worker(endpoint)
    more = []
    if bench.prototypes:
        arguments = {"bucket": data.name, "endpoint": endpoint}
        ours = Contender(
            "libcurl prototype", place, _prototype(worker, "curl_to_files", "folder", data.count, **arguments), sweep
        )
        run = _prototype(worker, "obstore_to_files", "folder", data.count, **arguments)
        more = [Contender("obstore prototype", place, run, sweep)]
    else:
        run = _collect(worker, _s3(data.name, endpoint), _s3("empty", endpoint), data.count)
        ours = Contender("prefect-collect", place, run, (0, *sweep))

    def rclone(n: int, where: str, empty: bool) -> Command:
        source = rclone_remote(endpoint, "empty" if empty else data.name)
        return rclone_copy(source, where, f"--transfers={n}", f"--checkers={n}")

    def s5cmd(n: int, where: str, empty: bool) -> Command:
        return s5cmd_copy(endpoint, f"s3://{'empty' if empty else data.name}/*", where + "/", n, empty=empty)

    def aws(_: int, where: str, empty: bool) -> Command:
        return aws_copy(endpoint, f"s3://{'empty' if empty else data.name}", where)

    n = data.count
    peers = [
        *more,
        _peer(bench, "rclone copy", place, rclone, sweep=sweep, expect=n, target=targets.get("rclone")),
        _peer(bench, "s5cmd cp", place, s5cmd, sweep=sweep, expect=n, target=targets.get("s5cmd")),
    ]
    if "aws" in targets:
        peers.append(_peer(bench, "aws s3 cp", place, aws, sweep=(0,), expect=n, rounds=1))
    return Comparison(title, n, ours, peers)


def s3_to_files(bench: Bench) -> Comparison:
    """Compare small objects into a local store, from a server that costs next to nothing."""
    data = _small(bench)
    server = bench.s3bench(data, EMPTY)
    targets = {"rclone": 1.5, "s5cmd": 2.0} | ({} if bench.quick else {"aws": 0})
    return _to_files(bench, "S3 to local, small objects", server.endpoint, data, _NEAR, targets)


def s3_to_files_latency(bench: Bench) -> Comparison:
    """Compare the same over a network of 20 ms."""
    data = _small(bench)
    server = bench.s3bench(data, EMPTY, latency="20ms")
    return _to_files(bench, "S3 to local, small objects, 20 ms latency", server.endpoint, data, _FAR, {"rclone": 1.2})


def s3_to_files_seaweedfs(bench: Bench) -> Comparison:
    """Compare the same from a real server, which is itself the bottleneck."""
    data = _small(bench)
    endpoint = _seaweedfs_with(bench, data)
    return _to_files(
        bench, "S3 to local, small objects, SeaweedFS", endpoint, data, _NEAR, {"rclone": 1.0, "s5cmd": 1.0}
    )


def _seaweedfs_with(bench: Bench, data: DataSet) -> str:
    server = bench.seaweedfs()
    buckets = Buckets(server.endpoint)
    buckets.make(EMPTY.name)
    buckets.make(data.name)
    tree = data.make_tree(bench.work / "load")
    s5cmd_copy(server.endpoint, f"{tree}/", f"s3://{data.name}/", 32).run(bench.log("load"))
    remove(tree)
    if (count := buckets.count(data.name)) != data.count:
        raise RuntimeError(f"SeaweedFS holds {count} of {data.count} objects")
    return server.endpoint


def s3_to_s3(bench: Bench) -> Comparison:
    """Compare small objects into an S3 store on the same server."""
    data = _small(bench)
    server = bench.s3bench(data, EMPTY)
    endpoint, place, worker = server.endpoint, FreshBuckets(Buckets(server.endpoint)), bench.worker(server.endpoint)
    if bench.prototypes:
        run = _prototype(worker, "obstore_to_bucket", "target", data.count, bucket=data.name, endpoint=endpoint)
        ours = Contender("obstore prototype", place, run, _NEAR)
    else:
        run = _collect(worker, _s3(data.name, endpoint), _s3("empty", endpoint), data.count, "s3://")
        ours = Contender("prefect-collect", place, run, (0, *_NEAR))
    peers = _bucket_copies(bench, endpoint, place, data, {"client": 3.0, "s5cmd": 1.0})
    return Comparison("S3 to S3, small objects", data.count, ours, peers)


def _bucket_copies(
    bench: Bench, endpoint: str, place: Place, data: DataSet, targets: dict[str, float]
) -> list[Contender]:
    """Return rclone with the bytes through the client and with copies on the server, and s5cmd with the latter only."""

    def rclone(*flags: str) -> Build:
        def build(n: int, where: str, empty: bool) -> Command:
            source = rclone_remote(endpoint, "empty" if empty else data.name)
            return rclone_copy(source, rclone_remote(endpoint, where), f"--transfers={n}", f"--checkers={n}", *flags)

        return build

    def s5cmd(n: int, where: str, empty: bool) -> Command:
        return s5cmd_copy(endpoint, f"s3://{'empty' if empty else data.name}/*", f"s3://{where}/", n, empty=empty)

    n = data.count
    return [
        _peer(bench, "rclone copy through the client", place, rclone("--disable=copy"), sweep=_NEAR, expect=n,
              target=targets.get("client")),
        _peer(bench, "rclone copy on the server", place, rclone(), sweep=_NEAR, expect=n, target=targets.get("server")),
        _peer(bench, "s5cmd cp on the server", place, s5cmd, sweep=_NEAR, expect=n, target=targets.get("s5cmd")),
    ]  # fmt: skip


def files_to_s3(bench: Bench) -> Comparison:
    """Compare a local tree into an S3 store."""
    data = _small(bench)
    tree, nothing = data.make_tree(bench.work / "tree"), bench.work / "nothing"
    nothing.mkdir(exist_ok=True)
    bench.stack.callback(remove, tree)
    server = bench.s3bench()
    endpoint, place, worker = server.endpoint, FreshBuckets(Buckets(server.endpoint)), bench.worker(server.endpoint)
    if bench.prototypes:
        run = _prototype(worker, "tree_to_bucket", "target", data.count, tree=str(tree), endpoint=endpoint)
        ours = Contender("obstore prototype", place, run, _NEAR)
    else:
        run = _collect(worker, {"files": str(tree)}, {"files": str(nothing)}, data.count, "s3://")
        ours = Contender("prefect-collect", place, run, (0, *_NEAR))

    def rclone(n: int, where: str, empty: bool) -> Command:
        source = str(nothing if empty else tree)
        return rclone_copy(source, rclone_remote(endpoint, where), f"--transfers={n}", f"--checkers={n}")

    def s5cmd(n: int, where: str, empty: bool) -> Command:
        return s5cmd_copy(endpoint, f"{nothing if empty else tree}/", f"s3://{where}/", n, empty=empty)

    peers = [
        _peer(bench, "rclone copy", place, rclone, sweep=_NEAR, expect=data.count, target=3.0),
        _peer(bench, "s5cmd cp", place, s5cmd, sweep=_NEAR, expect=data.count, target=2.5),
    ]
    return Comparison("local tree to S3, small files", data.count, ours, peers)


def big_to_files(bench: Bench) -> Comparison:
    """Compare four large objects into a local store; their ETags are no MD5, so rclone has no hash to check."""
    return _big_to_files(bench)


def big_to_files_slow(bench: Bench) -> Comparison:
    """Compare the same over a network that sends each connection 50 MB a second."""
    return _big_to_files(bench, 50_000_000)


def _big_to_files(bench: Bench, rate: int = 0) -> Comparison:
    size = (64 if bench.quick else 256) << 20
    data = DataSet("big", 4, size, size)
    server = bench.s3bench(data, EMPTY, rate=rate)
    endpoint, place, worker = server.endpoint, _folders(bench), bench.worker(server.endpoint)
    if bench.prototypes:
        run = _prototype(worker, "obstore_to_files", "folder", 4, bucket=data.name, endpoint=endpoint)
        ours = Contender("obstore prototype", place, run, (2, 4))
    else:
        run = _collect(worker, _s3(data.name, endpoint), _s3("empty", endpoint), data.count)
        ours = Contender("prefect-collect", place, run)

    def rclone(hashing: bool) -> Build:
        def build(n: int, where: str, empty: bool) -> Command:
            source = rclone_remote(endpoint, "empty" if empty else data.name)
            streams = "--multi-thread-streams=0" if n < 100 else "--multi-thread-cutoff=32M"
            then = [["hashsum", "SHA256", where, f"--checkers={bench.cpus()}"]] if hashing else []
            return rclone_copy(source, where, f"--transfers={n % 100}", streams, then=then)

        return build

    def s5cmd(n: int, where: str, empty: bool) -> Command:
        source = f"s3://{'empty' if empty else data.name}/*"
        return s5cmd_copy(endpoint, source, where + "/", 4, f"--concurrency={n}", empty=empty)

    sweep = (2, 4, 102, 104)
    peers = [
        _peer(bench, "rclone copy", place, rclone(False), sweep=sweep, expect=4, target=0.85),
        _peer(bench, "rclone copy, then hashsum", place, rclone(True), sweep=sweep, expect=4, target=1.1),
        _peer(bench, "s5cmd cp", place, s5cmd, sweep=(1, 4), expect=4),
    ]
    slow = f", {rate // 1_000_000} MB/s a connection" if rate else ""
    return Comparison(f"S3 to local, 4 objects of {size >> 20} MB{slow}", 4, ours, peers)


def _export_s3(bench: Bench, title: str, endpoint: str, data: DataSet) -> Comparison:
    buckets = Buckets(endpoint)
    place, worker = FreshBuckets(buckets), bench.worker(endpoint)
    targets = {} if bench.prototypes else {"client": 10.0, "server": 10.0}
    peers = _bucket_copies(bench, endpoint, place, data, targets)
    if bench.prototypes:
        return Comparison(title, data.count, peers[0], peers[1:])
    buckets.make("staged")
    jobs = {
        empty: worker.call(
            "product.run_collection", source=_s3("empty" if empty else data.name, endpoint), store="s3://staged"
        )
        for empty in (True, False)
    }

    def run(setting: int, where: str, empty: bool) -> Took:
        arguments = {"job_id": jobs[empty]["job_id"], "store": "s3://staged", "destination": f"s3://{where}"}
        return all_of(worker.call("product.run_export", **arguments), 0 if empty else data.count)

    return Comparison(title, data.count, Contender("prefect-collect", place, run), peers)


def _gigabyte(bench: Bench) -> DataSet:
    return DataSet("gigabyte", 1_000 if bench.quick else 10_000, 100 << 10, 110 << 10)


def export_s3(bench: Bench) -> Comparison:
    """Compare 1 GB in 10,000 objects on S3, as one ZIP on S3. The server's copies share bytes, for all contenders."""
    data = _gigabyte(bench)
    server = bench.s3bench(data, EMPTY)
    return _export_s3(bench, f"export S3 to S3, {data.count * 105 // 1000} MB", server.endpoint, data)


def export_s3_seaweedfs(bench: Bench) -> Comparison:
    """Compare the same on a server that does move the bytes of a copy."""
    data = _gigabyte(bench)
    endpoint = _seaweedfs_with(bench, data)
    return _export_s3(bench, f"export S3 to S3, {data.count * 105 // 1000} MB, SeaweedFS", endpoint, data)


def export_zip(bench: Bench) -> Comparison:
    """Compare a local ZIP of 10,000 collected files with 7z's ZIP of the same files."""
    data, place, worker = _small(bench), _folders(bench), bench.worker()
    tree, nothing, store = data.make_tree(bench.work / "tree"), bench.work / "nothing", bench.work / "staged"
    nothing.mkdir(exist_ok=True)
    for folder in (tree, store):
        bench.stack.callback(remove, folder)

    def seven(n: int, where: str, empty: bool) -> Command:
        return seven_zip(nothing if empty else tree, Path(where) / "package.zip", n)

    peer = _peer(bench, "7z a -mx=0", place, seven, sweep=(1, 2), expect=1, target=1.0)
    if bench.prototypes:
        pack = _prototype(worker, "tree_to_zip", "folder", data.count, tree=str(tree))
        return Comparison("export to a local ZIP", data.count, Contender("zipfile prototype", place, pack), [peer])
    jobs = {
        empty: worker.call(
            "product.run_collection", source={"files": str(nothing if empty else tree)}, store=str(store)
        )
        for empty in (True, False)
    }

    def run(setting: int, where: str, empty: bool) -> Took:
        arguments = {"job_id": jobs[empty]["job_id"], "store": str(store), "destination": where}
        return all_of(worker.call("product.run_export", **arguments), 0 if empty else data.count)

    return Comparison("export to a local ZIP", data.count, Contender("prefect-collect", place, run), [peer])


SCENARIOS: Final[dict[str, Callable[[Bench], Comparison]]] = {
    "s3-files": s3_to_files,
    "s3-files-20ms": s3_to_files_latency,
    "s3-files-seaweedfs": s3_to_files_seaweedfs,
    "s3-s3": s3_to_s3,
    "files-s3": files_to_s3,
    "big-files": big_to_files,
    "big-files-slow": big_to_files_slow,
    "sftp-files": sftp_to_files,
    "sftp-files-20ms": sftp_to_files_latency,
    "sftp-big": sftp_big,
    "webdav-files": webdav_to_files,
    "webdav-files-20ms": webdav_to_files_latency,
    "webdav-big": webdav_big,
    "urls-files": urls_to_files,
    "urls-files-20ms": urls_to_files_latency,
    "rclone-files": drive_to_files,
    "rclone-big": drive_big,
    "export-s3": export_s3,
    "export-s3-seaweedfs": export_s3_seaweedfs,
    "export-zip": export_zip,
}
"""Every side-by-side row (or group of rows) by its name for --only."""
