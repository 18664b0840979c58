"""A real Samba server for the tests, and its share mounted by ``rclone mount``: kernels of test machines lack cifs."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.integration.servers import end_process, ending_with_us, find_program, free_port

PASSWORD = "not-a-secret"
_USER = "nobody"
_PATIENCE = 120.0
_SYS_ADMIN = 1 << 21
"""The capability to mount: linux/capability.h."""

_CONFIGURATION = """[global]
server role = standalone server
smb ports = {port}
bind interfaces only = yes
interfaces = lo
private dir = {folder}/state
lock directory = {folder}/state
state directory = {folder}/state
cache directory = {folder}/state
pid directory = {folder}/state
ncalrpc dir = {folder}/state/ncalrpc
log file = {folder}/state/log
disable spoolss = yes
load printers = no

[share]
path = {folder}/share
read only = yes
"""


@dataclass
class Share:
    """A share of a running Samba: `files` are where the server keeps them, `mounted` is where a client sees them."""

    folder: Path
    port: int
    _server: Any = field(default=None, repr=False)

    @property
    def files(self) -> Path:
        """The folder that the server shares."""
        return self.folder / "share"

    @property
    def mounted(self) -> Path:
        """The folder at which the share is mounted."""
        return self.folder / "mounted"

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        command = ["smbd", f"--configfile={self.folder}/smb.conf", "--foreground"]
        self._server = subprocess.Popen(ending_with_us(command), stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + _PATIENCE
        while self._server.poll() is None and time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.05)  # polled: it announces itself in no other way
        raise RuntimeError(f"Samba does not start:\n{(self.folder / 'state/log').read_text()[-2000:]}")

    def stop(self) -> None:
        """Stop the server, with its connections."""
        end_process(self._server)


@contextmanager
def mounted_share() -> Iterator[Share]:
    """Run Samba with an empty share, and mount this for reading."""
    if not shutil.which("smbd") or not shutil.which("fusermount3") or os.geteuid() != 0:
        pytest.skip("Samba and FUSE (Debian: samba, fuse3) are not installed, or this is not root")
    if not _may_mount():
        pytest.skip("nothing can be mounted by FUSE here: a container needs --device /dev/fuse --cap-add SYS_ADMIN")
    with tempfile.TemporaryDirectory(prefix="samba-", dir="/tmp", ignore_cleanup_errors=True) as name:
        share = Share(Path(name), free_port())
        share.folder.chmod(0o755)
        for part in ("state", "share", "mounted"):
            (share.folder / part).mkdir()
        configuration = share.folder / "smb.conf"
        configuration.write_text(_CONFIGURATION.format(folder=share.folder, port=share.port))
        subprocess.run(
            ["smbpasswd", "-c", str(configuration), "-a", "-s", _USER],
            input=f"{PASSWORD}\n" * 2, text=True, check=True, capture_output=True,
        )  # fmt: skip
        share.start()
        mount = subprocess.Popen(ending_with_us(_mount(share)), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            (share.files / "ready").touch()
            deadline = time.monotonic() + _PATIENCE
            while not _is_there(share.mounted / "ready"):
                if mount.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("The share cannot be mounted")
                time.sleep(0.1)  # polled: a mount announces itself in no other way
            (share.files / "ready").unlink()
            yield share
        finally:
            with suppress(subprocess.CalledProcessError):
                subprocess.run(["fusermount3", "-u", "-z", str(share.mounted)], check=True, capture_output=True)
            end_process(mount)
            share.stop()


def _may_mount() -> bool:
    """Return whether this machine, or container, gives a process FUSE's device and the right to mount."""
    held = re.search(r"^CapEff:\s+([0-9a-f]+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    return os.access("/dev/fuse", os.R_OK | os.W_OK) and held is not None and bool(int(held[1], 16) & _SYS_ADMIN)


def _is_there(path: Path) -> bool:
    with suppress(OSError):  # the server does not answer yet
        return path.exists()
    return False


def _mount(share: Share) -> list[str]:
    program = find_program("rclone")
    hidden = subprocess.run([program, "obscure", PASSWORD], capture_output=True, text=True, check=True).stdout.strip()
    remote = f":smb,host=127.0.0.1,port={share.port},user={_USER},pass={hidden}:share"
    # Nothing is remembered, and a server that is gone is given up at once.
    options = ["--read-only", "--dir-cache-time=0", "--attr-timeout=0", "--low-level-retries=1", "--retries=1"]
    return [program, "mount", "--config=", remote, str(share.mounted), *options]
