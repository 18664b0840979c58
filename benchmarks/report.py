"""RESULTS.md: what was measured when, each target beside what was reached, why some were missed, and the details."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.limits import Limit
from benchmarks.machine import Load, counters, described
from benchmarks.measure import WHOLE_TARGET, Row, Times

REASONS: Final = Path(__file__).with_name("reasons.toml")
_MET: Final = {True: "met", False: "**missed**", None: ""}
_NOISE: Final = "not measurable here"
_TARGETS: Final = (
    "Medians of {} interleaved rounds, or of fewer where the time of the run did not suffice. `×` is how many times as "
    "fast as the other tool ours is, both without their constant parts; beside it the least and the greatest of single "
    "rounds, and the seconds of CPU of both. *Not measurable here* is a difference that is 0 or less, or was so in a "
    "single round: it is less than what other work does to the times, and no target is met by it."
)
_WHOLE: Final = (
    "The other tool's seconds to ours, constant parts included. The target is {:g} for each: {} of {} are met."
)
_SIDES: Final = (
    "Seconds; CPU is that of the contender's processes, without the servers'. The concurrency that a contender was "
    "best at is in [brackets], where it is not its default."
)
_IDLE: Final = "The machine was idle before each row."
_LOADS: Final = (
    "Seconds and CPU seconds are of all that a row needs: servers, data, runs that do not count, and waiting until the "
    "servers are idle. The load average before a row is of the rows before it, too; the CPU of others is what was used "
    "in half a second without work of this run. Instructions are counted by Valgrind, of whole commands without a "
    "server alone, as all else would take it too long; {}."
)


@dataclass
class Measured:
    """What one group of rows gave; `load` is that before it, `seconds` and `cpu` what it took in all."""

    name: str
    load: Load
    rounds: int
    rows: list[Row] = field(default_factory=list)
    limits: list[Limit] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0
    cpu: float = 0.0

    @property
    def is_met(self) -> bool:
        """True if all was measured, and no target missed."""
        verdicts = [row.passed for row in self.rows] + [limit.passed for limit in self.limits]
        return not self.failures and False not in verdicts


@dataclass(frozen=True)
class Run:
    """The run that the report is of."""

    command: str
    began: datetime
    seconds: float
    place: str
    is_quick: bool
    rounds: int


@dataclass(frozen=True)
class Target:
    """One line of the summary: how much of a target was reached; `is_met` is None if that cannot be told here."""

    key: str
    what: str
    target: str
    reached: str
    share: float
    is_met: bool | None
    rounds: int
    load: Load
    note: str = ""


def targets(measured: Sequence[Measured]) -> list[Target]:
    """Return every target with what was reached, in the order of the rows."""
    found = []
    for group in measured:
        for row in group.rows:
            if row.target is not None:
                peer = row.peer.contender.name
                low, high = row.spread
                note = f"{low:.2f} to {high:.2f}; CPU {row.ours.cpu:.2f} s, theirs {row.peer.cpu:.2f} s"
                found.append(
                    Target(
                        f"{group.name} {peer}", f"{row.title}: beside {peer}", f"{row.target:g} ×",
                        f"{row.ratio:.2f} ×", row.ratio / row.target, row.passed, row.rounds, group.load, note,
                    )
                )  # fmt: skip
        for limit in group.limits:
            if limit.target is not None:
                most = f"{'at least' if limit.is_least else 'at most'} {limit.target:g} {limit.unit}"
                found.append(
                    Target(
                        f"{group.name} {limit.title}", limit.title, most, _reached(limit), limit.share, limit.passed,
                        limit.rounds or group.rounds, group.load, limit.note,
                    )
                )  # fmt: skip
    return found


def _reached(limit: Limit) -> str:
    value = f"{_number(limit.value)} {limit.unit}"
    return f"{_NOISE} ({value})" if limit.is_noise else value


def _load(load: Load) -> str:
    return f"{load.average:.1f}{'' if load.is_idle else ' (busy)'}"


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 10 else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Return a Markdown table; the columns of `right` hold numbers."""
    dashes = ["---:" if at in right else "---" for at in range(len(header))]
    return ["| " + " | ".join(cells) + " |" for cells in (header, dashes, *rows)]


def _summary(every: Sequence[Target]) -> list[str]:
    cells = [
        [
            one.what,
            one.target,
            one.reached,
            "" if one.is_met is None else f"{min(one.share, 99):.2f}",
            _MET[one.is_met],
            str(one.rounds),
            one.note,
            _load(one.load),
        ]
        for one in every
    ]
    header = ["what", "target", "reached", "reached ÷ target", "", "rounds", "single rounds, CPU, more", "load before"]
    return table(header, cells, (1, 2, 3, 5, 7))


def _whole(measured: Sequence[Measured]) -> list[str]:
    cells = [
        [row.title, row.peer.contender.name, f"{row.ours.median:.2f}", f"{row.peer.median:.2f}", f"{row.whole:.2f}",
         _MET[row.is_even]]
        for group in measured for row in group.rows if row.target is not None
    ]  # fmt: skip
    return table(["what", "beside", "ours, s", "theirs, s", "whole", ""], cells, (2, 3, 4))


def _named(times: Times) -> str:
    return f"{times.contender.name} [{times.setting}]" if times.setting else times.contender.name


def _side_by_side(measured: Sequence[Measured]) -> list[str]:
    side = ["s", "empty", "net", "CPU"]
    header = ["what", "items", *(f"ours: {name}" for name in side), "beside", *side, "ratio", "of rounds", "CPU ratio"]
    header.append("load before")
    cells = []
    for load, row in ((group.load, row) for group in measured for row in group.rows):
        times = [
            [f"{one.median:.2f}", f"{one.constant:.2f}", f"{one.net:.2f}", f"{one.cpu:.2f}"]
            for one in (row.ours, row.peer)
        ]
        low, high = row.spread
        ratios = [f"{row.ratio:.2f}", f"{low:.2f} to {high:.2f} ({row.rounds})", f"{row.cpu:.2f}" if row.cpu else ""]
        title = f"{row.title} [{row.ours.setting}]" if row.ours.setting else row.title
        cells.append([title, f"{row.items:,}", *times[0], _named(row.peer), *times[1], *ratios, _load(load)])
    return table(header, cells, (1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 13, 14))


def _values(measured: Sequence[Measured]) -> list[str]:
    cells = [
        [limit.title, _reached(limit), str(limit.rounds or group.rounds), limit.note, _load(group.load)]
        for group in measured for limit in group.limits
    ]  # fmt: skip
    return table(["what", "value", "rounds", "CPU, more", "load before"], cells, (1, 2, 4))


def _times(measured: Sequence[Measured]) -> list[str]:
    cells = [
        [f"`{one.name}`", f"{one.seconds:.0f}", f"{one.cpu:.0f}", f"{one.load.average:.1f}", f"{one.load.others:.0%}",
         "yes" if one.load.is_idle else "**no**"]
        for one in measured
    ]  # fmt: skip
    return table(
        ["rows", "seconds in all", "CPU seconds", "load average before", "CPU of others before", "idle"],
        cells,
        (1, 2, 3, 4),
    )


def reasons(text: str) -> dict[str, dict[str, str]]:
    """Return the reasons and next ideas by the keys of targets."""
    found: dict[str, Any] = tomllib.loads(text)
    return {key: {"why": one["why"], "next": one["next"]} for key, one in found.items()}


def _missed(every: Sequence[Target], why: Mapping[str, Mapping[str, str]]) -> list[str]:
    cells = []
    for one in every:
        if one.is_met is False:
            said = why.get(one.key) or why.get(one.key.split()[0]) or {"why": "not looked into yet", "next": ""}
            cells.append([one.what, one.target, one.reached, said["why"], said["next"]])
    return table(["what", "target", "reached", "why", "next idea"], cells, (1, 2)) if cells else ["Nothing."]


def _opening(measured: Sequence[Measured], run: Run, every: Sequence[Target]) -> list[str]:
    judged = [one.is_met for one in every if one.is_met is not None]
    noise = f" {len(every) - len(judged)} could not be measured here." if len(judged) < len(every) else ""
    lines, verdict = ["# Results", ""], f"**{sum(judged)} of {len(judged)} targets are met.**{noise} "
    if run.is_quick:
        verdict = ""
        lines += [
            f"**A trial (`--quick`): little data, {run.rounds} round. It shows which rows run, and no speed: no target "
            "is judged by it.**",
            "",
        ]
    busy = [one.name for one in measured if not one.load.is_idle]
    names = "" if len(busy) in (0, len(measured)) else f": {', '.join(busy)}"
    idle = f"Others used the machine before {len(busy)} of {len(measured)} rows{names}." if busy else _IDLE
    return [
        *lines,
        "prefect-collect beside the tools that are used instead, on the same data and machine, in one run. Written by "
        f"`{run.command}`, which began at {run.began:%Y-%m-%d %H:%M} UTC and took {run.seconds / 60:.1f} minutes; all "
        f"on {run.place}. What the rows and columns are: [README.md](README.md).",
        "",
        f"{verdict}{idle}",
        "",
        *described(),
    ]


def document(measured: Sequence[Measured], run: Run) -> str:
    """Return the whole report; that of a trial judges nothing."""
    every = targets(measured)
    failures = [failure for one in measured for failure in one.failures]
    even = [row.is_even for one in measured for row in one.rows if row.is_even is not None]
    lines = [*_opening(measured, run, every), ""]
    if not run.is_quick:
        lines += ["## Targets", "", _TARGETS.format(run.rounds), "", *_summary(every), ""]
        lines += ["## What misses its target", "", *_missed(every, reasons(REASONS.read_text())), ""]
    if failures:
        lines += ["## Could not be measured", "", *(f"- {failure}" for failure in failures), ""]
    if not run.is_quick:
        lines += ["## Whole runs", "", _WHOLE.format(WHOLE_TARGET, sum(even), len(even)), "", *_whole(measured), ""]
    lines += ["## Side by side", "", _SIDES, "", *_side_by_side(measured), "", "## Values", "", *_values(measured), ""]
    lines += ["## Load and time of each row", "", _LOADS.format(counters()), "", *_times(measured), ""]
    return "\n".join(lines)
