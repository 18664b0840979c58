"""The system's ``ssh`` as a child process: its command, and the host key of a server that is not known yet."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from prefect_collect.connectors.sftp._failures import ssh_error
from prefect_collect.connectors.sftp._secrets import Secrets, given
from prefect_collect.errors import SourceError
from prefect_collect.threads.wide_pipe import widen

_SAFE: Final = (
    # Never accept a host key silently, whatever the configuration says.
    "StrictHostKeyChecking=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ClearAllForwardings=yes",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "RequestTTY=no",
    # A shared connection of the user's is used, but none is left behind.
    "ControlMaster=no",
    "LogLevel=ERROR",
)
"""Options that overrule the user's configuration."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is: a host name or an alias of ``~/.ssh/config``; what is None is the configuration's."""

    host: str
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = "" if self.user is None else f"{self.user}@"
        return f"sftp://{user}{host}" + ("" if self.port is None else f":{self.port}")


def command(address: Address, *, connect_timeout: float, read_timeout: float, config: Path | None) -> list[str]:
    """Return the beginning of the command, up to the options that secrets add."""
    program = shutil.which("ssh")
    if program is None:
        raise SourceError(
            f"The program ssh is not installed; install OpenSSH's client (Debian: openssh-client). [{address}]",
            code="program_missing",
        )
    alive = max(1, round(read_timeout / 4))
    options = [
        *_SAFE,
        f"ConnectTimeout={max(1, round(connect_timeout))}",
        f"ServerAliveInterval={alive}",
        "ServerAliveCountMax=4",
    ]
    where = [] if config is None else ["-F", str(config)]
    user = [] if address.user is None else ["-l", address.user]
    port = [] if address.port is None else ["-p", str(address.port)]
    return [program, *where, *(word for option in options for word in ("-o", option)), *user, *port]


class Ssh:
    """A running ``ssh`` that leads to a server's SFTP: `write` and `read` are the descriptors of its two pipes."""

    def __init__(self, begun: list[str], address: Address, secrets: Secrets) -> None:
        self._place = str(address)
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - see close
        self._secrets = given(secrets, _login(begun, address) if secrets.password else ("", ""))
        try:
            self._process = subprocess.Popen(
                [*begun, *self._secrets.options, "-s", "--", address.host, "sftp"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, bufsize=0,
                env=os.environ | self._secrets.environment,
                start_new_session=True,  # Ctrl-C is for the job, which ends its connections in order
            )  # fmt: skip
        except BaseException:
            self._secrets.close()
            self._said.close()
            raise
        self.write, self.read = _descriptor(self._process.stdin), _descriptor(self._process.stdout)
        for descriptor in (self.write, self.read):
            os.set_blocking(descriptor, False)
            widen(descriptor)

    def error(self) -> SourceError:
        """Wait until the process has ended, and return what it said as an error."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        return ssh_error(self.end(), self._place)

    def connected(self) -> None:
        """Drop the secrets, which are of no more use."""
        self._secrets.close()

    def end(self) -> str:
        """End the process, and return the end of what it wrote as error messages; "" if it had been ended before."""
        if self._said.closed:
            return ""
        self._secrets.close()
        self._process.kill()
        self._process.wait()
        size = self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, size - 4096))
        text = self._said.read().decode(errors="replace")
        self._said.close()
        return text

    def close(self) -> None:
        """End the process, and close its pipes."""
        self.end()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _login(begun: list[str], address: Address) -> tuple[str, str]:
    """Return the user and the host that ``ssh`` takes from its configuration for an address."""
    done = subprocess.run([*begun, "-G", "--", address.host], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    said = dict(line.split(" ", 1) for line in done.stdout.decode(errors="replace").splitlines() if " " in line)
    return said.get("user", address.user or ""), said.get("hostname", address.host)


def _descriptor(pipe: Any) -> int:
    return int(pipe.fileno())


def line_to_add(begun: list[str], address: Address, seconds: float) -> str | None:
    """Return the server's host key as a line of known_hosts; None if it cannot be had.

    ``ssh`` connects once more and writes the key into a file that is then deleted; it does not log in.
    """
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "known_hosts"
        program, *rest = begun
        first = [
            "StrictHostKeyChecking=accept-new",
            f"UserKnownHostsFile={found}",
            "GlobalKnownHostsFile=none",
            "HashKnownHosts=no",
            "UpdateHostKeys=no",
            "PreferredAuthentications=none",
            "BatchMode=yes",
            "ControlPath=none",
        ]
        options = [word for option in first for word in ("-o", option)]
        with suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(
                [program, *options, *rest, "-s", "--", address.host, "sftp"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=seconds,
            )  # fmt: skip
        with suppress(OSError, IndexError):
            return found.read_text(errors="replace")[:2000].splitlines()[0].strip() or None
    return None
