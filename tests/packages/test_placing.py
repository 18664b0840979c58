"""A package in one file is copied while its lists are written: if one of the two fails, the other stops."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import wait
from dataclasses import replace
from queue import SimpleQueue
from typing import Any

import pytest

from prefect_collect.codes import CANCELED
from prefect_collect.errors import JobCanceled, PackageError, PackageExists
from prefect_collect.packages import PackagePlace, build_zip
from prefect_collect.packages.building import placing
from prefect_collect.stores import DirectoryStore, Piece, Store
from prefect_collect.threads.stop import Stop

WAITS = 60


def test_a_list_that_fails_ends_the_copy(
    staging: Any, exports: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No further piece is copied, and nothing is left at the destination."""
    has_failed, copied = threading.Event(), []

    def waits(given: Any) -> Any:
        has_failed.set()
        return wait(given)

    monkeypatch.setattr(placing, "wait", waits)

    class Watched(DirectoryStore):
        def compose(self, key: str, pieces: Iterable[Piece], source: Store, *, replace: bool = False) -> Any:
            def taken() -> Iterator[Piece]:
                for piece in pieces:
                    copied.append(piece)
                    yield piece
                    has_failed.wait(WAITS)

            return super().compose(key, taken(), source, replace=replace)

    def fails(columns: list[str]) -> Iterator[Any]:
        raise PackageError("no space left")

    for number in range(3):
        staging.stage({f"{number}.txt": b"text"})
    given = replace(staging.input(staging.check()), not_delivered=fails)
    with pytest.raises(PackageError, match="no space left"):
        build_zip(given, PackagePlace(Watched(exports.root), "out.zip"))
    assert len(copied) <= 1
    assert [*exports.list()] == []


@pytest.mark.parametrize(("reason", "error"), [("exists", PackageExists), ("canceled", JobCanceled)])
def test_a_copy_that_fails_ends_the_lists(
    reason: str, error: type[Exception], staging: Any, exports: DirectoryStore
) -> None:
    """No further batch of a list is written, also if the job was canceled."""
    stop, asked, composing = Stop(), [], SimpleQueue[threading.Thread]()
    staging.stage({"a.txt": b"text"})
    staging.lose("b.txt")
    if reason == "exists":
        exports.create("out.zip", b"mine")

    class Watched(DirectoryStore):
        def compose(self, *args: Any, **how: Any) -> Any:
            composing.put(threading.current_thread())
            return super().compose(*args, **how)

    def batches(columns: list[str]) -> Iterator[Any]:
        if reason == "exists":
            composing.get(timeout=WAITS).join(WAITS)
        else:
            stop.set(CANCELED)
        for number in range(3):
            asked.append(number)
            yield from staging.missing(columns)

    given = replace(staging.input(staging.check()), not_delivered=batches)
    with pytest.raises(error):
        build_zip(given, PackagePlace(Watched(exports.root), "out.zip"), stop)
    assert len(asked) <= 1
    assert [exports.read(blob.key) for blob in exports.list()] == ([b"mine"] if reason == "exists" else [])
