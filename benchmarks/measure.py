"""Interleaved runs of several contenders at one job, each at the best concurrency of its sweep."""

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
    """Where runs write to: a fresh place each, deleted outside of the timed part."""

    def make(self, name: str) -> str:
        """A new, empty place; returns how commands name it."""

    def count(self, name: str) -> int:
        """Files or objects in it."""

    def remove(self, name: str) -> None:
        """Delete it with all it holds."""


@dataclass(frozen=True)
class Folders:
    """Fresh folders below `root`."""

    root: Path

    def make(self, name: str) -> str:
        """A path."""
        (self.root / name).mkdir(parents=True)
        return str(self.root / name)

    def count(self, name: str) -> int:
        """Regular files."""
        return count_files(self.root / name)

    def remove(self, name: str) -> None:
        """Delete the folder."""
        remove(self.root / name)


@dataclass(frozen=True)
class FreshBuckets:
    """Fresh buckets on one server."""

    buckets: Buckets

    def make(self, name: str) -> str:
        """A bucket's name."""
        self.buckets.make(name)
        return name

    def count(self, name: str) -> int:
        """Objects."""
        return self.buckets.count(name)

    def remove(self, name: str) -> None:
        """Delete the bucket."""
        self.buckets.remove(name)


@dataclass(frozen=True)
class Contender:
    """One way to do the job.

    `run` takes a concurrency (0: its default), the place and whether the source is to be empty; it returns what that
    took, and raises if the work was not all done. `expect` is the number of files that must be in the place afterwards
    (None: `run` has checked). `target` is how many times as long as ours it must take, at least. `rounds` is for what
    is too slow to be run as often as the others.
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
        """One run without the constant part, but not less than the job's own work.

        The constant part of a flow run is mostly a sleep that a short job's work hides in.
        """
        return max(took.seconds - self.constant, took.work, 0.001)

    @property
    def net(self) -> float:
        """Median without the constant part."""
        return statistics.median(self.net_of(took) for took in self.full)


@dataclass(frozen=True)
class Comparison:
    """One job, our contender and its peers."""

    title: str
    items: int
    ours: Contender
    peers: Sequence[Contender]


@dataclass(frozen=True)
class Row:
    """Our times beside one peer's. The target is held against `ratio`: both without their constant parts."""

    title: str
    items: int
    ours: Times
    peer: Times

    @property
    def ratio(self) -> float:
        """How many times as long as ours the peer takes, both without their constant parts."""
        return self.peer.net / self.ours.net

    @property
    def whole(self) -> float:
        """How many times as long as ours the peer takes, everything counted."""
        return self.peer.median / self.ours.median

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the greatest ratio of single rounds, without the constant parts."""
        pairs = zip(self.ours.full, self.peer.full, strict=False)
        ratios = [self.peer.net_of(theirs) / self.ours.net_of(ours) for ours, theirs in pairs]
        return min(ratios), max(ratios)

    @property
    def passed(self) -> bool | None:
        """Whether the target is met; None if there is none."""
        return None if self.peer.contender.target is None else self.ratio >= self.peer.contender.target


def say(text: str) -> None:
    """Progress for whoever waits; the table alone goes to stdout."""
    print(text, file=sys.stderr, flush=True)


def run_once(contender: Contender, setting: int, settle: Callable[[], None], *, empty: bool = False) -> Took:
    """One run in a fresh place, checked and cleaned up. Raises RuntimeError if not all the work was done."""
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

    Ours runs once before that, uncounted: the process is to be warm.
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
