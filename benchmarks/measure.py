"""Interleaved runs of several contenders for one task, each at the best concurrency of a small sweep."""

from __future__ import annotations

import itertools
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from benchmarks.budget import Allowance
from benchmarks.data import Buckets, count_files, remove
from benchmarks.took import Took

WHOLE_TARGET: Final = 1.0
"""The least ratio of whole runs, constant parts included, for each peer that has a target."""
_LEAST_CPU: Final = 0.05

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
    took, and raises if the work was not all done. The first round keeps the best of the concurrencies in `sweep`.
    `expect` is the number of files that must be in the place afterwards (None: `run` has checked). `target` is the
    least ratio of its time to prefect-collect's. `rounds` is for a contender that is too slow to be run as often.
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
        """Median seconds of a run on an empty source; 0 where there is none."""
        return statistics.median(took.seconds for took in self.empty) if self.empty else 0.0

    @property
    def cpu(self) -> float:
        """Median CPU seconds, without those of a run on an empty source."""
        nothing = statistics.median(took.cpu for took in self.empty) if self.empty else 0.0
        return statistics.median(took.cpu for took in self.full) - nothing

    def net_of(self, took: Took) -> float:
        """Return the seconds of one run without the constant part, but not less than the job's own work.

        What a flow run takes to start and end may pass while a short job works.
        """
        return max(took.seconds - self.constant, took.work, 0.001)

    @property
    def net(self) -> float:
        """Median seconds without the constant part."""
        return statistics.median(self.net_of(took) for took in self.full)


@dataclass(frozen=True)
class Comparison:
    """One task, prefect-collect and its peers. `is_whole`: there is no empty source; the target is of whole runs."""

    title: str
    items: int
    ours: Contender
    peers: Sequence[Contender]
    is_whole: bool = False


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
    def rounds(self) -> int:
        """The rounds in which both were measured."""
        return min(len(self.ours.full), len(self.peer.full))

    @property
    def cpu(self) -> float | None:
        """The peer's CPU seconds divided by prefect-collect's; None where there is too little to compare."""
        return self.peer.cpu / self.ours.cpu if min(self.peer.cpu, self.ours.cpu) >= _LEAST_CPU else None

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the greatest ratio of single rounds, without the constant parts."""
        pairs = zip(self.ours.full, self.peer.full, strict=False)
        ratios = [self.peer.net_of(theirs) / self.ours.net_of(ours) for ours, theirs in pairs]
        return min(ratios), max(ratios)

    @property
    def target(self) -> float | None:
        """The least ratio that is wanted; None without a target."""
        return self.peer.contender.target

    @property
    def passed(self) -> bool | None:
        """True if the target is met; None without a target."""
        return None if self.target is None else self.ratio >= self.target

    @property
    def is_even(self) -> bool | None:
        """True if the whole run is as fast as the peer's, constant parts included; None without a target."""
        return None if self.target is None else self.whole >= WHOLE_TARGET


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


def compare(comparison: Comparison, rounds: int, settle: Callable[[], None], allowance: Allowance) -> list[Row]:
    """Run all contenders in turn, `rounds` times or as often as the allowance permits, but once at least.

    prefect-collect runs once before that, uncounted, to warm up its process. In the first round a contender runs at
    each setting of its sweep, and the best run counts; its constant part is measured once, and ours in each round.
    """
    say(f"  {comparison.title}")
    ours, peers = comparison.ours, comparison.peers
    run_once(ours, ours.sweep[0], settle)
    times = [Times(contender, contender.sweep[0]) for contender in (ours, *peers)]
    expected = 0.0
    for turn in range(rounds):
        if turn and not allowance.permits(expected):
            say(f"    no further round: {allowance.used:.0f} s of {allowance.seconds:.0f} s are used")
            break
        began, spared = allowance.used, 0.0
        for each in times[turn % len(times) :] + times[: turn % len(times)]:
            if turn < (each.contender.rounds or rounds):
                has_empty = not comparison.is_whole and (turn == 0 or each is times[0])
                spared += _one_round(each, turn, settle, has_empty=has_empty)
        expected = allowance.used - began - spared
    return [Row(comparison.title, comparison.items, times[0], peer) for peer in times[1:]]


def _one_round(each: Times, turn: int, settle: Callable[[], None], *, has_empty: bool) -> float:
    """Run a contender once, at first at each of its settings; return the seconds that later rounds do not take."""
    settings = each.contender.sweep if turn == 0 else (each.setting,)
    tried = {setting: run_once(each.contender, setting, settle) for setting in settings}
    each.setting = min(tried, key=lambda setting: tried[setting].seconds)
    full = tried[each.setting]
    each.full.append(full)
    if has_empty:
        each.empty.append(run_once(each.contender, each.setting, settle, empty=True))
    shown = ", ".join(f"[{setting}] {took.seconds:.2f} s" for setting, took in tried.items())
    say(f"    {each.contender.name}: {shown}; empty {each.constant:.2f} s, CPU {full.cpu:.2f} s")
    return sum(took.seconds for took in tried.values()) - full.seconds
