"""The chain of custody documents in packages of every format, and what verify makes of them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.documents.account import account_bytes
from prefect_collect.documents.files import ACCOUNT_FILE, DOCUMENT_FILES, HTML_FILE, PDF_FILE, document_files
from prefect_collect.formats import FORMATS, Format
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.packages import Verification, _custody_check, verify
from prefect_collect.packages.bags import pages_beside
from prefect_collect.packages.bags.tag_files import TAG_MANIFEST
from prefect_collect.stores import DirectoryStore
from tests.support.memory_source import MemorySource, Thing
from tests.support.process_fork import run_fork
from tests.support.run_attempts import attempt, export, new_job


def _collected(tmp_path: Path) -> JobFolder:
    """Return a collection of three items, which can be read as e-mails, and of which one failed."""
    first, second = b"Subject: a\n\nalpha", b"Subject: b\n\n"
    source = MemorySource({"a.txt": Thing("good", first), "b": Thing("good", second), "denied": Thing("denied", b"c")})
    folder = new_job(DirectoryStore(tmp_path / "staging"), source)
    attempt(folder, source)
    return folder


def _folder(tmp_path: Path, format: Format = "directory") -> Path:
    """Return an exported package that is a folder."""
    _, result = export(_collected(tmp_path), DirectoryStore(tmp_path / "out"), format)
    assert result.package is not None
    return Path(result.package)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    """Return a collection, of which each test makes exports of its own."""
    return _collected(tmp_path_factory.mktemp("collected"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the package of which each test changes a copy."""
    return _folder(tmp_path_factory.mktemp("exported"))


@pytest.fixture
def package(tmp_path: Path, exported: Path) -> Path:
    """Return a copy of an exported package that is a folder."""
    return shutil.copytree(exported, tmp_path / exported.name)


def _seal(package: Path) -> None:
    """Write the tag manifest of a changed bag anew, as a forger would."""
    lines = [line.partition("  ")[2] for line in (package / TAG_MANIFEST).read_text().splitlines()]
    names = [name for name in lines if (package / name).exists()]
    hashes = {name: hashlib.sha256((package / name).read_bytes()).hexdigest() for name in names}
    (package / TAG_MANIFEST).write_text("".join(f"{hashes[name]}  {name}\n" for name in names))


def _forge(package: Path, change: Callable[[dict[str, Any]], Any]) -> Verification:
    """Change the account, make the pages of it, seal the bag anew, and return what verify finds."""
    account = json.loads((package / ACCOUNT_FILE).read_text())
    change(account)
    for name, data in (document_files(account) | {ACCOUNT_FILE: account_bytes(account)}).items():
        (package / name).write_bytes(data)
    _seal(package)
    return verify(package)


@pytest.mark.parametrize("format", [name for name, facts in FORMATS.items() if not facts.sources])
def test_every_format_carries_them(tmp_path: Path, collection: JobFolder, format: Format) -> None:
    """A package of any format has the three documents, which its seal covers; each export of it has the same bytes."""
    results = [export(collection, DirectoryStore(tmp_path / name), format)[1] for name in ("out", "again")]
    assert results[0].fingerprint == results[1].fingerprint
    package = results[0].package or ""
    found = verify(package)
    assert (found.problems, found.warnings, found.items, found.not_delivered) == ([], [], 2, 1)
    if not FORMATS[format].is_folder:
        return
    inside = "v1/content/" if FORMATS[format].grows else ""
    account = json.loads((Path(package) / f"{inside}{ACCOUNT_FILE}").read_text())
    for name in DOCUMENT_FILES:
        with (Path(package) / f"{inside}{name}").open("ab") as file:
            file.write(b" ")
    assert {f"{inside}{name}" for name in DOCUMENT_FILES} <= {
        problem.path for problem in verify(package).problems if "its bytes are not" in problem.what
    }
    assert account["package"]["not_delivered"] == {"failed": {"access_denied": 1}}
    assert (account["package"]["delivered"], account["package"]["bytes"]) == (2, 29)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda account: account["package"].update(delivered=3), "it states 3 delivered items of 4"),
        (lambda account: account["package"].update(bytes=7), "and 7 bytes"),
        (lambda account: account["package"].update(not_delivered={"failed": {"not_found": 1}}), "outcomes and codes"),
        (lambda account: account["package"]["lists"][0].__setitem__(1, "0" * 64), "is not that of the file"),
        (lambda account: account["result"].update(found=4, succeeded=3), "it states 4 found items, but items.parquet"),
        (lambda account: account["result"].update(succeeded=1), "do not add up to the found items"),
        (lambda account: account["result"].update(outcomes={}, failed=0, skipped=1), None),
        (lambda account: account["result"]["outcomes"].update(failed={"access_denied": 2}), "codes do not add up"),
        (lambda account: account["meanings"].update(access_denied="All is well."), None),
        (lambda account: account["tools"].update({"prefect-collect": "9"}), "names 'prefect-collect 9' as the tool"),
        (lambda account: account.update(package=None), "not the account of a package"),
        (lambda account: account.update(form=9), "cannot be read as the account"),
    ],
)
def test_what_they_say_is_compared(package: Path, change: Any, what: str | None) -> None:
    """An account that does not agree with the package's lists is a problem, though the bag is sealed anew."""
    pages = {name: (package / name).read_bytes() for name in (HTML_FILE, PDF_FILE)}
    account = json.loads((package / ACCOUNT_FILE).read_text())
    change(account)
    (package / ACCOUNT_FILE).write_bytes(account_bytes(account))
    _seal(package)
    found = "\n".join(map(str, verify(package).problems))
    assert (what or HTML_FILE) in found
    if account["tools"]["prefect-collect"] != "9" and account["form"] == 1 and account["package"] is not None:
        assert f"{PDF_FILE}: it does not say what {ACCOUNT_FILE} says" in found, (
            "its pages are those of the old account"
        )
    assert {name: (package / name).read_bytes() for name in pages} == pages


@pytest.mark.parametrize("name", [HTML_FILE, PDF_FILE])
def test_a_page_that_says_something_else_is_found(package: Path, name: str) -> None:
    """A page of which one word was changed is a problem, though the bag is sealed anew."""
    page = (package / name).read_bytes()
    assert b"Chain of custody" in page
    (package / name).write_bytes(page.replace(b"Chain of custody", b"Chain of Custody", 1))
    _seal(package)
    assert [str(problem) for problem in verify(package).problems] == [
        f"{name}: it does not say what {ACCOUNT_FILE} says"
    ]


def test_pages_made_in_a_fork_are_compared(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process with one thread makes no page itself, and finds the one of which a word was changed."""
    page = (package / PDF_FILE).read_bytes()
    for name in ("html_of", "pdf_of"):
        monkeypatch.setattr(_custody_check, name, None)

    def found() -> None:
        print(*verify(package, threads=2).problems)

    assert run_fork(found).out == b"\n"
    (package / PDF_FILE).write_bytes(page.replace(b"Chain of custody", b"Chain of Custody", 1))
    _seal(package)
    assert run_fork(found).out.decode() == f"{PDF_FILE}: it does not say what {ACCOUNT_FILE} says\n"


def test_pages_of_another_account_are_not_used() -> None:
    """Pages that were made of an account that was replaced meanwhile prove nothing of the new one."""
    made = pages_beside.MadePages(b"{}", {PDF_FILE: b"page"})
    assert made.of(b"{}", PDF_FILE) == b"page"
    assert made.of(b"{ }", PDF_FILE) is None
    assert made.of(b"{}", HTML_FILE) is None


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda account: account["tools"].update(reportlab="1.0"), [PDF_FILE]),
        (lambda account: account.update(pages=2), [HTML_FILE, PDF_FILE]),
        (lambda account: account["tools"].update(Unicode="1.1"), [HTML_FILE, PDF_FILE]),
        (lambda account: account["meanings"].update(access_denied="All is well."), [ACCOUNT_FILE]),
        (lambda account: account["result"]["job_codes"].update(canceled="All is well."), [ACCOUNT_FILE]),
    ],
)
def test_what_cannot_be_compared_is_a_warning(package: Path, change: Any, names: list[str]) -> None:
    """Pages that another version made, and meanings of codes that are not those of here, are warnings."""
    found = _forge(package, change)
    assert found.problems == []
    assert [warning.path for warning in found.warnings] == names


@pytest.mark.parametrize("names", [DOCUMENT_FILES, (PDF_FILE,)])
def test_documents_that_are_missing_are_missed(package: Path, names: tuple[str, ...]) -> None:
    """A bag that states that it has documents, and does not list them, is not valid."""
    for name in names:
        (package / name).unlink()
    _seal(package)
    found = [problem.path for problem in verify(package).problems]
    assert found == [*names]


def test_load_files_that_lack_them_are_missed(tmp_path: Path) -> None:
    """A load file package that states that it has documents, and does not list them, is not valid."""
    package = _folder(tmp_path, "loadfile-directory")
    seal = package / "manifest-sha256.txt"
    kept = [line for line in seal.read_text().splitlines() if "chain-of-custody" not in line]
    seal.write_text("".join(f"{line}\n" for line in kept))
    for name in DOCUMENT_FILES:
        (package / name).unlink()
    assert [problem.path for problem in verify(package).problems] == [*DOCUMENT_FILES]


def test_a_bag_of_an_earlier_version_stays_valid(staging: Any, exports: DirectoryStore) -> None:
    """Packages that were made before there were documents state none, and are valid without."""
    staging.stage({"a": b"1"})
    staging.directory(exports)
    found = verify(exports.locate("out"))
    assert (found.problems, found.warnings) == ([], [])
    assert not (Path(exports.locate("out")) / PDF_FILE).exists()
