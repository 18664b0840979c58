"""A process that was taken for lost, and continues after another process closed its attempt."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from prefect_collect.collecting import enumeration
from prefect_collect.collecting.attempt import run_attempt
from prefect_collect.collecting.enumeration import Shard
from prefect_collect.collecting.policy import CollectionPolicy, ShardPolicy
from prefect_collect.collecting.shard import collect_shard
from prefect_collect.errors import AttemptSuperseded
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.lifecycle import claim_attempt
from prefect_collect.job_folder.result import Counts
from prefect_collect.sources import Content, Item, Listed, ListingEnd
from prefect_collect.statuses import JobStatus
from prefect_collect.threads.progress import Progress
from prefect_collect.threads.stop import Stop
from prefect_collect.verification import verify_job
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, held, new_job


@dataclass
class Frozen(MemorySource):
    """A source whose reader, or listing, stops before that item until it is `thawed`; "end" is the listing's end."""

    before: str = ""
    listed_until: str = ""
    reached: threading.Event = field(default_factory=threading.Event)
    thawed: threading.Event = field(default_factory=threading.Event)

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Read the wanted items up to that item."""
        return super().read_many(self._until_there(items), concurrency)

    def items(self) -> Iterator[Listed]:
        """List the items up to that item."""
        for listed in super().items():
            if self.listed_until == ("end" if isinstance(listed, ListingEnd) else listed.id):
                self.reached.set()
                assert self.thawed.wait(60)
            yield listed

    def _until_there(self, items: Iterable[Item]) -> Iterator[Item]:
        for item in items:
            if item.id == self.before:
                self.reached.set()
                assert self.thawed.wait(60)
            yield item


def stale_attempt(folder: JobFolder, source: Frozen) -> None:
    """Run an attempt of a process on another machine, shard by shard."""
    number = claim_attempt(folder, {"host": "elsewhere"})
    stop, progress, policy = Stop(), Progress(), ShardPolicy("test", CollectionPolicy(concurrency=1))

    def run(shard: Shard) -> Counts:
        return collect_shard(source, folder, number, shard.part, policy, stop, progress)

    with ThreadPoolExecutor(1) as pool:
        run_attempt(
            folder, folder.record(), number, source, lambda shard: pool.submit(run, shard),
            policy.collection, in_flight=1, stop=stop, progress=progress,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "listed_until"),
    [("00", ""), ("04", ""), ("08", ""), ("", "00"), ("", "01"), ("", "05"), ("", "09"), ("", "end")],
)
def test_a_process_that_comes_back(before: str, listed_until: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It adds nothing to the inventory, what it commits is not read, it is notified, and the account of both attempts
    is right.
    """
    monkeypatch.setattr(enumeration, "SHARD_ITEMS", 2)
    things = {f"{n:02d}": Thing(data=b"%d" % n) for n in range(10)}
    source = Frozen(things, before=before, listed_until=listed_until)
    folder = new_job(MemoryStore(), source)
    with ThreadPoolExecutor(1) as pool:
        stale = pool.submit(stale_attempt, folder, source)
        try:
            assert source.reached.wait(60)
            result = attempt(folder, MemorySource(things))
            assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
            before_it = {blob.key for blob in folder.store.list(f"{folder.job_id}/")}
        finally:
            source.thawed.set()
        with pytest.raises(AttemptSuperseded):
            stale.result(60)
    since = {blob.key for blob in folder.store.list(f"{folder.job_id}/")} - before_it
    assert since <= {store_keys.segment_key(folder.job_id, store_keys.segment_name(1, n)) for n in range(5)}
    assert len(held(folder)) == 10
    check_account(folder)
    assert verify_job(folder).valid


def test_what_is_committed_meanwhile_counts() -> None:
    """An open attempt of another process whose shards are all committed is closed with all of them."""
    things = {f"{n:02d}": Thing(data=b"%d" % n) for n in range(5)}
    folder = new_job(MemoryStore(), MemorySource(things))
    number = claim_attempt(folder, {"host": "elsewhere"})
    list(enumeration.enumerate_source(MemorySource(things), MemorySource(things).items(), folder, number))
    collect_shard(MemorySource(things), folder, number, 0, ShardPolicy("test", CollectionPolicy(concurrency=1)))
    again = MemorySource(things)
    result = attempt(folder, again)
    assert not again.given
    assert [folder.result(n).this_attempt.succeeded for n in (1, 2)] == [5, 0]  # type: ignore[union-attr]
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    assert verify_job(folder).valid
