"""Collections of pattern lists that are too long for a parameter of Prefect, over a real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client

from prefect_collect import FileSource, collect, jobs
from prefect_collect.errors import ActionNotAllowed, CorruptPart, PrefectError
from prefect_collect.job_folder.long_queries import whole
from prefect_collect.statuses import JobStatus
from prefect_collect.verification import verify_job
from tests.integration.prefect_server import PrefectServer

pytestmark = pytest.mark.integration

MANY = [f"folder/file-{n:06d}.pdf" for n in range(100_000)]
LONG = MANY[:1000]


def waiting(store: str) -> list[Path]:
    """Return the files of patterns that belong to no job."""
    return sorted(Path(store).glob("queries/*"))


def collected(root: Path, store: str, query: Any, **options: Any) -> jobs.Job:
    """Return a collection that was run in this process."""
    state = collect(FileSource(name="files", root=root), query, store=store, return_state=True, **options)
    return jobs.get(state.state_details.flow_run_id, store)


def test_a_hundred_thousand_patterns(prefect: PrefectServer, root: Path, store: str) -> None:
    """They are applied, kept with the job and vouched for, and deleted with the job.

    The parameters of the job that ran name them: another run with the same parameters has them too.
    """
    query = {"include": ["1.txt", "2.txt", *MANY], "limit": 2}
    job = collected(root, store, query)
    assert (job.status, job.result and job.result.counts.found) == (JobStatus.SUCCESSFULLY_COMPLETED, 2)
    assert len(json.dumps(job.parameters)) < 2000
    assert waiting(store) == []
    assert job.record is not None
    [file] = Path(store, job.id, "query").iterdir()
    assert job.record.query == {"patterns": file.stem, "limit": 2}
    assert jobs.query_of(job).include == ("1.txt", "2.txt", *MANY)
    assert verify_job(job.folder).problems == []
    with get_client(sync_client=True) as client:
        query = client.read_flow_run(UUID(job.id)).parameters["query"]
    again = collected(root, store, query, since="last")
    assert again.record is not None
    assert (again.record.query, again.record.options["since_jobs"]) == (job.record.query, [job.id])
    file.write_bytes(file.read_bytes().replace(b"1.txt", b"3.txt"))
    assert any(problem.path.startswith("query/") for problem in verify_job(job.folder).problems)
    with pytest.raises(CorruptPart, match="SHA-256 differs"):
        whole(job.folder, job.record.query)
    jobs.delete(again.id)
    jobs.delete(job.id)
    assert [path.name for path in Path(store).rglob("*.json") if "custody" not in str(path)] == []


def test_a_retry_has_the_same_patterns(prefect: PrefectServer, root: Path, store: str) -> None:
    """Later attempts work on the query of the first; if its patterns are missing, nothing is run."""
    source = FileSource(name="files", root=root / "late")
    job = collected(root / "late", store, {"include": ["1.txt", *LONG]}) if source else None
    assert job is not None
    assert job.status is JobStatus.FAILED
    (root / "late").mkdir()
    for name in ("1.txt", "2.txt"):
        (root / "late" / name).write_text(name)
    [file] = Path(store, job.id, "query").iterdir()
    kept = file.read_bytes()
    file.unlink()
    refused = jobs.retry(job.id)
    assert (refused.status, "patterns of the query are not in the staging store" in refused.message) == (
        JobStatus.FAILED, True,
    )  # fmt: skip
    file.write_bytes(kept)
    done = jobs.retry(job.id)
    assert (done.status, done.result and done.result.counts.found) == (JobStatus.SUCCESSFULLY_COMPLETED, 1)


def test_drafts(prefect: PrefectServer, root: Path, store: str) -> None:
    """A draft's patterns wait in its store, follow its edits, and are deleted when the draft is started or deleted."""
    draft = jobs.draft_collection(FileSource(name="files", root=root), {"include": ["1.txt", *LONG]}, store=store)
    assert jobs.query_of(draft).include == ("1.txt", *LONG)
    [first] = waiting(store)
    jobs.edit_draft(draft.id, query={"include": ["1.txt", "3.txt", *LONG]})
    [second] = waiting(store)
    assert first != second
    other = jobs.draft_collection(FileSource(name="files", root=root), {"exclude": LONG}, store=store)
    assert len(waiting(store)) == 2
    jobs.delete(other.id)
    assert waiting(store) == [second]
    done = jobs.start(draft.id)
    assert (done.status, done.result and done.result.counts.found) == (JobStatus.SUCCESSFULLY_COMPLETED, 2)
    assert waiting(store) == []
    with pytest.raises(ActionNotAllowed):
        jobs.edit_draft(draft.id, query={"exclude": LONG})
    assert waiting(store) == []


def test_saved_patterns_stay(prefect: PrefectServer, root: Path, store: str) -> None:
    """Patterns of `save_query` serve any job of the store, and outlive it; in another store they are missing."""
    saved = jobs.save_query({"include": ["1.txt", *LONG], "max_size": 100}, store)
    for _ in range(2):
        job = collected(root, store, saved)
        assert job.result is not None
        assert job.result.counts.found == 1
        jobs.delete(job.id)
    assert len(waiting(store)) == 1
    elsewhere = collected(root, f"{store}-2", saved)
    assert (elsewhere.status, "name the store" in elsewhere.message) == (JobStatus.FAILED, True)


def test_prefect_refuses_what_is_too_large(prefect: PrefectServer, root: Path, store: str) -> None:
    """A refusal by Prefect is reported shortly, in Prefect's words, from Python too; no file of patterns is left."""
    for call in (
        lambda: collected(root, store, {"include": LONG}, name="n" * 600_000),
        lambda: jobs.draft_collection(FileSource(name="files", root=root), {"include": LONG}, "n" * 600_000, store),
    ):
        with pytest.raises(
            PrefectError, match=r"Prefect's server refused the request \(4\d\d\): .*524,288 bytes"
        ) as caught:
            call()
        assert len(str(caught.value)) < 600
        assert waiting(store) == []


def test_a_path_instead_of_patterns(prefect: PrefectServer, root: Path, store: str) -> None:
    """A query can name no other file than one of patterns."""
    refused = collected(root, store, {"patterns": "../../etc/passwd"})
    assert (refused.status, "patterns must be what" in refused.message) == (JobStatus.FAILED, True)
