"""The rows of exports of other systems: `VaultExportSource` and `SlackExportSource` beside what is used by hand.

Ours reads the ZIP files where they lie, compares the export's own lists and checksums, hashes (SHA-256), lists and
accounts for each message or day. By hand, ``unzip`` unpacks them, ``md5sum`` compares the checksums, and Python's
`mailbox` writes a file for each message.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.context import Bench, nothing_where_empty
from benchmarks.measure import Comparison, Contender, Folders
from benchmarks.peers import Command
from benchmarks.took import Took
from tests.support.slack_export import write_days
from tests.support.vault_export import write_matter

_SPLIT: Final = """
import mailbox, pathlib, sys
for path in pathlib.Path(sys.argv[1]).glob("*.mbox"):
    for number, message in enumerate(mailbox.mbox(str(path))):
        pathlib.Path(sys.argv[1], f"{number}.eml").write_bytes(message.as_bytes())
"""


def _compared(bench: Bench, title: str, block: str, export: Path, by_hand: Callable[[str], Command]) -> Comparison:
    worker, place, count = bench.worker(), Folders(bench.out), bench.small.count
    source = {"block": block, "fields": {"inside": str(export)}}

    def ours(_: int, where: str, empty: bool) -> Took:
        of: dict[str, Any] = {"files": str(bench.nothing)} if empty else source
        answer = worker.call("product.run_collection", source=of, store=where)
        # The export's own lists are items too, and what is looked into is skipped.
        if answer["failed"] or (answer["succeeded"] < count and not empty):
            raise RuntimeError(f"not all of {count} items succeeded: {answer}")
        return Took(answer["seconds"], answer["cpu"], answer["work"])

    def peer(_: int, where: str) -> Took:
        return by_hand(where).run(bench.log("by-hand"))

    beside = Contender("by hand", place, nothing_where_empty(peer))
    return Comparison(title, count, Contender("prefect-collect", place, ours), [beside])


def vault(bench: Bench) -> Comparison:
    """Compare a Vault export of messages."""
    export = bench.scratch("vault")
    write_matter(export, bench.small.count)

    def by_hand(where: str) -> Command:
        unpack = ["unzip", "-q", str(export / "Matter-1.zip"), "-d", where]
        split = [sys.executable, "-c", _SPLIT, where]
        return Command([["md5sum", "--quiet", "-c", "File checksums.md5"], unpack, split], cwd=export)

    title = "Vault export to local; md5sum, unzip, Python's mailbox"
    return _compared(bench, title, "VaultExportSource", export, by_hand)


def slack(bench: Bench) -> Comparison:
    """Compare a Slack export of days of channels."""
    export = bench.scratch("slack")
    write_days(export, channels=20, days=bench.small.count // 20)

    def by_hand(where: str) -> Command:
        return Command([["unzip", "-q", str(export / "Slack export.zip"), "-d", where]])

    return _compared(bench, "Slack export to local; unzip", "SlackExportSource", export, by_hand)
