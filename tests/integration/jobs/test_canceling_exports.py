"""Exports that are canceled while the server they deliver to does not answer: their processes end.

What such an export leaves at each of its requests: `tests/integration/packages/test_hanging_s3.py`, without Prefect.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_collect import jobs
from prefect_collect.job_folder.result import Receipt
from prefect_collect.packages import verify
from prefect_collect.statuses import JobStatus, NextStep, TaskStatus
from prefect_collect.stores import S3Store
from tests import forked
from tests.integration.faults import FaultProxy
from tests.integration.jobs import job_child
from tests.integration.jobs.every_status import FILES, PATIENCE, Desk
from tests.integration.prefect_server import PrefectServer
from tests.integration.servers import S3Server
from tests.support.run_attempts import check_account

pytestmark = pytest.mark.integration
_ROOT = Path(__file__).parents[3]
_TWO_PARTS = 17 << 20
"""Bytes of an object that is too large for a single PUT."""


@pytest.mark.parametrize(
    ("size", "method", "path"),
    [
        pytest.param(_TWO_PARTS, "PUT", r"out/.*\.zip.*partNumber=", id="a part of a package"),
        pytest.param(10, "GET", "staging/{collection}/ledger/", id="what is staged"),
    ],
)
def test_canceled_while_the_server_hangs(
    size: int,
    method: str,
    path: str,
    prefect: PrefectServer,
    desk: Desk,
    seaweedfs: S3Server,
    fault_proxy: Callable[[S3Server], FaultProxy],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The export is Canceled and its process ends while the server still hangs; there is no package until a start."""
    proxy, bucket = fault_proxy(seaweedfs), seaweedfs.new_bucket()
    for name, value in seaweedfs.environment().items():
        monkeypatch.setenv(name, value)
    delivers = method == "PUT"
    if not delivers:
        monkeypatch.setattr(Desk, "store", f"s3://{bucket}/staging")
    (desk.root / "00.txt").write_bytes(os.urandom(size))
    collection = desk.staged()
    asked = proxy.hang_next(1000, method=method, path=path.format(collection=collection.id))
    process = forked.Popen(
        [sys.executable, job_child.__file__, "export", desk.store, collection.id, f"s3://{bucket}/out"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=_ROOT,
        env={**prefect.environment(), **seaweedfs.at(proxy.url).environment(), "PYTHONPATH": str(_ROOT)},
    )  # fmt: skip
    assert process.stdout is not None
    job_id = process.stdout.readline().strip()
    assert asked.wait(PATIENCE), process.communicate()
    assert jobs.cancel(job_id).status is JobStatus.IN_PROGRESS
    try:
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert not proxy.released.is_set()
    assert (process.returncode, out.strip()) == (0, "Canceled"), err
    job = jobs.get(job_id)
    assert (job.task_status, job.next_steps) == (TaskStatus.CANCELED, (NextStep.START,))
    assert job.result is not None
    assert job.result.package is None
    assert job.result.receipt == (Receipt(0, FILES, 0, 0) if delivers else Receipt(0, 0, FILES, 0))
    assert ("did not answer" in " ".join(job.result.warnings)) == delivers
    check_account(job.folder)
    destination = S3Store(bucket, "out", endpoint_url=seaweedfs.url, session=seaweedfs.session())
    assert [*destination.list()] == []
    proxy.clear()
    proxy.release()
    assert [*destination.list()] == []
    job = jobs.start(job_id)
    assert (job.status, job.task_status) == (JobStatus.SUCCESSFULLY_COMPLETED, TaskStatus.COMPLETED)
    (package,) = destination.list()
    assert verify(package.key, store=destination).valid
