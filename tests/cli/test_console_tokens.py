"""Where the console's tokens come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_collect.cli._console import grants_of
from prefect_collect.errors import UsageError


def test_a_service_names_its_file_of_tokens_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`serve` and `console` take the file that the setting names, unless the option names another; a file that cannot
    be used is an error, so that no console starts with tokens that were not meant.
    """
    for name in ("anna", "vera"):
        (tmp_path / name).write_text(f"view {name} {name}-token-of-20-characters\n")
        (tmp_path / name).chmod(0o600)
    assert grants_of(None) == ()
    monkeypatch.setenv("PREFECT_INTEGRATIONS_COLLECT_CONSOLE_TOKEN_FILE", str(tmp_path / "anna"))
    assert [grant.user for grant in grants_of(None)] == ["anna"]
    assert [grant.user for grant in grants_of(tmp_path / "vera")] == ["vera"]
    (tmp_path / "anna").chmod(0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        grants_of(None)
