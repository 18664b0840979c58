"""Puts the certificates of a time stamp in the order that DER prescribes.

OpenSSL's servers send them in the order of their configuration, and rfc3161-client refuses that (InvalidSetOrdering).
The certificates are not among what the server signs, and a permutation changes no length, so nothing else moves.
"""

from __future__ import annotations

from typing import Final

_SEQUENCE: Final = 0x30
_OID: Final = 0x06
_EXPLICIT: Final = 0xA0
_INTEGER: Final = 0x02
_SET: Final = 0x31


def with_sorted_certificates(answer: bytes) -> bytes:
    """Return a TimeStampResp whose certificates are in ascending order; the same bytes if it has another form."""
    try:
        start, end = _certificates(answer)
        found = []
        at = start
        while at < end:
            _, _, after = _value(answer, at, end)
            found.append(answer[at:after])
            at = after
    except (IndexError, ValueError):
        return answer
    return answer[:start] + b"".join(sorted(found)) + answer[end:]


def _certificates(answer: bytes) -> tuple[int, int]:
    """Return where the certificates lie: TimeStampResp, ContentInfo, SignedData (RFC 3161, 2.4.2; RFC 5652, 5.1)."""
    at, end = _inside(answer, 0, len(answer), _SEQUENCE)
    _, at = _inside(answer, at, end, _SEQUENCE)  # the status
    at, end = _inside(answer, at, end, _SEQUENCE)
    _, at = _inside(answer, at, end, _OID)
    at, end = _inside(answer, at, end, _EXPLICIT)
    at, end = _inside(answer, at, end, _SEQUENCE)
    for tag in (_INTEGER, _SET, _SEQUENCE):  # the version, the digest algorithms, what is signed
        _, at = _inside(answer, at, end, tag)
    return _inside(answer, at, end, _EXPLICIT)


def _inside(data: bytes, at: int, end: int, tag: int) -> tuple[int, int]:
    """Return where the contents of the value at that place begin and end. Raise ValueError if it has another tag."""
    found, start, after = _value(data, at, end)
    if found != tag:
        raise ValueError(f"the tag {found} is not {tag}")
    return start, after


def _value(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Return the tag of a value, and where its contents begin and end. Raise IndexError, ValueError."""
    tag, length, start = data[at], data[at + 1], at + 2
    if length & 0x80:
        octets = length & 0x7F
        length = int.from_bytes(data[start : start + octets])
        start += octets
    if start + length > end or start > end:
        raise ValueError("a value is longer than what holds it")
    return tag, start, start + length
