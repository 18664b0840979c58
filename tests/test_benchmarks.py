"""The pure parts of the benchmarks: how time is shared out, how targets are judged, and what the report says."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.budget import Allowance, Budget, TooSlow, within
from benchmarks.limits import Limit
from benchmarks.machine import Load, cpu_times
from benchmarks.measure import Comparison, Contender, Folders, Row, Times, compare
from benchmarks.report import REASONS, Measured, Run, document, reasons, targets
from benchmarks.shares import SECONDS
from benchmarks.took import Took
from tools import headline_results

RUN = Run("make bench", datetime(2026, 11, 30, 15, 40, tzinfo=UTC), 1500.0, "/dev/shm", False, 3)
IDLE = Load(0.4, 0.02)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def contender(name: str, target: float | None = None) -> Contender:
    """Return a contender that is never run."""
    return Contender(name, Folders(Path()), lambda setting, where, empty: Took(0.0), target=target)


def row(
    title: str, ours: Iterable[float], peer: Iterable[float], target: float | None, name: str = "rclone copy"
) -> Row:
    """Return a row of these seconds, ours with a constant part of 1 s."""
    mine = Times(contender("prefect-collect"), 0, [Took(one, 1.0) for one in ours], [Took(1.0)])
    theirs = Times(contender(name, target), 16, [Took(one, 2.0) for one in peer], [Took(0.0)])
    return Row(title, 10, mine, theirs)


def test_a_row_gets_its_share_of_what_is_left() -> None:
    """Rows on an idle machine get more than their share, and those after a slow row get less."""
    clock = Clock()
    budget = Budget(100, {"one": 40, "two": 20, "three": 20}, clock)
    assert budget.allowance("one").seconds == 50
    clock.now = 80
    two = budget.allowance("two")
    assert two.seconds == 10
    assert budget.rounds("two", two, 3) == 2
    clock.now = 120
    three = budget.allowance("three")
    assert (three.seconds, budget.rounds("three", three, 3)) == (0, 1)


def test_a_row_takes_no_further_round_than_its_time_permits(tmp_path: Path) -> None:
    """Of three rounds, those are run that fit; the first is, and keeps the best of the settings."""
    clock = Clock()
    asked: list[tuple[str, int, bool]] = []

    def runs(name: str, seconds: float) -> Any:
        def run(setting: int, where: str, empty: bool) -> Took:
            asked.append((name, setting, empty))
            clock.now += 0 if empty else seconds * (setting or 1)
            return Took(0.0 if empty else seconds * (setting or 1))

        return run

    ours = Contender("ours", Folders(tmp_path), runs("ours", 1))
    peer = Contender("peer", Folders(tmp_path), runs("peer", 1), sweep=(3, 2))
    [one] = compare(Comparison("title", 1, ours, [peer]), 3, lambda: None, Allowance(11, clock))
    assert [took.seconds for took in one.peer.full] == [2, 2]
    assert one.peer.setting == 2
    assert one.ratio == 2
    assert asked.count(("peer", 3, False)) == 1
    assert asked.count(("peer", 2, True)) == 1


def test_targets_are_judged_by_what_was_reached() -> None:
    """A ratio and a least value are met from the target on, a most value up to it."""
    group = Measured("s3", IDLE, 3)
    group.rows = [row("S3", [3, 3, 3], [4, 4, 5], 2.0), row("S3", [3, 3, 3], [3, 3, 3], 2.0, "s5cmd cp")]
    group.limits = [Limit("a", 2.0, "s", 3.0), Limit("b", 2.0, "times", 3.0, is_least=True), Limit("shown", 1, "s")]
    found = targets([group])
    assert [(one.key, one.is_met) for one in found] == [
        ("s3 rclone copy", True), ("s3 s5cmd cp", False), ("s3 a", True), ("s3 b", False),
    ]  # fmt: skip
    assert found[0].share == 1.0
    assert found[0].note == "2.00 to 2.50; CPU 1.00 s, theirs 2.00 s"
    assert (found[0].rounds, found[0].load) == (3, IDLE)
    assert not group.is_met


def test_a_missed_target_is_shown_with_its_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The report has the reason and the next idea beside each target that is missed, and what failed."""
    (tmp_path / "reasons.toml").write_text('["s3 s5cmd cp"]\nwhy = "the cores are full"\nnext = "less copying"\n')
    monkeypatch.setattr("benchmarks.report.REASONS", tmp_path / "reasons.toml")
    group = Measured("s3", Load(2.0, 0.5), 3, [row("S3", [3], [3], 2.0, "s5cmd cp")], failures=["imap: no mbsync"])
    said = document([group], RUN)
    assert "| S3: beside s5cmd cp | 2 × | 1.50 × | the cores are full | less copying |" in said
    assert "- imap: no mbsync" in said
    assert "**0 of 1 targets are met.**" in said
    assert "Others used the machine before 1 of 1 rows." in said


def test_noise_meets_no_target() -> None:
    """A difference of 0 or less, or one that was so in a round, is not measurable: no target is met or missed by it."""
    group = Measured("share", IDLE, 3)
    group.limits = [Limit("a", -0.3, "ms", 0.05), Limit("b", 0.04, "ms", 0.05, low=-0.1)]
    group.limits += [Limit("c", 0.09, "ms", 0.05, low=-0.1), Limit("d", 0.04, "ms", 0.05, rounds=1, low=0.01)]
    said = document([group], RUN)
    assert [one.is_met for one in targets([group])] == [None, None, False, True]
    assert "**1 of 2 targets are met.** 2 could not be measured here." in said
    assert "| a | at most 0.05 ms | not measurable here (-0.30 ms) |  |  | 3 |  | 0.4 |" in said
    assert "| d | at most 0.05 ms | 0.04 ms | 1.25 | met | 1 |  | 0.4 |" in said


def test_a_trial_judges_nothing() -> None:
    """The report of a trial has the values and how many rounds they are of, but no verdict, target or reason."""
    group = Measured("s3", IDLE, 1, [row("S3", [3], [3], 2.0)], [Limit("a", 2.0, "s", 1.0)], ["imap: no mbsync"])
    said = document([group], replace(RUN, is_quick=True, rounds=1))
    assert "little data, 1 round." in said
    assert "| a | 2.00 s | 1 |  | 0.4 |" in said
    assert "- imap: no mbsync" in said
    for word in ("targets are met", "**missed**", "## Targets", "## What misses", "Medians of"):
        assert word not in said


def test_reasons_are_of_rows_that_exist() -> None:
    """Each key of benchmarks/reasons.toml begins with the name of a row, and says why and what next."""
    kept = reasons(REASONS.read_text(encoding="utf-8"))
    assert {key.split()[0] for key in kept} - set(SECONDS) == set()


def test_the_shares_fit_into_half_an_hour() -> None:
    """All rows together take at most the time that a run shares out, and nothing is left for none."""
    assert sum(SECONDS.values()) <= 28 * 60
    assert all(SECONDS.values())


def test_the_readme_has_the_figures_of_the_report() -> None:
    """The figures in README.md are those of benchmarks/RESULTS.md, which `make bench` writes."""
    page, results = (path.read_text(encoding="utf-8") for path in (headline_results.PAGE, headline_results.RESULTS))
    assert headline_results.filled(page, results) == page


def test_the_headlines_are_of_the_report() -> None:
    """The headlines have a comparison's ratios beside each tool, or that it failed; a trial gives no figures."""
    group = Measured("s3", IDLE, 3)
    name = headline_results.HEADLINES["10,000 small objects from S3 into a folder"]
    group.rows = [row(name, [3], [4], 2.0), row(name, [3], [3], 3.0, "s5cmd cp")]
    said = headline_results.block(document([group], RUN))
    assert "| 10,000 small objects from S3 into a folder | 2.00 × rclone copy, 1.50 × s5cmd cp |" in said
    assert "| export of 10,000 small files as one ZIP file | not measured |" in said
    assert "1 of 2 targets are met" in said
    assert re.search(r"one run of `make bench` on 2026-11-30, \d+ cores of an ", said)
    assert "2.00" not in headline_results.block(document([group], replace(RUN, is_quick=True)))


def test_others_are_told_from_idle_time() -> None:
    """What the host took counts as used, what waits for disks does not."""
    assert cpu_times("cpu  10 0 20 100 5 1 2 7 3 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n") == (40, 145)


def test_a_row_that_hangs_is_stopped() -> None:
    """What takes too long is interrupted, and a run ends soon after the time that it shares out."""
    with pytest.raises(TooSlow), within(0.01):
        threading.Event().wait(60)
    clock = Clock()
    budget = Budget(100, {"one": 40}, clock)
    clock.now = 95
    assert budget.patience(Allowance(1, clock)) == 93
    clock.now = 185
    assert budget.patience(Allowance(1, clock)) == 5
