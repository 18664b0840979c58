"""The page of a job that has ended: its content, its links, and its shape with texts from outside."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from prefect_aws import AwsCredentials
from pydantic import SecretStr

from prefect_collect.blocks import S3StoreBlock
from prefect_collect.job_folder.duplicate_counts import DuplicateCounts
from prefect_collect.job_folder.estimates import Estimate
from prefect_collect.job_folder.result import Counts, Receipt, TaskResult
from prefect_collect.pages.console_links import ConsoleLinks
from prefect_collect.pages.ended_job import job_page
from prefect_collect.statuses import JobKind, JobStatus, TaskStatus
from prefect_collect.stores import DirectoryStore, Store
from tests.support.hostile_names import NAMES
from tests.support.memory_store import MemoryStore

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
MARKDOWN.validateLink = lambda url: True  # type: ignore[method-assign]  # else file: is no link to it
HOSTILE = st.text("`|*_[]()<>#!&;\\~-+=. \n\r\t1a:/@\0", max_size=30) | st.text(max_size=10) | st.sampled_from(NAMES)
CONSOLE = ConsoleLinks("https://collect.test/console")
KEYS = AwsCredentials(aws_access_key_id="id", aws_secret_access_key=SecretStr("hush"), region_name="eu-west-1")


def result_in(store: Store, **changes: Any) -> TaskResult:
    """Return the result of a job that has ended in that store."""
    counts = Counts(found=3, succeeded=2, failed=1, bytes=10)
    when = datetime(2026, 1, 31, 12, tzinfo=UTC)
    fields: dict[str, Any] = {"codes": {"access_denied": 1}, "message": "2 of 3 items were collected."} | changes
    return TaskResult(
        "job", JobKind.COLLECTION, 1, TaskStatus.COMPLETED_WITH_ERRORS, JobStatus.PARTIALLY_COMPLETED, counts, counts,
        when, when, store=store, **fields,
    )  # fmt: skip


def shape(page: str) -> list[tuple[str, str]]:
    """Return the types of all blocks and of their elements, without texts and code spans."""
    found = []
    for token in MARKDOWN.parse(page):
        plain = ("text", "softbreak", "code_inline")
        inner = ",".join(child.type for child in token.children or [] if child.type not in plain)
        found.append((token.type, inner.replace("text_special", "").replace(",", " ").strip()))
    return [(kind, " ".join(inner.split())) for kind, inner in found]


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_nothing_from_outside_changes_the_page(name: str, source: str, message: str, warning: str) -> None:
    """Whatever characters a name, a location, a message or a warning has, the page keeps its shape."""
    store = DirectoryStore("/staging")
    usual = job_page(result_in(store, message="m", warnings=("w",)), "n", "s", console=CONSOLE)
    odd = result_in(store, message=f"m{message}", warnings=(f"w{warning}",))
    page = job_page(odd, f"n{name}", f"s{source}", console=CONSOLE)
    assert shape(page) == shape(usual)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (DuplicateCounts(1, 2048), "1 item has the bytes of another; none is left out for that. 2.0 KiB."),
        (
            DuplicateCounts(3, 30, 2, 1, 10, "custodian"),
            "3 items have the bytes of another, 2 of them of an item of an earlier job; 1 is not delivered again "
            "(deduplicate: custodian). 30 bytes, of which 10 bytes are not delivered again.",
        ),
    ],
)
def test_duplicates_on_the_page(counts: DuplicateCounts, expected: str) -> None:
    """The page of an export says how many there are, with their sizes; an export without any says nothing of them."""
    store = DirectoryStore("/staging")
    [line] = [
        one for one in job_page(result_in(store, duplicates=counts), "n", "s").splitlines() if "Duplicates" in one
    ]
    assert "".join(child.content for child in MARKDOWN.parseInline(line)[0].children or []) == f"Duplicates: {expected}"
    assert "Duplicates" not in job_page(result_in(store, duplicates=DuplicateCounts()), "n", "s")


def hrefs(page: str) -> dict[str, str]:
    """Return the page's links by their labels."""
    found = {}
    for token in MARKDOWN.parse(page):
        children = token.children or []
        for index, child in enumerate(children):
            if child.type == "link_open":
                found[children[index + 1].content] = str(child.attrs["href"])
    return found


def test_links_lead_to_the_console(tmp_path: Path) -> None:
    """The job, its items, the reports and the package are linked in the console; locations stand beside, to copy."""
    package = str(tmp_path / "out" / "box one.zip")
    result = result_in(DirectoryStore(tmp_path), package=package, fingerprint="f00")
    page, job = job_page(result, "n", "s", console=CONSOLE), "https://collect.test/console/jobs/job"
    assert hrefs(page) == {
        "Open this job in the console": job,
        "in the console": job,
        "as a table": f"{job}/errors?attempt=1",
        "errors.csv": f"{job}/errors.csv?attempt=1",
        "errors.parquet": f"{job}/errors.parquet?attempt=1",
        "box one.zip": f"{job}/package",
    }
    assert f"[in the console](<{job}/items>)" in page
    assert f"`{tmp_path / 'job' / 'reports' / '0001'}/`" in page
    assert f"`{package}`" in page


@pytest.mark.parametrize("kind", ["directory", "s3"])
def test_without_a_console_nothing_is_linked(kind: str, tmp_path: Path) -> None:
    """If no console is known, the page has locations as text: no link to a file, which browsers do not follow, and no
    signed one, which would expire.
    """
    s3 = S3StoreBlock(bucket="staging", credentials=KEYS).store()
    store, out = (DirectoryStore(tmp_path), f"{tmp_path}/out") if kind == "directory" else (s3, "s3://exports/out")
    result = result_in(store, package=f"{out}/box.zip", fingerprint="f00")
    page = job_page(result, "n", "s")
    assert hrefs(page) == {}
    assert f"- error report: `{store.locate('job/reports/0001')}/`" in page
    assert f"- package: `{out}/box.zip`, fingerprint `f00`" in page
    for text in (page, job_page(result, "n", "s", console=CONSOLE)):
        assert "file:" not in text
        assert "X-Amz" not in text


def test_a_canceled_job_s_page_has_its_receipt() -> None:
    """The page shows the items kept, cut off and never started, and what the listing had announced."""
    store = DirectoryStore("/staging")
    canceled = result_in(store, receipt=Receipt(1200, 2, 3, 2048), estimated_items=1205, estimated_bytes=4096)
    page = job_page(canceled, "n", "s")
    assert "| kept | 1,200 | 2.0 KiB |\n| cut off | 2 | |\n| never started | 3 | |" in page
    assert "Announced by the listing: 1,205 items, 4.0 KiB." in page
    assert "Receipt" not in job_page(result_in(store), "n", "s")


def test_what_was_expected_stands_beside_what_came() -> None:
    """The page of a collection that was estimated compares both in a table; without an estimate it has none."""
    result = result_in(MemoryStore())
    expected = Estimate(datetime(2026, 1, 31, 12, 5, tzinfo=UTC), 12, 2048)
    page = job_page(result, "n", "s", estimate=expected)
    assert "| | estimated 2026-01-31 12:05 UTC | actual |" in page
    assert f"| items | 12 | {result.counts.succeeded:,} succeeded of {result.counts.found:,} found |" in page
    assert "estimated" not in job_page(result, "n", "s")
