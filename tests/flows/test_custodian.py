"""A job's custodian: what is accepted as one, and where the form, the record, the package and the pages have it."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.exceptions import ParameterTypeError
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools import validate

from prefect_collect.blocks import FileSource
from prefect_collect.cli import run
from prefect_collect.flows import collect
from prefect_collect.job_folder import store_keys
from prefect_collect.jobs import Job
from prefect_collect.jobs.stored_jobs import job_from_evidence
from prefect_collect.packages import verify
from prefect_collect.pages.ended_job import job_page
from prefect_collect.parameters import MOST_CUSTODIAN, checked_custodian
from prefect_collect.runs.custodian_label import custodian_of
from prefect_collect.statuses import JobKind, TaskStatus
from prefect_collect.stores import DirectoryStore
from prefect_collect.verification import verify_job
from tests.support.memory_source import MemorySource, Thing
from tests.support.run_attempts import attempt, export, new_job

WRONG = ["x" * (MOST_CUSTODIAN + 1), "Anna\nLegal", "Anna\x07", "a\u2028b", "a\x85b"]


@given(st.text())
def test_a_custodian_is_one_line(text: str) -> None:
    """Any text is either refused, or one line of at most 200 characters, or none."""
    try:
        found = checked_custodian(text)
    except ValueError:
        stripped = text.strip()
        assert len(stripped) > MOST_CUSTODIAN or not stripped.isprintable()
        return
    assert found is None or (len(found) <= MOST_CUSTODIAN and len(found.splitlines()) == 1)
    assert checked_custodian(found) == found


@pytest.mark.parametrize("text", WRONG)
def test_the_flow_refuses_what_is_no_line(text: str) -> None:
    """The flow names the field; it takes other texts without spaces around them, and none for an empty one."""
    source = FileSource(root="/srv/docs")
    with pytest.raises(ParameterTypeError, match="custodian must be one line of at most 200 characters"):
        collect.validate_parameters({"source": source, "custodian": text})
    for given_, expected in ((" Jürgen, Vertrieb ", "Jürgen, Vertrieb"), (" ", None), (None, None)):
        assert collect.validate_parameters({"source": source, "custodian": given_})["custodian"] == expected


def test_the_form_asks_for_it() -> None:
    """The form has a field for one line, and Prefect's server refuses a longer text, or two lines."""
    schema = parameter_schema(collect).model_dump()
    field = schema["properties"]["custodian"]
    assert (field["title"], field["type"], field["maxLength"]) == ("Custodian", "string", MOST_CUSTODIAN)
    assert "custodian" not in schema.get("required", [])
    only = {"type": "object", "properties": {"custodian": field}}
    assert not validate({"custodian": "علی‌رضا"}, only, raise_on_error=False)
    for text in WRONG[:3]:
        assert validate({"custodian": text}, only, raise_on_error=False)


@pytest.mark.parametrize("custodian", ["", "Jürgen <Vertrieb>"])
def test_it_stands_in_the_record_and_in_the_package(
    tmp_path: Path, custodian: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A collection's custodian is in its record, in its export's, in bag-info.txt, in what `show` and `jobs` print, and
    survives a retry; without one, none of them has the word.
    """
    store = DirectoryStore(tmp_path / "staging")
    source = MemorySource({"a": Thing("good", b"a"), "b": Thing("denied", b"b")})
    folder = new_job(store, source, options={"custodian": custodian} if custodian else {})
    attempt(folder, source)
    result = attempt(folder, source)
    assert (result.attempt, folder.record().custodian) == (2, custodian)
    assert job_from_evidence(folder).custodian == custodian
    assert verify_job(folder).valid
    job, exported = export(folder, DirectoryStore(tmp_path / "out"))
    assert exported.package is not None
    assert verify(exported.package).valid
    with zipfile.ZipFile(exported.package) as package:
        info = package.read(next(name for name in package.namelist() if name.endswith("/bag-info.txt"))).decode()
    assert (f"\nCustodian: {custodian}\n" in info) == bool(custodian)
    page = job_page(result, "docs", "/docs", custodian=custodian)
    assert ("Custodian: `Jürgen <Vertrieb>`" in page) == bool(custodian)
    shown = f"custodian {custodian}" if custodian else "custodian"
    for command in (["show", folder.job_id], ["jobs"]):
        assert run([*command, "--store", str(tmp_path / "staging")]) == 0
        printed = " ".join(capsys.readouterr().out.split())
        assert ((shown if "show" in command else "custodian") in printed) == bool(custodian)
        assert (custodian in printed) or command == ["jobs"]
    assert ("custodian" in str(store.read(store_keys.job_key(folder.job_id)))) == bool(custodian)
    assert job.record().custodian == ""  # the support's export has no options; the flow's has them


def _job(**changed: Any) -> Job:
    values = {"parameters": {}, "labels": {}, **changed}
    return Job("j", JobKind.COLLECTION, "n", None, TaskStatus.UNKNOWN, "", created=None, place=None, **values)


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (_job(labels={"prefect-collect.source": "s"}), ""),
        (_job(parameters={"custodian": " Zoë "}, labels={"prefect-collect.custodian": "other"}), "Zoë"),
        (_job(labels={"prefect-collect.custodian": "Zoë"}), "Zoë"),
        (_job(parameters={"custodian": None}), ""),
    ],
)
def test_a_run_names_it(job: Job, expected: str) -> None:
    """A collection's parameter comes before a label; an export has the label alone."""
    assert custodian_of(job.parameters, job.labels) == expected
    if job.labels:
        assert job.custodian == expected
        assert job.to_json()["custodian"] == (expected or None)
