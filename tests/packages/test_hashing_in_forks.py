"""Files are hashed by forks of a process with one thread, and by threads of any other: with the same findings."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.packages import Verification, verify
from prefect_collect.packages.bags import hashing
from prefect_collect.threads.own_forks import has_one_thread
from tests.packages.foreign_bags import as_folder, as_zip, bag
from tests.support.process_fork import run_fork


@pytest.mark.parametrize("form", ["zip", "folder"])
def test_forks_find_what_threads_find(tmp_path: Path, form: str) -> None:
    """Of 700 files three are altered: both name them, in the order of the files, and count all files and bytes."""
    payload = {f"data/{number:04d}.bin": b"%d" % number * 50 for number in range(700)}
    files = bag("1.0", payload)
    for name in ("data/0000.bin", "data/0300.bin", "data/0699.bin"):
        files[name] = b"altered"
    package = tmp_path / "bag"
    (as_zip if form == "zip" else as_folder)(files, package)
    done: list[tuple[int, ...]] = []
    found = tmp_path / "found.json"

    def count(*counts: int) -> None:
        if any(counts):
            done.append(counts)

    def by_forks() -> None:
        assert has_one_thread()
        threads: Any = hashing.__dict__
        threads["Pool"] = None  # no thread is used
        verification = verify(package, threads=2, progress=count)
        found.write_text(json.dumps([asdict(verification), done]))

    assert run_fork(by_forks).code == 0
    end = threading.Event()
    waiting = threading.Thread(target=end.wait)
    waiting.start()
    verification: Verification = verify(package, threads=2, progress=count)
    end.set()
    waiting.join()
    assert [problem.path for problem in verification.problems] == ["data/0000.bin", "data/0300.bin", "data/0699.bin"]
    assert json.loads(found.read_text()) == json.loads(json.dumps([asdict(verification), done]))


def test_where_no_fork_can_be_had_threads_hash(tmp_path: Path) -> None:
    """When three more files may be open, too few for the pipes of a fork, an altered file is found all the same."""
    files = bag("1.0", {f"data/{number:04d}.bin": b"%d" % number for number in range(700)})
    files["data/0300.bin"] = b"altered"
    package = as_folder(files, tmp_path / "bag")

    def program() -> None:
        def limited() -> bool:
            most = max(map(int, os.listdir("/proc/self/fd"))) + 3
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
            return has_one_thread()

        module: Any = hashing.__dict__
        module["has_one_thread"] = limited
        assert [problem.path for problem in verify(package, threads=2).problems] == ["data/0300.bin"]

    ended = run_fork(program)
    assert ended.code == 0, ended.err.decode()


_COMMAND = """
import os, sys

forks = []

def watch(event, _):
    if event == "os.fork":
        forks.append(event)
    if event == "_thread.start_new_thread":
        raise RuntimeError("no thread is started")

sys.addaudithook(watch)
os.cpu_count = lambda: 2
from prefect_collect.cli import run
code = run(["verify", sys.argv[1]])
print(code, len(forks))
"""


def test_the_command_hashes_in_forks(tmp_path: Path) -> None:
    """A fresh `verify PACKAGE` has one thread when it comes to the files: on two cores it makes two forks."""
    payload = {f"data/{number:04d}.bin": b"%d" % number for number in range(700)}
    package = as_folder(bag("1.0", payload), tmp_path / "bag")
    argv = [sys.executable, "-c", _COMMAND, str(package)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "0 2", done
