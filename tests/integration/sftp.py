"""Real SFTP servers for the tests: OpenSSH's ``sshd``, with faults that are caused between it and its SFTP server."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.integration.servers import end_process, ending_with_us, find_program, free_port, served

_FAULTS = Path(__file__).with_name("sftp_faults.py")
_PATIENCE = 120.0


def find_sshd() -> str:
    """Return OpenSSH's server, which Debian keeps off the PATH. Raise FileNotFoundError."""
    found = shutil.which("sshd") or shutil.which("/usr/sbin/sshd")
    if found is None:
        raise FileNotFoundError("sshd is not installed; install openssh-server [program=sshd]")
    return found


@dataclass
class SftpServer:
    """A running server, which the user that runs the tests logs into with a key."""

    folder: Path
    port: int
    user: str
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def private_key(self) -> str:
        """The key that it accepts."""
        return (self.folder / "user").read_text()

    @property
    def known_hosts(self) -> str:
        """Its line of known_hosts."""
        return f"[127.0.0.1]:{self.port} {' '.join((self.folder / 'host.pub').read_text().split()[:2])}"

    def url(self, path: str | Path) -> str:
        """Return the URL of an absolute path."""
        return f"sftp://{self.user}@127.0.0.1:{self.port}{path}"

    def access(self, path: str | Path, **fields: Any) -> dict[str, Any]:
        """Return the fields of a block that reads a path, with nothing of the configuration of who runs the tests."""
        return {
            "url": self.url(path), "private_key": self.private_key, "known_hosts": self.known_hosts,
            "config_file": "/dev/null", **fields,
        }  # fmt: skip

    def fault(self, *faults: dict[str, Any]) -> None:
        """Cause faults: each of the next connections takes one. `sftp_faults.py` says which there are."""
        (self.folder / "faults.json").write_text(json.dumps(faults))

    @property
    def faults_left(self) -> int:
        """How many of the faults no connection has taken."""
        return len(json.loads((self.folder / "faults.json").read_text()))

    def refuse_key(self) -> None:
        """Accept no key from now on."""
        (self.folder / "authorized").write_text("")

    def accept_key(self) -> None:
        """Accept the key again."""
        shutil.copy(self.folder / "user.pub", self.folder / "authorized")

    def start(self) -> None:
        """Start it, at its port."""
        command = [find_sshd(), "-D", "-f", str(self.folder / "sshd_config"), "-E", str(self.folder / "log")]
        self.process = subprocess.Popen(ending_with_us(command), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as probe:
                probe.recv(4)
                return
            time.sleep(0.02)  # polled: sshd announces itself in no other way
        raise RuntimeError(f"sshd does not start:\n{(self.folder / 'log').read_text(errors='replace')[-2000:]}")

    def stop(self) -> None:
        """End it, with its connections."""
        if self.process is None:
            return
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    child.kill()
        end_process(self.process)
        self.process = None


@contextmanager
def sshd(folder: Path, *, faulty: bool = False) -> Iterator[SftpServer]:
    """Run OpenSSH's server, with the SFTP server in it; with `faulty`, `sftp_faults.py` before another one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("host", "user"):
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
        subprocess.run(key, check=True)
    # Where sshd separates privileges it insists on this folder, which the system's own service makes.
    with contextlib.suppress(OSError):
        os.makedirs("/run/sshd", exist_ok=True)
    subsystem = f"{sys.executable} -IS {_FAULTS} {folder / 'faults.json'}" if faulty else "internal-sftp"
    import pwd

    server = SftpServer(folder, free_port(), pwd.getpwuid(os.getuid()).pw_name)
    server.accept_key()
    (folder / "sshd_config").write_text(
        f"Port {server.port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host'}\nPidFile none\n"
        f"AuthorizedKeysFile {folder / 'authorized'}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
        f"KbdInteractiveAuthentication no\nPermitRootLogin yes\nMaxStartups 100:30:200\nSubsystem sftp {subsystem}\n"
    )
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def rclone_sftp(folder: Path, root: Path) -> Iterator[dict[str, Any]]:
    """Serve a folder by ``rclone serve sftp``, which is no OpenSSH; yield the fields of a block with its password."""
    folder.mkdir(parents=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "host")], check=True)
    port = free_port()
    command = [
        find_program("rclone"), "serve", "sftp", str(root), f"--addr=127.0.0.1:{port}", "--user=ann",
        "--pass=not-a-secret", f"--key={folder / 'host'}", "--dir-cache-time=0s", f"--config={folder / 'rclone.conf'}",
    ]  # fmt: skip
    with served(command, port, folder / "log"):
        key = " ".join((folder / "host.pub").read_text().split()[:2])
        yield {
            "url": f"sftp://ann@127.0.0.1:{port}/", "password": "not-a-secret", "config_file": "/dev/null",
            "known_hosts": f"[127.0.0.1]:{port} {key}", "read_timeout": 10,
        }  # fmt: skip
