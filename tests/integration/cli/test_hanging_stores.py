"""Ctrl-C ends commands that only read, while the store does not answer."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Command, Done, until
from tests.integration.faults import FaultProxy
from tests.integration.servers import S3Server

pytestmark = pytest.mark.integration

_PATIENCE = 50
"""Seconds: less than the 60 s after which a store that does not answer is given up."""


def test_ctrl_c_while_the_store_hangs(
    command: Command,
    here: Callable[..., Done],
    files: Callable[..., Path],
    seaweedfs: S3Server,
    fault_proxy: Callable[[S3Server], FaultProxy],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """verify, report, preview and download end as canceled, although no request is answered."""
    proxy, bucket = fault_proxy(seaweedfs), seaweedfs.new_bucket()
    keys = seaweedfs.at(proxy.url).environment()
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    run = command.with_environment(**keys)
    store = ("--store", f"s3://{bucket}/staging")
    made = here("collect", files(**{f"f{n}": b"x" * 100 for n in range(50)}), *store, "--json")
    assert made.code == 0, made.err
    job = made.json["job_id"]
    package = here("export", job, "--to", f"s3://{bucket}/out", "--format", "directory", *store, "--json")
    assert package.code == 0, package.err
    for path, words in (
        (r"/data/", ("verify", package.json["package"])),
        (r"segments/", ("verify", job, *store)),
        (r"errors\.parquet", ("report", job, *store)),
        (r"manifest/", ("preview", job, *store)),
        (r"/data/", ("download", package.json["job_id"], "--to", tmp_path / "home", *store)),
    ):
        proxy.clear()
        proxy.hang_next(1000, method="GET", path=path)
        process = run.start(*words)
        until(partial(_is_asked_or_over, proxy, path, process))
        assert process.poll() is None, (words, process.communicate())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=_PATIENCE)
        assert (process.returncode, err.splitlines()[-1:]) == (5, ["prefect-collect: Canceled."]), (words, out, err)
    proxy.release()


def _is_asked_or_over(proxy: FaultProxy, path: str, process: subprocess.Popen[str]) -> bool:
    return proxy.count("GET", path) > 0 or process.poll() is not None
