"""The row of mbox files: `MboxSource` beside ``git mailsplit`` and Python's `mailbox`.

All make something of each message of the same file; ours also hashes, lists and accounts for each, and does not break
at a line ``From`` in a body.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from benchmarks.context import Bench, collecting, nothing_where_empty
from benchmarks.measure import Comparison, Contender, Folders
from benchmarks.peers import Command
from benchmarks.took import Took
from tests.support.mbox_bytes import mail, separator

_SIZE: Final = 5_000
_PYTHON: Final = """
import mailbox, pathlib, sys
for number, message in enumerate(mailbox.mbox(sys.argv[1])):
    pathlib.Path(sys.argv[2], f"{number}.eml").write_bytes(message.as_bytes())
"""


def _written(folder: Path, count: int) -> Path:
    line = b"0123456789" * 7 + b"\n"
    path = folder / "a.mbox"
    with path.open("wb") as file:
        for number in range(count):
            file.write(separator() + mail(number, line * (_SIZE // len(line))) + b"\n")
    return path


def mbox(bench: Bench) -> Comparison:
    """Compare a file of messages of 5 KB."""
    count, place, worker = bench.small.count, Folders(bench.out), bench.worker()
    path = _written(bench.scratch("mbox"), count)
    source = {"block": "MboxSource", "fields": {"inside": str(path.parent)}}
    ours = Contender("prefect-collect", place, collecting(worker, source, {"files": str(bench.nothing)}, count))

    def git(_: int, where: str) -> Took:
        return Command([["git", "mailsplit", f"-o{where}", str(path)]]).run(bench.log("git"))

    def python(_: int, where: str) -> Took:
        return Command([[sys.executable, "-c", _PYTHON, str(path), where]]).run(bench.log("mailbox"))

    peers = [
        Contender("git mailsplit", place, nothing_where_empty(git), expect=count),
        Contender("Python's mailbox", place, nothing_where_empty(python), expect=count),
    ]
    return Comparison("mbox file to local, messages of 5 KB", count, ours, peers)
