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
    "jobs": set[str](),
    "show": set[str](),
    "report": {"pyarrow", "numpy"},
    "preview": {"pyarrow", "numpy"},
    "verify a job": {"prefect_collect.packages"},
    "verify a package": set[str](),
    "sign": {"cryptography"},
    "download": set[str](),
    "collect": {"prefect", "httpx", "prefect_collect.blocks"},
    "sources": {"boto3", "botocore", "pycurl"},
}

_PROGRAM: Final = """
import json, sys
from contextlib import redirect_stdout
from io import StringIO
from prefect_collect.cli import run

COSTLY = {
    "prefect", "httpx", "pandas", "numpy", "pyarrow", "boto3", "botocore", "pycurl", "obstore", "fastapi", "sqlalchemy",
    "cryptography",
    "prefect_collect.blocks", "prefect_collect.collecting", "prefect_collect.console.app", "prefect_collect.exporting",
    "prefect_collect.flows", "prefect_collect.packages",
}
found = {}
for name, command in json.loads(sys.argv[1]).items():
    with redirect_stdout(StringIO()) as out:
        code = run(command)
    found[name] = [code, len(out.getvalue()) > 0, sorted(COSTLY & {*sys.modules})]
print(json.dumps(found))
"""


def test_a_command_imports_only_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One process runs the commands in the order of what they may import; none imports pandas.

    `collect` ends before it would start a server, as it has nothing to collect: what it needs then is imported while
    the server starts.
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
        "jobs": ["jobs", *of_job],
        "show": ["show", job.job_id, *of_job],
        "report": ["report", job.job_id, *of_job],
        "preview": ["preview", job.job_id, *of_job],
        "verify a job": ["verify", job.job_id, *of_job],
        "verify a package": ["verify", "out/test.zip"],
        "sign": ["sign", "out/test.zip", "--key", "key.pem"],
        "download": ["download", exported.job_id, "--to", "copy", *of_job],
        "collect": ["collect", "./missing", *of_job],
        "sources": ["sources"],
    }
    argv = [sys.executable, "-c", _PROGRAM, json.dumps(commands)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, cwd=tmp_path)
    expected, allowed = {}, set[str]()
    for name in commands:
        allowed |= _ALLOWED[name]
        expected[name] = [2, False, sorted(allowed)] if name == "collect" else [0, True, sorted(allowed)]
    assert json.loads(done.stdout) == expected
