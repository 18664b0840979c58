"""The reader of IMAP answers: it gives back what was written, in whatever pieces it comes, and refuses all else."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.connectors.imap.describing import file_name, internal_date, metadata_of, received_at, text
from prefect_collect.connectors.imap.folders import decoded_name
from prefect_collect.connectors.imap.listing import search_keys
from prefect_collect.connectors.imap.places import Place, place_of
from prefect_collect.connectors.imap.responses import BODY, Answer, BadAnswer, Literal, Value, uid_set
from prefect_collect.connectors.imap.wire import Wire
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item
from prefect_collect.sources.metadata import metadata_text
from prefect_collect.sources.query import Query
from tests.examples import examples
from tests.support.imap_bytes import Given, answer_of

_BYTES = st.binary(max_size=40)
_VALUES: st.SearchStrategy[Value] = st.recursive(
    st.none() | _BYTES, lambda inner: st.lists(inner, max_size=5), max_leaves=20
)


def written(value: Value, literals: Iterator[bool]) -> bytes:
    """Return a value as a server writes it: text quoted if it can be, or as a literal."""
    if value is None:
        return b"NIL"
    if isinstance(value, list):
        return b"(%b)" % b" ".join(written(each, literals) for each in value)
    if next(literals) or any(sign in value for sign in b"\r\n\0"):
        return b"{%d}\r\n%b" % (len(value), value)
    return b'"%b"' % value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


@given(_VALUES, st.lists(st.booleans(), min_size=1, max_size=9))
@settings(max_examples=examples(200), deadline=None)
def test_values_come_back(value: Value, literals: list[bool]) -> None:
    """What was written, with quoted text or literals, is read."""
    turns = (literals[at % len(literals)] for at in range(1_000))
    assert answer_of(written(value, turns) + b"\r\n").value() == value


@given(
    st.lists(st.tuples(st.sampled_from([b"UID", b"FLAGS", b"X-Y.Z[a b]<7>", b"ENVELOPE"]), _VALUES), max_size=4), _BYTES
)
@settings(max_examples=examples(100), deadline=None)
def test_attributes_come_back(attributes: list[tuple[bytes, Value]], body: bytes) -> None:
    """The attributes of a FETCH are read, with the message between them, of which its reader may leave the rest."""
    for taken in (True, False):
        parts = [b"%b %b" % (name, written(value, iter(lambda: False, True))) for name, value in attributes]
        parts.insert(len(parts) // 2, b"BODY[] {%d}\r\n%b" % (len(body), body))
        found: list[tuple[bytes, object]] = []
        for name, value in answer_of(b"(%b)\r\n" % b" ".join(parts)).attributes():
            if isinstance(value, Literal):
                found.append((name, value.read() if taken else body))
            else:
                found.append((name, value))
        expected: list[tuple[bytes, object]] = [(name.upper(), value) for name, value in attributes]
        expected.insert(len(attributes) // 2, (BODY, body))
        assert found == expected


@given(
    st.binary(max_size=200)
    | st.lists(st.sampled_from([b"(", b")", b" ", b'"', b"\\", b"{3}\r\n", b"a", b"NIL", b"\r\n"])).map(b"".join)
)
@settings(max_examples=examples(500), deadline=None)
def test_any_bytes(data: bytes) -> None:
    """Bytes that are no answer are refused with BadAnswer; they never end in another error, and never in a loop."""
    for read in (lambda answer: answer.value(), lambda answer: dict(answer.attributes())):
        with suppress(BadAnswer, EOFError):
            read(answer_of(data))


def test_bounds() -> None:
    """Lists nested without end, and literals larger than an answer may be, are refused before they are held."""
    with pytest.raises(BadAnswer, match="nested"):
        answer_of(b"(" * 100_000 + b"\r\n").value()
    with pytest.raises(BadAnswer, match="more than 4,194,304 bytes"):
        answer_of(b"({99999999}\r\n").value()
    assert len(answer_of(b'"' + b'\\"' * 100_000 + b"\r\n").rest()) == 200_001
    with pytest.raises(BadAnswer):
        answer_of(b'"' + b'\\"a' * 100_000 + b"\r\n").value()


@given(
    st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line and not line.endswith(b"\r")), max_size=5),
    st.data(),
)
@settings(max_examples=examples(30), deadline=None)
def test_the_wire_in_any_pieces(lines: list[bytes], data: st.DataObject) -> None:
    """Lines and literals are the same however the network cuts them; the end of the connection is an error."""
    sent = b"".join(line + b"\r\n" for line in lines) + b"literal"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=4)))
    here, there = socket.socketpair()
    with here, there:
        wire = Wire(here, "place", 5)

        def send() -> None:
            for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
                there.sendall(sent[start:end])
            there.close()

        thread = threading.Thread(target=send)
        thread.start()
        assert [wire.line() for _ in lines] == lines
        assert wire.exactly(7) == b"literal"
        with pytest.raises(SourceError, match="closed the connection"):
            wire.line()
        assert wire.is_broken
        thread.join()


@given(st.sets(st.integers(1, 60), max_size=40) | st.sets(st.integers(1, (1 << 32) - 1), max_size=9))
@settings(max_examples=examples(100), deadline=None)
def test_sets_of_uids(uids: set[int]) -> None:
    """A set names exactly the UIDs, in ranges that do not touch."""
    found: list[int] = []
    ranges = [[int(each) for each in part.split(":")] for part in uid_set(sorted(uids)).decode().split(",") if part]
    for each in ranges:
        found += range(each[0], each[-1] + 1)
    assert found == sorted(uids)
    assert all(one[-1] + 1 < other[0] for one, other in pairwise(ranges))


@given(st.text(max_size=20))
@settings(max_examples=examples(200), deadline=None)
def test_names_in_modified_utf_7(name: str) -> None:
    """Folder names are decoded as RFC 3501 encodes them; any other text stays as it is, or is decoded to text."""
    encoded = "".join("&-" if sign == "&" else sign if 0x20 <= ord(sign) < 0x7F else _coded(sign) for sign in name)
    assert decoded_name(encoded) == name
    assert isinstance(decoded_name(name), str)


def _coded(sign: str) -> str:
    return f"&{base64.b64encode(sign.encode('utf-16-be')).decode().rstrip('=').replace('/', ',')}-"


@pytest.mark.parametrize(
    ("wire", "name"),
    [
        ("Entw&APw-rfe", "Entwürfe"),
        ("~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"),
        ("A&-B", "A&B"),
        ("A&B", "A&B"),
        ("&2D0-", "&2D0-"),
        ("&AOk", "&AOk"),
    ],
)
def test_known_names(wire: str, name: str) -> None:
    """The examples of RFC 3501, and names that are wrongly encoded."""
    assert decoded_name(wire) == name


@given(_VALUES, _VALUES, _VALUES, _VALUES)
@settings(max_examples=examples(100), deadline=None)
def test_any_description(envelope: Value, structure: Value, labels: Value, date: Value) -> None:
    """Whatever a server says of a message, its name has no folder, and its metadata can be kept."""
    name = file_name(7, envelope)
    assert name.startswith("7")
    assert name.endswith(".eml")
    assert not set("/\\\0\n") & set(name)
    found = metadata_of(
        {b"ENVELOPE": envelope, b"BODYSTRUCTURE": structure, b"X-GM-LABELS": labels, b"INTERNALDATE": date}
    )
    assert json.loads(metadata_text(found)) == found


def test_metadata_is_bounded() -> None:
    """Thousands of recipients, and texts of megabytes, are shortened so that the manifest holds them."""
    people: Value = [["ä".encode() * 300, None, b"x" * 300, b"y.example"] for _ in range(5_000)]
    envelope: Value = [None, "ü".encode() * 2_000_000, people, None, None, people, people, people, None, b"<m>" * 9_999]
    parts: list[Value] = [[b"a", b"b", [b"name", b"n" * 99], None, None, b"7bit", b"1"] for _ in range(5_000)]
    structure: Value = [*parts, b"mixed"]
    found = metadata_of({b"ENVELOPE": envelope, b"BODYSTRUCTURE": structure})
    assert len(metadata_text(found).encode()) < 1 << 15
    assert found["to"][-1] == "… and 4,998 more"
    assert len(file_name(1, envelope)) < 100


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ([b"NAME", b"a.pdf"], "a.pdf"),
        ([b"name", b"=?utf-8?q?gr=C3=BC=C3=9Fe?=.pdf"], "grüße.pdf"),
        ([b"name*", b"utf-8''gr%C3%BC%C3%9Fe.pdf"], "grüße.pdf"),
        ([b"name*0*", b"utf-8''gr%C3%BC", b"name*1", b"-x.pdf"], "grü-x.pdf"),
        ([b"name*", b"x-none''%FF"], "ÿ"),
        ([b"name"], None),
        ([b"charset", b"utf-8"], None),
    ],
)
def test_names_of_attachments(parameters: Value, name: str | None) -> None:
    """Names are decoded by RFC 2231 and RFC 2047, from the type or the disposition, at any depth."""
    part: Value = [b"application", b"pdf", parameters, None, None, b"base64", b"7"]
    disposed: Value = [
        b"application",
        b"pdf",
        None,
        None,
        None,
        b"base64",
        b"7",
        None,
        [b"attachment", _as(parameters)],
    ]
    inner: Value = [b"message", b"rfc822", None, None, None, b"7bit", b"9", [b"date"], [part, b"mixed"], b"3"]
    for structure in (part, disposed, [part, disposed, b"mixed"], [inner, b"mixed"]):
        found = metadata_of({b"BODYSTRUCTURE": structure}).get("attachments", [])
        assert set(found) == ({name} if name else set())


def _as(parameters: Value) -> Value:
    assert isinstance(parameters, list)
    return [each.lower().replace(b"name", b"filename", 1) if isinstance(each, bytes) and not at % 2 else each
            for at, each in enumerate(parameters)]  # fmt: skip


@pytest.mark.parametrize(
    ("written_date", "expected"),
    [
        (b" 5-Jan-2026 10:00:00 +0100", datetime(2026, 1, 5, 9, tzinfo=UTC)),
        (b"31-dec-1999 23:59:59 -0000", datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (b"31-Feb-2026 10:00:00 +0100", None),
        (b"5-Jan-2026 10:00:00 +9999", None),
        (b"yesterday", None),
        (None, None),
    ],
)
def test_dates(written_date: Value, expected: datetime | None) -> None:
    """INTERNALDATE is read with its zone; one that is none is not known."""
    assert internal_date(written_date) == expected
    assert received_at(written_date) == expected


def test_dates_at_the_ends_of_time() -> None:
    """A time in the years 1 and 9999 is an item's, unless it lies outside them in UTC; its text keeps the zone."""
    assert received_at(b"31-Dec-9999 23:59:59 +1400") == datetime(9999, 12, 31, 9, 59, 59, tzinfo=UTC)
    assert received_at(b" 1-Jan-0001 00:00:00 -0100") == datetime(1, 1, 1, 1, tzinfo=UTC)
    for outside in (b"31-Dec-9999 23:59:59 -1400", b" 1-Jan-0001 00:00:00 +0100"):
        assert received_at(outside) is None
        assert internal_date(outside) is not None


def test_headers() -> None:
    """Encoded words are decoded as far as they can be; other bytes are UTF-8 or Latin-1."""
    assert text(b"=?utf-8?b?w7xiZXI=?= =?iso-8859-1?q?_caf=E9?=") == "über café"
    assert text("früh".encode()) == "früh"
    assert text(b"fr\xfch") == "früh"
    assert text(b"=?utf-16?b?AA==?=") != ""
    assert text(b"=?nothing?q?x?=") == "x"


@given(st.text(min_size=1, max_size=20), st.integers(1, (1 << 32) - 1), st.integers(1, (1 << 32) - 1))
@settings(max_examples=examples(100), deadline=None)
def test_ids(folder: str, validity: int, uid: int) -> None:
    """A message is found again from its item's id alone, whatever the folder is called."""
    place = Place(folder, validity, uid)
    assert place_of(Item(place.id, "")) == place


def test_what_the_server_searches() -> None:
    """The search is a superset of the query: a day wider at both ends, as the server's dates are of its own zone."""
    query = Query(modified_after="2026-01-31", modified_before="2026-02-28T12:00:00Z", min_size=10, max_size=99)  # type: ignore[arg-type]
    assert search_keys("SEEN", query) == b"SEEN SINCE 30-Jan-2026 BEFORE 2-Mar-2026 LARGER 9 SMALLER 100"
    assert search_keys("", Query()) == b""
    extreme = Query(modified_after="0001-01-01", modified_before="9999-12-31", min_size=1 << 40)  # type: ignore[arg-type]
    assert search_keys("", extreme) == b"LARGER 4294967294"


def test_an_answer_without_a_source_of_literals() -> None:
    """`Given` ends with EOFError, so that a test sees what is read beyond an answer."""
    with pytest.raises(EOFError):
        Answer(Given(b""), b"{3}").value()
