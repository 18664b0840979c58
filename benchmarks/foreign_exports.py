"""Exports of other systems: `VaultExportSource` and `SlackExportSource` beside what is used to take them apart by hand.

    python -m benchmarks.foreign_exports

Prints rows of a Markdown table: medians of three rounds in turn, in one run. Ours reads the ZIP files where they lie,
compares the export's own lists and checksums, hashes (SHA-256), lists and accounts for each message or day. By hand,
``unzip`` unpacks them, ``md5sum`` compares the checksums, and Python's `mailbox` writes a file for each message.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.data import count_files, remove
from benchmarks.took import Took
from prefect_collect.blocks import source_from
from prefect_collect.stores import DirectoryStore
from tests.support.run_attempts import attempt, new_job
from tests.support.slack_export import write_days
from tests.support.vault_export import write_matter

ROUNDS: Final = 3
COUNT: Final = 10_000
_SPLIT: Final = """
import mailbox, pathlib, sys
for path in pathlib.Path(sys.argv[1]).glob("*.mbox"):
    for number, message in enumerate(mailbox.mbox(str(path))):
        pathlib.Path(sys.argv[1], f"{number}.eml").write_bytes(message.as_bytes())
"""


def _ours(kind: str, export: Path, out: Path) -> None:
    source = source_from(f"{kind}:{export}")
    result = attempt(new_job(DirectoryStore(out), source), source, workers=2)
    assert result.counts.succeeded >= COUNT
    assert result.counts.failed == 0


def _unzip(export: Path, out: Path) -> None:
    for archive in export.glob("*.zip"):
        subprocess.run(["unzip", "-q", str(archive), "-d", str(out)], check=True)


def _vault_by_hand(export: Path, out: Path) -> None:
    subprocess.run(["md5sum", "--quiet", "-c", "File checksums.md5"], cwd=export, check=True)
    _unzip(export, out)
    subprocess.run([sys.executable, "-c", _SPLIT, str(out)], check=True)
    assert count_files(out) > COUNT


def _timed(run: Callable[[Path], None], out: Path) -> Took:
    began, cpu = time.perf_counter(), _cpu()
    run(out)
    took = Took(time.perf_counter() - began, _cpu() - cpu)
    remove(out)
    return took


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> None:
    """Write an export of each kind, and take it apart in turn."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        vault, slack, out = (Path(name) / part for part in ("vault", "slack", "out"))
        vault.mkdir()
        slack.mkdir()
        write_matter(vault, COUNT)
        write_days(slack, channels=20, days=COUNT // 20)
        print("| export | prefect-collect, s (CPU) | by hand, s (CPU) | ratio | of CPU |")
        print("| --- | ---: | ---: | ---: | ---: |")
        rows: dict[str, tuple[Callable[[Path], None], Callable[[Path], None]]] = {
            f"Vault, {COUNT:,} messages; `md5sum`, `unzip`, Python's `mailbox`": (
                lambda out: _ours("vault", vault, out), lambda out: _vault_by_hand(vault, out),
            ),
            f"Slack, {COUNT:,} days of channels; `unzip`": (
                lambda out: _ours("slack", slack, out), lambda out: _unzip(slack, out),
            ),
        }  # fmt: skip
        for what, runs in rows.items():
            taken = [[_timed(run, out) for run in runs] for _ in range(ROUNDS)]
            ours, peer = (
                Took(median(one.seconds for one in each), median(one.cpu for one in each))
                for each in zip(*taken, strict=True)
            )
            times = f"{ours.seconds:.2f} ({ours.cpu:.2f}) | {peer.seconds:.2f} ({peer.cpu:.2f})"
            print(f"| {what} | {times} | {peer.seconds / ours.seconds:.2f} | {peer.cpu / ours.cpu:.2f} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
