"""The lines of hash lists are those of sha256sum, whatever a path has in it."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.packages.contents.hash_lines import hash_line, parsed_hash_line
from tests.examples import examples

DIGEST = hashlib.sha256(b"").hexdigest()


@settings(max_examples=examples(200), deadline=None)
@given(st.text(st.sampled_from("a\\n\r\n\\ é/"), min_size=1))
def test_a_line_says_its_path(path: str) -> None:
    """Each path is read back as it is, from one line that no other path has."""
    line = hash_line(DIGEST, path)
    assert line.endswith("\n")
    assert not {"\r", "\n"} & {*line[:-1]}
    assert parsed_hash_line(line[:-1]) == (path, bytes.fromhex(DIGEST))


@pytest.mark.parametrize(
    "line",
    [
        f"{DIGEST} a", f"{DIGEST}  ", DIGEST, f"{DIGEST.upper()}  a", f"{DIGEST}  a\\b", f"\\{DIGEST}  a",
        f"\\{DIGEST}  a\\tb", f"\\{DIGEST}  a\\", f"{DIGEST}  a\r", "",
    ],
)  # fmt: skip
def test_other_lines(line: str) -> None:
    """What is not as it is written, in its only form, is no line."""
    assert parsed_hash_line(line) is None


def test_sha256sum_agrees(tmp_path: Path) -> None:
    """sha256sum writes the same lines, and accepts them."""
    names = ["a", "line\nbreak", "back\\slash", "re\rturn", "\\n", "é ü"]
    for name in names:
        (tmp_path / name).touch()
    said = subprocess.run(["sha256sum", *names], cwd=tmp_path, check=True, capture_output=True).stdout.decode()
    assert said.splitlines(keepends=True) == [hash_line(DIGEST, name) for name in names]
    (tmp_path / "list").write_text(said, newline="")
    subprocess.run(["sha256sum", "--quiet", "--strict", "-c", "list"], cwd=tmp_path, check=True)
