"""Interleaved runs of several contenders for one task, each at the best concurrency of its sweep."""

from __future__ import annotations

import itertools
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from benchmarks.data import Buckets, count_files, remove
from benchmarks.took import Took

_serial = itertools.count(1)


class Place(Protocol):
    """A place that runs write to: a new one for each run, deleted outside of the timed part."""

    def make(self, name: str) -> str:
        """Make a new, empty place; return its name in commands."""

    def count(self, name: str) -> int:
        """Return the number of files or objects in the place."""

    def remove(self, name: str) -> None:
        """Delete the place with all it holds."""


@dataclass(frozen=True)
class Folders:
    """New folders below `root`."""

    root: Path

    def make(self, name: str) -> str:
        """Return the path of a new folder."""
        (self.root / name).mkdir(parents=True)
        return str(self.root / name)

    def count(self, name: str) -> int:
        """Return the number of regular files."""
        return count_files(self.root / name)

    def remove(self, name: str) -> None:
        """Delete the folder."""
        remove(self.root / name)


@dataclass(frozen=True)
class FreshBuckets:
    """New buckets on one server."""

    buckets: Buckets

    def make(self, name: str) -> str:
        """Make a bucket; return its name."""
        self.buckets.make(name)
        return name

    def count(self, name: str) -> int:
        """Return the number of objects."""
        return self.buckets.count(name)

    def remove(self, name: str) -> None:
        """Delete the bucket."""
        self.buckets.remove(name)


@dataclass(frozen=True)
class Contender:
    """One way to do the task.

    `run` takes a concurrency (0: its default), the place and whether the source is to be empty; it returns what the run
    took, and raises if the work was not all done. `expect` is the number of files that must be in the place afterwards
    (None: `run` has checked). `target` is the least ratio of its time to prefect-collect's. `rounds` is for a contender
    that is too slow to be run as often as the others.
    """

    name: str
    place: Place
    run: Callable[[int, str, bool], Took]
    sweep: Sequence[int] = (0,)
    expect: int | None = None
    target: float | None = None
    rounds: int | None = None


@dataclass
class Times:
    """What a contender took in every counted run, and in runs on an empty source."""

    contender: Contender
    setting: int
    full: list[Took] = field(default_factory=list)
    empty: list[Took] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Median seconds of a whole run."""
        return statistics.median(took.seconds for took in self.full)

    @property
    def constant(self) -> float:
        """Median seconds of a run on an empty source."""
        return statistics.median(took.seconds for took in self.empty)

    @property
    def cpu(self) -> float:
        """Median CPU seconds, without those of a run on an empty source."""
        return statistics.median(took.cpu for took in self.full) - statistics.median(took.cpu for took in self.empty)

    def net_of(self, took: Took) -> float:
        """Return the seconds of one run without the constant part, but not less than the job's own work.

        The constant part of a flow run is mostly a sleep that a short job's work hides in.
        """
        return max(took.seconds - self.constant, took.work, 0.001)

    @property
    def net(self) -> float:
        """Median seconds without the constant part."""
        return statistics.median(self.net_of(took) for took in self.full)


@dataclass(frozen=True)
class Comparison:
    """One task, prefect-collect and its peers."""

    title: str
    items: int
    ours: Contender
    peers: Sequence[Contender]


@dataclass(frozen=True)
class Row:
    """The times of prefect-collect beside one peer's. The target holds for `ratio`: both without constant parts."""

    title: str
    items: int
    ours: Times
    peer: Times

    @property
    def ratio(self) -> float:
        """The peer's time divided by prefect-collect's, both without their constant parts."""
        return self.peer.net / self.ours.net

    @property
    def whole(self) -> float:
        """The peer's time divided by prefect-collect's, constant parts included."""
        return self.peer.median / self.ours.median

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the greatest ratio of single rounds, without the constant parts."""
        pairs = zip(self.ours.full, self.peer.full, strict=False)
        ratios = [self.peer.net_of(theirs) / self.ours.net_of(ours) for ours, theirs in pairs]
        return min(ratios), max(ratios)

    @property
    def passed(self) -> bool | None:
        """True if the target is met; None without a target."""
        return None if self.peer.contender.target is None else self.ratio >= self.peer.contender.target


def say(text: str) -> None:
    """Print progress to stderr; stdout gets the table alone."""
    print(text, file=sys.stderr, flush=True)


def run_once(contender: Contender, setting: int, settle: Callable[[], None], *, empty: bool = False) -> Took:
    """Run once in a new place, check it and clean up. Raise RuntimeError if not all the work was done."""
    name = f"{contender.name.split()[0].lower()}-{next(_serial)}"
    where = contender.place.make(name)
    try:
        settle()
        took = contender.run(setting, where, empty)
        if not empty and contender.expect is not None and (got := contender.place.count(name)) != contender.expect:
            raise RuntimeError(f"{contender.name} left {got} files, not {contender.expect}")
        return took
    finally:
        contender.place.remove(name)


def compare(comparison: Comparison, rounds: int, settle: Callable[[], None], *, sweep: bool = True) -> list[Row]:
    """Find each contender's best concurrency, then run all of them `rounds` times in turn.

    prefect-collect runs once before that, uncounted, to warm up its process.
    """
    contenders = [comparison.ours, *comparison.peers]
    say(f"\n{comparison.title}")
    run_once(comparison.ours, comparison.ours.sweep[0], settle)
    times = [Times(contender, _best(contender, settle, sweep)) for contender in contenders]
    for turn in range(rounds):
        for each in times[turn % len(times) :] + times[: turn % len(times)]:
            if turn < (each.contender.rounds or rounds):
                full = run_once(each.contender, each.setting, settle)
                empty = run_once(each.contender, each.setting, settle, empty=True)
                each.full.append(full)
                each.empty.append(empty)
                used = full.cpu - empty.cpu
                name = f"{each.contender.name} [{each.setting}]"
                say(f"  {name}: {full.seconds:.2f} s, empty {empty.seconds:.2f} s, CPU {used:.2f} s")
    return [Row(comparison.title, comparison.items, times[0], peer) for peer in times[1:]]


def _best(contender: Contender, settle: Callable[[], None], sweep: bool) -> int:
    settings = contender.sweep if sweep else contender.sweep[:1]
    if len(settings) == 1:
        return settings[0]
    tried = {setting: run_once(contender, setting, settle).seconds for setting in settings}
    say(f"  {contender.name}: " + ", ".join(f"[{setting}] {seconds:.2f} s" for setting, seconds in tried.items()))
    return min(tried, key=lambda setting: tried[setting])
