"""Exports that are made and packages that are downloaded, from Python and through the console."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from prefect_collect import FileSource, collect, jobs
from prefect_collect.blocks import S3StoreBlock
from prefect_collect.errors import ActionNotAllowed, InvalidLocation, PackageExists, StoreFull, UsageError
from prefect_collect.job_folder import custody_log
from prefect_collect.job_folder.acting import acting_as
from prefect_collect.packages import verify
from prefect_collect.statuses import JobStatus
from prefect_collect.verification import verify_job
from tests.integration.console.console_client import VERA, ConsoleClient, new_console
from tests.integration.prefect_server import PrefectServer
from tests.integration.servers import S3Server
from tests.integration.shared_server import no_new_jobs

pytestmark = pytest.mark.integration

LARGE = 5_000_000

_PROFILE = json.dumps(
    {
        "BagIt-Profile-Info": {"BagIt-Profile-Identifier": "https://example.org/p.json"},
        "Bag-Info": {"Funder": {"required": True, "values": ["Ørsted"]}},
        "Accept-Serialization": ["application/x-tar", "application/zip"],
    }
)


@dataclass
class Made:
    """A collection, its folders, and a console."""

    job: jobs.Job
    folder: Path
    app: object

    def export(self, to: Any, **options: Any) -> jobs.Job:
        """Export the collection in this process, as the user anna asks for it."""
        with acting_as("anna"):
            return jobs.start_export(self.job.id, to, here=True, **options)

    def downloads(self, job: jobs.Job) -> list[tuple[str, str]]:
        """Return who downloaded the package of an export, and to where, by its custody log."""
        entries = custody_log.entries(job.folder)
        return [(entry.who, entry.details["to"]) for entry in entries if entry.action == "downloaded"]


@pytest.fixture(scope="module")
def made(prefect_server: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A collection of two small items and one of 5 MB."""
    base = tmp_path_factory.mktemp("packages")
    (base / "root").mkdir()
    for name, content in {"a.txt": b"a", "ü.txt": b"b", "large": bytes(range(250)) * (LARGE // 250)}.items():
        (base / "root" / name).write_bytes(content)
    with prefect_server.used():
        source = FileSource(root=base / "root", name="packed")
        state = collect(source=source, store=base / "store", name="packed", return_state=True)
        yield Made(jobs.get(str(state.state_details.flow_run_id)), base, new_console())


@pytest.fixture(scope="module")
def zipped(made: Made) -> jobs.Job:
    """Its package as one ZIP file in a folder."""
    return made.export(made.folder / "zips", name="zipped", sha512=True)


def test_an_export_is_made(made: Made, zipped: jobs.Job) -> None:
    """It is a job like any other, and its custody log begins with who asked for it; the log is valid."""
    assert (zipped.status, zipped.name, zipped.source) == (JobStatus.SUCCESSFULLY_COMPLETED, "zipped", "packed")
    first = custody_log.entries(zipped.folder)[0]
    assert (first.action, first.who, first.details["collection"]) == ("export-requested", "anna", made.job.id)
    assert verify_job(zipped.folder).problems == []
    package = jobs.delivered_package(zipped.id)
    assert zipped.result is not None
    assert (package.location, package.fingerprint) == (zipped.result.package, zipped.result.fingerprint)
    assert verify(package.location).fingerprint == package.fingerprint


def test_what_cannot_be_exported_makes_no_job(made: Made, zipped: jobs.Job, prefect_server: PrefectServer) -> None:
    """Each check of the flow and of the command line is made before there is a run."""
    draft = jobs.draft_collection(FileSource(root=made.folder / "root"), store=made.folder / "store")
    with pytest.raises(UsageError, match="tries"):
        jobs.draft_collection(FileSource(root=made.folder / "root"), store=made.folder / "store", tries=0)
    refused: list[tuple[str, Any, dict[str, Any], type[Exception]]] = [
        (made.job.id, made.folder / "root" / "out", {}, InvalidLocation),
        (made.job.id, made.folder / "store" / "out", {}, InvalidLocation),
        (made.job.id, made.folder / "zips", {}, PackageExists),
        (made.job.id, "collect-s3-store/none", {}, InvalidLocation),
        (made.job.id, "s3://bucket/p?X-Amz-Signature=x", {}, InvalidLocation),
        (made.job.id, made.folder / "out", {"format": "rar"}, UsageError),
        (made.job.id, made.folder / "out", {"bag": {"tags": ["Payload-Oxum=1.1"]}}, UsageError),
        (made.job.id, made.folder / "out", {"bag": {"profile": _PROFILE}}, UsageError),
        (made.job.id, made.folder / "out", {"bag": {"volume_bytes": 5}}, UsageError),
        (made.job.id, made.folder / "out", {"name": "a\0b"}, UsageError),
        (zipped.id, made.folder / "out", {}, ActionNotAllowed),
        (draft.id, made.folder / "out", {}, ActionNotAllowed),
    ]
    with no_new_jobs():
        for job_id, to, options, kind in refused:
            with pytest.raises(kind):
                jobs.start_export(job_id, to, **options)
    assert not (made.folder / "out").exists()


def test_the_dialogs(made: Made, zipped: jobs.Job) -> None:
    """Export offers formats and destinations; without a worker it makes no job. Delete says what goes and what stays.
    A status that does not offer the step has no dialog.
    """
    anna = ConsoleClient(made.app)
    shown = anna.get(f"/jobs/{made.job.id}/export").text
    assert 'value="bagit"' in shown
    assert 'value="directory"' in shown
    assert made.job.id not in shown.replace(f"/jobs/{made.job.id}/export", "")
    with no_new_jobs():
        answer = anna.post(f"/jobs/{made.job.id}/export", {"format": "bagit", "location": str(made.folder / "out")})
    assert (answer.status_code, "No process runs jobs" in answer.text) == (409, True)
    assert anna.get(f"/jobs/{zipped.id}/export").status_code == 409
    assert anna.get(f"/jobs/{made.job.id}/download").status_code == 409
    assert zipped.result is not None
    assert str(zipped.result.package) in anna.get(f"/jobs/{zipped.id}/delete").text
    gone = anna.get(f"/jobs/{made.job.id}/delete").text
    assert "of staged items (3 items)" in gone


def test_a_package_is_downloaded(made: Made, zipped: jobs.Job) -> None:
    """The bytes are those of the package, the fingerprint is beside, a user who may only view may download, and the
    log has one entry with the user.
    """
    vera, page = ConsoleClient(made.app, VERA), f"/jobs/{zipped.id}"
    package = jobs.delivered_package(zipped.id)
    content = Path(package.location).read_bytes()
    shown = vera.get(f"{page}/download").text
    assert package.fingerprint in shown
    assert "SHA-256 of its tagmanifest-sha256.txt" in shown
    head = vera.head(f"{page}/package")
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(content)))
    assert made.downloads(zipped) == []
    answer = vera.get(f"{page}/package")
    assert answer.content == content
    assert answer.headers["content-type"] == "application/zip"
    assert f'filename="{Path(package.location).name}"' in answer.headers["content-disposition"]
    assert made.downloads(zipped) == [("vera", "a browser")]


def test_a_bag_as_its_receiver_wants_it(made: Made) -> None:
    """A TAR file that conforms to a profile, and a group of bags, are made by jobs, and downloaded in the console."""
    anna, bag = ConsoleClient(made.app), {"tags": ["Funder=Ørsted"], "profile": _PROFILE}
    tar = made.export(made.folder / "tars", format="bagit-tar", bag=bag)
    group = made.export(made.folder / "groups", format="bagit-group", bag={**bag, "volume_bytes": LARGE})
    for job, kind, name in ((tar, "application/x-tar", "p.tar"), (group, "application/zip", "p.zip")):
        package = jobs.delivered_package(job.id)
        assert verify(package.location, profile=_PROFILE).problems == []
        answer = anna.get(f"/jobs/{job.id}/package")
        assert answer.headers["content-type"] == kind
        (made.folder / name).write_bytes(answer.content)
        found = verify(made.folder / name, profile=_PROFILE)
        assert (found.problems, found.items, found.fingerprint) == ([], 3, package.fingerprint)


def test_an_interrupted_download_goes_on(made: Made, zipped: jobs.Job) -> None:
    """A client that breaks off gets the rest from any byte on; all of it is one entry in the log, and a client that
    asks for something behind the end sees that it has all.
    """
    anna, page = ConsoleClient(made.app), f"/jobs/{zipped.id}/package"
    content = Path(jobs.delivered_package(zipped.id).location).read_bytes()
    before, tag = len(made.downloads(zipped)), anna.head(page).headers["etag"]
    got = anna.broken_off(page, 1_000_000)
    while len(got) < len(content):
        part = anna.get(page, **{"Range": f"bytes={len(got)}-{len(got) + 1_999_999}", "If-Range": tag})
        assert part.status_code == 206
        assert part.headers["content-range"].startswith(f"bytes {len(got)}-")
        got += part.content
    assert got == content
    assert anna.get(page, Range=f"bytes={len(got)}-").status_code == 416
    assert made.downloads(zipped)[before:] == [("anna", "a browser")]


def test_another_file_is_not_sent(made: Made) -> None:
    """A package that was replaced or removed after its delivery is refused in words, also to a client that has a part
    of it; nothing is entered into the log.
    """
    job = made.export(made.folder / "replaced")
    anna, page = ConsoleClient(made.app), f"/jobs/{job.id}/package"
    place = Path(jobs.delivered_package(job.id).location)
    tag = anna.head(page).headers["etag"]
    other = made.export(made.folder / "others", sha512=True)
    assert other.result is not None
    place.write_bytes(Path(str(other.result.package)).read_bytes())
    for headers in ({}, {"Range": "bytes=5-", "If-Range": tag}):
        answer = anna.get(page, **headers)
        assert (answer.status_code, "fingerprint differs" in answer.text) == (409, True)
    place.unlink()
    answer = anna.get(f"/jobs/{job.id}/download")
    assert (answer.status_code, "no longer where" in answer.text) == (409, True)
    assert made.downloads(job) == []


def test_what_cannot_be_entered_is_not_sent(made: Made, zipped: jobs.Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package whose download cannot be entered into the custody log, as its store is full, is not sent."""

    def full(*_: object) -> None:
        raise StoreFull("No space is left.")

    anna, page = ConsoleClient(made.app), f"/jobs/{zipped.id}/package"
    monkeypatch.setattr(custody_log, "append", full)
    answer = anna.get(page)
    assert (answer.status_code, "No space is left" in answer.text) == (502, True)


def test_a_folder_arrives_as_one_file(made: Made, tmp_path: Path) -> None:
    """A package that is a folder is sent as a ZIP file, also from the middle on; `verify` accepts it as the same
    package.
    """
    job = made.export(made.folder / "folders", format="directory")
    anna, page = ConsoleClient(made.app), f"/jobs/{job.id}/package"
    assert "made on the way" in anna.get(f"/jobs/{job.id}/download").text
    whole = anna.get(page)
    tag = whole.headers["etag"]
    rest = ConsoleClient(new_console()).get(page, **{"Range": "bytes=777777-", "If-Range": tag})
    assert (rest.status_code, rest.content) == (206, whole.content[777_777:])
    saved = tmp_path / "saved.zip"
    saved.write_bytes(whole.content)
    checked = verify(saved)
    assert (checked.valid, checked.fingerprint) == (True, jobs.delivered_package(job.id).fingerprint)
    assert made.downloads(job) == [("anna", "a browser, as a ZIP file"), ("anna", "a browser, as a ZIP file")]


def test_a_package_in_s3(made: Made, seaweedfs: S3Server) -> None:
    """The click leads to S3 by a link that works, and the log says so; through the console, the same bytes come in
    parts. The secret key is in no page.
    """
    from prefect_aws import AwsClientParameters, AwsCredentials

    credentials = AwsCredentials(
        aws_access_key_id=seaweedfs.access_key,
        aws_secret_access_key=seaweedfs.secret_key,
        region_name=seaweedfs.region,
        aws_client_parameters=AwsClientParameters(),
    )
    block = S3StoreBlock(
        bucket=seaweedfs.new_bucket(), prefix="out", endpoint_url=seaweedfs.url, credentials=credentials
    )
    job = made.export(block)
    anna, page = ConsoleClient(made.app), f"/jobs/{job.id}"
    shown = anna.get(f"{page}/download").text
    assert "valid for an hour" in shown
    answer = anna.get(f"{page}/package")
    assert answer.status_code == 303
    link = answer.headers["location"]
    assert "X-Amz-Expires=3600" in link
    content = httpx.get(link).content
    tag = anna.head(f"{page}/package?through=console").headers["etag"]
    part = anna.get(f"{page}/package?through=console", **{"Range": "bytes=100-", "If-Range": tag})
    assert (part.status_code, hashlib.sha256(part.content).digest()) == (206, hashlib.sha256(content[100:]).digest())
    assert [to for _, to in made.downloads(job)] == ["a link to it that is valid for an hour", "a browser"]
    assert seaweedfs.secret_key not in shown + link
