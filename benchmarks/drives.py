"""The rows of what is read through rclone: a remote that is a folder, against ``rclone copy`` of the same."""

from __future__ import annotations

from benchmarks.context import Bench, collecting
from benchmarks.data import DataSet
from benchmarks.measure import Comparison, Contender, Folders
from benchmarks.peers import rclone_copy
from benchmarks.took import Took


def _rows(bench: Bench, title: str, data: DataSet) -> Comparison:
    tree, nothing = bench.tree(data), bench.nothing
    worker, place = bench.worker(), Folders(bench.out)
    full, none = ({"rclone": f"[place]\ntype = alias\nremote = {root}\n"} for root in (tree, nothing))
    ours = collecting(worker, full, none, data.count)

    def rclone(setting: int, where: str, empty: bool) -> Took:
        remote = f':alias,remote="{nothing if empty else tree}":'
        return rclone_copy(remote, where, f"--transfers={setting}", f"--checkers={setting}").run(bench.log("rclone"))

    sweep = (16, 64) if data.count > 100 else (4,)
    peer = Contender("rclone copy", place, rclone, sweep, data.count)
    return Comparison(title, data.count, Contender("prefect-collect", place, ours, (0,)), [peer])


def drive_to_files(bench: Bench) -> Comparison:
    """Compare small files into a local store."""
    data = bench.small
    return _rows(bench, "through rclone to local, small files", data)


def drive_big(bench: Bench) -> Comparison:
    """Compare four large files."""
    return _rows(bench, f"through rclone to local, 4 files of {bench.big.largest >> 20} MB", bench.big)
