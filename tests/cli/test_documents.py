"""The command `report --pdf` and `--html`: a job's chain of custody document as a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prefect_collect.cli import run
from prefect_collect.job_folder import custody_log
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.stores import DirectoryStore
from tests.support.memory_source import MemorySource, Thing
from tests.support.run_attempts import attempt, export, new_job


def _collected(tmp_path: Path) -> JobFolder:
    """Return a collection that has ended."""
    source = MemorySource({"a.txt": Thing("good", b"alpha"), "denied": Thing("denied", b"x")})
    folder = new_job(DirectoryStore(tmp_path / "staging"), source)
    attempt(folder, source)
    return folder


def test_a_document_is_written_of_each_kind_of_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a collection and of its export; the export's names the package and its fingerprint. Nothing is entered."""
    folder = _collected(tmp_path)
    job, result = export(folder, DirectoryStore(tmp_path / "out"), "directory")
    before = len(custody_log.entries(folder)), len(custody_log.entries(job))
    for name, made in (("collection", folder), ("export", job)):
        files = [tmp_path / f"{name}.{ending}" for ending in ("pdf", "html")]
        store = ["--store", folder.store.url]
        assert run(["report", made.job_id, "--pdf", str(files[0]), "--html", str(files[1]), *store, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["written_to"] == {"pdf": str(files[0]), "html": str(files[1])}
        assert files[0].read_bytes().startswith(b"%PDF")
        assert made.job_id in files[1].read_text()
    page = (tmp_path / "export.html").read_text()
    assert str(result.fingerprint) in page
    assert str(result.package) in page
    assert (
        "2 found = 1 succeeded + 1 failed + 0 skipped + 0 not attempted" in (tmp_path / "collection.html").read_text()
    )
    assert (len(custody_log.entries(folder)), len(custody_log.entries(job))) == before


def test_what_is_no_document_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of another name, one that exists, a folder that does not, and the error report beside it are wrong use."""
    job, store = _collected(tmp_path).job_id, ["--store", str(tmp_path / "staging")]
    (tmp_path / "there.pdf").write_bytes(b"mine")
    for options, what in (
        (["--pdf", str(tmp_path / "x.html")], "written as .pdf"),
        (["--html", str(tmp_path / "x.pdf")], "written as .html"),
        (["--pdf", str(tmp_path / "there.pdf")], "is not overwritten"),
        (["--pdf", str(tmp_path / "none" / "x.pdf")], "does not exist"),
        (["--pdf", str(tmp_path / "x.pdf"), "--csv"], "ask for one."),
        (["--html", str(tmp_path / "x.html"), "--limit", "20"], "ask for one."),
    ):
        assert run(["report", job, *options, *store]) == 2
        assert what in capsys.readouterr().err
    assert (tmp_path / "there.pdf").read_bytes() == b"mine"


def test_changed_evidence_makes_no_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If the result was changed, there is no document of it, but the error that says so."""
    folder = _collected(tmp_path)
    result = tmp_path / "staging" / folder.job_id / "reports" / "0001" / "result.json"
    result.write_text(result.read_text().replace('"succeeded": 1', '"succeeded": 2'))
    assert run(["report", folder.job_id, "--pdf", str(tmp_path / "x.pdf"), "--store", str(tmp_path / "staging")]) != 0
    assert "not the one that its custody log vouches for" in capsys.readouterr().err
    assert not (tmp_path / "x.pdf").exists()
