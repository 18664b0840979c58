"""Reading packets of SFTP: any bytes give what they say or a BadPacket, never anything else."""

from __future__ import annotations

import struct
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.connectors.sftp import _packets as packets
from prefect_collect.connectors.sftp._packets import Attributes, BadPacket, Name
from prefect_collect.connectors.sftp._place import listed_time
from tests.examples import examples

MANY = settings(max_examples=examples(200), deadline=None)
READERS = {
    "version": packets.version, "status": packets.status, "handle": packets.handle, "data": packets.data,
    "attributes": packets.attributes, "names": packets.names, "only_name": packets.only_name,
    "limits": packets.limits,
}  # fmt: skip


def text(data: bytes) -> bytes:
    """Return a string as a packet has it."""
    return struct.pack(">I", len(data)) + data


def written(attributes: Attributes) -> bytes:
    """Return attributes as a server sends them."""
    flags, body = 0, b""
    if attributes.size is not None:
        flags, body = flags | 1, body + struct.pack(">Q", attributes.size)
    if attributes.owner is not None:
        flags, body = flags | 2, body + struct.pack(">II", *attributes.owner)
    if attributes.mode is not None:
        flags, body = flags | 4, body + struct.pack(">I", attributes.mode)
    if attributes.modified is not None:
        flags, body = flags | 8, body + struct.pack(">II", 7, attributes.modified)
    return struct.pack(">I", flags) + body


NUMBERS = st.integers(0, (1 << 32) - 1)
ATTRIBUTES = st.builds(
    Attributes,
    size=st.none() | st.integers(0, (1 << 64) - 1),
    mode=st.none() | NUMBERS,
    modified=st.none() | NUMBERS,
    owner=st.none() | st.tuples(NUMBERS, NUMBERS),
)
ENTRIES = st.lists(
    st.builds(Name, name=st.binary(max_size=99), long=st.binary(max_size=9), attributes=ATTRIBUTES), max_size=8
)


@MANY
@given(ENTRIES)
def test_names(entries: list[Name]) -> None:
    """The entries of a folder are read as a server writes them, whatever their names and attributes are."""
    body = b"".join(text(entry.name) + text(entry.long) + written(entry.attributes) for entry in entries)
    assert packets.names(b"\x68\0\0\0\1" + struct.pack(">I", len(entries)) + body) == entries


@MANY
@given(st.lists(st.binary(min_size=5, max_size=400), max_size=8), st.integers(1, 50))
def test_packets_come_in_pieces(sent: list[bytes], size: int) -> None:
    """Packets are taken out whole and in order, however the bytes arrive."""
    stream = b"".join(map(text, sent))
    received, found = packets.Received(), list[tuple[int, bytes]]()
    for at in range(0, len(stream), size):
        found += received.take(stream[at : at + size])
    numbers = [-1 if packet[0] == packets.VERSION else struct.unpack(">I", packet[1:5])[0] for packet in sent]
    assert found == [*zip(numbers, sent, strict=True)]


@MANY
@given(st.sampled_from(sorted(READERS)), st.binary(max_size=200))
def test_any_bytes(name: str, data: bytes) -> None:
    """Any bytes of a server are read, or refused as a BadPacket."""
    with suppress(BadPacket):
        READERS[name](data)


@pytest.mark.parametrize("size", [0, 4, packets.LARGEST + 1, (1 << 32) - 1])
def test_lengths_that_are_none(size: int) -> None:
    """A length that no packet has is refused at once, before anything is received or kept."""
    with pytest.raises(BadPacket, match="start-up file"):
        packets.Received().take(struct.pack(">I", size))


def test_numbers_that_are_not_believed() -> None:
    """A count of names, or of extended attributes, that the packet cannot hold is refused before it is used."""
    head = b"\x68\0\0\0\1"
    with pytest.raises(BadPacket, match="names in"):
        packets.names(head + b"\xff\xff\xff\xff")
    with pytest.raises(BadPacket, match="extended"):
        packets.attributes(head + b"\x80\0\0\0" + b"\xff\xff\xff\xff")
    with pytest.raises(BadPacket, match="within a string"):
        packets.data(head + b"\x7f\xff\xff\xff")


def test_the_version() -> None:
    """The extensions are read; another version, and no version, are refused."""
    assert packets.version(b"\x02\0\0\0\3" + text(b"limits@openssh.com") + text(b"1")) == {b"limits@openssh.com": b"1"}
    for wrong in (b"\x02\0\0\0\2", b"\x65\0\0\0\3", b"\x02\0"):
        with pytest.raises(BadPacket):
            packets.version(wrong)


@pytest.mark.parametrize(
    ("seconds", "date", "expected"),
    [
        (2**32 - 1, b"Dec 31  1969", None), (2**32 - 1, b"Feb  7  2106", 2**32 - 1), (2**32 - 1, b"Feb  7 06:28", None),
        (126_230_400, b"Jan  1  1974", 126_230_400), (126_230_400, b"Jan  1  2110", None), (0, b"Jan  1  1", None),
        (1_704_067_199, b"Jan  1  2024", 1_704_067_199), (1_704_067_199, b"Jan 01 2024 10", 1_704_067_199),
        (126_230_400, b"", 126_230_400), (1_704_067_199, b"Dec 31 23:59", 1_704_067_199), (None, b"Jan  1  1970", None),
    ],
)  # fmt: skip
def test_times_that_do_not_fit(seconds: int | None, date: bytes, expected: int | None) -> None:
    """A time of 32 bits that the server's line shows to be another one is none; without a line, one after 2038 is."""
    long = b"-rw-r--r--    1 1000 1000 7 %b a 1969 name" % date
    found = listed_time(seconds, long, b"a 1969 name")
    assert found == (None if expected is None else datetime.fromtimestamp(expected, UTC))
