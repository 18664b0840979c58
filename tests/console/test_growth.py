"""The plot of a collection: sums over the ledger, each part of which is read once, also while the job runs."""

from __future__ import annotations

import pytest

from prefect_collect.console import growth
from prefect_collect.console.growth import Growths
from prefect_collect.console.plot import HEIGHT, WIDTH, curve
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.folder import JobFolder
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, new_job


def collected() -> tuple[JobFolder, MemoryStore]:
    """Return a collection of 4,500 items in three parts, a tenth of which failed."""
    store = MemoryStore()
    source = MemorySource(
        {f"{n:04d}": Thing("denied" if n % 10 == 0 else "good", b"x" * (n % 7)) for n in range(4_500)}
    )
    folder = new_job(store, source)
    attempt(folder, source)
    return folder, store


def test_growth_is_that_of_the_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last values are the items held and their bytes; no value falls. Parts are added as they appear, some at each
    look; a damaged one is left out. A job without any part has no curve.
    """
    folder, store = collected()
    result = folder.result()
    assert result is not None
    whole = Growths().of(folder)
    assert whole is not None
    assert whole.is_whole
    assert (
        (whole.items[-1], whole.bytes[-1]) == (result.counts.succeeded, result.counts.bytes) == (4_050, whole.bytes[-1])
    )
    assert list(whole.items) == sorted(whole.items)
    assert whole.start <= whole.end
    keys = [store_keys.ledger_key(folder.job_id, 1, part) for part in range(3)]
    last, data = keys[2], store.blobs.pop(keys[2])
    growths = Growths()
    running = growths.of(folder)
    assert running is not None
    assert running.items[-1] == 3_600
    store.blobs[last] = data
    store.blobs[keys[0]] = b"not read again"
    assert growths.of(folder) == whole
    monkeypatch.setattr(growth, "_MOST_PARTS", 2)
    partly, growths = Growths().of(folder), Growths()
    assert partly is not None
    assert (partly.is_whole, partly.items[-1]) == (False, 1_800)
    assert not growths.of(folder).is_whole  # type: ignore[union-attr]
    after = growths.of(folder)
    assert after is not None
    assert (after.is_whole, after.items[-1]) == (True, 2_250)
    assert Growths().of(new_job(store, MemorySource())) is None


@pytest.mark.parametrize("values", [[], [0], [5], [1, 2, 3], [0, 0], [1e18, 1e18]])
def test_curves_stay_in_their_picture(values: list[float]) -> None:
    """A curve begins at the lower left and ends at the right; the largest value is at the top."""
    drawn = curve(values)
    points = [tuple(map(float, point.split(","))) for point in drawn.line.split()]
    assert points[0] == (0, HEIGHT)
    assert all(0 <= x <= WIDTH and 0 < y <= HEIGHT for x, y in points)
    if values:
        assert points[-1][0] == WIDTH
