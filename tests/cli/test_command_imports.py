"""What each command imports without a server: each of these takes a tenth of a second or more of its start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from prefect_collect.stores import DirectoryStore
from tests.support.memory_source import MemorySource, Thing
from tests.support.run_attempts import attempt, new_job

_ALLOWED: Final = {  # beside what those above it may import
    "--help": set[str](),
    "jobs": set[str](),
    "show": set[str](),
    "report": {"pyarrow", "numpy"},
    "preview": {"pyarrow", "numpy"},
    "verify": {"prefect_collect.packages"},
}

_PROGRAM: Final = """
import json, sys
from contextlib import redirect_stdout
from io import StringIO
from prefect_collect.cli import run

COSTLY = {
    "prefect", "httpx", "pandas", "numpy", "pyarrow", "boto3", "botocore", "pycurl", "obstore", "fastapi", "sqlalchemy",
    "prefect_collect.blocks", "prefect_collect.collecting", "prefect_collect.console.app", "prefect_collect.exporting",
    "prefect_collect.flows", "prefect_collect.packages",
}
found = {}
for command in json.loads(sys.argv[1]):
    with redirect_stdout(StringIO()) as out:
        code = run(command)
    found[command[0]] = [code, len(out.getvalue()) > 0, sorted(COSTLY & {*sys.modules})]
print(json.dumps(found))
"""


def test_a_command_imports_only_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One process runs the commands in the order of what they may import; none imports Prefect or pandas."""
    folder = new_job(DirectoryStore(tmp_path / "store"), MemorySource({"a.txt": Thing(data=b"a")}))
    attempt(folder, MemorySource({"a.txt": Thing(data=b"a")}))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    given = ["--store", str(tmp_path / "store")]
    commands = [["--help"], ["jobs", *given], *([name, folder.job_id, *given] for name in [*_ALLOWED][2:])]
    argv = [sys.executable, "-c", _PROGRAM, json.dumps(commands)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, cwd=tmp_path)
    expected, allowed = {}, set[str]()
    for name in _ALLOWED:
        allowed |= _ALLOWED[name]
        expected[name] = [0, True, sorted(allowed)]
    assert json.loads(done.stdout) == expected
