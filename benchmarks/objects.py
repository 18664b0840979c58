"""The rows of S3: objects into local files and other buckets, and a local tree into a bucket, beside other tools."""

from __future__ import annotations

from typing import Any, Final

from benchmarks.context import Bench, Build, collecting, peer
from benchmarks.data import EMPTY, Buckets, DataSet, remove
from benchmarks.measure import Comparison, Contender, Folders, FreshBuckets, Place
from benchmarks.peers import Command, aws_copy, rclone_copy, rclone_remote, s5cmd_copy

NEAR: Final = (16, 64)
_FAR: Final = (128, 256)


def s3(bucket: str, endpoint: str) -> dict[str, Any]:
    return {"s3": bucket, "endpoint": endpoint}


def _to_files(
    bench: Bench, title: str, endpoint: str, data: DataSet, sweep: tuple[int, ...], targets: dict[str, float]
) -> Comparison:
    """Compare copying a bucket named as the data set into local files; the bucket `empty` holds nothing."""
    place, worker = Folders(bench.out), bench.worker(endpoint)
    run = collecting(worker, s3(data.name, endpoint), s3("empty", endpoint), data.count)
    ours = Contender("prefect-collect", place, run, (0,))

    def rclone(n: int, where: str, empty: bool) -> Command:
        source = rclone_remote(endpoint, "empty" if empty else data.name)
        return rclone_copy(source, where, f"--transfers={n}", f"--checkers={n}")

    def s5cmd(n: int, where: str, empty: bool) -> Command:
        return s5cmd_copy(endpoint, f"s3://{'empty' if empty else data.name}/*", where + "/", n, empty=empty)

    def aws(_: int, where: str, empty: bool) -> Command:
        return aws_copy(endpoint, f"s3://{'empty' if empty else data.name}", where)

    n = data.count
    peers = [
        peer(bench, "rclone copy", place, rclone, sweep=sweep, expect=n, target=targets.get("rclone")),
        peer(bench, "s5cmd cp", place, s5cmd, sweep=sweep, expect=n, target=targets.get("s5cmd")),
    ]
    if "aws" in targets:
        peers.append(peer(bench, "aws s3 cp", place, aws, sweep=(0,), expect=n, rounds=1))
    return Comparison(title, n, ours, peers)


def s3_to_files(bench: Bench) -> Comparison:
    """Compare small objects into a local store, from a server that costs next to nothing."""
    data = bench.small
    server = bench.s3bench(data, EMPTY)
    targets = {"rclone": 2.0, "s5cmd": 3.0} | ({} if bench.quick else {"aws": 0})
    return _to_files(bench, "S3 to local, small objects", server.endpoint, data, NEAR, targets)


def s3_to_files_latency(bench: Bench) -> Comparison:
    """Compare the same over a network of 20 ms."""
    data = bench.small
    server = bench.s3bench(data, EMPTY, latency="20ms")
    return _to_files(
        bench, "S3 to local, small objects, 20 ms latency", server.endpoint, data, _FAR, {"rclone": 2.0, "s5cmd": 2.5}
    )


def s3_to_files_seaweedfs(bench: Bench) -> Comparison:
    """Compare the same from a real server, which is itself the bottleneck."""
    data = bench.fewer(5_000)
    endpoint = seaweedfs_with(bench, data)
    return _to_files(
        bench, "S3 to local, small objects, SeaweedFS", endpoint, data, NEAR, {"rclone": 2.0, "s5cmd": 1.5}
    )


def seaweedfs_with(bench: Bench, data: DataSet) -> str:
    """Start SeaweedFS, and load a data set into a bucket of its name; return its address."""
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
    data = bench.small
    server = bench.s3bench(data, EMPTY)
    endpoint, place, worker = server.endpoint, FreshBuckets(Buckets(server.endpoint)), bench.worker(server.endpoint)
    run = collecting(worker, s3(data.name, endpoint), s3("empty", endpoint), data.count, "s3://")
    ours = Contender("prefect-collect", place, run, (0,))
    peers = bucket_copies(bench, endpoint, place, data, {"client": 3.5, "s5cmd": 1.3})
    return Comparison("S3 to S3, small objects", data.count, ours, peers)


def bucket_copies(
    bench: Bench, endpoint: str, place: Place, data: DataSet, targets: dict[str, float], sweep: tuple[int, ...] = NEAR
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
        peer(bench, "rclone copy through the client", place, rclone("--disable=copy"), sweep=sweep, expect=n,
              target=targets.get("client")),
        peer(bench, "rclone copy on the server", place, rclone(), sweep=sweep, expect=n, target=targets.get("server")),
        peer(bench, "s5cmd cp on the server", place, s5cmd, sweep=sweep, expect=n, target=targets.get("s5cmd")),
    ]  # fmt: skip


def files_to_s3(bench: Bench) -> Comparison:
    """Compare a local tree into an S3 store."""
    data = bench.small
    tree, nothing = bench.tree(data), bench.nothing
    server = bench.s3bench()
    endpoint, place, worker = server.endpoint, FreshBuckets(Buckets(server.endpoint)), bench.worker(server.endpoint)
    run = collecting(worker, {"files": str(tree)}, {"files": str(nothing)}, data.count, "s3://")
    ours = Contender("prefect-collect", place, run, (0,))

    def rclone(n: int, where: str, empty: bool) -> Command:
        source = str(nothing if empty else tree)
        return rclone_copy(source, rclone_remote(endpoint, where), f"--transfers={n}", f"--checkers={n}")

    def s5cmd(n: int, where: str, empty: bool) -> Command:
        return s5cmd_copy(endpoint, f"{nothing if empty else tree}/", f"s3://{where}/", n, empty=empty)

    peers = [
        peer(bench, "rclone copy", place, rclone, sweep=NEAR, expect=data.count, target=5.0),
        peer(bench, "s5cmd cp", place, s5cmd, sweep=NEAR, expect=data.count, target=3.0),
    ]
    return Comparison("local tree to S3, small files", data.count, ours, peers)


def big_to_files(bench: Bench) -> Comparison:
    """Compare four large objects into a local store; their ETags are no MD5, so rclone has no hash to check."""
    return _big_to_files(bench)


def big_to_files_slow(bench: Bench) -> Comparison:
    """Compare the same over a network that sends each connection 50 MB a second."""
    return _big_to_files(bench, 50_000_000)


def _big_to_files(bench: Bench, rate: int = 0) -> Comparison:
    data = bench.big
    server = bench.s3bench(data, EMPTY, rate=rate)
    endpoint, place, worker = server.endpoint, Folders(bench.out), bench.worker(server.endpoint)
    run = collecting(worker, s3(data.name, endpoint), s3("empty", endpoint), data.count)
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

    targets = (None, None, None) if rate else (1.2, 2.0, 1.0)
    peers = [
        peer(bench, "rclone copy", place, rclone(False), sweep=(4, 104), expect=4, target=targets[0]),
        peer(bench, "rclone copy, then hashsum", place, rclone(True), sweep=(104,), expect=4, target=targets[1]),
        peer(bench, "s5cmd cp", place, s5cmd, sweep=(1, 4), expect=4, target=targets[2]),
    ]
    slow = f", {rate // 1_000_000} MB/s a connection" if rate else ""
    return Comparison(f"S3 to local, 4 objects of {data.largest >> 20} MB{slow}", 4, ours, peers)
