"""A file of a directory store whose beginning is copied before the rest of it is known."""

from __future__ import annotations

from typing import Final

import pytest

from prefect_collect.codes import CANCELED
from prefect_collect.errors import CorruptSegment, KeyExists
from prefect_collect.stores import BegunFile, CopyRange, DirectoryStore, Piece
from prefect_collect.threads.abandoned import CallAbandoned, Fence, fenced_by
from prefect_collect.threads.stop import Stop
from tests.stores.patterned import patterned

SIZE: Final = 300_000
DATA: Final = {"a": patterned(SIZE), "b": patterned(SIZE, 7)}
A, B = CopyRange("a", 0, SIZE), CopyRange("b", 0, SIZE)
WHOLE: Final[list[Piece]] = [A, B, b"end"]


def part(piece: CopyRange, start: int, end: int = SIZE) -> CopyRange:
    """Return a range of the same segment."""
    return CopyRange(piece.key, start, end)


def bytes_of(pieces: list[Piece]) -> bytes:
    """Return what a file of these pieces has."""
    return b"".join(DATA[p.key][p.start : p.end] if isinstance(p, CopyRange) else p for p in pieces)


@pytest.fixture
def segments(other: DirectoryStore) -> DirectoryStore:
    """Return a store of two segments."""
    for key, data in DATA.items():
        other.create(key, data)
    return other


def files_of(store: DirectoryStore) -> list[str]:
    """Return the names of all files below the store's folder, temporary ones too."""
    return [path.name for path in store.root.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "added",
    [
        [],
        [A, B],
        [A],
        [part(A, 0, 99), part(A, 99), part(B, 0, 200_000)],
        [A, part(B, 1)],
        [B],
        [A, B, A],
        [part(A, 0, 200_000), part(A, 200_000), B, B],
    ],
)
@pytest.mark.parametrize(
    "pieces",
    [WHOLE, [A], [b"begins otherwise", A, B], [part(A, 0, 250_000), b"header", part(A, 250_000), B], [A, part(B, 5)]],
)
def test_the_file_is_of_its_pieces_whatever_was_begun(
    added: list[CopyRange], pieces: list[Piece], store: DirectoryStore, segments: DirectoryStore
) -> None:
    """What was copied before is kept as far as it is right, and nothing else of it."""
    begun = BegunFile(store, "out", segments, Stop())
    for piece in added:
        begun.add(piece)
    assert begun.compose("out", pieces, segments).size == len(bytes_of(pieces))
    begun.drop()
    assert store.read("out") == bytes_of(pieces)
    assert files_of(store) == ["out"]


def test_what_was_begun_is_not_copied_again(store: DirectoryStore, segments: DirectoryStore) -> None:
    """A segment that is overwritten after it was copied leaves the file as it was copied."""
    begun = BegunFile(store, "out", segments, Stop())
    begun.add(A)
    begun.add(B)
    begun.wait()
    (segments.root / "a").write_bytes(bytes(SIZE))
    begun.compose("out", WHOLE, segments)
    assert store.read("out") == bytes_of(WHOLE)


def test_a_lost_segment_fails_the_file(store: DirectoryStore, segments: DirectoryStore) -> None:
    """What could not be copied before fails when the file is composed, and no file is left."""
    begun = BegunFile(store, "out", segments, Stop())
    segments.remove(["b"])
    for piece in (A, B):
        begun.add(piece)
    with pytest.raises(CorruptSegment, match="lost"):
        begun.compose("out", WHOLE, segments)
    assert files_of(store) == []


def test_a_shortened_segment_fails_the_file(store: DirectoryStore, segments: DirectoryStore) -> None:
    """A segment that is short fails the file as well, though a part of the range may have been copied."""
    begun = BegunFile(store, "out", segments, Stop())
    (segments.root / "a").write_bytes(DATA["a"][:100_000])
    begun.add(A)
    with pytest.raises(CorruptSegment, match="ends before"):
        begun.compose("out", WHOLE, segments)
    assert files_of(store) == []


def test_a_dropped_file_is_not_there(store: DirectoryStore, segments: DirectoryStore) -> None:
    """A file that was begun, or not even that, leaves nothing when it is dropped."""
    for count in (0, 1):
        begun = BegunFile(store, "out", segments, Stop())
        for _ in range(count):
            begun.add(A)
        begun.drop()
        begun.drop()
        begun.wait()
    assert files_of(store) == []


def test_nothing_is_begun_after_a_cancel(store: DirectoryStore, segments: DirectoryStore) -> None:
    """A canceled job has nothing copied; the destination's folder is not even made."""
    stop, place = Stop(), DirectoryStore(store.root / "deeper")
    stop.set(CANCELED)
    begun = BegunFile(place, "out", segments, stop)
    begun.add(A)
    begun.wait()
    assert not place.root.exists()


def test_another_s_file_stays(store: DirectoryStore, segments: DirectoryStore) -> None:
    """A file that has the name by then is kept unless it may be replaced."""
    for replace in (False, True):
        begun = BegunFile(store, "out", segments, Stop())
        begun.add(A)
        if not replace:
            store.create("out", b"mine")
            with pytest.raises(KeyExists):
                begun.compose("out", WHOLE, segments)
            assert store.read("out") == b"mine"
        else:
            begun.compose("out", WHOLE, segments, replace=True)
    assert store.read("out") == bytes_of(WHOLE)


def test_abandoned_work_gives_the_file_no_name(store: DirectoryStore, segments: DirectoryStore) -> None:
    """The fence that counts is the one of the work that composes the file, not of the work that began it."""
    begun = BegunFile(store, "out", segments, Stop())
    begun.add(A)
    fence = Fence()
    fence.shut(0)
    with fenced_by(fence), pytest.raises(CallAbandoned):
        begun.compose("out", WHOLE, segments)
    assert files_of(store) == []
