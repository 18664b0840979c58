"""What a process imports: each of these takes a quarter to half a second, and neither a job nor a look needs it."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import sys
from pathlib import Path
from uuid import uuid4
from prefect_collect import jobs
jobs.get, jobs.list_jobs, jobs.list_deleted, jobs.place_in_queue
print(*sorted({"prefect", "httpx", "pandas", "pyarrow", "prefect_collect.packages"} & {*sys.modules}))

from prefect_collect.flows import collect
print(*sorted({"prefect_collect.packages", "prefect_collect.exporting", "prefect_collect.documents"} & {*sys.modules}))

from prefect_collect.blocks import DirectoryStoreBlock
from prefect_collect.flows import export
from prefect_collect.job_folder.parquet import part_bytes
import pyarrow

part_bytes(pyarrow.table({"id": ["a", "b"]}))
DirectoryStoreBlock(path="/tmp/x").store()
collect.serialize_parameters({"store": Path("s"), "name": None, "tries": 5, "query": {"include": ["*.txt"]}})
export.serialize_parameters({"collection_job": uuid4(), "destination": "d", "sha512": False})
unneeded = {"boto3", "fastapi", "pandas", "prefect.deployments.runner", "prefect.server", "prefect_aws"}
print(*sorted(unneeded & {*sys.modules}))
"""


def test_a_job_imports_no_more_than_it_needs() -> None:
    """No pandas for arrays, no FastAPI for parameters, no runner of deployments, nothing of Prefect's server.

    Who only looks at jobs in Prefect does not import it, nor what reads Parquet or packages. A collection imports
    nothing of exports and package formats. A directory as its staging store needs no boto3 and no prefect_aws.
    """
    done = subprocess.run([sys.executable, "-c", _PROGRAM], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []
