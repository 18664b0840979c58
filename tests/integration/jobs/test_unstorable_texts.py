"""Text that PostgreSQL cannot keep, under Prefect's server: a user's is refused by its field, a source's is escaped.

Such text holds NUL, or the lone surrogates that Python makes of bytes that are not UTF-8. Prefect's server answers it
with "503 Service Unavailable", and its client sends it again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.flow_engine import run_flow

from prefect_collect import collect, export, jobs
from prefect_collect.blocks import DirectoryStoreBlock, FileSource, source_from
from prefect_collect.cli import run
from prefect_collect.codes import Failure
from prefect_collect.errors import SourceError, UsageError
from prefect_collect.flows import AutoExport
from prefect_collect.flows.deploying import ensure_deployments
from prefect_collect.sources import Content, Item, Overlap
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import Store
from tests.integration.prefect_server import PrefectServer
from tests.integration.shared_server import job_ids, no_new_jobs

pytestmark = pytest.mark.integration

NUL, BYTES = "a\0b", "caf\udce9"
"""A name with NUL, and a name in Latin-1 bytes, as a command line passes it."""

JOB = "00000000-0000-4000-8000-000000000000"


class Odd(FileSource):
    """A folder whose items and errors hold such text; `fails` says at which call an error with such text is raised."""

    _block_type_name = "Odd Text"
    _block_type_slug = "odd-text"

    fails: str = "items"

    def items(self) -> Iterator[Any]:
        """Return the files with odd paths, and an item that the listing itself cannot describe."""
        if self.fails == "listing":
            raise ValueError(f"The listing broke at {NUL}{BYTES}")
        for found in super().items():
            if not isinstance(found, Item):
                yield Item("x", f"x{NUL}{BYTES}", failure=Failure("access_denied", f"{NUL}{BYTES}"))
                yield Item("y", f"y{NUL}{BYTES}", skipped=Failure("symlink", f"{NUL}{BYTES}"))
            yield replace(found, path=f"{found.path}{NUL}{BYTES}") if isinstance(found, Item) else found

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Fail for one of the items with such text."""
        chosen = list(items)
        yield from super().read_many([item for item in chosen if not item.path.startswith("0")], concurrency)
        for item in chosen:
            if item.path.startswith("0"):
                yield item, SourceError(f"{NUL}{BYTES} [item={item.path}]", code="access_denied")

    def overlap(self, store: Store) -> Overlap | None:
        """Fail as a faulty program does, outside of the errors that a job expects."""
        if self.fails == "overlap":
            raise LookupError(f"A table lacks {NUL}")
        return super().overlap(store)


@pytest.mark.parametrize("text", [NUL, BYTES], ids=["nul", "bytes"])
def test_python_refuses_them(prefect: PrefectServer, root: Path, tmp_path: Path, text: str) -> None:
    """Every text parameter of a collection, a draft, an export and a retry is refused before there is a run."""
    source, store, out = FileSource(root=root), tmp_path / "store", tmp_path / "out"
    draft = jobs.draft_collection(source, store=str(store)).id
    written = sorted(store.rglob("*"))
    long = [text, *(f"{number:0100}" for number in range(400))]
    named, odd = {"destination": str(out), "name": text}, {"destination": text}
    ways: list[tuple[str, Callable[[], object]]] = [
        ("name", lambda: collect(source=source, store=store, name=text)),
        ("query.include", lambda: collect(source=source, store=store, query={"include": [text]})),
        ("query.exclude", lambda: collect(source=source, store=store, query={"exclude": long})),
        ("store", lambda: collect(source=source, store=tmp_path / text)),
        ("path", lambda: collect(source=source, store=DirectoryStoreBlock(path=str(tmp_path / text)))),
        ("root", lambda: collect(source=FileSource(root=tmp_path / text), store=store)),
        ("runner_address", lambda: collect(source=source, store=store, runner="dask", runner_address=text)),
        ("only", lambda: collect(source=source, store=store, only=text)),
        ("auto_export.name", lambda: collect(source=source, store=store, auto_export=named)),
        ("auto_export.destination", lambda: collect(source=source, store=store, auto_export=odd)),
        ("name", lambda: jobs.draft_collection(source, store=str(store), name=text)),
        ("include", lambda: jobs.draft_collection(source, store=str(store), query={"include": long})),
        ("store", lambda: jobs.draft_collection(source, store=str(tmp_path / text))),
        ("name", lambda: jobs.edit_draft(draft, name=text)),
        ("auto_export.destination", lambda: AutoExport(destination=text)),
        ("auto_export.name", lambda: jobs.edit_draft(draft, auto_export={"destination": str(out), "name": text})),
        ("name", lambda: export(JOB, out, store=store, name=text)),
        ("collection_job", lambda: export(text, out, store=store)),
        ("destination", lambda: export(JOB, str(tmp_path / text), store=store)),
        ("only", lambda: jobs.retry(draft, only=text)),
        ("name", lambda: source_from(str(root), name=text)),
    ]  # fmt: skip
    with no_new_jobs():
        for field, way in ways:
            with pytest.raises(UsageError) as refused:
                way()
            assert f"[field={field}]" in str(refused.value) or str(refused.value).startswith("name must be"), field
    assert sorted(store.rglob("*")) == written
    assert not out.exists()


@pytest.mark.parametrize("text", [NUL, BYTES], ids=["nul", "bytes"])
def test_commands_refuse_them(
    prefect: PrefectServer, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    """Commands end with 2, nothing on standard output, and one line that names the field."""
    store, patterns = tmp_path / "store", tmp_path / "patterns"
    patterns.write_bytes(text.encode("utf-8", "surrogateescape"))
    store_named, export_named = "[field=store]", "[field=auto_export.destination]"
    if text == NUL:  # no path can hold NUL
        store_named = export_named = "[location="
    for named, command in (
        ("[field=name]", ["collect", root, "--store", store, "--name", text]),
        ("[field=include]", ["collect", root, "--store", store, "--include", text]),
        (f"[{patterns}:1]", ["collect", root, "--store", store, "--exclude-from", patterns]),
        ("[field=source]", ["collect", f"file-source/{text}", "--store", store]),
        (store_named, ["collect", root, "--store", tmp_path / text]),
        (export_named, ["draft", root, "--store", store, "--export-to", tmp_path / text]),
    ):
        code = run([str(word) for word in command])
        out, err = capsys.readouterr()
        assert (code, out, len(err.splitlines())) == (2, "", 1), (named, err)
        assert named in err, (named, err)
    assert not store.exists()


def test_prefects_server_refuses_them_in_a_form(prefect: PrefectServer, tmp_path: Path) -> None:
    """For a run of a deployment from Prefect's UI or API, the server names the field, as the form's schema does."""
    ensure_deployments()
    with get_client(sync_client=True) as client:
        made = {
            client.read_flow(one.flow_id).name.partition(" ")[0]: one.id
            for one in client.read_deployments()
            if one.name == "prefect-collect"
        }
        block = {"$ref": {"block_document_id": str(FileSource(root=tmp_path)._save_sync(is_anonymous=True))}}
        given: dict[str, Any] = {"source": block, "store": str(tmp_path / "store")}
        for field, kind, parameters in (
            ("name", "collection", {**given, "name": NUL}),
            ("query.include", "collection", {**given, "query": {"include": [NUL]}}),
            ("auto_export.destination", "collection", {**given, "auto_export": {"destination": NUL}}),
            ("destination", "export", {"collection_job": JOB, "destination": NUL}),
        ):
            with pytest.raises(httpx.HTTPStatusError) as refused:
                client.create_flow_run_from_deployment(made[kind], parameters=parameters)
            answer = refused.value.response
            assert (answer.status_code, f"field '{field}" in answer.json()["detail"]) == (409, True), answer.text


def test_a_run_that_has_them(prefect: PrefectServer, root: Path, store: str) -> None:
    """A run that has such a parameter anyway, as a schedule on SQLite may make one, is Failed and names the field."""
    for field, parameters in {
        "name": {"source": FileSource(root=root), "store": store, "name": NUL},
        "auto_export.name": {
            "source": FileSource(root=root), "store": store, "auto_export": {"destination": store, "name": BYTES},
        },
    }.items():  # fmt: skip
        with get_client(sync_client=True) as client:
            made = client.create_flow_run(collect, parameters={"source": None})
            state: Any = run_flow(collect, flow_run=made, parameters=parameters, return_type="state")
            kept = client.read_flow_run(made.id)
        assert (state.name, kept.state_name) == ("Failed", "Failed"), state
        assert f"[field={field}]" in ((kept.state and kept.state.message) or ""), kept.state
    assert not Path(store).exists()


def texts_of(client: SyncPrefectClient, job: UUID) -> str:
    """Return all that Prefect holds of a job's run, its states and its artifacts."""
    only = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[job]))
    run = client.read_flow_run(job)
    states = client.read_flow_run_states(job)
    pages = client.read_artifacts(artifact_filter=only, limit=50)
    return "\n".join([str(run), *map(str, states), *(f"{one.data}\n{one.description}" for one in pages)])


def test_what_a_source_says_is_escaped(prefect: PrefectServer, root: Path, store: str, tmp_path: Path) -> None:
    """With items, failures and messages of such text, the collection, the export and their pages come to their ends."""
    state: Any = collect(source=Odd(root=root), store=store, return_state=True)
    job = jobs.get(state.state_details.flow_run_id)
    assert (job.status, job.result and job.result.counts.succeeded) == (JobStatus.PARTIALLY_COMPLETED, 4)
    exported: Any = export(job.id, tmp_path / "out", store=store, return_state=True)
    assert exported.name == "Successfully completed", exported.message
    with get_client(sync_client=True) as client:
        said = texts_of(client, UUID(job.id))
    assert r"a\x00b" in said.replace("\\\\", "\\")
    assert r"caf\udce9" in said.replace("\\\\", "\\")
    assert "\0" not in said


@pytest.mark.parametrize("where", ["listing", "overlap"])
def test_errors_that_hold_them_end_the_job(prefect: PrefectServer, root: Path, store: str, where: str) -> None:
    """A source's error with such text, expected or not, makes the job Failed, with the escaped text in its state."""
    before = job_ids()
    state: Any = None
    with get_client(sync_client=True) as client:
        try:
            state = collect(source=Odd(root=root, fails=where), store=store, return_state=True)
        except LookupError as error:
            state = error
        (job,) = job_ids() - before
        kept = client.read_flow_run(UUID(job)).state
    assert kept is not None
    assert (kept.name, r"a\x00b" in (kept.message or "")) == ("Failed", True), (kept, state)
