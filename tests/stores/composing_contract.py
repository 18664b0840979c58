"""What every store does when it composes a blob of ranges of others: a part of the contract of all stores."""

from __future__ import annotations

import pytest

from prefect_collect.errors import CorruptSegment, KeyExists
from prefect_collect.stores import CopyRange, DirectoryStore, Piece, Store
from tests.stores.patterned import MIB, patterned


class ComposingContract:
    """Tests of composing in the fixture `store`, which is an empty store for each test."""

    unit = MIB
    """An eighth of a part of an upload."""
    large = 40 * MIB
    """More than two parts of an upload."""

    def test_compose(self, store: Store) -> None:
        """A composed blob is its ranges and new bytes, small and large, in order."""
        large, small = patterned(self.large, 1), patterned(1000, 2)
        for key, data in (("seg/large", large), ("seg/small", small)):
            writer = store.writer(key)
            writer.write(data)
            writer.commit()
        etag = store.stat("seg/large").etag
        pieces: list[Piece] = [
            b"head",
            CopyRange("seg/small", 10, 20),
            CopyRange("seg/large", 100, 30 * self.unit, etag),
            CopyRange("seg/small", 0, 1000),
            CopyRange("seg/large", 3, 12 * self.unit),
            b"",
            CopyRange("seg/small", 5, 5),
            b"tail",
        ]
        blob = store.compose("out/package.zip", iter(pieces), store)
        expected = b"head" + small[10:20] + large[100 : 30 * self.unit] + small + large[3 : 12 * self.unit] + b"tail"
        assert store.read("out/package.zip") == expected
        assert blob == store.stat("out/package.zip")

    def test_compose_from_another_store(self, store: Store, other: DirectoryStore) -> None:
        """The source of the ranges may be a store of another kind; its bytes are then streamed."""
        data = patterned(20 * self.unit)
        other.create("segment", data)
        store.compose("out", [b"<", CopyRange("segment", 5, 20 * self.unit), b">"], other)
        assert store.read("out") == b"<" + data[5:] + b">"
        other.compose("back", [CopyRange("out", 1, 18 * self.unit), b"."], store)
        assert other.read("back") == data[5 : 18 * self.unit + 4] + b"."

    def test_compose_of_nothing(self, store: Store) -> None:
        """Without pieces the blob is empty."""
        assert store.compose("empty", [], store).size == 0
        assert store.read("empty") == b""

    def test_compose_replaces_only_if_asked(self, store: Store) -> None:
        """An existing key is refused before anything is copied, and its blob stays."""
        store.create("segment", patterned(6 * self.unit))
        store.create("out", b"old")
        with pytest.raises(KeyExists):
            store.compose("out", [CopyRange("segment", 0, 6 * self.unit)], store)
        assert store.read("out") == b"old"
        store.compose("out", [CopyRange("segment", 0, 6 * self.unit), b"!"], store, replace=True)
        assert store.stat("out").size == 6 * self.unit + 1

    @pytest.mark.parametrize("is_large", [False, True])
    def test_compose_finds_lost_and_shortened_segments(self, store: Store, is_large: bool) -> None:
        """The error names a segment that is missing or too short; no blob appears and nothing is left over."""
        size = 12 * self.unit if is_large else 1000
        store.create("segment", patterned(size))
        for piece in (CopyRange("lost", 0, size), CopyRange("segment", size // 2, size + 1)):
            with pytest.raises(CorruptSegment) as caught:
                store.compose("out", [CopyRange("segment", 0, size), piece, b"tail"], store)
            assert store.locate(piece.key) in str(caught.value)
        assert [blob.key for blob in store.list()] == ["segment"]
