"""What `verify` prints of packages: of one, of several, and of what is no package."""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import fields
from pathlib import Path

import pytest

from prefect_collect.cli import run
from prefect_collect.cli._output import Output
from prefect_collect.cli._package_verdict import print_verification, verification_json
from prefect_collect.packages import Verification
from prefect_collect.verification import JobVerification
from tests.cli.no_server import made_job, small_bag

pytestmark = pytest.mark.usefixtures("no_server")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, in which there are a good bag, a changed one, and a staging store with a job."""
    small_bag(tmp_path / "good")
    (small_bag(tmp_path / "changed") / "data" / "a.txt").write_bytes(b"hellO")
    made_job(tmp_path / "staging")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_a_package_lacks_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """The items that a package only lists are those that failed, were skipped or were not attempted."""
    print_verification(Output(as_json=False), Verification("out.zip", [], 14, 99, "", 4, ""))
    said = "14 items, 99 bytes, 4 more of the collection are listed as failed, skipped or not attempted."
    assert capsys.readouterr().out == f"Valid: {said}\n"
    print_verification(Output(as_json=False), Verification("out.zip", [], 1, 9, "", 1, ""))
    assert ", 1 more of the collection is listed as failed" in capsys.readouterr().out


def test_several_packages_and_a_job(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is verified, whatever the others are; the exit code is the worst one, and the last line counts them."""
    assert run(["verify", "good", "staging/0194c1b0-0000-7000-8000-000000000000"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert (shown[0], shown[2]) == ("good", "Valid: 1 item, 5 bytes.")
    assert shown[-1] == "2 verified: 2 valid, 0 not valid."
    assert run(["verify", "good", "gone", "good"]) == 2
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "3 verified: 2 valid, 0 not valid, 1 could not be verified."
    assert err == "prefect-collect: There is no package; check the path. [gone]\n"
    assert run(["verify", "changed", "gone", "good"]) == 4
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "3 verified: 1 valid, 1 not valid, 1 could not be verified."


def test_the_seals_beside_packages(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a shell makes of ``packages/*`` also names signatures and time stamps, which are no packages."""
    for name in ("good.sig", "good.tsr"):
        (folder / name).touch()
    assert run(["verify", "good", "good.sig", "good.tsr"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 verified: 1 valid, 0 not valid."
    assert run(["verify", "good.sig", "good.tsr"]) == 2
    assert "name the packages. [good.sig, good.tsr]" in capsys.readouterr().err


def test_several_packages_in_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One package is an object; several are a list, also of those that could not be verified."""
    assert run(["verify", "good", "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert run(["verify", "good", "changed", "gone", "--json"]) == 4
    found = json.loads(capsys.readouterr().out)
    assert found[0] == alone
    assert [one["valid"] for one in found] == [True, False, None]
    assert found[2] == {
        "location": "gone", "valid": None, "error": "There is no package; check the path. [gone]"
    }  # fmt: skip


def test_a_file_of_one_package_is_not_for_several(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--signature and --timestamp name a file of one package, and are refused with several."""
    assert run(["verify", "good", "changed", "--public-key", "key.pem", "--signature", "good.sig"]) == 2
    assert "--signature names the file of one package" in capsys.readouterr().err


def test_what_a_line_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Problems and warnings are named so, and the fingerprint of what is not valid is only a stated one."""
    assert run(["verify", "good"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "warning: bagit.txt and others: no tag manifest that can be checked lists it, so nothing proves its bytes",
        "Valid: 1 item, 5 bytes.",
    ]
    sealed = folder / "changed" / "tagmanifest-sha256.txt"
    sealed.write_text(f"{'0' * 64}  bagit.txt\n")
    assert run(["verify", "changed"]) == 4
    shown = capsys.readouterr().out.splitlines()
    assert {line.partition(":")[0] for line in shown[:-2]} == {"problem", "warning"}
    assert shown[-1].startswith("stated fingerprint ")
    assert "proves nothing" in shown[-1]


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("custody.pdf", b"%PDF-1.4\n", "a PDF document; a chain of custody document is checked with its package"),
        ("a.txt", b"hello", "it is not a ZIP file"),
    ],
)
def test_a_file_that_is_no_package(
    folder: Path, name: str, data: bytes, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file with nothing of an archive is wrong use; by the name of a package, it is one that is not valid."""
    (folder / name).write_bytes(data)
    assert run(["verify", name]) == 2
    out, err = capsys.readouterr()
    assert (out, says in err) == ("", True)
    (folder / "a.zip").write_bytes(data)
    assert run(["verify", "a.zip"]) == 4
    assert "Not valid, 1 problem" in capsys.readouterr().out
    with zipfile.ZipFile(folder / "slack.zip", "w") as archive:
        archive.writestr("users.json", b"[]")
    assert run(["verify", "slack.zip"]) == 2
    assert "The archive is no package: " in capsys.readouterr().err
    (folder / "cut-off").write_bytes(b"PK\3\4 and no end")
    assert run(["verify", "cut-off"]) == 4


def test_a_folder_of_packages(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a folder with packages in it the message says how to verify each."""
    assert run(["verify", "."]) == 2
    assert "changed and 1 more. Verify each: `prefect-collect verify ./*`" in capsys.readouterr().err


def test_the_documented_fields_of_the_json_are_those_that_are_printed() -> None:
    """docs/command-line.md names every field of the JSON of a package and of a job, and no other."""
    page = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")
    [row] = [line for line in page.splitlines() if line.startswith("| `verify` of one package or job |")]
    printed = {
        *verification_json(Verification("x", [], 0, 0, "", 0, "")),
        *(one.name for one in fields(JobVerification)),
    }
    assert {*re.findall(r"`(\w+)`", row)} - {"verify"} == printed
