"""The passphrase of an encrypted package: from a Secret block of Prefect, or asked for at the terminal."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable

from prefect_collect.cli._server import prefect_server
from prefect_collect.errors import UsageError


def new_passphrase(block: str | None, say: Callable[[str], None]) -> str:
    """Return the passphrase for a new file; one that is typed is asked for twice.

    Raise UsageError if there is no such block, no terminal, or the two differ.
    """
    if block is not None:
        return _saved(block, say)
    typed = _asked("Passphrase: ")
    if typed != _asked("The same again: "):
        raise UsageError("The two passphrases differ. [passphrase]")
    return typed


def known_passphrase(block: str | None, say: Callable[[str], None]) -> str:
    """Return the passphrase of an existing file. Raise UsageError if there is no such block, or no terminal."""
    return _asked("Passphrase: ") if block is None else _saved(block, say)


def _asked(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise UsageError(
            "There is no terminal to ask for the passphrase; name a Secret block with --passphrase-from. [passphrase]"
        )
    return getpass.getpass(prompt)


def _saved(name: str, say: Callable[[str], None]) -> str:
    with prefect_server(say):
        from prefect.blocks.system import Secret

        try:
            block = Secret.load(name.removeprefix("secret/"))
        except ValueError as error:
            raise UsageError(
                f"Prefect has no such Secret block; list them with `prefect block ls`. [passphrase-from={name}]"
            ) from error
    return str(block.get())  # type: ignore[union-attr]
