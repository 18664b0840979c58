"""Commands that find no server and start none, and what they are tried on."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from prefect_collect.job_folder.folder import JobFolder, JobRecord
from prefect_collect.job_folder.lifecycle import create_job
from prefect_collect.statuses import JobKind
from prefect_collect.stores import DirectoryStore

UNKNOWN_ID = "0194c1b0-0000-7000-8000-000000000000"


def read_settings_again() -> None:
    """Have Prefect, if it is imported, read its settings from the present environment."""
    if "prefect.context" in sys.modules:
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()


def small_bag(folder: Path) -> Path:
    """Make a small bag by hand after RFC 8493."""
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "a.txt").write_bytes(b"hello")
    (folder / "bagit.txt").write_text("BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    (folder / "manifest-sha256.txt").write_text(f"{hashlib.sha256(b'hello').hexdigest()}  data/a.txt\n")
    return folder


def made_job(root: Path, job_id: str = UNKNOWN_ID, kind: JobKind = JobKind.COLLECTION, name: str = "mine") -> JobFolder:
    """Return the folder of a new job, which was not started, in the staging store at `root`."""
    folder = JobFolder(DirectoryStore(root), job_id)
    create_job(folder, JobRecord(job_id, kind, name, {"name": "s", "location": "/s"}, "mine"))
    return folder
