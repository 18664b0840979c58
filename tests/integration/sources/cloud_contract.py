"""What the clouds are tested for beside the contract of sources: keys that are no paths, folder markers, refusals."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import cast

import pytest

from prefect_collect.blocks import DataSource, ObjectStoreSource
from prefect_collect.collecting import shard
from prefect_collect.sources import Item
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobStatus
from tests.integration.sources.clouds import Bucket
from tests.integration.sources.contract import BreakingContract, SourceContract
from tests.integration.sources.places import Place, collected, failures, patterned, read
from tests.support.run_attempts import attempt, check_account, held, job_rows, unsuccessful


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

    def test_a_byte_that_is_damaged_on_the_way(
        self, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The checksums that the cloud keeps are compared with what arrives, small or streamed; a retry is whole."""
        assert isinstance(place, Bucket)
        assert place.proxy is not None
        monkeypatch.setattr(shard, "LARGE_ITEM", 1 << 20)
        objects = {"small": patterned(5_000), "large": patterned(1_100_000), "empty": b""}
        for name, data in objects.items():
            place.put(name, data)
        source = place.source()
        assert {name: self.stated(source, name) for name in objects} == dict.fromkeys(objects, place.keeps)
        damaged = lambda path, body: body if place.lists in path else body[:-1] + bytes(255 - n for n in body[-1:])  # noqa: E731
        monkeypatch.setattr(place.proxy, "rewrite", damaged)
        folder, status = collected(tmp_path, source)
        assert status is JobStatus.PARTIALLY_COMPLETED
        assert failures(folder) == {"checksum_mismatch"}
        assert {row["original_path"] for row in held(folder).values()} == {"empty"}
        monkeypatch.setattr(place.proxy, "rewrite", None)
        assert attempt(folder, place.source()).status is JobStatus.SUCCESSFULLY_COMPLETED
        check_account(folder, objects)

    def stated(self, source: DataSource, name: str) -> set[str]:
        """Return which checksums are stated of an opened object."""
        with source.open(Item(name, name)) as content:
            return {kind for kind in ("md5", "crc32c") if getattr(content, kind) is not None}
