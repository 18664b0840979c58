"""Hashes the files of a bag, several at a time, and compares them with what its manifests list."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from prefect_collect.archive.problems import Damaged, Problems
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.bags.manifests import Manifest
from prefect_collect.packages.contents.containers import Container
from prefect_collect.packages.contents.index import Entry
from prefect_collect.threads.pool import Pool

Progress = Callable[[int, int], None]
"""Is called with the files and bytes done since the last call."""

Share = Sequence[tuple[Entry, dict[int, bytes]]]


def check_hashes(bag: BagFiles, manifests: Sequence[Manifest], threads: int, progress: Progress | None) -> None:
    """Read every file that a manifest lists (in a ZIP file every file), and report those that differ."""
    proving = {manifest.number: manifest for manifest in manifests if manifest.proves}
    cut = len(bag.base) if bag.base else 0

    def collect(share: Share, future: Future[tuple[Problems, Problems, int]]) -> None:
        found, form, size = future.result()
        for problems, into in ((found, bag.findings.problems), (form, bag.findings.form)):
            for problem in problems.kept:
                path = problem.path
                into.add(path[cut:] if path.startswith(bag.base) else path, problem.what)
            into.more += problems.more
        if progress is not None:
            progress(len(share), size)

    threads = 1 if bag.container.in_order else threads
    with Pool(threads, "hash") as pool:
        waiting: deque[tuple[Share, Future[tuple[Problems, Problems, int]]]] = deque()
        for share, following in bag.index.shares(list(proving)):
            waiting.append((share, pool.submit(_hash_share, bag.container, share, following, proving)))
            if len(waiting) > 4 * threads:
                collect(*waiting.popleft())
        while waiting:
            collect(*waiting.popleft())


def _hash_share(
    container: Container, share: Share, following: int | None, proving: dict[int, Manifest]
) -> tuple[Problems, Problems, int]:
    problems, size = Problems(), 0
    algorithms = {number: manifest.algorithm for number, manifest in proving.items() if manifest.algorithm is not None}
    reader = container.reader([entry for entry, _ in share], following)
    for entry, digests in share:
        if not digests and not container.reads_all:
            continue
        states = [(number, algorithms[number], algorithms[number].start()) for number in digests]
        try:
            for chunk in reader.chunks(entry):
                size += len(chunk)
                for _, _, state in states:
                    state.update(chunk)
        except Damaged as error:
            problems.add(entry.name, str(error))
            continue
        for number, algorithm, state in states:
            if not algorithm.matches(state, digests[number]):
                problems.add(entry.name, f"its bytes are not those that {proving[number].name} lists")
    return problems, reader.form, size


def default_threads() -> int:
    """Return the number of threads: one for each processor, at most 8."""
    return min(8, os.cpu_count() or 1)
