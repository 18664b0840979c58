"""New collections, saved sources, their limits and schedules, through the console and from Python."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import BlockDocumentCreate, BlockSchemaCreate
from prefect_aws import AwsCredentials
from pydantic import SecretStr

from prefect_collect import jobs
from prefect_collect.blocks import FileSource, ObjectStoreSource, SftpSource
from prefect_collect.blocks.data_source import DataSource, SavedBlocks
from prefect_collect.console.new_collection import source_of
from prefect_collect.console.pages import time_text
from prefect_collect.errors import JobNotFound, SourceNotFound, UsageError
from prefect_collect.statuses import JobKind, JobStatus, LifecycleStatus
from tests.integration.console.console_client import VERA, ConsoleClient, new_console
from tests.integration.jobs.every_status import until
from tests.integration.prefect_server import PrefectServer
from tests.integration.shared_server import no_new_jobs

pytestmark = pytest.mark.integration

SECRET = "a-secret-that-no-page-shows"
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def used(prefect_server: PrefectServer) -> Iterator[PrefectServer]:
    """The server, used by this process."""
    with prefect_server.used():
        yield prefect_server


@pytest.fixture(scope="module")
def anna(used: PrefectServer) -> ConsoleClient:
    """A user who may operate."""
    return ConsoleClient(new_console())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of 25 files, one of them with a hostile name."""
    root = tmp_path / "root"
    root.mkdir()
    for number in range(24):
        (root / f"{number:02}.txt").write_bytes(b"0123456789")
    (root / HOSTILE.replace("/", "")).write_bytes(b"x")
    return root


def described(folder: Path, **more: str) -> dict[str, str]:
    """Return the fields of a form for a new source."""
    return {"from": "new", "location": str(folder), "store_location": str(folder.parent / "store"), **more}


def test_a_source_is_tested(anna: ConsoleClient, folder: Path) -> None:
    """The first 20 items are listed, with names as text; what cannot be listed is said in words, with what to do."""
    shown = anna.post("/new/test", described(folder))
    assert shown.text.count('<th scope="row">') == 20
    assert "first 20 items" in shown.text
    assert shown.headers["hx-trigger"] == "sampled"
    assert HOSTILE not in shown.text
    missing = anna.post("/new/test", described(folder / "none")).text
    assert "cannot be listed" in missing
    assert "Correct the source&#39;s address" in missing
    nowhere = {"from": "new", "location": "s3://no-bucket/x", "endpoint_url": "http://127.0.0.1:1", "anonymous": "yes"}
    assert "cannot be listed" in anna.post("/new/test", nowhere).text
    assert anna.post("/new/test", {"from": "new", "location": "ftp://x"}).status_code == 422


def test_what_filters_take_is_counted(anna: ConsoleClient, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The count is of all items, or clearly of a sample; a form that is being filled in gets a hint."""
    monkeypatch.setattr("prefect_collect.console.samples.MOST", 100)
    all_of_them = anna.post("/new/count", described(folder, include="0*.txt", min_size="5")).text
    assert re.search(r"<strong>10</strong> of all 25 items\s+are taken: 100 bytes", all_of_them)
    assert "sample" not in all_of_them
    monkeypatch.setattr("prefect_collect.console.samples.MOST", 7)
    part = anna.post("/new/count", described(folder, follow_symlinks="yes")).text
    assert "of the first 7 items" in part
    assert "a sample, not a total" in part
    assert "The number of items must be" in anna.post("/new/count", described(folder, limit="x")).text
    assert "Type where" in anna.post("/new/count", {"from": "new"}).text


def test_a_collection_is_estimated(anna: ConsoleClient, folder: Path, tmp_path: Path) -> None:
    """The whole source is listed, the filters are applied; why it cannot be listed is said in words."""
    fields = described(folder, include="0*.txt", store_location=str(tmp_path / "store"))
    shown = anna.post("/new/estimate", fields).text
    assert re.search(r"<dt>items</dt><dd>10</dd>.*<dt>size</dt><dd>100 bytes</dd>", shown, re.DOTALL)
    assert "no earlier job of the source" in shown
    assert "Type where" in anna.post("/new/estimate", {"from": "new"}).text
    gone = anna.post("/new/estimate", {**fields, "location": str(folder / "none")}).text
    assert "The source cannot be listed: No such file or directory" in gone


def test_a_draft_with_its_source_and_export(anna: ConsoleClient, folder: Path) -> None:
    """Save draft saves the source, the draft with its filters, and the export that awaits it; a name is taken once."""
    name = f"docs-{uuid4().hex[:8]}"
    fields = described(
        folder, save_as=name, source_name=name, name=HOSTILE, include="*.txt", export="yes",
        export_location=str(folder.parent / "out"), hash_md5="yes",
    )  # fmt: skip
    answer = anna.post("/new/draft", fields)
    job = jobs.get(answer.headers["hx-redirect"].rpartition("/")[2])
    assert (job.status, job.name, job.source) == (JobStatus.DRAFTED, HOSTILE, name)
    assert jobs.query_of(job).include == ("*.txt",)
    assert job.parameters["hashes"] == ["md5"]
    [source] = [one for one in jobs.list_sources() if one.reference == f"file-source/{name}"]
    assert (source.name, source.location, source.lifecycle) == (name, str(folder), LifecycleStatus.ACTIVE)
    assert job.parameters["source"] == {"$ref": {"block_document_id": str(source.id)}}
    sheet = anna.get(f"/jobs/{job.id}").text
    assert "Awaiting collection" in sheet
    assert (job.location, job.expected.startswith("Expected, by a listing of ")) == (str(folder), True)
    assert job.expected in sheet
    assert anna.post("/new/draft", fields).status_code == 204
    again = anna.post("/new/draft", {**fields, "follow_symlinks": "yes"})
    assert (again.status_code, "already saved" in again.text) == (422, True)
    inside = anna.post("/new/draft", {**fields, "save_as": "", "export_location": str(folder / "out")})
    assert (inside.status_code, "lies in the data source" in inside.text) == (422, True)
    page = anna.get("/new").text
    assert f'<option value="{source.id}">' in page
    assert HOSTILE not in page


@pytest.fixture(scope="module")
def vault(used: PrefectServer) -> dict[str, str]:
    """Blocks of credentials and secrets are saved; their ids, by reference."""
    held: dict[str, Block] = {
        "aws-credentials/eu": AwsCredentials(aws_access_key_id="id", aws_secret_access_key=SECRET),
        "secret/collect-mail": Secret(value="00123"),  # type: ignore[arg-type]
        "secret/signing": Secret(value=SECRET),  # type: ignore[arg-type]
    }
    ids = {reference: str(block.save(reference.partition("/")[2])) for reference, block in held.items()}
    with get_client(sync_client=True) as client:  # as prefect-gcp saves it, which is not installed
        kind = client.read_block_type_by_slug("gcp-credentials")
        schema = client.create_block_schema(BlockSchemaCreate(block_type_id=kind.id, fields={}))
        data = {"service_account_info": {"type": "service_account"}}
        document = BlockDocumentCreate(name="eu", data=data, block_schema_id=schema.id, block_type_id=kind.id)
        ids["gcp-credentials/eu"] = str(client.create_block_document(document).id)
    return ids


@pytest.mark.parametrize(
    ("location", "field", "reference", "held"),
    [
        ("s3://bucket/x", "credentials", "aws-credentials/eu", AwsCredentials),
        ("gs://bucket/x", "credentials_block", "gcp-credentials/eu", "eu"),
        ("imaps://ann@host", "password", "secret/collect-mail", "00123"),
        ("mbox:s3://bucket/x", "credentials", "aws-credentials/eu", AwsCredentials),
    ],
)
def test_saved_credentials(
    anna: ConsoleClient, vault: dict[str, str], location: str, field: str, reference: str, held: object
) -> None:
    """The form offers what the kind of source takes, and the source gets what is picked; no secret is in the page.

    Secrets whose names do not begin with "collect-" are neither offered nor accepted.
    """
    picked = {"from": "new", "location": location, f"saved_{field}": vault[reference]}
    shown = anna.post("/new/credentials", picked).text
    assert f'<select id="saved_{field}" name="saved_{field}"' in shown
    assert f'<option value="{vault[reference]}" selected>{reference}</option>' in shown
    assert (SECRET in shown, "secret/signing" in shown) == (False, False)
    source: Any = source_of(picked)
    got = getattr(getattr(source, "inside", source), field)
    got = got.get_secret_value() if isinstance(got, SecretStr) else got
    assert isinstance(got, held) if isinstance(held, type) else got == held
    answer = anna.post("/new/test", {**picked, f"saved_{field}": vault["secret/signing"]})
    assert (answer.status_code, "takes no such block" in answer.text) == (422, True)


@pytest.mark.parametrize(
    ("takes", "sentence"),
    [
        (SavedBlocks(("secret",)), "It takes a Secret block whose name begins with collect-; its value is copied."),
        (SavedBlocks(("secret",), by_name=True), "It takes a Secret block whose name begins with collect-."),
        (SavedBlocks(("aws-credentials", "secret")),
         "It takes a block aws-credentials, or a Secret block whose name begins with collect-; its value is copied."),
    ],
)  # fmt: skip
def test_secrets_that_a_source_takes_in_words_of_its_own(
    anna: ConsoleClient, vault: dict[str, str], monkeypatch: pytest.MonkeyPatch, takes: SavedBlocks, sentence: str
) -> None:
    """However a kind of source says that it takes Secret blocks, only those of collect- are offered and accepted."""
    monkeypatch.setattr(SftpSource, "takes_saved", classmethod(lambda cls, url: {"password": takes}))
    picked = {"from": "new", "location": "sftp://ann@host/x", "saved_password": vault["secret/signing"]}
    shown = anna.post("/new/credentials", picked).text
    assert (vault["secret/collect-mail"] in shown, vault["secret/signing"] in shown) == (True, False)
    assert (vault["aws-credentials/eu"] in shown) == ("aws-credentials" in takes.types)
    assert sentence in shown
    answer = anna.post("/new/test", picked)
    assert (answer.status_code, "takes no such block" in answer.text) == (422, True)


def test_no_saved_credentials(anna: ConsoleClient, folder: Path) -> None:
    """A folder takes none, and what is half typed gets the first hint again; a kind of which none is saved says what it
    takes; an unknown one is said in words.
    """
    assert "No saved credentials" in anna.post("/new/credentials", described(folder)).text
    for unfinished in ("", "imaps:"):
        assert "when the location is typed" in anna.post("/new/credentials", {"location": unfinished}).text
    assert "azure-blob-storage-credentials" in anna.post("/new/credentials", {"location": "az://container"}).text
    assert "No installed source" in anna.post("/new/credentials", {"location": "ftp://host"}).text
    vera = ConsoleClient(new_console(), VERA)
    assert vera.post("/new/credentials", {"location": "s3://bucket"}).status_code == 403


def test_nothing_is_started_without_a_worker(anna: ConsoleClient, folder: Path) -> None:
    """Start says what is missing, and leaves neither a draft nor a saved source behind."""
    name = f"none-{uuid4().hex[:8]}"
    with no_new_jobs():
        answer = anna.post("/new/start", described(folder, save_as=name))
    assert (answer.status_code, "prefect-collect serve" in answer.text) == (409, True)
    assert [one for one in jobs.list_sources() if one.reference == f"file-source/{name}"] == []


def changes_of(source: str, number: int) -> list[dict[str, Any]]:
    """Return the events of a source's changes, once there are that many: the server saves events in batches."""
    wanted = {"filter": {"resource": {"id": [f"prefect-collect.source.{source}"]}}}

    def read() -> list[dict[str, Any]]:
        with get_client(sync_client=True) as client:
            found: list[dict[str, Any]] = client._client.post("/events/filter", json=wanted).json()["events"]
        return found if len(found) >= number else []

    return until(read, "the events of the changes")  # type: ignore[no-any-return]


def test_the_lifecycle_and_the_limits_of_a_source(anna: ConsoleClient, folder: Path) -> None:
    """Both are changed on the page; everything else in the block stays, its credentials too, which no page shows."""
    name = f"bucket-{uuid4().hex[:8]}"
    keys = AwsCredentials(aws_access_key_id="id", aws_secret_access_key=SECRET)
    keys.save(f"keys-{name}")
    ObjectStoreSource(url="s3://some-bucket/p", name=name, credentials=keys).save(name)
    [source] = [one for one in jobs.list_sources() if one.name == name]
    shown = anna.post(f"/sources/{source.id}/lifecycle", {"lifecycle": "SUSPENDED"}).text
    assert "SUSPENDED" in shown
    assert "No job starts on this source for now" in shown
    loaded = jobs.saved_block(source.id)
    assert isinstance(loaded, ObjectStoreSource)
    assert loaded.lifecycle is LifecycleStatus.SUSPENDED
    assert isinstance(loaded.credentials, AwsCredentials)
    assert loaded.credentials.aws_secret_access_key is not None
    assert loaded.credentials.aws_secret_access_key.get_secret_value() == SECRET
    assert loaded.url == "s3://some-bucket/p"
    anna.post(f"/sources/{source.id}/limit", {"collection": "3", "export": "0"})
    limits = jobs.source_limits()
    assert (limits[JobKind.COLLECTION, name], limits[JobKind.EXPORT, name]) == (3, 0)
    for fields in ({"collection": "-1"}, {"export": "9999"}, {"collection": "x"}):
        assert anna.post(f"/sources/{source.id}/limit", fields).status_code == 422
    assert anna.post(f"/sources/{source.id}/lifecycle", {"lifecycle": "BROKEN"}).status_code == 422
    assert anna.post(f"/sources/{uuid4()}/lifecycle", {"lifecycle": "ACTIVE"}).status_code == 404
    with pytest.raises(SourceNotFound):
        jobs.set_lifecycle(uuid4(), LifecycleStatus.ACTIVE)
    pages = anna.get("/sources").text + anna.post("/new/credentials", {"location": "s3://bucket"}).text
    assert f"keys-{name}" in pages
    assert SECRET not in pages
    told = [event["payload"] for event in changes_of(name, 3)]
    assert {"by": "anna", "lifecycle": "SUSPENDED"} in told
    assert {"by": "anna", "collections at once": 3} in told
    vera = ConsoleClient(new_console(), VERA)
    assert "disabled" in vera.get("/sources").text
    assert vera.post(f"/sources/{source.id}/lifecycle", {"lifecycle": "ACTIVE"}).status_code == 403


def test_schedules(anna: ConsoleClient, folder: Path) -> None:
    """A schedule is made with its zone and parameters, also with a long list of patterns; it keeps them when it is
    paused; it is shown at its source, with its next start once Prefect has planned it, and deleted.
    """
    name = f"planned-{uuid4().hex[:8]}"
    fields = described(
        folder, save_as=name, source_name=name, since="yes", cron="0 3 * * 1-5", timezone="Europe/Berlin",
        exclude="\n".join(f"none/{number:06}" for number in range(3000)),
    )  # fmt: skip
    assert anna.post("/new/schedule", fields).headers["hx-redirect"] == "/sources"
    [source] = [one for one in jobs.list_sources() if one.name == name]

    def mine() -> jobs.CollectionSchedule:
        [found] = [one for one in jobs.list_schedules() if one.source_block == source.id]
        return found

    made = mine()
    assert (made.timing, made.timezone, made.active) == ("cron 0 3 * * 1-5", "Europe/Berlin", True)
    assert made.parameters["since"] == "last"
    assert set(made.parameters["query"]) == {"patterns"}
    until(lambda: mine().next_start is not None, "Prefect to plan the next start")
    start = mine().next_start
    assert start is not None
    assert (start.astimezone(ZoneInfo("Europe/Berlin")).hour, start > datetime.now(UTC)) == (3, True)
    assert f"next at {time_text(start)}" in anna.get("/sources").text
    paused = anna.post(f"/schedules/{made.id}/pause").text
    assert ("0 3 * * 1-5" in paused, time_text(start) in paused) == (True, False)
    assert (mine().active, mine().parameters, mine().next_start) == (False, made.parameters, None)
    anna.post(f"/schedules/{made.id}/resume")
    assert (mine().active, mine().parameters) == (True, made.parameters)
    anna.post(f"/schedules/{made.id}/delete")
    assert all(one.id != made.id for one in jobs.list_schedules())
    with pytest.raises(JobNotFound):
        jobs.delete_schedule(made.id)
    for wrong in ({"cron": "every day"}, {"timezone": "Atlantis"}, {"cron": "", "every_hours": ""}):
        answer = anna.post("/new/schedule", {**fields, "save_as": "", **wrong})
        assert answer.status_code == 422, wrong
    with pytest.raises(UsageError):
        jobs.schedule_collection(FileSource(root=folder), cron="0 3 * * *", timezone="Europe/Berlin", sinc="last")


def test_a_block_that_cannot_be_read(anna: ConsoleClient, folder: Path) -> None:
    """A source whose block no longer fits its class is listed with the reason, and cannot be picked."""
    from prefect.client.schemas.actions import BlockDocumentUpdate

    name = f"broken-{uuid4().hex[:8]}"
    saved = FileSource(root=folder, name=name).save(name)
    assert isinstance(saved, UUID)
    with get_client(sync_client=True) as client:
        client.update_block_document(saved, BlockDocumentUpdate(data={"root": "s3://x/y"}, merge_existing_data=True))
    [source] = [one for one in jobs.list_sources() if one.id == saved]
    assert "cannot be read" in source.problem
    assert "cannot be read" in anna.get("/sources").text
    assert re.search(rf'<option value="{saved}"[^>]* disabled>', anna.get("/new").text)


def test_sources_of_other_packages_are_listed(used: PrefectServer) -> None:
    """The list has the types that are installed; stores and credentials are listed apart."""
    from prefect_collect.blocks import DirectoryStoreBlock
    from prefect_collect.blocks.locate import source_types

    assert {FileSource, ObjectStoreSource} <= set(source_types())
    assert all(issubclass(kind, DataSource) for kind in source_types())
    name = f"store-{uuid4().hex[:8]}"
    DirectoryStoreBlock(path="/srv/out").save(name)
    assert (f"collect-directory-store/{name}", "/srv/out") in [
        (one.reference, one.location) for one in jobs.list_stores()
    ]
