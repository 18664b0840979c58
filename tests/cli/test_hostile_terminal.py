"""Names, messages and forged files cannot control the terminal in which a command prints them, or forge a line."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.cli import main, run
from prefect_collect.escaping import csv_text, one_line
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.error_report_reading import reported_items
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.stores import DirectoryStore
from tests.packages.foreign_bags import as_folder, bag
from tests.support.hostile_names import NAMES, UNSEEN
from tests.support.memory_source import MemorySource, Thing
from tests.support.process_fork import run_fork, run_fork_in_terminal
from tests.support.run_attempts import attempt, new_job

ID = "0194c1b0-7d3f-7000-8000-00000000000a"
ALL = [*NAMES, *UNSEEN]
POISON = "evil\x1b]0;title\x07\x9b2J\u202e\u2028\nprefect-collect: forged"


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    """A job of items with hostile names, half of which could not be read."""
    things = {f"held {name}": Thing("good") for name in ALL} | {name: Thing("denied") for name in ALL}
    source = MemorySource(things)
    folder = new_job(DirectoryStore(tmp_path_factory.mktemp("staging")), source, ID)
    attempt(folder, source)
    return folder


def in_terminal(store: str, package: str) -> str:
    """Return all that the commands print to a terminal of 100,000 columns and on standard error, without colors.

    Standard error is no terminal, as bars would be drawn there.
    """

    def commands() -> None:
        limit = ["--limit", "999"]
        for command, *more in (["show"], ["preview", *limit], ["report", *limit], ["report", "--csv"], ["verify"]):
            run([command, ID, "--store", store, *more])
            run([command, ID, "--store", store, *more, "--json"])
        run(["jobs", "--store", store])
        run(["verify", package])
        run(["--debug", "show", "no\x1b[2J\u202ejob", "--store", store])

    environment = {"TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "100000"}
    done = run_fork_in_terminal(commands, columns=80, environment=environment)
    return re.sub(r"\x1b\[(?:0|1|2)m", "", (done.out + done.err).decode())


def assert_harmless(said: str) -> None:
    """Check that there are only visible characters, and the line ends that the program makes itself."""
    steering = {character for character in said if unicodedata.category(character)[0] in "CZ"} - set(" \r\n")
    assert steering == set()
    assert not [line for line in said.splitlines() if line.startswith(("INFO", "forged", "prefect-collect: forged"))]


def test_nothing_steers_a_terminal(job: JobFolder, tmp_path: Path) -> None:
    """Hostile names are escaped by `show`, `preview`, `report`, `verify`, `jobs`, in their JSON, and in tracebacks."""
    bag = tmp_path / "bag"
    (bag / "data").mkdir(parents=True)
    (bag / "bagit.txt").write_text("BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    (bag / "data" / POISON.replace("/", "_")).write_text("x")
    (bag / "manifest-sha256.txt").write_text(f"{'0' * 64}  data/{POISON}\n")
    said = in_terminal(job.store.url, str(bag))
    assert_harmless(said)
    for name in ALL:
        assert one_line(name) in said
    assert one_line("no\x1b[2J\u202ejob") in said


def test_a_forged_result_steers_no_terminal(job: JobFolder, tmp_path: Path) -> None:
    """Hostile texts in a forged result.json, job.json and custody entry are escaped."""
    store = DirectoryStore(tmp_path / "forged")
    for blob in job.store.list(f"{ID}/"):
        store.create(blob.key, job.store.read(blob.key))

    def forge(key: str, **values: Any) -> None:
        path = Path(store.locate(key))
        path.chmod(0o644)
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    forge(
        store_keys.result_key(ID, 1),
        codes={POISON: 1},
        message=POISON,
        warnings=[POISON],
        package=f"/x/{POISON}",
        fingerprint=POISON,
    )
    forge(store_keys.job_key(ID), name=POISON, created_by=POISON, source={"name": POISON, "location": POISON})
    said = in_terminal(store.url, str(tmp_path))
    assert_harmless(said)
    assert "evil" in said


def test_the_csv_that_is_no_terminal_s_comes_back(
    job: JobFolder, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """A file or a pipe gets the unchanged bytes of the report, and a retry reads the same items from them."""
    assert run(["report", ID, "--store", job.store.url, "--csv"]) == 0
    data = capfdbinary.readouterr().out
    assert data == job.store.read(store_keys.report_key(ID, 1, "errors.csv"))
    result = job.result(1)
    assert result is not None
    exact = result.unsuccessful.to_arrow().to_pylist()
    rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
    assert [csv_text(row["path"]) for row in rows] == [row["path"] for row in exact]
    (tmp_path / "report.csv").write_bytes(data)
    assert [item.id for item in reported_items(str(tmp_path / "report.csv"))] == [row["item_id"] for row in exact]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_name_that_the_terminal_s_encoding_lacks_is_escaped(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A verdict on names of any script is printed in any encoding of the terminal, and JSON stays valid."""
    name = "data/é中😀"
    folder = as_folder({**bag("1.0", {"data/a": b""}), name: b""}, tmp_path / "bag")
    for more in ([], ["--json"]):
        monkeypatch.setattr(sys, "argv", ["prefect-collect", "verify", str(folder), *more])
        done = run_fork(main, encoding=encoding)
        text = done.out.decode(encoding)
        assert (done.code, done.err) == (4, b""), done.err
        shown = name.encode(encoding, "backslashreplace").decode(encoding)
        told = json.loads(text)["problems"][0]["path"] if more else text.split(": ")[1]
        assert told == (name if more else shown)
