"""The page of a job that has ended: its content, its links, and its shape with texts from outside."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from prefect_aws import AwsCredentials
from pydantic import SecretStr

from prefect_collect.blocks import S3StoreBlock
from prefect_collect.errors import StoreAccessDenied
from prefect_collect.job_folder.result import Counts, Receipt, TaskResult
from prefect_collect.pages.ended_job import job_page
from prefect_collect.statuses import JobKind, JobStatus, TaskStatus
from prefect_collect.stores import DirectoryStore, Store
from tests.support.hostile_names import NAMES

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
MARKDOWN.validateLink = lambda url: True  # type: ignore[method-assign]  # else file: is no link to it
HOSTILE = st.text("`|*_[]()<>#!&;\\~-+=. \n\r\t1a:/@\0", max_size=30) | st.text(max_size=10) | st.sampled_from(NAMES)
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
    usual = job_page(result_in(store, message="m", warnings=("w",)), "n", "s")
    page = job_page(result_in(store, message=f"m{message}", warnings=(f"w{warning}",)), f"n{name}", f"s{source}")
    assert shape(page) == shape(usual)


def hrefs(page: str) -> dict[str, str]:
    """Return the page's links by their labels."""
    found = {}
    for token in MARKDOWN.parse(page):
        children = token.children or []
        for index, child in enumerate(children):
            if child.type == "link_open":
                found[children[index + 1].content] = str(child.attrs["href"])
    return found


def test_links_to_files(tmp_path: Path) -> None:
    """In a directory, the reports and the package are linked as files, and the page shows their locations."""
    package = str(tmp_path / "out" / "box one.zip")
    page = job_page(result_in(DirectoryStore(tmp_path), package=package, fingerprint="f00"), "n", "s")
    reports = tmp_path / "job" / "reports" / "0001"
    assert hrefs(page) == {
        "errors.csv": (reports / "errors.csv").as_uri(),
        "errors.parquet": (reports / "errors.parquet").as_uri(),
        "box one.zip": Path(package).as_uri(),
    }
    assert f"`{reports}/`" in page
    assert f"`{package}`" in page
    assert "works until" not in page


def test_links_to_s3_expire_and_the_location_does_not() -> None:
    """On S3 the links are presigned: the page says until when they work, and shows the lasting locations."""
    store = S3StoreBlock(bucket="staging", credentials=KEYS).store()
    exports = S3StoreBlock(bucket="exports", prefix="out", credentials=KEYS).store()
    result = result_in(store, package="s3://exports/out/box.zip", fingerprint="f00")
    page = job_page(result, "n", "s", exports)
    links = hrefs(page)
    assert set(links) == {"errors.csv", "errors.parquet", "box.zip"}
    assert all("X-Amz-Expires=3600" in url for url in links.values())
    assert page.count("works until 2026-01-31 13:00 UTC") == 2
    assert "`s3://staging/job/reports/0001/`" in page
    assert "`s3://exports/out/box.zip`" in page
    assert "box.zip" not in hrefs(job_page(result, "n", "s"))
    assert "hush" not in page


def test_a_store_that_gives_no_link(tmp_path: Path) -> None:
    """Without credentials to sign links, the page shows only the location."""

    class Closed(DirectoryStore):
        def link(self, key: str, seconds: int = 3600) -> str:
            raise StoreAccessDenied("No credentials. [x]")

    page = job_page(result_in(Closed(tmp_path)), "n", "s")
    assert hrefs(page) == {}
    assert f"- error report: `{tmp_path}/job/reports/0001/`" in page


def test_a_canceled_job_s_page_has_its_receipt() -> None:
    """The page shows the items kept, cut off and never started, and what the listing had announced."""
    store = DirectoryStore("/staging")
    canceled = result_in(store, receipt=Receipt(1200, 2, 3, 2048), estimated_items=1205, estimated_bytes=4096)
    page = job_page(canceled, "n", "s")
    assert "| kept | 1,200 | 2.0 KiB |\n| cut off | 2 | |\n| never started | 3 | |" in page
    assert "Announced by the listing: 1,205 items, 4.0 KiB." in page
    assert "Receipt" not in job_page(result_in(store), "n", "s")
