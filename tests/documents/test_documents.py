"""The chain of custody document: what it says, its bytes, and what hostile texts do to it."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
import subprocess
import sys
from datetime import datetime
from html.parser import HTMLParser
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prefect_collect.codes import CODES
from prefect_collect.documents.account import (
    LONGEST,
    MOST_ASKED,
    MOST_BYTES,
    MOST_CODES,
    MOST_EVENTS,
    MOST_LISTS,
    PAGES,
    account_bytes,
    read_account,
)
from prefect_collect.documents.files import ACCOUNT_FILE, HTML_FILE, PDF_FILE, document_files
from prefect_collect.documents.html_page import html_of
from prefect_collect.documents.pdf_page import pdf_of
from prefect_collect.job_folder import custody_log
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.stores import DirectoryStore
from prefect_collect.untrusted.bounded_json import BadValue
from tests.documents.conftest import CUSTODIAN, account_of
from tests.examples import examples
from tests.support.memory_source import MemorySource, Thing
from tests.support.run_attempts import attempt, new_job

_PAGES_1 = {
    "html": "c6764a342d6945919a12c4a7af893aa92caf36463141f2b58c55f9ce06249119",
    "pdf": "9c951ac5c259a27aa75041dbfa9614d49788caaa7d89b26eaca7bab79b87da18",
}
"""The SHA-256 of the pages of version 1; the PDF's is that by ReportLab 5.1.0."""


class _Texts(HTMLParser):
    """Collects the texts and the names of the elements of a page."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.elements: set[str] = set()
        self.addresses: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "style") or name[:2] == "on"]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def _shown_in_pdf(data: bytes, tmp_path: Path) -> tuple[str, list[str]]:
    """Return the text of a PDF and the lines about its fonts, as poppler reads them."""
    file = tmp_path / "document.pdf"
    file.write_bytes(data)
    text, fonts = (
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for command in (["pdftotext", "-layout", str(file), "-"], ["pdffonts", str(file)])
    )
    return text, fonts.splitlines()[2:]


def test_it_says_what_the_evidence_says(collection: JobFolder, account: dict[str, Any], tmp_path: Path) -> None:
    """The counts, the arithmetic, the exception, the hashes and who did what stand in the HTML and in the PDF."""
    result = collection.result()
    assert result is not None
    files = document_files(account)
    page = " ".join(_Texts(files[HTML_FILE]).texts)
    text, fonts = _shown_in_pdf(files[PDF_FILE], tmp_path)
    log = custody_log.entries(collection)
    assert len(log) == 3
    said = ["3 found = 2 succeeded + 1 failed + 0 skipped + 0 not attempted", "access_denied", collection.job_id,
            log[0].who, log[-1].sha256]  # fmt: skip
    for what in said:
        assert what in page, what
        assert what in re.sub(r"\s+", " ", text), what
    assert account["files"][1][0] == "manifest/0001.parquet"
    assert account["files"][1][1] in page
    assert fonts
    assert all(line.split()[-5] == "yes" for line in fonts), "a court asks for a PDF with all fonts embedded"


def test_every_field_that_was_asked_has_a_row(tmp_path: Path) -> None:
    """A BagIt profile is named by its identifier, and hides no tag; what is no profile is shown as it is."""
    profile = json.dumps({"BagIt-Profile-Info": {"BagIt-Profile-Identifier": "urn:p", "Note": "x" * 10_000}})
    bag = {"profile": profile, "tags": ["Source-Organization=X", "A=b"]}
    source = MemorySource({"a": Thing("good", b"a")})
    folder = new_job(DirectoryStore(tmp_path / "staging"), source, options={"bag": bag, "load_file": {"width": 8}})
    attempt(folder, source)
    asked = account_of(folder)["job"]["asked"]
    assert ["bag: profile", "urn:p"] in asked
    assert ["bag: tags", "Source-Organization=X, A=b"] in asked
    assert ["load_file: width", "8"] in asked
    other = new_job(DirectoryStore(tmp_path / "other"), source, options={"bag": {"profile": "{}"}})
    attempt(other, source)
    assert ["bag: profile", "{}"] in account_of(other)["job"]["asked"]


def test_hostile_texts_are_shown_as_text(account: dict[str, Any], tmp_path: Path) -> None:
    """Markup in a name is text, a change of the writing direction an escape; no script, style or address comes in."""
    page = _Texts(html_of(account))
    assert CUSTODIAN.replace("\u202e", r"\u202e") in page.texts
    assert page.elements.isdisjoint({"script", "img", "iframe", "link", "a", "object"})
    assert page.addresses == []
    assert b"default-src &#x27;none&#x27;" in html_of(account)
    text, _ = _shown_in_pdf(pdf_of(account), tmp_path)
    assert r'Łucja Дмитрий Ωmega <script>alert("1")</script> \u202e\u4f60\u597d' in text
    assert "the HTML" in text


def test_the_same_evidence_makes_the_same_bytes(collection: JobFolder, account: dict[str, Any]) -> None:
    """Later entries of the log, another process, time zone, hash seed and date of the environment change nothing."""
    made = document_files(account)
    custody_log.append(collection, "viewed", {"item": "a.txt"})
    assert document_files(account_of(collection)) == made
    code = (
        "import sys; from prefect_collect.documents.account import read_account;"
        "from prefect_collect.documents.pdf_page import pdf_of;"
        "sys.stdout.buffer.write(pdf_of(read_account(sys.stdin.buffer.read())))"
    )
    other = {**os.environ, "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7", "SOURCE_DATE_EPOCH": "1700000000"}
    done = subprocess.run([sys.executable, "-c", code], input=made[ACCOUNT_FILE], stdout=-1, check=True, env=other)
    assert done.stdout == made[PDF_FILE]


def test_the_largest_account_fits(account: dict[str, Any]) -> None:
    """The longest texts and lists that an account may hold, in a wide script, stay within its bytes and its pages."""
    wide, sha256, large = "\U0001f600" * LONGEST, "f" * 64, copy.deepcopy(account)
    large["job"] |= {"name": wide, "custodian": wide, "created_by": wide, "source": [["location", wide]] * 3}
    large["job"]["asked"] = [[wide, wide]] * 9
    large["custody"]["events"] = [[1, "2026-11-30T07:00:00+00:00", wide, "a" * 60, 1, sha256]] * 9
    large["package"] = {
        "base": wide, "date": "2026-11-30", "delivered": 1, "bytes": 1, "lists_left": 0,
        "lists": [[wide, sha256]] * 9, "not_delivered": {"failed": {"w" * 100: 1}},
    }  # fmt: skip
    assert read_account(account_bytes(large)) == large
    assert pdf_of(large).startswith(b"%PDF")
    most = len(wide.encode()) * (MOST_EVENTS + 2 * MOST_ASKED + MOST_LISTS + 50) + 220 * MOST_CODES
    assert most < MOST_BYTES


@pytest.mark.parametrize(
    "change",
    [
        lambda account: account.update(form=2),
        lambda account: account["result"].update(found=-1),
        lambda account: account["result"].update(outcomes={"lost": {"x": 1}}),
        lambda account: account["custody"].update(sha256="no"),
        lambda account: account["custody"]["events"].append([1]),
        lambda account: account["job"].update(name="n" * (LONGEST + 1)),
        lambda account: account["job"].update(asked=[["a", "b"]] * (MOST_ASKED + 1)),
        lambda account: account.update(more=1),
    ],
)
def test_an_account_of_another_form_is_refused(account: dict[str, Any], change: Any) -> None:
    """A field that is missing, unknown, too long or impossible is refused, before any page is made of it."""
    assert read_account(account_bytes(account)) == account
    change(account)
    with pytest.raises(BadValue):
        read_account(account_bytes(account))


def test_another_spelling_of_the_same_account_is_refused(account: dict[str, Any]) -> None:
    """An account is written in one form only, so that its bytes and what it says cannot differ."""
    with pytest.raises(BadValue, match="form in which it is written"):
        read_account(account_bytes(account) + b" ")


def test_bytes_that_are_not_utf8_are_refused(account: dict[str, Any]) -> None:
    """An account with a byte that is no UTF-8 is refused, as one in another form."""
    with pytest.raises(BadValue, match="form in which it is written"):
        read_account(account_bytes(account).replace(b"Partially", b"Partiall\xff"))


@settings(max_examples=examples(8), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=LONGEST), st.datetimes(timezones=st.timezones()))
def test_any_text_and_time_makes_pages(account: dict[str, Any], text: str, at: datetime) -> None:
    """Whatever a name, a user, a code or a time is, the pages are made, and a PDF reader finds as many as there are."""
    changed = copy.deepcopy(account)
    changed["job"] |= {"name": text, "custodian": text, "asked": [[text, text]], "created_at": text[:64]}
    changed["result"] |= {"ended": at.isoformat(), "outcomes": {"failed": {text[:100]: 1}}, "warnings": [text]}
    changed["custody"]["events"][0][2] = text
    files = document_files(read_account(account_bytes(changed)))
    assert files[PDF_FILE].rstrip().endswith(b"%%EOF")
    assert _Texts(files[HTML_FILE]).elements.isdisjoint({"script", "img", "a"})


def test_the_first_page_is_one_page(account: dict[str, Any], tmp_path: Path) -> None:
    """Long names, places and warnings, and many codes, leave the account on one page; the appendix is the next."""
    long = "Some long words of a name that goes on and on, " * 8
    account["job"] |= {"name": long[:LONGEST], "custodian": long[:LONGEST], "created_by": long[:LONGEST]}
    account["job"] |= {"asked": [["include", long[:LONGEST]]] * 10, "source": [["location", "/very/long" * 40]]}
    account["result"] |= {"warnings": [long[:LONGEST]] * 5, "outcomes": {"failed": dict.fromkeys([*CODES][:30], 1)}}
    text, _ = _shown_in_pdf(pdf_of(account), tmp_path)
    first, second = text.split("\f")[:2]
    assert "Handed over" in first
    assert second.startswith("Appendix")


def test_the_pages_change_only_with_their_version(tmp_path: Path) -> None:
    """The pages of a fixed account are what they were: else verify would refuse the packages that were made before.

    Whoever changes what the pages look like or say raises `PAGES`, and writes the new hashes here.
    """
    sha256, at = "ab" * 32, "2026-11-30T07:00:00+00:00"
    fixed = {
        "form": 1, "pages": PAGES, "tools": {"prefect-collect": "1.0", "reportlab": "5.1.0"},
        "meanings": {"not_found": "The item is gone."},
        "files": [["job.json", sha256], ["manifest/0001.parquet", sha256]],
        "job": {
            "id": "j", "kind": "collection", "name": "Matter <b>\u202e", "source": [["location", "/data"]],
            "custodian": "Łucja", "created_by": "anna", "created_at": at, "asked": [["hashes", "md5"]], "asked_left": 1,
        },
        "result": {
            "attempt": 2, "status": "Partially completed", "started": at, "ended": at, "found": 3, "succeeded": 1,
            "failed": 2, "skipped": 0, "not_attempted": 0, "bytes": 12345, "outcomes": {"failed": {"not_found": 2}},
            "job_codes": {"canceled": "The job was canceled."}, "warnings": ["Careful."], "listing_complete": True,
        },
        "custody": {
            "entries": 9, "sha256": sha256, "late": "", "events_left": 8,
            "events": [[9, at, "anna", "ended", 2, sha256]],
        },
        "package": {
            "base": "matter", "date": "2026-11-30", "delivered": 1, "bytes": 12345, "lists_left": 2,
            "not_delivered": {"failed": {"not_found": 2}}, "lists": [["manifest-sha256.txt", sha256]],
        },
        "export": None,
    }  # fmt: skip
    assert read_account(account_bytes(fixed)) == fixed
    made = {"html": html_of(fixed)} | ({"pdf": pdf_of(fixed)} if version("reportlab") == "5.1.0" else {})
    found = {name: hashlib.sha256(data).hexdigest() for name, data in made.items()}
    assert PAGES == 1
    assert found == {name: _PAGES_1[name] for name in found}
