"""A program between ``sshd`` and OpenSSH's ``sftp-server``: it passes packets on, and causes a fault.

Usage: sftp_faults.py FILE. Each process takes the first fault of the list (JSON) in the file. A fault has:

- ``kind`` and ``after``: at the packet of that type that comes after so many of them (from the server), do ``what``:
  ``cut`` (send half of it and end), ``hang`` (send nothing any more), ``garbage`` (send what is no packet), ``twice``;
- ``plain``: hide the server's extensions, as other servers have none;
- ``files``: let the server open at most so many files at once;
- ``most``: ask for at most so many bytes of a file, so that answers are shorter than what was asked for;
- ``refuse``: end at once, as a server does that has too many connections;
- ``no_sizes``: state no size of a file that is asked for, as the protocol allows;
- ``greeting``: print this first, as a shell's start-up file may.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import struct
import subprocess
import sys
import threading

TYPE_CHECKING = False  # as typing takes longer to import than all of this program
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO, Protocol

    class Readable(Protocol):
        """What is read."""

        def read(self, size: int, /) -> bytes | None:
            """Return the next bytes."""


SERVER = "/usr/lib/openssh/sftp-server"


def taken(path: str) -> dict[str, Any]:
    """Return the first fault, and take it out of the file."""
    try:
        with open(path, "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            faults = json.load(file)
            file.seek(0)
            file.truncate()
            json.dump(faults[1:], file)
            return faults[0] if faults else {}
    except FileNotFoundError:
        return {}


def exactly(stream: Readable, size: int) -> bytes:
    """Return the next bytes; fewer at the end."""
    data = b""
    while len(data) < size and (more := stream.read(size - len(data))):
        data += more
    return data


def packets(stream: Readable) -> Iterator[bytes]:
    """Yield the packets of a stream, without their lengths."""
    while len(head := exactly(stream, 4)) == 4:
        yield exactly(stream, struct.unpack(">I", head)[0])


def to_server(client: Readable, server: BinaryIO, fault: dict[str, Any]) -> None:
    """Pass the client's packets on."""
    for packet in packets(client):
        if fault.get("most") and packet[0] == 5:
            size = min(struct.unpack(">I", packet[-4:])[0], fault["most"])
            packet = packet[:-4] + struct.pack(">I", size)
        server.write(struct.pack(">I", len(packet)) + packet)
        server.flush()
    server.close()


def to_client(server: Readable, out: BinaryIO, fault: dict[str, Any], up: threading.Thread) -> None:
    """Pass the server's packets on, until the fault; one that hangs hangs until the client is gone."""
    out.write(fault.get("greeting", "").encode())
    seen = 0
    for packet in packets(server):
        if fault.get("plain") and packet[0] == 2:
            packet = packet[:5]
        if fault.get("no_sizes") and packet[0] == 105 and packet[8] & 1:
            packet = packet[:8] + bytes([packet[8] & ~1]) + packet[17:]
        data = struct.pack(">I", len(packet)) + packet
        if packet[0] == fault.get("kind"):
            seen += 1
            if seen == fault["after"] + 1:
                what = fault["what"]
                if what == "hang":
                    up.join()
                    return
                out.write({"cut": data[: len(data) // 2], "garbage": b"\xff" * 100, "twice": data + data}[what])
                out.flush()
                if what == "cut":
                    return
                continue
        out.write(data)
        out.flush()


def main() -> None:
    """Run until either side ends."""
    fault = taken(sys.argv[1])
    if fault.get("refuse"):
        sys.exit("too many connections")
    limit: int = fault.get("files", 0)

    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit + 5, limit + 5))

    server = subprocess.Popen(
        [SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=few if limit else None
    )
    assert server.stdout is not None
    unbuffered = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115 - until the process ends
    up = threading.Thread(target=to_server, args=(unbuffered, server.stdin, fault), daemon=True)
    up.start()
    with contextlib.suppress(BrokenPipeError):
        to_client(server.stdout, sys.stdout.buffer, fault, up)
    server.kill()
    os._exit(0)


if __name__ == "__main__":
    main()
