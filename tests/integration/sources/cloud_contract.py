"""What the clouds are tested for beside the contract of sources: keys that are no paths, folder markers, refusals."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import cast

from prefect_collect.blocks import ObjectStoreSource
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobStatus
from tests.integration.sources.clouds import Bucket
from tests.integration.sources.contract import BreakingContract, SourceContract
from tests.integration.sources.places import Place, collected, read
from tests.support.run_attempts import held, job_rows, unsuccessful


class OfClouds(SourceContract):
    """The contract, and keys that are no paths."""

    def test_odd_keys(self, place: Place, tmp_path: Path) -> None:
        """Objects whose keys are no paths are collected under their own keys, below every prefix; none for another."""
        odd = {"/a", "a/", "a//b", "a/../c", "./d", "//", "new\nline"}
        for name in {"a", "a/b", "c", "d", *odd}:
            place.put(name, name.encode())
        folder, status = collected(tmp_path, place.source())
        assert status is JobStatus.SUCCESSFULLY_COMPLETED
        assert {row["item_id"]: row["sha256"] for row in held(folder).values()} == {
            name: sha256(name.encode()).digest() for name in {"a", "a/b", "c", "d", *odd}
        }
        source = cast("ObjectStoreSource", place.source())
        for prefix, below in {"/a": {"/a"}, "a/": {"a/", "a/b", "a//b", "a/../c"}, "a//": {"a//b"}}.items():
            part = source.model_copy(update={"url": f"{source.url}/{prefix}"})
            assert {item.id for item in items_of(part)} == below
            for item in items_of(part):
                assert read(source, item) == item.id.encode()
                assert [again.size for again in source.relist(item)] == [len(item.id)]

    def test_folder_markers(self, place: Place, tmp_path: Path) -> None:
        """A folder marker is skipped, also beside an object with its name; what lies in the folder is collected.

        So is an empty object.
        """
        for name, data in {
            "folder/": b"",
            "folder/in": b"x",
            "empty": b"",
            "logs": b"y",
            "logs.1": b"z",
            "logs/": b"",
        }.items():
            place.put(name, data)
        folder, status = collected(tmp_path, place.source())
        assert status is JobStatus.SUCCESSFULLY_COMPLETED
        assert {row["original_path"] for row in held(folder).values()} == {"folder/in", "empty", "logs", "logs.1"}
        assert [row["error_code"] for row in unsuccessful(folder).values()] == ["empty_folder"] * 2


class OfBreakingClouds(BreakingContract):
    """The contract, and what a server refuses."""

    def test_an_empty_object_that_is_refused(self, place: Place, tmp_path: Path) -> None:
        """An object of 0 bytes that may not be read fails by itself, and does not end the listing."""
        assert isinstance(place, Bucket)
        assert place.proxy is not None
        for name in ("denied", "empty"):
            place.put(name, b"")
        place.proxy.clear()
        place.proxy.fail_next(100, 403, "AccessDenied", path="/denied")
        folder, _ = collected(tmp_path, place.source())
        place.proxy.clear()
        assert job_rows(folder) == []
        assert {row["original_path"] for row in held(folder).values()} == {"empty"}
        assert {name: row["error_code"] for name, row in unsuccessful(folder).items()} == {"denied": "access_denied"}
