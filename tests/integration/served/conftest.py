"""A Prefect server with one `serve` process, as on a user's machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client

from prefect_collect.runs.deployment_lookup import deployments, is_served
from prefect_collect.statuses import JobKind
from tests import forked
from tests.integration.jobs.every_status import Desk, opened_desk, until
from tests.integration.prefect_server import PrefectServer, running_prefect_server
from tests.integration.servers import end_process

_ROOT = Path(__file__).parents[3]
_SERVE = "from prefect_collect.deployments.serving import serve; serve()"


@contextmanager
def serving(server: PrefectServer, folder: Path) -> Iterator[None]:
    """Run a `serve` that knows the slow source too, as it knows every installed source."""
    environment = {**server.environment(), "PYTHONPATH": os.pathsep.join((str(_plugin(folder)), str(_ROOT)))}
    log = folder / "serve.log"
    with log.open("wb") as output:
        process = forked.Popen(
            [sys.executable, "-c", _SERVE], env=environment, stdin=subprocess.DEVNULL, stdout=output,
            stderr=output, cwd=folder,
        )  # fmt: skip
    try:
        with server.used():
            until(lambda: is_ready(process), f"serve to be ready:\n{log.read_text()}")
        yield
    finally:
        end_process(process)


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A server with a `serve`, for this folder only, as other tests rely on there being no worker."""
    folder = tmp_path_factory.mktemp("served")
    with running_prefect_server(folder / "home") as server, serving(server, folder):
        yield server


def _plugin(folder: Path) -> Path:
    """Return a folder that makes the slow source known, like an installed one, to each process with it on its path."""
    known = folder / "path" / "gated_source-1.dist-info"
    known.mkdir(parents=True)
    (known / "METADATA").write_text("Metadata-Version: 2.1\nName: gated-source\nVersion: 1\n")
    (known / "entry_points.txt").write_text("[prefect.collections]\ngated = tests.integration.jobs.gated_source\n")
    return known.parent


def is_ready(process: subprocess.Popen[bytes]) -> bool:
    """Return whether `serve` or a worker is ready for the jobs' deployments."""
    assert process.poll() is None, "it has ended"
    with get_client(sync_client=True) as client:
        return all(any(is_served(one) for one in deployments(client, kind)) for kind in JobKind)


@pytest.fixture
def desk(served: PrefectServer, tmp_path: Path) -> Iterator[Desk]:
    """A desk, whose jobs the worker runs."""
    with served.used(), opened_desk(tmp_path / "desk") as desk:
        yield desk
