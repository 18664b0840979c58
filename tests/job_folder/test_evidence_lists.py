"""The file list of an attempt is read within bounds, and used only if its hash matches."""

from __future__ import annotations

import hashlib
import io

from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.job_folder import custody_events, custody_log, store_keys
from prefect_collect.job_folder.custody_events import listed_hashes, record_missed_events
from prefect_collect.verification import verify_job
from tests.examples import examples
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, new_job

KEY = store_keys.evidence_key("job", 1)
HASHES = st.binary(min_size=32, max_size=32).map(bytes.hex)
NAMES = st.from_regex(custody_events._OWN, fullmatch=True)


def hashes_in(data: bytes, sha256: str | None = None) -> dict[str, str] | None:
    """Return the names in a list with these bytes, if the custody log holds `sha256` (by default the right one)."""
    store = MemoryStore()
    store.blobs[KEY] = data
    return listed_hashes(store, KEY, hashlib.sha256(data).hexdigest() if sha256 is None else sha256)


@settings(max_examples=examples(50), deadline=None)
@given(st.dictionaries(NAMES, HASHES, max_size=20), st.data())
def test_any_list_that_an_attempt_writes(files: dict[str, str], data: st.DataObject) -> None:
    """A list is read completely; with any byte changed, added or cut off, no line of it is used."""
    written = "".join(f"{sha256}  {name}\n" for name, sha256 in files.items()).encode()
    assert hashes_in(written) == files
    at = data.draw(st.integers(0, len(written)))
    cut = data.draw(st.integers(at, len(written)))
    changed = written[:at] + data.draw(st.binary(max_size=3)) + written[cut:]
    right = hashlib.sha256(written).hexdigest()
    assert hashes_in(changed, right) == (files if changed == written else None)


LINES = st.one_of(
    st.binary(max_size=200),
    st.sampled_from([b"", b"  ", b"0" * 64, b"0" * 64 + b"  ../x", b"\xff" * 70, b"x" * 5_000, b"\xef\xbb\xbf", b"\r"]),
)


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(LINES, max_size=8).map(b"\n".join))
def test_any_bytes(data: bytes) -> None:
    """A list with any bytes raises no error, and yields no more names than it has bytes."""
    found = hashes_in(data)
    assert found is not None
    assert len(found) <= len(data)
    assert all(len(sha256) <= 64 for sha256 in found.values())


class Pieces(io.BytesIO):
    """A reader that records the most bytes that were asked of it at once."""

    most = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes."""
        data = super().read(size)
        Pieces.most = max(Pieces.most, len(data))
        return data


class Bounded(MemoryStore):
    """A store whose list is read by `Pieces`, and never as a whole."""

    def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Return the bytes of any other file."""
        assert key != KEY
        return super().read(key, start, end)

    def open(self, key: str) -> io.BufferedIOBase:
        """Return a reader."""
        return Pieces(self._get(key)) if key == KEY else super().open(key)


def test_a_planted_list() -> None:
    """A large planted list in the place of the attempt's own is read piece by piece, and reported by verify."""
    store = Bounded()
    source = MemorySource({"a": Thing("good", b"a")})
    folder = new_job(store, source, "job")
    planted = b"0" * 64 + b"  ledger/0001/part-00000.parquet\n" + b"x" * (20 << 20)
    store.blobs[KEY] = planted
    attempt(folder, source)
    record_missed_events(folder)
    end = custody_log.entries(folder)[-1]
    assert (end.action, end.details["listed"]) == ("ended", 1)
    assert end.details["files"]["evidence/0001.sha256"] == hashlib.sha256(planted).hexdigest()
    assert not verify_job(folder).valid
    assert 0 < Pieces.most <= 1 << 20
