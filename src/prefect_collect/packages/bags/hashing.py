"""Hashes the files of a bag, several at a time, and compares them with what its manifests list."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import chain, islice

from prefect_collect.archive.problems import Damaged, Problems
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.bags.manifests import Manifest
from prefect_collect.packages.contents.containers import Container
from prefect_collect.packages.contents.shares import Share, read_share, shares_of, size_of
from prefect_collect.threads.own_forks import OwnForks, Step, has_one_thread
from prefect_collect.threads.pool import SMALL, Pool, in_this_thread

Progress = Callable[[int, int], None]
"""Is called with the files and bytes done since the last call."""

_Found = tuple[list[tuple[str, str]], int]
"""Problems as plain values, and how many more there are."""

_Answer = tuple[_Found, _Found, int, int]
"""The problems of a share and those of its form, and the files and bytes of it."""


def check_hashes(
    bag: BagFiles,
    manifests: Sequence[Manifest],
    threads: int,
    progress: Progress | None,
    meanwhile: Sequence[Step] = (),
) -> None:
    """Read every file that a manifest lists (in a ZIP file every file), and report those that differ.

    A process that has only one thread has forks of itself do it, and `meanwhile` takes these steps; else they are taken
    at the end.
    """
    proving = {manifest.number: manifest for manifest in manifests if manifest.proves}
    cut = len(bag.base) if bag.base else 0
    shares, hashing = shares_of(bag.index, list(proving)), _Hashing(bag.container, proving)
    first = list(islice(shares, 3))  # fewer are not worth a fork
    if len(first) == 3 and threads > 1 and bag.container.in_forks and has_one_thread():
        answers, meanwhile = _by_forks(hashing, chain(first, shares), threads, meanwhile), ()
    else:
        answers = _by_threads(hashing, chain(first, shares), 1 if bag.container.in_order else threads)
    for found, form, files, size in answers:
        for (kept, more), into in ((found, bag.findings.problems), (form, bag.findings.form)):
            for path, what in kept:
                into.add(path[cut:] if path.startswith(bag.base) else path, what)
            into.more += more
        if progress is not None:
            progress(files, size)
    for step in meanwhile:
        step(_nothing)


def _nothing() -> None:
    """Do nothing: no fork waits for requests."""


def _by_threads(hashing: _Hashing, shares: Iterator[Share], threads: int) -> Iterator[_Answer]:
    with Pool(threads, "hash") as pool:
        waiting: deque[Future[_Answer]] = deque()
        for share in shares:
            is_small = hashing.container.in_forks and size_of(share) < SMALL * len(share[0])
            waiting.append((in_this_thread if is_small else pool.submit)(hashing.check, share))
            if len(waiting) > 4 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _by_forks(hashing: _Hashing, shares: Iterator[Share], forks: int, meanwhile: Sequence[Step]) -> Iterator[_Answer]:
    with OwnForks(forks, hashing.check) as pool:
        yield from pool.map(shares, meanwhile)


@dataclass(frozen=True, slots=True)
class _Hashing:
    """What is the same for every share: the files' bytes, and the lists that prove them, by number."""

    container: Container
    proving: dict[int, Manifest]

    def check(self, share: Share) -> _Answer:
        """Hash the files of a share."""
        files, following = read_share(share)
        proving = {number: (of.algorithm, of.name) for number, of in self.proving.items() if of.algorithm is not None}
        problems, size = Problems(), 0
        reader = self.container.reader([entry for entry, _ in files], following)
        for entry, digests in files:
            if not digests and not self.container.reads_all:
                continue
            states = [(number, proving[number][0], proving[number][0].start()) for number in digests]
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
                    problems.add(entry.name, f"its bytes are not those that {proving[number][1]} lists")
        return _plain(problems), _plain(reader.form), len(files), size


def _plain(problems: Problems) -> _Found:
    return [(problem.path, problem.what) for problem in problems.kept], problems.more


def default_threads() -> int:
    """Return the number of threads: one for each processor, at most 8."""
    return min(8, os.cpu_count() or 1)
