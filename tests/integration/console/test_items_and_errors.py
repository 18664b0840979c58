"""The pages of a job's items and errors, over a real job: what they show, send, and enter into the custody log."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pyarrow.parquet as pq
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort
from starlette.testclient import TestClient

from prefect_collect import jobs
from prefect_collect.console.guard import CSRF_HEADER
from prefect_collect.console.roles import Role
from prefect_collect.statuses import JobStatus
from prefect_collect.verification import verify_job
from tests.integration.console.items_of_every_kind import FILES, PDF, PNG, SCRIPT, TOKENS, URL, Made, collected
from tests.integration.prefect_server import PrefectServer


@pytest.fixture(scope="module")
def made(prefect_server: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A collection of files of every kind, with two links that lead nowhere, which stays as it is."""
    with collected(prefect_server, tmp_path_factory.mktemp("items")) as made:
        yield made


def test_the_table_of_items_is_searched_and_paged(made: Made) -> None:
    """All items are listed, held ones with a link to their preview, others with their code; each filter leaves those
    that match; names are shown as data.
    """
    browser, page = made.browser(Role.VIEW), f"/jobs/{made.job}/items"
    shown = browser.get(page).text
    assert "12 items, after attempt 1" in shown
    assert SCRIPT[:8] not in shown
    assert "&lt;script&gt;" in shown
    for query, paths in {
        "path=NOTES": ["a/notes.txt"],
        "code=not_found": ["x-gone", "y-gone"],
        "outcome=failed&path=y": ["y-gone"],
        "outcome=succeeded&path=gone": [],
        "smallest=256&largest=256": ["b.bin"],
        "since=2999-01-01": [],
        "until=2999-01-01&path=e.p": ["e.png"],
    }.items():
        found = re.findall(r'<th scope="row"><a [^>]*><bdi[^>]*>([^<]*)', browser.get(f"{page}?{query}").text)
        assert found == paths, query


def test_what_is_known_of_an_item(made: Made) -> None:
    """The item's page has its custodian and the hashes that were asked for, as data."""
    page = made.browser(Role.VIEW).get(f"/jobs/{made.job}/items/{made.row('b.bin')}").text
    assert f"<dt>MD5</dt><dd><code>{hashlib.md5(FILES['b.bin']).hexdigest()}</code></dd>" in page
    assert "<dt>Custodian</dt><dd><bdi>Ann &lt;b&gt;</bdi></dd>" in page
    assert "SHA-1<" not in page
    assert "What the source states" not in page


@pytest.mark.parametrize(
    ("path", "media_type", "content"),
    [
        ("a/notes.txt", "text/plain; charset=utf-8", FILES["a/notes.txt"]),
        ("c.html", "text/plain; charset=utf-8", FILES["c.html"]),
        ("d.svg", "text/plain; charset=utf-8", FILES["d.svg"]),
        ("i.png", "text/plain; charset=utf-8", FILES["i.png"]),
        ("e.png", "image/png", PNG),
        ("f.pdf", "application/pdf", PDF),
    ],
)
def test_a_preview_cannot_be_executed(made: Made, path: str, media_type: str, content: bytes) -> None:
    """The content type is one of the console's own list, by the bytes and not by the name; the answer is sandboxed."""
    browser, page = made.browser(Role.VIEW), f"/jobs/{made.job}/items/{made.row(path)}"
    assert f'src="{page}/content?attempt=1"' in browser.get(page).text
    answer = browser.get(f"{page}/content")
    assert (answer.headers["Content-Type"], answer.content) == (media_type, content)
    assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"].startswith("inline; ")


def test_a_mail_is_shown_as_text_and_other_bytes_in_hexadecimal(made: Made) -> None:
    """Of an e-mail the headers are decoded and the body is text; of bytes of an unknown kind there is a hex dump."""
    browser = made.browser(Role.VIEW)
    mail = browser.get(f"/jobs/{made.job}/items/{made.row('g.eml')}/content")
    assert mail.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "Subject: Grüße\n" in mail.text
    assert "<b>the body</b>" in mail.text
    dump = browser.get(f"/jobs/{made.job}/items/{made.row('b.bin')}/content")
    assert dump.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert dump.text.startswith("00000000  00 01 02 03")


def test_looks_and_downloads_are_in_the_custody_log(made: Made) -> None:
    """Each look at an item, and each download of one, is an entry that names the console's user and the item; the
    download has the item's bytes and name. What cannot be entered is not shown.
    """
    name = next(name for name in FILES if name.startswith("h "))
    browser, page = made.browser(Role.VIEW), f"/jobs/{made.job}/items/{made.row(name)}"
    before = len(made.log())
    assert browser.get(f"{page}/content").text == "a hostile name"
    answer = browser.get(f"{page}/file")
    assert answer.content == b"a hostile name"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    given = answer.headers["Content-Disposition"]
    assert given.startswith('attachment; filename="h _script_ _cod._quoted')
    assert unquote(given.partition("UTF-8''")[2]) == "h _script_ _cod._quoted'ü.txt"
    viewed, downloaded = made.log()[before:]
    assert (viewed.action, downloaded.action) == ("viewed", "downloaded-item")
    for entry in (viewed, downloaded):
        assert (entry.who, entry.details["row"], entry.details["attempt"]) == ("view", made.row(name), 1)
        assert entry.details["item"] == name
    assert verify_job(jobs.get(made.job).folder).problems == []


def test_attachments_of_a_mail(made: Made) -> None:
    """They are listed with their names as text; each is shown by its bytes, sandboxed, and downloaded with its name;
    each look and download is an entry with the attachment's number. What is no mail has none. What is refused is no
    entry.
    """
    browser, page = made.browser(Role.VIEW), f"/jobs/{made.job}/items/{made.row('j.eml')}"
    assert f'href="{page}/attachments?attempt=1"' in browser.get(page).text
    before = len(made.log())
    listed = browser.get(f"{page}/attachments?attempt=1&show=1").text
    assert ("&lt;b&gt;x.html" in listed, "a.pdf" in listed, SCRIPT in listed) == (True, True, False)
    assert f'src="{page}/attachments/1/content?attempt=1" sandbox' in listed
    for number, media_type, content in ((1, "text/plain; charset=utf-8", SCRIPT.encode()), (2, "application/pdf", PDF)):
        answer = browser.get(f"{page}/attachments/{number}/content")
        assert (answer.headers["Content-Type"], answer.content) == (media_type, content)
        assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
        saved = browser.get(f"{page}/attachments/{number}/file")
        assert (saved.content, saved.headers["Content-Type"]) == (content, "application/octet-stream")
        assert saved.headers["Content-Disposition"].startswith("attachment; filename=")
    assert browser.get(f"{page}/attachments/3/file").status_code == 404
    assert browser.get(f"{page}/attachments/3/content").status_code == 404
    refused = browser.get(f"/jobs/{made.job}/items/{made.row('b.bin')}/attachments")
    assert (refused.status_code, "no e-mail" in refused.text) == (409, True)
    entries = [(entry.action, entry.details.get("attachment"), entry.details["item"]) for entry in made.log()[before:]]
    assert entries == [("viewed", None, "j.eml")] + [
        (action, number, "j.eml") for number in (1, 2) for action in ("viewed", "downloaded-item")
    ]


def test_forged_numbers_and_kinds_are_refused(made: Made) -> None:
    """A row, an attempt or a report that the job does not have is an error, and nothing is sent or entered."""
    browser, page, before = made.browser(), f"/jobs/{made.job}", len(made.log())
    for path, status in {
        "items/12": 404, "items/10/content": 409, "items/-1": 422, "items/1e9/content": 422, "items/../../x": 404,
        "items/0?attempt=2": 404, "items/999999999999999/file": 422, "items/12/file": 422, "errors.exe": 404,
        "errors?attempt=7": 404,
    }.items():  # fmt: skip
        assert browser.get(f"{page}/{path}").status_code == status, path
    assert len(made.log()) == before
    shown = browser.get(f"{page}/items/10").text
    assert "x-gone" in shown
    assert "not_found" in shown
    assert "<iframe" not in shown


def test_the_error_report_as_table_and_files(made: Made) -> None:
    """The report's rows are shown with what to do and who must act; both files are sent as they are in the store, and
    the download is entered into the log.
    """
    browser, page = made.browser(Role.VIEW), f"/jobs/{made.job}/errors"
    shown = browser.get(page).text
    assert shown.count("<strong>not_found</strong>") == 2
    assert "What to do" in shown
    assert "Who must act" in shown
    assert "Retry the selected" not in shown  # the command made the job, and no worker can run it
    assert f"<code>prefect-collect retry {made.job}</code> in a terminal" in shown
    assert "No row matches" in browser.get(f"{page}?code=access_denied").text
    before = len(made.log())
    table = csv.DictReader(io.StringIO(browser.get(f"{page}.csv").content.decode("utf-8-sig")))
    assert [row["path"] for row in table] == ["x-gone", "y-gone"]
    parquet = browser.get(f"{page}.parquet")
    assert pq.read_table(io.BytesIO(parquet.content)).column("path").to_pylist() == ["x-gone", "y-gone"]
    assert parquet.headers["Content-Disposition"].startswith("attachment; ")
    assert [entry.action for entry in made.log()[before:]] == ["downloaded-report"] * 2


def test_the_chain_of_custody_document(made: Made) -> None:
    """The job's page leads to its document, which is sent to be saved, as PDF or HTML, and entered into the log."""
    browser, page = made.browser(Role.VIEW), f"/jobs/{made.job}"
    assert f'href="{page}/chain-of-custody.pdf"' in browser.get(page, headers={"HX-Request": "true"}).text
    before = len(made.log())
    pdf, html = (browser.get(f"{page}/chain-of-custody.{form}") for form in ("pdf", "html"))
    assert pdf.content.startswith(b"%PDF")
    assert made.log()[0].sha256 in html.text
    for answer in (pdf, html):
        assert answer.headers["Content-Disposition"].startswith("attachment; ")
    entered = [entry.details["sha256"] for entry in made.log()[before:]]
    assert entered == [hashlib.sha256(answer.content).hexdigest() for answer in (pdf, html)]
    assert browser.get(f"{page}/chain-of-custody.docx").status_code == 404


def test_items_and_errors_as_json(made: Made) -> None:
    """The API lists the same rows; an item's number leads to its file."""
    browser = TestClient(made.app, base_url=URL, headers={"Authorization": f"Bearer {TOKENS[Role.VIEW]}"})  # type: ignore[arg-type]
    listed = browser.get(f"/api/jobs/{made.job}/items", params={"path": "NOTES"}).json()
    assert (listed["total"], listed["attempt"], listed["items"][0]["outcome"]) == (1, 1, "succeeded")
    number = listed["items"][0]["number"]
    assert browser.get(f"/jobs/{made.job}/items/{number}/file").content == FILES["a/notes.txt"]
    errors = browser.get(f"/api/jobs/{made.job}/errors", params={"outcome": "failed"}).json()
    assert [(row["row"], row["path"], row["code"]) for row in errors["items"]] == [
        (0, "x-gone", "not_found"), (1, "y-gone", "not_found"),
    ]  # fmt: skip
    assert browser.get(f"/api/jobs/{made.job}/errors", params={"attempt": 9}).status_code == 404


def test_the_plot_shows_what_was_collected(made: Made) -> None:
    """The side sheet's plot is an SVG without script and style, with its numbers in words."""
    shown = made.browser(Role.VIEW).get(f"/jobs/{made.job}/plot").text
    assert 'aria-label="Items over time: 10 from ' in shown
    assert shown.count("<polyline") == 2
    assert "style=" not in shown
    assert "<script" not in shown


@pytest.fixture
def retried(prefect_server: PrefectServer, tmp_path: Path) -> Iterator[Made]:
    """Such a collection for a test that changes it."""
    with collected(prefect_server, tmp_path) as made:
        yield made


def test_a_selection_is_retried(retried: Made) -> None:
    """Retry of one selected row works on that item alone: the job's folder holds the selection, so that a worker on
    another machine can read it, and the log names it. A user who may only view cannot retry, and in the
    console no user of a job that `collect` made, as no worker can run it: nothing is changed. An export that was made
    before is shown as lacking that item: of both jobs.
    """
    for name in ("x-gone", "y-gone"):
        (retried.root / name).unlink()
        (retried.root / name).write_text("here now")
    page, chosen = f"/jobs/{retried.job}/errors/retry", {"attempt": "1", "row": "1"}
    for role, status, why in ((Role.VIEW, 403, "Your role"), (Role.OPERATE, 409, "ran it itself")):
        browser = retried.browser(role)
        found = re.search(r'X-CSRF-Token": "([^"]+)"', browser.get("/no-page").text)
        assert found is not None
        answer = browser.post(page, data=chosen, headers={"Origin": URL, CSRF_HEADER: found[1], "HX-Request": "true"})
        assert answer.status_code == status
        assert why in answer.text
    assert jobs.get(retried.job).status is JobStatus.PARTIALLY_COMPLETED
    delivered = jobs.start_export(retried.job, retried.root.parent / "out", here=True)
    selection = jobs.save_selection(retried.job, [1])
    job = jobs.retry(retried.job, only=selection)
    assert job.result is not None
    assert (job.result.attempt, job.result.this_attempt.found, job.result.counts.succeeded) == (2, 1, 11)
    assert job.parameters["only"] is None
    asked = {entry.action: entry.details for entry in retried.log()}
    assert asked["retry-requested"]["report"] == selection
    assert asked["selected"]["files"] == {f"selections/{selection[10:]}.parquet": selection[10:]}
    assert verify_job(job.folder).problems == verify_job(job.folder).warnings == []
    shown = browser.get(f"/jobs/{retried.job}/items").text
    assert "12 items, after attempt 2" in shown
    assert "x-gone" in browser.get(f"/jobs/{retried.job}/errors").text
    note = "made from attempt 1; attempt 2 collected 1 more item: export again."
    assert f'<span class="message">{note}</span>' in browser.get(f"/jobs/{retried.job}").text
    assert f"This export was {note}" in browser.get(f"/jobs/{delivered.id}").text
    with get_client(sync_client=True) as client:
        only = ArtifactFilter(key=ArtifactFilterKey(any_=[f"job-{retried.job}"]))
        newest = client.read_artifacts(artifact_filter=only, sort=ArtifactSort.CREATED_DESC)[0]
    assert f"{delivered.id}`: {note[:-1]}" in str(newest.data)
    related = browser.get(f"/api/jobs/{retried.job}").json()["related"]
    assert [(one["job_id"], one["note"]) for one in related] == [(delivered.id, note[:-1])]
