"""Splitting mbox files into messages: no byte is lost, and a body's lines end no message."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.connectors.mbox.separators import date_of
from prefect_collect.connectors.mbox.splitting import Message, messages
from tests.examples import examples
from tests.support.mbox_bytes import DATE, Held, mail, mbox, separator

LINES = st.sampled_from(
    [
        b"From ann@x.example " + DATE, b"From - " + DATE, b"From ann " + DATE[:10], b"From here on", b">From x", b"",
        b"", b"\r", b"Subject: x", b"Content-Length: 5", b"Content-Length: 40", b"Content-Length: 99999", b"text",
        b"From 17@xxx Mon Sep 26 03:23:36 +0000 2022\r", b"\xff\xfe", b"a: b",
    ]
)  # fmt: skip


def whole(data: bytes, found: list[Message]) -> bytes:
    """Return the messages, and what lies between them, in order."""
    at, pieces = 0, []
    for message in found:
        assert at <= message.start <= message.end
        pieces += [data[at : message.start], data[message.start : message.end]]
        at = message.end
    return b"".join([*pieces, data[at:]])


@settings(max_examples=examples(300))
@given(st.lists(LINES, max_size=24), st.sampled_from([1, 7, 64, 1 << 20]), st.booleans())
def test_no_byte_is_lost(lines: list[bytes], piece: int, ends: bool) -> None:
    """Messages and separators are the file, whatever it holds; where it is cut into pieces changes nothing.

    What lies between two messages is an empty line at most and a separator line; each hash is of the message.
    """
    data = b"\n".join(lines) + b"\n" * ends
    found = list(messages(Held(data, piece)))
    assert found == list(messages(Held(data)))
    assert whole(data, found) == data
    before = 0
    for message in found:
        assert message.sha256 == hashlib.sha256(data[message.start : message.end]).digest()
        gap = data[before : message.start]
        assert not message.number or gap.strip(b"\r\n") == message.line
        assert gap.count(b"\n") <= 2 or not before
        before = message.end
    assert not data[before:].strip(b"\r\n")


def bodies(data: bytes) -> list[bytes]:
    """Return the messages of an mbox file."""
    return [data[message.start : message.end] for message in messages(Held(data)) if message.number]


def test_quoted_bodies() -> None:
    """Quoted lines stay as they are; a line of text that begins with From ends no message and is no doubt."""
    mails = [mail(1, b">From quoted\n\n>>From twice\n"), mail(2, b"\nFrom here on, no date.\n"), mail(3, b"")]
    data = mbox(*mails)
    assert bodies(data) == mails
    assert not any(message.doubts for message in messages(Held(data)))


def test_a_length_that_is_right() -> None:
    """With a right Content-Length, a body may hold a whole mbox file."""
    inner = mbox(mail(8), mail(9))
    mails = [mail(1, inner, b"Content-Length: %d" % len(inner)), mail(2)]
    assert bodies(mbox(*mails)) == mails
    big = inner + b"x" * 3_000_000 + b"\n" + inner
    mails = [mail(1, big, b"Content-Length: %d" % len(big)), mail(2)]
    assert bodies(mbox(*mails)) == mails
    assert bodies(mbox(mails[0])) == mails[:1]


@pytest.mark.parametrize("length", [0, 3, 12, 5_000_000, 10**14])
def test_a_length_that_is_wrong(length: int) -> None:
    """A wrong Content-Length counts for nothing."""
    mails = [mail(number, b"text\n" * 50, b"Content-Length: %d" % length) for number in range(40)]
    assert bodies(mbox(*mails)) == mails


def test_wrong_lengths_cost_little() -> None:
    """Lengths that lead far away are looked at a few times, and not for each message."""
    mails = [mail(number, b"x\n", b"Content-Length: 4000000") for number in range(1_000)]
    data = Held(mbox(*mails, mail(1, b"y" * 5_000_000 + b"\n")), 1 << 16)
    assert sum(1 for _ in messages(data)) == 1_001
    assert data.looks < 20


def test_doubtful_lines() -> None:
    """A line that may begin a message, but lacks one of its signs, stays in the message and is reported."""
    undated = b"From someone\nSubject: x\n\ntext\n"
    unheaded = separator() + b"no header\n"
    attached = b"no empty line before\n" + separator() + b"Subject: x\n\ntext\n"
    for body in (b"\n" + undated, b"\n" + unheaded, attached):
        data = mbox(mail(1, body), mail(2))
        first, second = messages(Held(data))
        assert data[first.start : first.end] == mail(1, body)
        assert [data[at : at + 5] for at in first.doubts] == [b"From "]
        assert not second.doubts


@pytest.mark.parametrize("boundary", [b'"a b"', b"ab"])
def test_parts_that_have_no_end(boundary: bytes) -> None:
    """A message of parts that ends before its parts do is reported: the separator may be text of a part."""
    name = boundary.strip(b'"')
    parts = b"--%b\nContent-Type: text/plain\n\ntext\n" % name
    field = b"Content-Type: multipart/mixed;\n boundary=%b" % boundary
    found = list(messages(Held(mbox(mail(1, parts, field), mail(2, parts + b"--%b--\n" % name, field), mail(3)))))
    assert [message.is_open for message in found] == [True, False, False]


def test_what_is_no_mbox() -> None:
    """Bytes before the first message are message 0; so is a file without messages; an empty file has none."""
    data = b"garbage\n\n" + mbox(mail(1))
    first, second = messages(Held(data))
    assert (first.number, data[: first.end]) == (0, b"garbage\n")
    assert data[second.start : second.end] == mail(1)
    assert [(message.number, message.end) for message in messages(Held(b"no mail"))] == [(0, 7)]
    assert list(messages(Held(b""))) == []
    assert bodies(b"\xef\xbb\xbf\r\n" + mbox(mail(1))) == [mail(1)]


def test_other_line_ends() -> None:
    """Lines may end in CR LF, and the last message may lack its empty line, or any line end."""
    mails = [mail(1).replace(b"\n", b"\r\n"), mail(2).replace(b"\n", b"\r\n")]
    data = mbox(*mails).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    assert bodies(data) == mails
    assert bodies(data.removesuffix(b"\r\n")) == mails
    assert bodies(data.removesuffix(b"\r\n\r\n")) == [mails[0], mails[1].removesuffix(b"\r\n")]


@pytest.mark.parametrize(
    ("line", "date"),
    [
        (b"From ann@x.example Mon Jan  5 10:00:00 2026", "2026-01-05T10:00:00+00:00"),
        (b"From - Mon Jan 05 10:00 2026", "2026-01-05T10:00:00+00:00"),
        (b"From 1468377463785459187@xxx Tue May 20 20:35:42 +0000 2014", "2014-05-20T20:35:42+00:00"),
        (b"From a Tue May 20 20:35:42 CEST 2014", None),
        (b"From a Tue May 20 20:35:42 IST 2014", None),
        (b"From a Tue May 20 20:35:42 GMT 2014", "2014-05-20T20:35:42+00:00"),
        (b"From a Tue May 20 20:35:42 PDT 2014", "2014-05-21T03:35:42+00:00"),
        (b"From a Wed Dec 31 23:59:59 1969", "1969-12-31T23:59:59+00:00"),
        (b"From a Tue Feb 29 12:00:00 1600", "1600-02-29T12:00:00+00:00"),
        (b"From a Mon Jan  1 00:00:00 0001", "0001-01-01T00:00:00+00:00"),
        (b"From a Mon Jan  1 00:00:00 +1400 0001", None),
        (b"From a Fri Dec 31 23:59:59 9999 -0100", None),
        (b"From a Fri Dec 31 23:59:59 9999", "9999-12-31T23:59:59+00:00"),
        (b"From a Tue May 20 20:35:42 2014 +2500", None),
        (b"From a Tue May 20 20:35:42 2014 -0530", "2014-05-21T02:05:42+00:00"),
        (b"From ???@??? Mon, 5 Jan 2026 10:00:00 +0100", "2026-01-05T09:00:00+00:00"),
        (b"From a!b Sun Jan  1 00:00:00 1995 remote from host", "1995-01-01T00:00:00+00:00"),
        (b"From a Mon Jan 45 10:00:00 2026", None),
        (b"From the desk of Ken", None),
    ],
)
def test_dates(line: bytes, date: str | None) -> None:
    """A separator's date is read in the forms that programs write; without a zone it is UTC, in an unknown one none."""
    found = date_of(line)
    assert (None if found is None else found.isoformat()) == date


@pytest.mark.parametrize(
    "line",
    [
        b"From a Wed Dec 31 23:59:59 1969", b"From a Tue Feb 29 12:00:00 1600", b"From a Fri Dec 31 23:59:59 9999",
        b"From a Fri Dec 31 23:59:59 9999 -1400", b"From a Mon Jan  1 00:00:00 +1400 0001",
        b"From a Tue May 20 20:35:42 CEST 2014", b"From a Tue May 20 20:35:42 2014 +2500",
    ],
)  # fmt: skip
def test_separators_of_odd_dates(line: bytes) -> None:
    """A line with any date separates messages, whether the date is one of UTC or not."""
    data = mbox(mail(1)) + line + b"\n" + mail(2) + b"\n"
    assert bodies(data) == [mail(1), mail(2)]


class Endless(Held):
    """A file that is made while it is read: a message of a given size, then another."""

    def __init__(self, body: int) -> None:
        super().__init__(b"")
        self.body = body

    @property
    def size(self) -> int:
        """The number of bytes."""
        return self.body + len(self._ends[0]) + len(self._ends[1])

    @property
    def _ends(self) -> tuple[bytes, bytes]:
        return separator() + mail(1, b""), b"\n\n" + mbox(mail(2))

    def stream(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes."""
        block = (b"From none of these lines, which are text, does a message begin." + b"\n") * (1 << 14)
        yield self._ends[0]
        for _ in range(self.body // len(block)):
            yield block
        yield self._ends[1]


def test_memory_does_not_grow() -> None:
    """A message of 40 MB takes no more memory than one of 4 MB."""
    tracemalloc.start()
    peaks = []
    for blocks in (4, 40):
        tracemalloc.reset_peak()
        found = list(messages(Endless(blocks << 20)))
        assert [message.number for message in found] == [1, 2]
        peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert peaks[1] < peaks[0] + (1 << 20) < 16 << 20
