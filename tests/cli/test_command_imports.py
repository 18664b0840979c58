"""What each command imports without a server: each of these takes a tenth of a second or more of its start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from prefect_collect.exporting.bound_collection import bind_collection
from prefect_collect.stores import DirectoryStore
from tests.support.memory_source import MemorySource, Thing
from tests.support.run_attempts import attempt, export, new_export, new_job

_ALLOWED: Final = {  # beside what those above it may import
    "--help": set[str](),
    "collect --help": set[str](),
    "jobs": set[str](),
    "show": set[str](),
    "report": {"pyarrow", "numpy"},
    "preview": {"pyarrow", "numpy"},
    "verify a job": {"prefect_collect.packages", "pyarrow.compute"},
    "verify a package": set[str](),
    "sign": {"cryptography", "pydantic"},
    "download": set[str](),
}
_OF_COLLECT: Final = ["httpx", "prefect", "prefect_collect.blocks", "pydantic"]
_MORE_OF_SOURCES: Final = {"boto3", "botocore", "pycurl"}

_PROGRAM: Final = """
import json, os, sys
from contextlib import redirect_stdout
from io import StringIO

COSTLY = {
    "prefect", "httpx", "pandas", "numpy", "pyarrow", "boto3", "botocore", "pycurl", "google.auth", "azure", "fastapi",
    "sqlalchemy", "cryptography", "pydantic", "pyarrow.compute",
    "prefect_collect.blocks", "prefect_collect.collecting", "prefect_collect.console.app", "prefect_collect.exporting",
    "prefect_collect.flows", "prefect_collect.packages",
}

def imported(names):
    return sorted(name for name in names if sys.modules.get(name) is not None)

def ran(command):
    from prefect_collect.cli import run
    if command[0] == "verify":
        sys.modules["prefect"] = None  # it is not installed
    with redirect_stdout(StringIO()) as out:
        code = run(command)
    if command[0] == "verify":
        del sys.modules["prefect"]
    return [code, out.getvalue(), imported(COSTLY)]

light, collect = json.loads(sys.argv[1])
if pid := os.fork():
    assert os.waitpid(pid, 0)[1] == 0
else:
    print(json.dumps({name: ran(command) for name, command in light.items()}), flush=True)
    os._exit(0)

from pathlib import Path
from uuid import uuid4
from prefect_collect import jobs

jobs.get, jobs.list_jobs, jobs.list_deleted, jobs.place_in_queue
found = {"look": imported(["prefect", "httpx", "pandas", "pyarrow", "prefect_collect.packages"])}
found["collect"] = ran(collect)

from prefect_collect.flows import collect
found["a collection"] = imported(["prefect_collect.packages", "prefect_collect.exporting", "prefect_collect.documents"])

from prefect_collect.blocks import DirectoryStoreBlock
from prefect_collect.flows import export
from prefect_collect.job_folder.parquet import part_bytes
import pyarrow

part_bytes(pyarrow.table({"id": ["a", "b"]}))
DirectoryStoreBlock(path="/tmp/x").store()
collect.serialize_parameters({"store": Path("s"), "name": None, "tries": 5, "query": {"include": ["*.txt"]}})
export.serialize_parameters({"collection_job": uuid4(), "destination": "d", "sha512": False})
unneeded = {"boto3", "fastapi", "pandas", "prefect.deployments.runner", "prefect.server", "prefect_aws"}
found["a job"] = imported(unneeded)
before = {*imported(COSTLY)}
code, said, after = ran(["sources"])
found["sources"] = [code, said != "", sorted({*after} - before)]
print(json.dumps(found))
"""


def test_a_command_or_job_imports_only_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork of one new process runs the commands in the order of what they may import, and the rest is done after it.

    - `verify` works without Prefect installed. No command imports pandas, or pydantic for values that need
      no conversion.
    - `collect` ends before it would start a server, as it has nothing to collect: what it needs then is imported while
      the server starts. It is the first that imports Prefect.
    - Who only looks at jobs in Prefect imports neither Prefect nor what reads Parquet or packages.
    - A collection imports nothing of exports and package formats.
    - A job imports no pandas for arrays, no FastAPI for parameters, no runner of deployments and nothing of Prefect's
      server. A directory as its staging store needs no boto3 and no prefect_aws.
    """
    store, source = DirectoryStore(tmp_path / "store"), MemorySource({"a.txt": Thing(data=b"a")})
    job = new_job(store, source)
    attempt(job, source)
    out = DirectoryStore(tmp_path / "out")
    exported = new_export(bind_collection(store, job.job_id), destination=out.url, format="bagit")
    export(job, out, job=exported)
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(key)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    of_job = ["--store", str(tmp_path / "store")]
    commands = {
        "--help": ["--help"],
        "collect --help": ["collect", "--help"],
        "jobs": ["jobs", *of_job],
        "show": ["show", job.job_id, *of_job],
        "report": ["report", job.job_id, *of_job],
        "preview": ["preview", job.job_id, *of_job],
        "verify a job": ["verify", job.job_id, *of_job],
        "verify a package": ["verify", "out/test.zip"],
        "sign": ["sign", "out/test.zip", "--key", "key.pem"],
        "download": ["download", exported.job_id, "--to", "copy", *of_job],
    }
    given = json.dumps([commands, ["collect", "./missing", *of_job]])
    argv = [sys.executable, "-c", _PROGRAM, given]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, cwd=tmp_path)
    first, second = map(json.loads, done.stdout.splitlines())
    allowed = set[str]()
    for name, (code, said, imported) in first.items():
        allowed |= _ALLOWED[name]
        assert (name, code, imported) == (name, 0, sorted(allowed))
        assert said
    assert first.keys() == _ALLOWED.keys()
    assert first["verify a job"][1].startswith("Valid: ")
    assert first["verify a package"][1].startswith("Valid: 1 item, 1 byte")
    assert second.pop("collect") == [2, "", _OF_COLLECT]
    assert second.pop("sources") == [0, True, sorted(_MORE_OF_SOURCES)]
    assert second == {"look": [], "a collection": [], "a job": []}
