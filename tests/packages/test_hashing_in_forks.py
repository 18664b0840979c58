"""Files are hashed by forks of a process with one thread, and by threads of any other: with the same findings."""

from __future__ import annotations

import json
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
    done: list[tuple[int, int]] = []
    found = tmp_path / "found.json"

    def by_forks() -> None:
        assert has_one_thread()
        threads: Any = hashing.__dict__
        threads["Pool"] = None  # no thread is used
        verification = verify(package, threads=2, progress=lambda *counts: done.append(counts))
        found.write_text(json.dumps([asdict(verification), done]))

    assert run_fork(by_forks).code == 0
    end = threading.Event()
    waiting = threading.Thread(target=end.wait)
    waiting.start()
    verification: Verification = verify(package, threads=2, progress=lambda *counts: done.append(counts))
    end.set()
    waiting.join()
    assert [problem.path for problem in verification.problems] == ["data/0000.bin", "data/0300.bin", "data/0699.bin"]
    assert json.loads(found.read_text()) == json.loads(json.dumps([asdict(verification), done]))
