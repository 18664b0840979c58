"""Buckets at Google and Azure: `ObjectStoreSource` beside ``rclone copy``, from servers on this machine.

    python -m benchmarks.clouds

Prints rows of a Markdown table: medians of three rounds in turn, in one run. fake-gcs-server has its objects in memory,
Azurite on a disk. Both copy all objects of a bucket into a folder in memory; ours also hashes (SHA-256), lists and
accounts for each, and rclone compares the MD5 that the service keeps. The servers, which take most of the time, are the
same for both.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.data import DataSet, count_files, remove
from benchmarks.peers import rclone_copy
from benchmarks.took import Took
from prefect_collect.blocks import ObjectStoreSource
from prefect_collect.stores import DirectoryStore
from tests.integration.cloud_servers import ACCOUNT, KEY, Azurite, GcsServer, azurite, gcs_server
from tests.support.run_attempts import attempt, new_job

ROUNDS: Final = 3
SETS: Final = (DataSet("small", 2_000, 4 << 10, 16 << 10), DataSet("large", 4, 64 << 20, 64 << 20))


def _google(server: GcsServer) -> tuple[ObjectStoreSource, str]:
    bucket = server.new_bucket()
    source = ObjectStoreSource(name="gs", url=f"gs://{bucket}", endpoint_url=server.url, anonymous=True)
    return source, f':googlecloudstorage,anonymous=true,endpoint="{server.url}/storage/v1/":{bucket}'


def _azure(server: Azurite) -> tuple[ObjectStoreSource, str]:
    container = server.new_container()
    fields: dict[str, Any] = {"name": "az", "url": f"az://{container}", "secret": server.connection_string}
    source = ObjectStoreSource.model_validate(fields)
    return source, f':azureblob,account={ACCOUNT},key="{KEY}",endpoint="{server.url}":{container}'


def _ours(source: ObjectStoreSource, folder: Path, expected: int) -> Took:
    began, cpu = time.perf_counter(), _cpu()
    result = attempt(new_job(DirectoryStore(folder), source), source, workers=2)
    took = Took(time.perf_counter() - began, _cpu() - cpu)
    assert result.counts.succeeded == expected, result
    return took


def _rclone(remote: str, folder: Path, expected: int) -> Took:
    transfers = 4 if expected < 100 else 32
    command = rclone_copy(remote, str(folder), f"--transfers={transfers}", f"--checkers={transfers}")
    took = command.run(folder.with_suffix(".log"))
    assert count_files(folder) == expected
    return took


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Fill a bucket of each kind with each set, and read it with both in turn."""
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm")))
        logs = [work / "google", work / "azure"]
        for folder in logs:
            folder.mkdir()
        google, azure = stack.enter_context(gcs_server(logs[0])), stack.enter_context(azurite(logs[1]))
        print("| from | objects | prefect-collect, s (CPU) | rclone, s (CPU) | ratio | of CPU |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        for data in SETS:
            tree = data.make_tree(work / "tree")
            for kind, (source, remote) in (("gs://", _google(google)), ("az://", _azure(azure))):
                rclone_copy(str(tree), remote, "--transfers=16").run(work / "load.log")
                taken: dict[str, list[Took]] = {"ours": [], "rclone": []}
                for number in range(ROUNDS):
                    out = {name: work / f"{name}-{number}" for name in taken}
                    taken["ours"].append(_ours(source, out["ours"], data.count))
                    taken["rclone"].append(_rclone(remote, out["rclone"], data.count))
                    for folder in out.values():
                        remove(folder)
                (ours, our_cpu), (peer, peer_cpu) = (
                    (median(one.seconds for one in runs), median(one.cpu for one in runs)) for runs in taken.values()
                )
                times = f"{ours:.2f} ({our_cpu:.2f}) | {peer:.2f} ({peer_cpu:.2f})"
                ratios = f"{peer / ours:.2f} | {peer_cpu / our_cpu:.2f}"
                print(f"| `{kind}` | {data.count:,}, {data.name} | {times} | {ratios} |", flush=True)
            remove(tree)


if __name__ == "__main__":
    sys.exit(main())
