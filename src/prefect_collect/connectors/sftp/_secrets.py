"""Handing secrets to ``ssh``: in anonymous memory of this process, never on a disk and never on a command line."""

from __future__ import annotations

import os
import shlex
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_ASKPASS: Final = """#!/bin/sh
case "$1" in
{prompts}) exec cat {secret} ;;
esac
exit 1
"""


@dataclass(frozen=True)
class Secrets:
    """What a source's block knows beside the user's own configuration; "" for what it does not.

    Attributes:
        private_key: A private key in OpenSSH's or PEM's form, without a passphrase.
        password: The user's password at the server.
        known_hosts: Lines as of known_hosts, which count instead of the user's and the system's.
    """

    private_key: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    known_hosts: str = ""


class Given:
    """What a process of ``ssh`` is started with; `close` takes it back.

    Attributes:
        options: Words of its command.
        environment: Variables of its environment.
    """

    def __init__(self) -> None:
        self.options: list[str] = []
        self.environment: dict[str, str] = {}
        self._held: list[int] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def option(self, text: str) -> None:
        """Add an option."""
        self.options += ["-o", text]

    def hold(self, text: str) -> str:
        """Return a path from which processes of this user can read the text until `close`."""
        held = os.memfd_create("prefect-collect", os.MFD_CLOEXEC)
        self._held.append(held)
        os.fchmod(held, 0o600)  # ssh refuses a key that others could read
        os.write(held, text.encode())
        return f"/proc/{os.getpid()}/fd/{held}"

    def program(self, text: str) -> str:
        """Return the path of a program, which is no secret, until `close`."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name) / "askpass"
        path.write_text(text)
        path.chmod(0o700)
        return str(path)

    def close(self) -> None:
        """Forget the secrets."""
        while self._held:
            os.close(self._held.pop())
        if self._folder is not None:
            with suppress(OSError):
                self._folder.cleanup()
            self._folder = None


def given(secrets: Secrets, login: tuple[str, str]) -> Given:
    """Return what ``ssh`` needs to use the secrets.

    Args:
        secrets: The secrets.
        login: The user and the host that ``ssh`` asks the password for; not used without a password.
    """
    made = Given()
    try:
        if secrets.known_hosts:
            made.option(f"UserKnownHostsFile={made.hold(secrets.known_hosts.rstrip() + chr(10))}")
            made.option("GlobalKnownHostsFile=none")
            made.option("UpdateHostKeys=no")
        if secrets.private_key:
            made.option(f"IdentityFile={made.hold(secrets.private_key.strip() + chr(10))}")
            made.option("IdentitiesOnly=yes")
            made.option("IdentityAgent=none")
        if not secrets.password:
            made.option("BatchMode=yes")
            return made
        # The prompts of this user at this server only: one of a jump host, or for a passphrase, gets no answer.
        at = shlex.quote("@".join(login))
        prompts = f"{at}\\'s\\ password:*|\\({at}\\)*[Pp]assword*"
        made.environment = {
            "SSH_ASKPASS": made.program(_ASKPASS.format(prompts=prompts, secret=made.hold(secrets.password + chr(10)))),
            "SSH_ASKPASS_REQUIRE": "force",
        }
        made.option("BatchMode=no")
        made.option("NumberOfPasswordPrompts=1")
        made.option("PreferredAuthentications=publickey,keyboard-interactive,password")
    except BaseException:
        made.close()
        raise
    return made
