"""The packets of SFTP version 3, as draft-ietf-secsh-filexfer-02 describes them: made, and read within bounds.

Everything that is read here comes from a server, and may be anything.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

INIT: Final = 1
VERSION: Final = 2
OPEN: Final = 3
CLOSE: Final = 4
READ: Final = 5
LSTAT: Final = 7
FSTAT: Final = 8
OPENDIR: Final = 11
READDIR: Final = 12
REALPATH: Final = 16
STAT: Final = 17
STATUS: Final = 101
HANDLE: Final = 102
DATA: Final = 103
NAME: Final = 104
ATTRS: Final = 105
EXTENDED: Final = 200
EXTENDED_REPLY: Final = 201

OK: Final = 0
EOF: Final = 1
NO_SUCH_FILE: Final = 2
PERMISSION_DENIED: Final = 3
FAILURE: Final = 4
OP_UNSUPPORTED: Final = 8

LARGEST: Final = 1 << 20
"""The most bytes of a packet that is received; OpenSSH's largest is 256 KiB."""

OF_VERSION: Final = -1
"""Stands for the number of a request where an answer has none."""

_SIZE, _OWNERS, _PERMISSIONS, _TIMES, _EXTENDED = 1, 2, 4, 8, 1 << 31
_U32: Final = struct.Struct(">I")
_U64: Final = struct.Struct(">Q")
_READ: Final = struct.Struct(">QI")
_HEAD: Final = struct.Struct(">IBI")
_TWO: Final = struct.Struct(">II")
_ALL: Final = struct.Struct(">IQIIIII")
_FLAGS_OF_ALL: Final = _U32.pack(_SIZE | _OWNERS | _PERMISSIONS | _TIMES)
"""What OpenSSH's server states: all of the above but what is extended."""


class BadPacket(Exception):
    """What a server sent is no packet of SFTP; the text says what is wrong with it."""


class Attributes(NamedTuple):
    """What a server states of a file; None for what it does not state. A tuple, of which many are made.

    Attributes:
        size: The size in bytes.
        mode: The type and the permissions, as in `os.stat_result.st_mode`.
        modified: The time of the last change, in seconds since 1970 (32 bits).
        owner: The numbers of the user and the group.
    """

    size: int | None = None
    mode: int | None = None
    modified: int | None = None
    owner: tuple[int, int] | None = None


class Name(NamedTuple):
    """An entry of a folder: its name, a line as of ``ls -l``, and its attributes."""

    name: bytes
    long: bytes
    attributes: Attributes


def text(value: bytes) -> bytes:
    """Return a string as a packet has it: its length, and its bytes."""
    return _U32.pack(len(value)) + value


def packet(kind: int, number: int, body: bytes) -> bytes:
    """Return a request with its number."""
    return _HEAD.pack(len(body) + 5, kind, number) + body


def init() -> bytes:
    """Return the first packet of a client: it speaks version 3."""
    return _U32.pack(5) + bytes((INIT,)) + _U32.pack(3)


FOR_READING: Final = b"\0\0\0\1\0\0\0\0"
"""What follows the path in the body of OPEN."""


def extent(offset: int, size: int) -> bytes:
    """Return what follows the handle in the body of READ."""
    return _READ.pack(offset, size)


class Received:
    """Takes packets out of what arrives in pieces. The bytes of a packet are copied once."""

    def __init__(self) -> None:
        self._parts: list[bytes | memoryview] = []
        """The beginning of a packet that has not come whole: its first bytes; without its length if `_is_sized`."""
        self._missing, self._is_sized = 0, False

    def take(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return the packets that are whole now, each without its length, by the number of its request.

        The number of VERSION, which has none, is `OF_VERSION`. Raise BadPacket.
        """
        found, at = list[tuple[int, bytes]](), 0
        if self._parts:
            if len(data) < self._missing:
                self._parts.append(data)
                self._missing -= len(data)
                return found
            if self._is_sized:
                at = self._missing
                whole = b"".join((*self._parts, memoryview(data)[:at]))
                found.append((OF_VERSION if whole[0] == VERSION else int(_U32.unpack_from(whole, 1)[0]), whole))
            else:
                data = b"".join((*self._parts, data))
            self._parts = []
        end = len(data)
        while end - at >= _HEAD.size:
            size, kind, number = _HEAD.unpack_from(data, at)
            _require_size(size, data, at)
            at += 4
            if size > end - at:
                self._parts, self._missing, self._is_sized = [memoryview(data)[at:]], size - end + at, True
                return found
            found.append((OF_VERSION if kind == VERSION else number, data[at : at + size]))
            at += size
        if at < end:
            if end - at >= 4:
                _require_size(_U32.unpack_from(data, at)[0], data, at)
            self._parts, self._missing, self._is_sized = [data[at:]], _HEAD.size - end + at, False
        return found


def _require_size(size: int, data: bytes, at: int) -> None:
    if not 5 <= size <= LARGEST:
        shown = data[at : at + 40].decode("latin-1")
        raise BadPacket(f"{shown!r} (a start-up file of the server's shell may print it)")


def _u32(reply: bytes, at: int) -> int:
    if at + 4 > len(reply):
        raise BadPacket("a packet that ends within a number")
    return int(_U32.unpack_from(reply, at)[0])


def _text(reply: bytes, at: int) -> tuple[bytes, int]:
    end = at + 4 + _u32(reply, at)
    if end > len(reply):
        raise BadPacket("a packet that ends within a string")
    return reply[at + 4 : end], end


def version(reply: bytes) -> dict[bytes, bytes]:
    """Return the extensions that a server's first packet names. Raise BadPacket unless it speaks version 3."""
    if len(reply) < 5 or reply[0] != VERSION:
        raise BadPacket("no answer of an SFTP server")
    if (spoken := _u32(reply, 1)) != 3:
        raise BadPacket(f"version {spoken} of SFTP, where 3 is expected")
    found: dict[bytes, bytes] = {}
    at = 5
    while at < len(reply):
        name, at = _text(reply, at)
        found[name], at = _text(reply, at)
    return found


def status(reply: bytes) -> tuple[int, str]:
    """Return the code and the text of a STATUS. Raise BadPacket."""
    code = _u32(reply, 5)
    if len(reply) < 13:  # old servers leave the text out
        return code, ""
    said, _ = _text(reply, 9)
    return code, said.decode(errors="replace")


def handle(reply: bytes) -> bytes:
    """Return the handle of a HANDLE. Raise BadPacket."""
    found, _ = _text(reply, 5)
    if not 0 < len(found) <= 256:
        raise BadPacket(f"a handle of {len(found)} bytes")
    return found


def data(reply: bytes) -> memoryview:
    """Return the bytes of a DATA, which are not copied. Raise BadPacket."""
    end = 9 + _u32(reply, 5)
    if end > len(reply):
        raise BadPacket("a packet that ends within a string")
    return memoryview(reply)[9:end]


def attributes(reply: bytes) -> Attributes:
    """Return the attributes of an ATTRS. Raise BadPacket."""
    return _attributes(reply, 5)[0]


def names(reply: bytes) -> list[Name]:
    """Return the entries of a NAME. Raise BadPacket."""
    count, at = _u32(reply, 5), 9
    if count > len(reply) // 12:  # an entry has at least two lengths and flags
        raise BadPacket(f"{count} names in {len(reply)} bytes")
    found, length = [], _U32.unpack_from
    try:
        for _ in range(count):  # a text that ends beyond the packet is followed by a number that is not there
            end = at + 4 + length(reply, at)[0]
            name = reply[at + 4 : end]
            at = end + 4 + length(reply, end)[0]
            long = reply[end + 4 : at]
            what, at = _attributes(reply, at)
            found.append(Name(name, long, what))
    except struct.error:
        raise BadPacket("a packet that ends within an entry") from None
    return found


def only_name(reply: bytes) -> bytes:
    """Return the path of a NAME that answers REALPATH. Raise BadPacket."""
    if (count := _u32(reply, 5)) != 1:
        raise BadPacket(f"{count} paths where one is expected")
    return _text(reply, 9)[0]  # what follows it says nothing of a path


def limits(reply: bytes) -> tuple[int, int]:
    """Return the most bytes of a READ, and the most open handles, of the reply to limits@openssh.com; 0 for no limit.

    Raise BadPacket.
    """
    if len(reply) < 37:
        raise BadPacket("an answer to limits@openssh.com that is too short")
    _, most_read, _, handles = struct.unpack_from(">QQQQ", reply, 5)
    return most_read, handles


def _attributes(reply: bytes, at: int) -> tuple[Attributes, int]:
    if reply.startswith(_FLAGS_OF_ALL, at) and len(reply) - at >= _ALL.size:
        _, size, user, group, mode, _, modified = _ALL.unpack_from(reply, at)
        return Attributes(size, mode, modified, (user, group)), at + _ALL.size
    flags = _u32(reply, at)
    at += 4
    size = mode = modified = owner = None
    try:
        if flags & _SIZE:
            size = int(_U64.unpack_from(reply, at)[0])
            at += 8
        if flags & _OWNERS:
            owner = _TWO.unpack_from(reply, at)
            at += 8
        if flags & _PERMISSIONS:
            mode = int(_U32.unpack_from(reply, at)[0])
            at += 4
        if flags & _TIMES:
            modified = int(_U32.unpack_from(reply, at + 4)[0])
            at += 8
    except struct.error:
        raise BadPacket("a packet that ends within attributes") from None
    if flags & _EXTENDED:
        count = _u32(reply, at)
        at += 4
        if count > len(reply):
            raise BadPacket(f"{count} extended attributes in {len(reply)} bytes")
        for _ in range(count):
            _, at = _text(reply, at)
            _, at = _text(reply, at)
    return Attributes(size, mode, modified, owner), at
