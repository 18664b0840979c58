"""A data source of another package that is installed is used like those of this one."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import forked
from tests.integration.cli.conftest import PROGRAM, Done
from tests.integration.prefect_server import PrefectServer
from tests.support.package_modules import ROOT

pytestmark = pytest.mark.integration

SAVE = """
from prefect_collect.blocks.kinds import class_of
class_of("tar://").from_url({url!r}, name="archived").save("archived", overwrite=True)
from prefect_collect import collect
from prefect_collect.flows.forms import blocks_of
print([kind.__name__ for kind in blocks_of(collect)])
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the other package, as pip installs it: what its wheel holds, which is built in one process."""
    source, target = tmp_path_factory.mktemp("source") / "other_package", tmp_path_factory.mktemp("site-packages")
    shutil.copytree(ROOT / "tests/data/other_package", source)
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(source)], check=True, cwd=source, stdout=subprocess.DEVNULL)
    [wheel] = source.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def test_it_is_used_like_any_other(prefect_server: PrefectServer, packages: Path, tmp_path: Path) -> None:
    """It is listed, tested, saved, in the form, collected by its URL and by its name, and exported.

    What has to find the class of its saved block (the list, the collection by its name) is a fresh process.
    """
    environment = {**prefect_server.environment(), "PYTHONPATH": os.pathsep.join([str(packages), str(ROOT)])}

    def command(*arguments: str | Path, program: Path | str = PROGRAM, run: Callable[..., Any] = forked.run) -> Done:
        done = run([program, *arguments], capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
        return Done(done.returncode, done.stdout, done.stderr)

    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name in ("x/one.txt", "two.txt"):
            member = tarfile.TarInfo(name)
            member.size = 5
            archive.addfile(member, io.BytesIO(b"hello"))
    url = f"tar://{tmp_path}/a.tar"
    saved = command("-c", SAVE.format(url=url), program=sys.executable)
    assert "TarSource" in saved.out, saved.err
    listed = command("sources", "--json", run=subprocess.run).json
    [kind] = [one for one in listed["kinds"] if one["name"] == "TarSource"]
    assert (kind["urls"], kind["package"], kind["problem"]) == (["tar://…"], "collect-from-tar 1.2", None)
    assert ("tar-source/archived", url) in [(one["reference"], one["location"]) for one in listed["saved"]]
    tested = command("sources", "test", url, "--include", "*.txt", "--json").json
    assert (tested["items"], tested["bytes"], tested["is_whole"]) == (2, 10, True)
    store = ("--store", tmp_path / "store", "--json")
    by_url = command("collect", url, *store)
    assert (by_url.code, by_url.json["succeeded"]) == (0, 2), by_url.err
    by_name = command("collect", "archived", "--export-to", tmp_path / "out", *store, run=subprocess.run)
    assert (by_name.code, by_name.json["succeeded"]) == (0, 2), by_name.err
    assert command("verify", by_name.json["export"]["package"]).code == 0
