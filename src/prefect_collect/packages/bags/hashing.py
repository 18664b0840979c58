"""Hashes the files of a bag, several at a time, and compares them with what its manifests list."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Final

from prefect_collect.archive.problems import Damaged, Problems
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.bags.manifests import Manifest
from prefect_collect.packages.contents.containers import Container
from prefect_collect.packages.contents.shares import Share, read_share, shares_of, size_of
from prefect_collect.threads.own_forks import BEAT, OwnForks, Step, has_one_thread
from prefect_collect.threads.pool import SMALL, Pool, in_this_thread

_FILE_WORK: Final = 16 << 10
"""Bytes that are hashed in the time that it takes to begin with a file."""

Progress = Callable[[int, int], None]
"""Is called with the files and bytes done since the last call, also with none while nothing is done."""

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

    A process that has only one thread has forks of itself do it, if the system allows any, and `meanwhile` takes these
    steps; else they are taken at the end.
    """
    proving = {manifest.number: manifest for manifest in manifests if manifest.proves}
    shares, hashing = shares_of(bag.index, list(proving)), _Hashing(bag.container, proving)
    first = list(islice(shares, 3))  # fewer are not worth a fork
    by_forks = len(first) == 3 and threads > 1 and bag.container.in_forks and has_one_thread()
    beat = partial(progress or _ignore, 0, 0)
    with OwnForks(threads if by_forks else 0, hashing.check) as forks:
        shares = chain(first, shares)
        if forks:
            answers, meanwhile = forks.map(shares, meanwhile, work=_work_of, beat=beat), ()
        else:
            answers = _by_threads(hashing, shares, 1 if bag.container.in_order else threads, beat)
        _take(bag, answers, progress)
    for step in meanwhile:
        step(_nothing)


def _take(bag: BagFiles, answers: Iterator[_Answer], progress: Progress | None) -> None:
    """Add what was found to the findings of the bag."""
    cut = len(bag.base) if bag.base else 0
    for found, form, files, size in answers:
        for (kept, more), into in ((found, bag.findings.problems), (form, bag.findings.form)):
            for path, what in kept:
                into.add(path[cut:] if path.startswith(bag.base) else path, what)
            into.more += more
        if progress is not None:
            progress(files, size)


def _ignore(files: int, size: int) -> None:
    """Do nothing: no progress is shown."""


def _work_of(share: Share) -> int:
    return size_of(share) + _FILE_WORK * len(share[0])


def _nothing() -> None:
    """Do nothing: no fork waits for requests."""


def _by_threads(
    hashing: _Hashing, shares: Iterator[Share], threads: int, beat: Callable[[], object]
) -> Iterator[_Answer]:
    with Pool(threads, "hash") as pool:
        waiting: deque[Future[_Answer]] = deque()
        for share in shares:
            is_small = hashing.container.in_forks and size_of(share) < SMALL * len(share[0])
            waiting.append((in_this_thread if is_small else pool.submit)(hashing.check, share))
            if len(waiting) > 4 * threads:
                yield _result(waiting.popleft(), beat)
        while waiting:
            yield _result(waiting.popleft(), beat)


def _result(future: Future[_Answer], beat: Callable[[], object]) -> _Answer:
    while not wait([future], BEAT).done:
        beat()
    return future.result()


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
