"""``python -m benchmarks``: measure, print the tables, and write them to RESULTS.md."""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import traceback
from contextlib import ExitStack
from pathlib import Path

from benchmarks.console_polling import console_polling
from benchmarks.context import Bench
from benchmarks.data import remove
from benchmarks.limits import LIMITS as OWN_LIMITS
from benchmarks.limits import Limit
from benchmarks.measure import Row, compare, say
from benchmarks.report import document
from benchmarks.scenarios import SCENARIOS

LIMITS = {**OWN_LIMITS, "console-polling": console_polling}


def _arguments() -> argparse.Namespace:
    names = [*SCENARIOS, *LIMITS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help="one of: " + ", ".join(names))
    parser.add_argument("--quick", action="store_true", help="less data, one round, no sweep: does it run at all?")
    parser.add_argument("--rounds", type=int, default=3, help="counted runs of each contender (default: 3)")
    parser.add_argument("--prototypes", action="store_true", help="bare prototypes in the place of prefect-collect")
    parser.add_argument(
        "--work", type=Path, default=Path("/dev/shm"), help="where data is kept; on tmpfs (default: /dev/shm)"
    )
    parser.add_argument("--out", type=Path, help="the report's file (default: RESULTS.md here, if all was measured)")
    return parser.parse_args()


def _measure(bench: Bench, name: str, rows: list[Row], held: list[Limit]) -> None:
    if name in SCENARIOS:
        comparison = SCENARIOS[name](bench)
        rows += compare(comparison, bench.rounds, bench.settle, sweep=not bench.quick)
    else:
        say(f"\n{name}")
        held += LIMITS[name](bench)


def main() -> int:
    """Measure what the options ask for; return 0 if every target was met, 1 if a target was missed or not measured."""
    args = _arguments()
    rounds = 1 if args.quick else args.rounds
    names = args.only or [*SCENARIOS, *([] if args.prototypes else LIMITS)]
    os.environ.pop("PREFECT_API_URL", None)
    # SIGTERM ends the program as Ctrl-C does, so that servers end and data is deleted.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    rows: list[Row] = []
    held: list[Limit] = []
    failures: list[str] = []
    work = Path(tempfile.mkdtemp(prefix="prefect-collect-bench-", dir=args.work))
    with ExitStack() as whole:
        whole.callback(remove, work)
        bench = Bench(work, args.quick, args.prototypes, rounds, whole)
        for name in names:
            try:
                with bench.stack:
                    _measure(bench, name, rows, held)
            except Exception as error:
                say(traceback.format_exc())
                failures.append(f"{name}: {(str(error).strip() or type(error).__name__).splitlines()[-1]}")
            bench.stack = ExitStack()
    sweep = "without a sweep" if args.quick else "each at the best concurrency of its sweep, in [brackets]"
    how = f"Medians of {rounds} interleaved runs, {sweep}; everything on {args.work}. The columns: see README.md."
    report = document(rows, held, failures, how)
    print(report)
    out = args.out or (None if args.only or args.quick or args.prototypes else Path(__file__).with_name("RESULTS.md"))
    if out:
        out.write_text(report)
    verdicts = [*(row.passed for row in rows), *(limit.passed for limit in held)]
    return 1 if failures or False in verdicts else 0


if __name__ == "__main__":
    raise SystemExit(main())
