"""Parts of files: which bytes a request asks for, and how the answer says what it sends."""

from __future__ import annotations

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.testclient import TestClient

from prefect_collect.console.ranges import file_answer

DATA = bytes(range(256)) * 4
TAG = '"of-this-file"'


@pytest.fixture(scope="module")
def browser() -> TestClient:
    """A client of a server with one file."""
    app = FastAPI()

    @app.api_route("/file", methods=["GET", "HEAD"])
    def file(request: Request) -> Response:
        return file_answer(
            request, "a.zip", len(DATA), TAG, lambda start, end: iter([DATA[start:end]]), "application/zip"
        )

    return TestClient(app)


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, 1024),
        ("bytes=1000-", 1000, 1024),
        ("bytes=10-19", 10, 20),
        ("bytes=1000-5000", 1000, 1024),
        ("bytes=-24", 1000, 1024),
        ("bytes=-5000", 0, 1024),
        ("Bytes= 7-9 ", 7, 10),
    ],
)
def test_a_part(browser: TestClient, wanted: str, start: int, end: int) -> None:
    """One range is answered by 206 with exactly these bytes, and the whole size."""
    answer = browser.get("/file", headers={"Range": wanted, "If-Range": TAG})
    assert (answer.status_code, answer.content) == (206, DATA[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/1024"
    assert answer.headers["content-length"] == str(end - start)


@pytest.mark.parametrize(
    "wanted",
    ["", "bytes=-", "bytes=9-3", "bytes=0-1,5-6", "items=0-1", "bytes=a-b", "bytes=1" + "0" * 30 + "-", "bytes=+1-2"],
)
def test_the_whole(browser: TestClient, wanted: str) -> None:
    """What is no single range of bytes is answered by the whole file, which clients understand as such."""
    answer = browser.get("/file", headers={"Range": wanted} if wanted else {})
    assert (answer.status_code, answer.content) == (200, DATA)
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["etag"] == TAG
    assert "content-range" not in answer.headers
    assert 'filename="a.zip"' in answer.headers["content-disposition"]


@pytest.mark.parametrize("tag", ['"another"', f"W/{TAG}", "Sun, 29 Nov 2026 12:00:00 GMT"])
def test_another_file(browser: TestClient, tag: str) -> None:
    """A client that has the start of another file, or does not know which, gets the whole one."""
    answer = browser.get("/file", headers={"Range": "bytes=500-", "If-Range": tag})
    assert (answer.status_code, answer.content) == (200, DATA)


@pytest.mark.parametrize("wanted", ["bytes=1024-", "bytes=9999-10000", "bytes=-0"])
def test_nothing_there(browser: TestClient, wanted: str) -> None:
    """A range behind the end is refused with the size, so that a client sees that it has all."""
    answer = browser.get("/file", headers={"Range": wanted})
    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */1024")


def test_head(browser: TestClient) -> None:
    """HEAD answers the headers alone."""
    answer = browser.head("/file")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "1024")
