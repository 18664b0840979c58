"""Tokens open sessions, sessions end, and refused tokens are limited."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_collect.console.access import (
    FAILURE_SECONDS,
    MOST_FAILURES,
    SESSION_SECONDS,
    Access,
    Grant,
    new_token,
    read_grants,
)
from prefect_collect.console.roles import Role
from prefect_collect.errors import UsageError

ANNA = Grant("anna", Role.OPERATE, "a" * 20)
VERA = Grant("vera", Role.VIEW, "v" * 20)
HERE = "192.0.2.1"


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_a_token_opens_a_session_of_its_user() -> None:
    """A session has the user and the role of its token, and a secret of its own for each login."""
    access = Access([ANNA, VERA])
    first, second = access.open(VERA.token, HERE), access.open(VERA.token, HERE)
    assert first is not None
    assert second is not None
    assert first != second
    session = access.session(first)
    assert session is not None
    assert (session.user, session.role, session.may_operate) == ("vera", Role.VIEW, False)
    assert access.open("x" * 20, HERE) is None
    assert access.session("x") is None


def test_a_session_ends_by_itself_and_by_logging_out() -> None:
    """A session that is not used ends after its time; each use renews it; one that was closed is gone at once."""
    clock = Clock()
    access = Access([ANNA], clock=clock)
    key = access.open(ANNA.token, HERE) or ""
    for _ in range(3):
        clock.now += SESSION_SECONDS - 1
        assert access.session(key) is not None
    clock.now += SESSION_SECONDS + 1
    assert access.session(key) is None
    again = access.open(ANNA.token, HERE) or ""
    access.close(again)
    assert access.session(again) is None


def test_refused_tokens_are_limited() -> None:
    """After ten refused tokens from an address in a minute none from there is looked at, not even a right one; open
    sessions stay open, and other addresses are not affected.
    """
    clock = Clock()
    access = Access([ANNA], clock=clock)
    key = access.open(ANNA.token, HERE) or ""
    for number in range(MOST_FAILURES):
        assert not access.is_limited(HERE)
        assert access.open(f"wrong {number}", HERE) is None
    assert access.is_limited(HERE)
    assert access.open(ANNA.token, HERE) is None
    assert access.open(ANNA.token, "192.0.2.2") is not None
    assert access.session(key) is not None
    clock.now += FAILURE_SECONDS + 1
    assert access.open(ANNA.token, HERE) is not None


def test_secrets_are_not_shown() -> None:
    """No token and no CSRF token is in the text of an object, as a log may hold it; new tokens are long and differ."""
    access = Access([ANNA])
    session = access.session(access.open(ANNA.token, HERE) or "")
    assert session is not None
    assert ANNA.token not in repr(ANNA)
    assert session.csrf not in repr(session)
    assert len({new_token() for _ in range(100)}) == 100
    assert min(len(new_token()) for _ in range(10)) >= 43


def _file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "tokens"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_file_of_tokens(tmp_path: Path) -> None:
    """A line is a role, a user and a token; empty lines and comments are skipped."""
    path = _file(tmp_path, f"# who\n\noperate anna {ANNA.token}\n  view vera {VERA.token}\n")
    assert read_grants(path) == [ANNA, VERA]


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("operate anna short", 0o600, "less than 16 characters"),
        ("admin anna " + "a" * 20, 0o600, "line 1"),
        ("operate anna", 0o600, "line 1"),
        ("# nothing", 0o600, "no token"),
        ("operate anna " + "a" * 20, 0o644, "chmod 600"),
    ],
)
def test_a_file_of_tokens_that_is_refused(tmp_path: Path, text: str, mode: int, said: str) -> None:
    """A file that others can read, or that has a line of another form, is refused with a sentence that names it."""
    path = _file(tmp_path, text, mode)
    with pytest.raises(UsageError, match=said) as error:
        read_grants(path)
    assert str(path) in str(error.value)
    assert "aaaa" not in str(error.value)


def test_a_file_of_tokens_that_is_missing(tmp_path: Path) -> None:
    """A missing file is refused as such."""
    with pytest.raises(UsageError, match="cannot be read"):
        read_grants(tmp_path / "none")
