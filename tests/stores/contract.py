"""The contract of all stores: the tests that the test class of each kind of store inherits."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest

from prefect_collect.errors import KeyExists, KeyMissing, StoreError
from prefect_collect.stores import Buffer, CopyRange, Store
from tests.stores.composing_contract import ComposingContract
from tests.stores.patterned import MIB, patterned

BAD_KEYS = ["", "/", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a", "a/.", "a\0b", ".tmp/x"]

ODD_NAMES = [
    "plain", "with space", "ünïcödé", "日本語", "a+b&c=d?e#f", "100%", "%2F", "quote'\"", "new\nline", "tab\t", "cr\r",
    "semi;colon", "back\\slash", "=cmd|' calc'!A0", "tilde~", "x" * 255, "\x01\x1f", "ampersand&amp;", "<tag>",
    "..x", "@SUM(A1)",
]  # fmt: skip


class StoreContract(ComposingContract):
    """Tests of the fixture `store`, which is an empty store for each test."""

    many = 1_050
    """More than S3 lists on a page."""
    removed = 1_050
    """More than S3 removes at once."""
    skip_names: frozenset[str] = frozenset()
    """Names that the store's server is known to handle wrongly."""

    def test_create_and_read(self, store: Store) -> None:
        """A created blob is read back, whole and in ranges; past its end there are no bytes."""
        blob = store.create("job/a.json", b"0123456789")
        assert (blob.key, blob.size) == ("job/a.json", 10)
        assert store.read("job/a.json") == b"0123456789"
        assert store.read("job/a.json", 3) == b"3456789"
        assert store.read("job/a.json", 3, 5) == b"34"
        assert store.read("job/a.json", 8, 100) == b"89"
        assert store.read("job/a.json", 10, 100) == b""
        assert store.read("job/a.json", 4, 4) == b""
        assert store.stat("job/a.json") == blob
        assert store.look("job/a.json", 3, 5) == (blob, b"34")
        with pytest.raises(KeyMissing):
            store.look("job/b.json", 0, 1)

    def test_every_buffer_is_taken(self, store: Store) -> None:
        """Bytes, bytearrays and memoryviews can be written, and an empty blob is a blob."""
        buffers: list[Buffer] = [b"abc", bytearray(b"abc"), memoryview(b"xabcx")[1:4]]
        for number, data in enumerate(buffers):
            store.create(f"k{number}", data)
            assert store.read(f"k{number}") == b"abc"
        assert store.create("empty", b"").size == 0
        assert store.read("empty") == b""
        assert store.open("empty").read() == b""
        assert store.stat("empty").size == 0

    def test_create_never_overwrites(self, store: Store) -> None:
        """An existing key is refused, and its blob stays."""
        store.create("a/b", b"first")
        with pytest.raises(KeyExists, match=r"a/b\]$"):
            store.create("a/b", b"second")
        assert store.read("a/b") == b"first"

    def test_one_of_racing_creators_wins(self, store: Store) -> None:
        """Of 16 threads that create one key at once exactly one succeeds, and its bytes are stored."""
        for round_ in range(3):
            start = threading.Barrier(16)

            def create(number: int, key: str = f"claims/{round_}", start: threading.Barrier = start) -> int | None:
                start.wait()
                try:
                    store.create(key, b"%d" % number)
                except KeyExists:
                    return None
                return number

            with ThreadPoolExecutor(16) as pool:
                winners = [number for number in pool.map(create, range(16)) if number is not None]
            assert len(winners) == 1
            assert store.read(f"claims/{round_}") == b"%d" % winners[0]

    def test_one_of_racing_writers_wins(self, store: Store) -> None:
        """Of writers that commit one key at once, one succeeds and the others raise KeyExists."""
        writers = [store.writer("claims/w") for _ in range(8)]
        for number, writer in enumerate(writers):
            writer.write(b"%d" % number)

        def commit(number: int) -> int | None:
            try:
                writers[number].commit()
            except KeyExists:
                return None
            finally:
                writers[number].abort()
            return number

        with ThreadPoolExecutor(8) as pool:
            winners = [number for number in pool.map(commit, range(8)) if number is not None]
        assert len(winners) == 1
        assert store.read("claims/w") == b"%d" % winners[0]

    def test_missing_keys(self, store: Store) -> None:
        """Every way to read a missing key, or a folder, raises KeyMissing with its name."""
        store.create("folder/file", b"x")
        for key in ("nothing", "folder", "folder/file/below", "no/such/folder/x"):
            for read in (store.read, store.stat, store.open):
                with pytest.raises(KeyMissing, match=r"\]$") as caught:
                    read(key)
                assert store.locate(key) in str(caught.value)

    def test_keys_cannot_leave_the_root(self, store: Store) -> None:
        """Every method refuses a key that could lead out of the store, or that some stores cannot have.

        `remove` refuses it before anything is removed.
        """
        store.create("k", b"")
        uses: tuple[Callable[[str], object], ...] = (store.read, store.stat, store.open, store.writer)
        for key, use in product(BAD_KEYS, uses):
            with pytest.raises(StoreError):
                use(key)
        for key in BAD_KEYS:
            with pytest.raises(StoreError):
                store.create(key, b"x")
            with pytest.raises(StoreError):
                store.compose(key, [b"x"], store)
            with pytest.raises(StoreError):
                store.remove([key, "k"])
        assert [blob.key for blob in store.list()] == ["k"]

    def test_odd_names(self, store: Store) -> None:
        """Names that shells, URLs, XML and spreadsheets dislike are stored, listed, and removed like others."""
        for name in [name for name in ODD_NAMES if name not in self.skip_names]:
            key = f"odd/{name}/{name}"
            store.create(key, b"odd")
            assert store.read(key) == b"odd"
            assert [blob.key for blob in store.list("odd/")] == [key]
            assert list(store.folders("odd/")) == [name]
            assert store.compose("out", [CopyRange(key, 1, 3)], store, replace=True).size == 2
            assert store.delete("odd/") == 1
            assert list(store.list("odd/")) == []

    def test_open_is_a_seekable_file(self, store: Store) -> None:
        """Parquet and ZIP libraries can seek from all sides, in small and in large blobs."""
        for size in (100, 20 * MIB):
            data = patterned(size)
            store.writer(f"k{size}").abort()
            writer = store.writer(f"k{size}")
            writer.write(data)
            writer.commit()
            with store.open(f"k{size}") as file:
                assert file.seekable()
                assert file.seek(-20, 2) == size - 20
                assert file.read() == data[-20:]
                file.seek(10)
                assert file.read(30) == data[10:40]
                assert file.tell() == 40
                file.seek(0)
                assert file.read() == data

    @pytest.mark.parametrize(("units", "more"), [(0, 0), (0, 1), (8, 0), (8, 1), (16, 0), (16, 1), (27, 7)])
    def test_writer(self, store: Store, units: int, more: int) -> None:
        """Blobs of all sizes around the sizes of parts arrive as written."""
        size = units * self.unit + more
        data = patterned(size)
        writer = store.writer("job/segment")
        step = 3 * self.unit + 1
        for start in range(0, size, step):
            writer.write(memoryview(data)[start : start + step])
        assert writer.position == size
        with pytest.raises(KeyMissing):
            store.stat("job/segment")
        blob = writer.commit()
        assert (blob.key, blob.size) == ("job/segment", size)
        assert store.stat("job/segment") == blob
        assert store.read("job/segment") == data

    def test_writes_of_every_size_around_a_mebibyte(self, store: Store) -> None:
        """What is written arrives, however it lies to the bounds up to which a writer gathers small pieces."""
        mebibyte, data, at = 1 << 20, patterned(9 << 20), 0
        writer = store.writer("job/segment")
        for size in (mebibyte, 1, mebibyte - 1, mebibyte - 1, 1, mebibyte, 0, mebibyte + 1, 7, mebibyte - 8, mebibyte):
            writer.write(memoryview(data)[at : at + size])
            at += size
            assert writer.position == at
        writer.commit()
        assert store.read("job/segment") == data[:at]

    @pytest.mark.parametrize("is_large", [False, True])
    def test_patch(self, store: Store, is_large: bool) -> None:
        """The head of a blob can be replaced until the commit, in small and in large ones."""
        size = self.large if is_large else 100_000
        data = bytearray(patterned(size))
        writer = store.writer("patched")
        writer.write(data[: size // 2])
        writer.patch(14, b"early")
        writer.write(data[size // 2 :])
        writer.patch(65_000, b"late!")
        writer.commit()
        data[14:19] = b"early"
        data[65_000:65_005] = b"late!"
        assert store.read("patched") == data

    def test_abort_leaves_nothing(self, store: Store) -> None:
        """An aborted blob appears nowhere, also in no listing; abort after commit does nothing."""
        writer = store.writer("a/gone")
        writer.write(b"x" * self.large)
        writer.abort()
        writer.abort()
        assert list(store.list()) == []
        writer = store.writer("a/kept")
        writer.write(b"x")
        writer.commit()
        writer.abort()
        assert [blob.key for blob in store.list()] == ["a/kept"]

    @pytest.mark.parametrize("is_large", [False, True])
    def test_writer_replaces_only_if_asked(self, store: Store, is_large: bool) -> None:
        """Without `replace` an existing key is refused at the commit; with it the new blob replaces the old one."""
        size = self.large if is_large else 10
        store.create("k", b"old")
        writer = store.writer("k")
        writer.write(b"n" * size)
        with pytest.raises(KeyExists):
            writer.commit()
        writer.abort()
        assert store.read("k") == b"old"
        writer = store.writer("k", replace=True)
        writer.write(b"n" * size)
        writer.commit()
        assert store.stat("k").size == size
        assert [blob.key for blob in store.list()] == ["k"]

    def test_list_is_in_order_of_keys(self, store: Store) -> None:
        """Keys are listed in text order, with sizes, and only those that start with the prefix."""
        keys = ["a", "a-b/x", "a.txt", "a/b", "a/b.c/d", "a/b/c", "b/1", "b/10", "b/2", "ü/z"]
        keys = [key for key in keys if key not in ("a", "a/b")]
        for number, key in enumerate(keys):
            store.create(key, b"x" * number)
        assert [(blob.key, blob.size) for blob in store.list()] == [(key, keys.index(key)) for key in sorted(keys)]
        assert [blob.key for blob in store.list("a/")] == ["a/b.c/d", "a/b/c"]
        assert [blob.key for blob in store.list("b/1")] == ["b/1", "b/10"]
        assert list(store.list("nothing/")) == []
        assert list(store.list("b/1/")) == []

    def test_many(self, store: Store) -> None:
        """More blobs than S3 lists on a page are all listed and deleted; more than it takes at once are removed.

        Blobs that are missing among those to remove are no error.
        """
        keys = [f"many/{number:05d}" for number in range(max(self.many, self.removed))]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: store.create(key, b""), keys[: self.many]))
        assert [blob.key for blob in store.list("many/")] == keys[: self.many]
        assert store.delete("many/") == self.many
        assert list(store.list("many/")) == []
        kept = keys[len(keys) // 2]
        for key in (keys[0], kept, keys[-1]):
            store.create(key, b"")
        store.remove(key for key in keys if key != kept)
        assert [blob.key for blob in store.list("many/")] == [kept]

    def test_folders(self, store: Store) -> None:
        """`folders` gives the folders directly below a prefix, in order, and no files."""
        for key in ("b/x/1", "a/x/1", "a/y", "c", "a-b/z"):
            store.create(key, b"")
        assert list(store.folders()) == ["a", "a-b", "b"]
        assert list(store.folders("a/")) == ["x"]
        assert list(store.folders("a")) == ["a", "a-b"]
        assert list(store.folders("nothing/")) == []

    def test_delete_removes_one_folder(self, store: Store) -> None:
        """Only blobs below the folder are deleted; its neighbors whose names begin with the same text stay."""
        for key in ("job/a", "job/b/c", "job/b/d", "job2/a", "jo"):
            store.create(key, b"")
        assert store.delete("job/") == 3
        assert [blob.key for blob in store.list()] == ["jo", "job2/a"]
        assert list(store.folders()) == ["job2"]
        assert store.delete("job/") == 0

    def test_delete_takes_whole_folders_only(self, store: Store) -> None:
        """Deleting the root, a prefix that is no whole folder, or a path out of the store is refused."""
        store.create("job/a", b"")
        for prefix in ("", "/", "job", "../x/", "job/../"):
            with pytest.raises(StoreError):
                store.delete(prefix)
        assert store.read("job/a") == b""

    def test_remove_takes_just_the_named(self, store: Store) -> None:
        """Only the named blobs are removed, also those with odd names; missing ones are no error, and folders stay."""
        kept = ["job/a/1", "job/b", "jo"]
        odd = [name for name in ("new\nline", "a b+c%2F", "<tag>") if name not in self.skip_names]
        gone = ["job/a/2", "job/c", *(f"job/{name}" for name in odd)]
        for key in [*kept, *gone]:
            store.create(key, b"x")
        store.remove([*gone, "job/nothing", "no/such/folder/x", "job/b/below", "job/a"])
        assert [blob.key for blob in store.list()] == sorted(kept)
        store.remove(gone)
        store.remove([])

    def test_link(self, store: Store) -> None:
        """A link opens the blob, without credentials."""
        store.create("reports/errors 100%.csv", b"a,b\n")
        with urllib.request.urlopen(store.link("reports/errors 100%.csv", 60)) as answer:
            assert answer.read() == b"a,b\n"

    def test_it_is_safe(self, store: Store) -> None:
        """The store refuses to create a key twice, and the test of that leaves no blob."""
        store.require_exclusive_creates()
        assert list(store.list()) == []
        assert list(store.folders()) == []

    def test_errors_name_the_place(self, store: Store) -> None:
        """A message ends in the blob's full location, which starts with the store's."""
        assert store.locate("a/b").startswith(store.url)
        with pytest.raises(KeyMissing) as caught:
            store.read("a/b")
        assert str(caught.value).endswith(f"[{store.locate('a/b')}]")
