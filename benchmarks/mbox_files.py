"""mbox files: `MboxSource`, and an mbox file in a ZIP file, beside `git mailsplit` and Python's `mailbox`.

    python -m benchmarks.mbox_files

Prints rows of a Markdown table. All make something of each message of the same file; ours also hashes, lists and
accounts for each, and does not break at a line ``From`` in a body.
"""

from __future__ import annotations

import mailbox
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from prefect_collect.blocks import MboxSource, VaultExportSource
from prefect_collect.stores import DirectoryStore
from tests.support.mbox_bytes import mail, separator
from tests.support.run_attempts import attempt, new_job

MESSAGES: Final = 10_000
SIZE: Final = 5_000


def _write(folder: Path) -> None:
    line = b"0123456789" * 7 + b"\n"
    (folder / "plain").mkdir()
    with (folder / "plain/a.mbox").open("wb") as file:
        for number in range(MESSAGES):
            file.write(separator() + mail(number, line * (SIZE // len(line))) + b"\n")
    (folder / "zipped").mkdir()
    with zipfile.ZipFile(folder / "zipped/a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(folder / "plain/a.mbox", "a.mbox")


def _list(folder: Path) -> None:
    assert sum(1 for _ in MboxSource(inside=str(folder / "plain")).items()) == MESSAGES + 1


def _collect(source: MboxSource | VaultExportSource, store: Path) -> None:
    result = attempt(new_job(DirectoryStore(store), source), source, workers=2)
    assert result.counts.succeeded == MESSAGES


def _git(folder: Path) -> None:
    (folder / "git").mkdir()
    command = ["git", "mailsplit", f"-o{folder / 'git'}", str(folder / "plain/a.mbox")]
    subprocess.run(command, check=True, capture_output=True)


def _python(folder: Path) -> None:
    (folder / "python").mkdir()
    for number, message in enumerate(mailbox.mbox(str(folder / "plain/a.mbox"))):
        (folder / "python" / f"{number}.eml").write_bytes(message.as_bytes())


def main() -> None:
    """Run each once, ours first."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder)
        plain, zipped = MboxSource(inside=str(folder / "plain")), VaultExportSource(inside=str(folder / "zipped"))
        runs: dict[str, Callable[[], None]] = {
            "prefect-collect, list": lambda: _list(folder),
            "prefect-collect, collect": lambda: _collect(plain, folder / "store"),
            "prefect-collect, collect from a ZIP file": lambda: _collect(zipped, folder / "store of zipped"),
            "git mailsplit": lambda: _git(folder),
            "Python's mailbox": lambda: _python(folder),
        }
        print(f"| {MESSAGES:,} messages of {SIZE:,} bytes | seconds |\n| --- | ---: |")
        for what, run in runs.items():
            began = time.perf_counter()
            run()
            print(f"| {what} | {time.perf_counter() - began:.2f} |")


if __name__ == "__main__":
    sys.exit(main())
