"""The passphrase of an encrypted package: from a Secret block of Prefect, or asked for at the terminal."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable

from prefect_collect.cli._server import prefect_server
from prefect_collect.errors import UsageError


def new_passphrase(block: str | None, say: Callable[[str], None]) -> str:
    """Return the passphrase for an encrypted copy of a package; one that is typed is asked for twice.

    Raise UsageError if nothing can be encrypted here, there is no such block, no terminal, it is too short, or the two
    differ.
    """
    from prefect_collect.packages.contents.encrypted import checked_passphrase, require_pyzipper

    require_pyzipper()
    typed = known_passphrase(block, say)
    checked_passphrase(typed)
    if block is not None:
        return typed
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
    try:
        return getpass.getpass(prompt)
    except EOFError as error:  # Ctrl-D, which ends no line
        if sys.stderr.isatty():
            print(file=sys.stderr)
        raise UsageError(
            "No passphrase was given; type one, or name a Secret block with --passphrase-from. [passphrase]"
        ) from error


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
