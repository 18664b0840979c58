"""What rclone's lists do not prove is not compared, and the job says so: sizes of -1, and SharePoint's Office files."""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr

from prefect_collect import RcloneSource
from prefect_collect.documents.evidence import account_of_job
from prefect_collect.job_folder.checked_evidence import Vouched
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.pages.ended_job import job_page
from prefect_collect.statuses import JobStatus
from tests.integration.faults import FaultProxy
from tests.integration.sources.places import collected
from tests.integration.webdav import webdav
from tests.support.local_http import serving
from tests.support.run_attempts import attempt, check_account, held, unsuccessful

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("rclone_installed")]


def source(config: str) -> RcloneSource:
    """Return the source of the remote `place`."""
    return RcloneSource(name="place", url="rclone://place", config=SecretStr(config))


def said(folder: JobFolder) -> str:
    """Return what the result says beside its numbers, which the page and the custody document say too."""
    result = folder.result(max(folder.closed_attempts()))
    assert isinstance(result, TaskResult)
    account = account_of_job(Vouched(folder), folder.record(), result)
    for warning in result.warnings:
        assert warning in job_page(result, "a job", "rclone://place").replace("\\", "")
        assert warning in account["result"]["warnings"]
    return "\n".join(result.warnings)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing."""


def test_files_without_a_size(tmp_path: Path) -> None:
    """A service that states no size (-1, as of documents of Google) gives the files whole; the report says what was
    not compared.
    """
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.txt").write_bytes(bytes(range(256)) * 300)
    (tmp_path / "root" / "b.txt").write_bytes(b"")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path / "root")))
    with serving(server) as url:
        folder, status = collected(tmp_path, source(f"[place]\ntype = http\nurl = {url}/\nno_head = true\n"))
    assert (status, {*held(folder)}) == (JobStatus.SUCCESSFULLY_COMPLETED, {"a.txt", "b.txt"})
    assert [held(folder)[name]["size"] for name in ("a.txt", "b.txt")] == [256 * 300, 0]
    assert "The service (http) states no size of 2 files" in said(folder)


def test_office_files_of_sharepoint(tmp_path: Path) -> None:
    """Office files that SharePoint sends longer or shorter than it lists them are collected as they come, and the
    report says what was not compared; another file whose size is wrong fails; a later attempt still says so.
    """
    (root := tmp_path / "root").mkdir()
    for name in ("longer.docx", "shorter.XLSX", "wrong.txt"):
        (root / name).write_bytes(b"x" * 40_000)
    sent = {"/longer.docx": b"y" * 45_000, "/shorter.XLSX": b"z" * 1_000, "/wrong.txt": b"y" * 45_000}
    with webdav(root) as server, FaultProxy(f"http://127.0.0.1:{server.port}") as proxy:
        dav = f"[dav]\ntype = webdav\nurl = {proxy.url}\nvendor = sharepoint-ntlm\n"
        found = source(f"{dav}[place]\ntype = alias\nremote = dav:\n")
        proxy.rewrite = lambda path, body: sent.get(path, body)
        folder, status = collected(tmp_path, found)
        assert status is JobStatus.PARTIALLY_COMPLETED
        sizes = {name: row["size"] for name, row in held(folder).items()}
        assert sizes == {"longer.docx": 45_000, "shorter.XLSX": 1_000}
        assert unsuccessful(folder)["wrong.txt"]["error_code"] in ("truncated", "connection_lost")
        what = "the size and hash of 2 files were not compared"
        assert what in said(folder)
        proxy.rewrite = None
        assert attempt(folder, found).status is JobStatus.SUCCESSFULLY_COMPLETED
        check_account(folder)
        assert what in said(folder)


def test_an_office_file_that_breaks_off(tmp_path: Path) -> None:
    """One whose connection breaks before its end is not taken for whole, though its size is not compared."""
    (root := tmp_path / "root").mkdir()
    (root / "a.docx").write_bytes(b"x" * 400_000)
    with webdav(root) as server, FaultProxy(f"http://127.0.0.1:{server.port}") as proxy:
        dav = f"[dav]\ntype = webdav\nurl = {proxy.url}\nvendor = sharepoint-ntlm\n"
        proxy.truncate_next(1_000, method="GET", path="a.docx")
        folder, status = collected(tmp_path, source(f"{dav}[place]\ntype = alias\nremote = dav:\n"))
    assert status is not JobStatus.SUCCESSFULLY_COMPLETED
    assert unsuccessful(folder)["a.docx"]["error_code"] == "connection_lost"
