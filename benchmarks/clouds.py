"""The rows of buckets at Google and Azure: `ObjectStoreSource` beside ``rclone copy``, from servers on this machine.

fake-gcs-server has its objects in memory, Azurite on a disk. Both contenders copy all objects of a bucket into a folder
in memory; ours also hashes (SHA-256), lists and accounts for each, and rclone compares the MD5 that the service keeps.
The servers, which take most of the time, are the same for both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.context import Bench, collecting, peer
from benchmarks.data import EMPTY, DataSet
from benchmarks.measure import Comparison, Contender, Folders
from benchmarks.peers import Command, rclone_copy
from tests.integration.cloud_servers import ACCOUNT, KEY, azurite, gcs_server

Buckets = Callable[[str], tuple[dict[str, Any], str]]
"""Makes a bucket of a name; returns it as our source, and as rclone names it."""


def _google(bench: Bench) -> Buckets:
    server = bench.stack.enter_context(gcs_server(bench.scratch("google")))

    def bucket(name: str) -> tuple[dict[str, Any], str]:
        server.client.create_bucket(name)
        fields = {"url": f"gs://{name}", "endpoint_url": server.url, "anonymous": True}
        return fields, f':googlecloudstorage,anonymous=true,endpoint="{server.url}/storage/v1/":{name}'

    return bucket


def _azure(bench: Bench) -> Buckets:
    server = bench.stack.enter_context(azurite(bench.scratch("azure")))

    def bucket(name: str) -> tuple[dict[str, Any], str]:
        server.service.create_container(name)
        fields = {"url": f"az://{name}", "secret": server.connection_string}
        return fields, f':azureblob,account={ACCOUNT},key="{KEY}",endpoint="{server.url}":{name}'

    return bucket


def _rows(bench: Bench, title: str, bucket: Buckets) -> list[Comparison]:
    place, worker = Folders(bench.out), bench.worker()
    nothing, none = bucket(EMPTY.name)
    size = (4 if bench.quick else 64) << 20
    rows = []
    for data in (bench.fewer(2_000), DataSet("large", 4, size, size)):
        source, remote = bucket(data.name)
        rclone_copy(str(bench.tree(data)), remote, "--transfers=16").run(bench.log("load"))
        sweep = (4,) if data.count == 4 else (32,)

        def rclone(n: int, where: str, empty: bool, remote: str = remote) -> Command:
            return rclone_copy(none if empty else remote, where, f"--transfers={n}", f"--checkers={n}")

        blocks = [{"block": "ObjectStoreSource", "fields": fields} for fields in (source, nothing)]
        ours = Contender("prefect-collect", place, collecting(worker, blocks[0], blocks[1], data.count))
        what = "small objects" if data.count > 4 else f"4 objects of {size >> 20} MB"
        beside = peer(bench, "rclone copy", place, rclone, sweep=sweep, expect=data.count)
        rows.append(Comparison(f"{title} to local, {what}", data.count, ours, [beside]))
    return rows


def google(bench: Bench) -> list[Comparison]:
    """Compare small and large objects of a bucket at Google."""
    return _rows(bench, "Google Cloud Storage", _google(bench))


def azure(bench: Bench) -> list[Comparison]:
    """Compare small and large blobs of a container at Azure."""
    return _rows(bench, "Azure Blob Storage", _azure(bench))
