"""What is named in place of a path that does not exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_collect.stores.nearest_path import nearest_path


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("Leters", "Did you mean {}/letters?"),
        ("quite-another", ""),
        ("letters/2026/may", "The nearest folder that exists is {}/letters."),
        ("leters/2026", "The nearest folder that exists is {}. Did you mean {}/letters?"),
        ("letters/a.txt/b", "The nearest folder that exists is {}/letters. Did you mean {}/letters/a.txt?"),
    ],
)
def test_what_is_nearest(path: str, says: str, tmp_path: Path) -> None:
    """It is a name much like it in the folder, whatever its case, else the nearest folder that exists."""
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").touch()
    assert nearest_path(str(tmp_path / path)) == says.replace("{}", str(tmp_path))
