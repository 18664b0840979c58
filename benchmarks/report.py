"""The tables, as Markdown that is readable in a terminal too."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.limits import Limit
from benchmarks.measure import Row, Times
from benchmarks.peers import versions

_PASSED = {True: "pass", False: "**FAIL**", None: ""}


def machine() -> list[str]:
    """Return where and when it was measured, and with which versions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    cpu = next(named, platform.processor())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    said = [f"{name}: {text}" for name, text in versions().items()]
    for package in ("prefect-collect", "prefect", "pyarrow", "pycurl", "obstore"):
        try:
            said.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    cores = len(os.sched_getaffinity(0))
    load = f"Load at the end: {os.getloadavg()[0]:.1f}"
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    return [f"{today}, {cpu}, {cores} cores, {memory:.0f} GB, {system}. {load}.", "", "; ".join(said) + "."]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    return [line(header), line(["-" * width for width in widths]), *(line(row) for row in rows)]


def _named(times: Times) -> str:
    return f"{times.contender.name} [{times.setting}]" if times.setting else times.contender.name


def _times(times: Times) -> list[str]:
    return [_named(times), f"{times.median:.2f}", f"{times.constant:.2f}", f"{times.net:.2f}", f"{times.cpu:.2f}"]


def comparisons(rows: Sequence[Row]) -> list[str]:
    """Return the table of prefect-collect beside each peer."""
    side = ["s", "empty", "net", "CPU"]
    header = ["job", "items", "ours", *side, "peer", *side, "ratio", "rounds", "whole", "target", ""]
    cells = []
    for row in rows:
        target = row.peer.contender.target
        low, high = row.spread
        ratios = [f"{row.ratio:.2f}", f"{low:.2f}-{high:.2f}", f"{row.whole:.2f}"]
        judged = ["" if target is None else f"{target:.2f}", _PASSED[row.passed]]
        cells.append([row.title, f"{row.items:,}", *_times(row.ours), *_times(row.peer), *ratios, *judged])
    return _table(header, cells)


def limits(rows: Sequence[Limit]) -> list[str]:
    """Return the table of values and their limits."""
    cells = [
        [row.title, f"{row.value:.3g}" if row.value < 100 else f"{row.value:.0f}", row.unit,
         "" if row.most is None else f"{row.most:g}", _PASSED[row.passed], row.note]
        for row in rows
    ]  # fmt: skip
    return _table(["what", "value", "unit", "at most", "", ""], cells)


def document(rows: Sequence[Row], held: Sequence[Limit], failures: Sequence[str], how: str) -> str:
    """Return the whole report."""
    lines = ["# Results", "", *machine(), "", how, ""]
    if rows:
        lines += ["## Side by side", "", *comparisons(rows), ""]
    if held:
        lines += ["## Limits", "", *limits(held), ""]
    if failures:
        lines += ["## Could not be measured", "", *(f"- {failure}" for failure in failures), ""]
    return "\n".join(lines)
