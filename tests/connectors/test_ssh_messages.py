"""What the messages of SFTP sources repeat of ssh."""

from __future__ import annotations

import pytest

from prefect_collect.connectors.sftp._failures import ssh_error


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "ssh: connect to host x port 22: Connection refused\r\n",
            "(ssh: connect to host x port 22: Connection refused)",
        ),
        ("Permission denied (publickey).", "(ssh: Permission denied (publickey).)"),
    ],
)
def test_ssh_is_named_once(said: str, shown: str) -> None:
    """The message says that ssh said it, once, also where ssh itself begins with its name."""
    assert shown in str(ssh_error(said, "sftp://x/y"))
