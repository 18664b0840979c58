"""``python -m benchmarks``: measure, print the report, and write it to RESULTS.md."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from benchmarks.budget import Budget, within
from benchmarks.context import Bench
from benchmarks.data import remove
from benchmarks.limits import Limit
from benchmarks.machine import load
from benchmarks.measure import Comparison, compare, say
from benchmarks.report import Measured, Run, document
from benchmarks.rows import ROWS
from benchmarks.shares import SECONDS

_MINUTES: Final = 28.5
"""What is shared out of the 30 minutes; the rest is for what a row cannot leave out."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=SECONDS, metavar="NAME", help="one of: " + ", ".join(SECONDS)
    )
    parser.add_argument("--quick", action="store_true", help="little data, one round: does it run at all?")
    parser.add_argument("--rounds", type=int, default=3, help="counted runs of each contender (default: 3)")
    parser.add_argument("--minutes", type=float, default=_MINUTES, help=f"for all rows (default: {_MINUTES:g})")
    parser.add_argument(
        "--work", type=Path, default=Path("/dev/shm"), help="where data is kept; on tmpfs (default: /dev/shm)"
    )
    parser.add_argument("--out", type=Path, help="the report's file (default: RESULTS.md here, if all was measured)")
    return parser.parse_args()


def _measured(bench: Bench, name: str, patience: float) -> Measured:
    """Measure one group of rows; what fails, or takes longer than the patience, is in the answer."""
    bench.settle()
    found, used = Measured(name, load(), bench.rounds), bench.used()
    busy = "" if found.load.is_idle else f"; others use {found.load.others:.0%} of the machine"
    say(f"\n{name} (at most about {bench.allowance.seconds:.0f} s; load {found.load.average:.1f}{busy})")
    try:
        with bench.stack, within(patience):
            answer = ROWS[name](bench)
            every: Sequence[Comparison | Limit] = [answer] if isinstance(answer, Comparison) else answer
            for number, one in enumerate(every):
                if isinstance(one, Limit):
                    found.limits.append(one)
                    continue
                try:
                    found.rows += compare(one, bench.rounds, bench.settle, bench.allowance.part(len(every) - number))
                except RuntimeError as error:
                    found.failures.append(_said(error, one.title))
    # pytest's helpers skip where a program is missing, by an exception that is no Exception.
    except (Exception, pytest.skip.Exception) as error:
        found.failures.append(_said(error, name))
    bench.stack = ExitStack()
    found.seconds, found.cpu = bench.allowance.used, bench.used() - used
    return found


def _said(error: BaseException, what: str) -> str:
    say("".join(traceback.format_exception(error)))
    return f"{what}: {(str(error).strip() or type(error).__name__).splitlines()[-1]}"


def main() -> int:
    """Measure what the options ask for; return 0 if every target was met, 1 if a target was missed or a row failed.

    A trial has no targets.
    """
    if odd := ROWS.keys() ^ SECONDS.keys():
        raise RuntimeError(f"rows.ROWS and shares.SECONDS name different rows: only one has {', '.join(sorted(odd))}")
    args = _arguments()
    names = [name for name in SECONDS if not args.only or name in args.only]
    os.environ.pop("PREFECT_API_URL", None)
    # Where the peers and the servers are: prefect-collect runs rclone from here, too.
    os.environ["PATH"] = f"{Path(sys.prefix) / 'peers' / 'bin'}:{os.environ['PATH']}:/usr/sbin"
    # SIGTERM ends the program as Ctrl-C does, so that servers end and data is deleted.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began, clock = datetime.now(UTC), time.monotonic()
    budget = Budget(60 * args.minutes, {name: SECONDS[name] for name in names})
    measured: list[Measured] = []
    work = Path(tempfile.mkdtemp(prefix="prefect-collect-bench-", dir=args.work))
    with ExitStack() as whole:
        whole.callback(remove, work)
        rounds = 1 if args.quick else args.rounds
        bench = Bench(work, args.quick, rounds, whole)
        try:
            try:
                bench.prepare()
            except Exception as error:
                _said(error, "not prepared; each row that needs it will say so")
            for name in names:
                bench.allowance = budget.allowance(name)
                bench.rounds = budget.rounds(name, bench.allowance, rounds)
                measured.append(_measured(bench, name, budget.patience(bench.allowance)))
                done = f"{len(measured)} of {len(names)} rows"
                took = f"{measured[-1].seconds:.0f} s, {measured[-1].cpu:.0f} s of CPU"
                say(f"  {name}: {took}; {done} in {budget.used / 60:.1f} minutes")
        except KeyboardInterrupt:
            say("\nInterrupted; the report is of what was measured, and is not written to RESULTS.md.")
            args.only = args.only or names
    command = "make bench" if not args.only and not args.quick else "python -m benchmarks"
    run = Run(command, began, time.monotonic() - clock, str(args.work), args.quick, rounds)
    report = document(measured, run)
    print(report)
    out = args.out or (None if args.only or args.quick else Path(__file__).with_name("RESULTS.md"))
    if out:
        out.write_text(report)
    return 0 if all(not one.failures if args.quick else one.is_met for one in measured) else 1


if __name__ == "__main__":
    raise SystemExit(main())
