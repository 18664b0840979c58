"""The failures that exceptions and bytes of sources amount to."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

import pytest

from prefect_collect.codes import Failure
from prefect_collect.collecting.checked_read import failure_of, read_through, read_whole
from prefect_collect.errors import SourceError, TransientSourceError
from prefect_collect.sources import Content, Item
from tests.support.memory_source import MemorySource


class Clumsy(MemorySource):
    """A source whose `classify` raises."""

    def classify(self, error: Exception, item: Item | None = None) -> Failure | None:
        """Fail."""
        raise KeyError("status")


@pytest.mark.parametrize("item", [None, Item("inbox/1", "inbox/1")])
def test_a_classify_that_raises_is_survived(item: Item | None) -> None:
    """The failure is unexpected, and names both the first exception and the one of `classify`."""
    failure = failure_of(RuntimeError("lost it"), Clumsy({}), item)
    assert failure.code == "unexpected_error"
    assert "RuntimeError: lost it" in failure.message
    assert "classify raised KeyError: 'status'" in failure.message
    assert failure.message.endswith(f"[{item.id if item else Clumsy({}).name}]")


@pytest.mark.parametrize("announced", [25, None])
def test_a_body_without_end(announced: int | None) -> None:
    """It is cut off as soon as more arrives than the source, or else the listing, announced."""
    content = Content(itertools.repeat(b"x" * 10), size=announced)
    taken: list[object] = []
    with pytest.raises(TransientSourceError, match="More bytes arrived than the 25 that") as caught:
        read_through(Item("a", "a", 25), content, taken.append)
    assert (caught.value.code, len(taken)) == ("truncated", 2)


def test_another_version() -> None:
    """A version that differs from the listing's counts as a change."""
    with pytest.raises(SourceError, match="version was v1 and is v2") as caught:
        read_whole(Item("a", "a", 1, version="v1"), Content([b"a"], version="v2"))
    assert caught.value.code == "changed_during_read"


CHECK = {"crc32": 0xCBF43926, "crc32c": 0xE3069283, "crc64nvme": 0xAE8B14860A799888}
"""The values for the digits 1 to 9 in the catalogue of CRCs."""


def stated(**more: Any) -> Content:
    """Return the digits 1 to 9 in pieces, with these checksums."""
    return Content([b"1234", b"", memoryview(b"567"), bytearray(b"89")], **more)  # type: ignore[list-item]  # sources of others may


@pytest.mark.parametrize("name", CHECK)
def test_crcs(name: str) -> None:
    """Each CRC that a source may state equals the catalogue's over pieces of any kind; another value is reported."""
    assert read_through(Item("a", "a", 9), stated(**{name: CHECK[name]}), lambda data: None).size == 9
    assert read_whole(Item("a", "a", 9), stated(**{name: CHECK[name]}))[0] == b"123456789"
    with pytest.raises(TransientSourceError, match=f"but the source states 0*{CHECK[name] ^ 1:x}") as caught:
        read_whole(Item("a", "a", 9), stated(**{name: CHECK[name] ^ 1}))
    assert caught.value.code == "checksum_mismatch"
    with pytest.raises(SourceError, match=f"{name} is -1 where a number of") as refused:
        read_whole(Item("a", "a", 9), stated(**{name: -1}))
    assert refused.value.code == "invalid_item"


@pytest.mark.parametrize("wrong", [*CHECK, "md5", "sha1", "sha256"])
def test_every_checksum_that_is_stated(wrong: str) -> None:
    """If a source states several checksums, all of them are compared, not only the strongest."""
    digests = {name: hashlib.new(name, b"123456789").digest() for name in ("md5", "sha1", "sha256")}
    everything: dict[str, Any] = CHECK | digests
    assert read_whole(Item("a", "a"), stated(**everything))[1].size == 9
    everything[wrong] = CHECK[wrong] ^ 1 if wrong in CHECK else bytes(len(digests[wrong]))
    with pytest.raises(TransientSourceError, match="of what arrived is"):
        read_whole(Item("a", "a"), stated(**everything))
