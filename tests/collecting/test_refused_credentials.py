"""Credentials that are refused for item after item stop the job: the rest is not tried one by one."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from prefect_collect.codes import Failure
from prefect_collect.collecting import enumeration
from prefect_collect.collecting.attempt import run_attempt
from prefect_collect.collecting.enumeration import Shard
from prefect_collect.collecting.policy import CollectionPolicy, ShardPolicy
from prefect_collect.collecting.shard import collect_shard
from prefect_collect.errors import SourceError
from prefect_collect.job_folder.lifecycle import claim_attempt
from prefect_collect.job_folder.result import Counts
from prefect_collect.sources import Content, Item
from prefect_collect.statuses import JobStatus
from prefect_collect.threads.stop import IN_A_ROW, Stop
from prefect_collect.verification import verify_job
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import RETRY, Inline, attempt, check_account, job_rows, new_job, unsuccessful

WORKERS = 3


class Expiring(MemorySource):
    """A source whose credentials are refused from some read on, and at every look-up."""

    good_until: int = 0
    asked: int = 0

    def _content(self, item: Item) -> Content:
        with self.lock:
            self.asked += 1
            is_good = self.asked <= self.good_until
        if not is_good:
            raise SourceError(f"The token has expired. [{item.id}]", code="bad_credentials", http_status=403)
        return super()._content(item)


def expiring(count: int, *, good_until: int, kind: str = "good") -> Expiring:
    """Return a source of that many items."""
    source = Expiring({f"item/{n:03}": Thing(kind, b"content") for n in range(count)})  # type: ignore[arg-type]
    source.good_until = good_until
    return source


@pytest.mark.parametrize(("workers", "kind"), [(0, "good"), (WORKERS, "good"), (0, "unknown_size")])
def test_the_rest_is_not_tried(workers: int, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After twenty refusals in a row, over shards and threads, the rest is not attempted; a retry collects it."""
    monkeypatch.setattr(enumeration, "SHARD_ITEMS", 15)
    source = expiring(120, good_until=30, kind=kind)
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source, workers=workers)
    check_account(folder)
    assert (result.status, result.counts.found) == (JobStatus.PARTIALLY_COMPLETED, 120)
    assert result.counts.succeeded == 30
    most = IN_A_ROW if not workers else IN_A_ROW + 8 * WORKERS  # running reads are not aborted
    assert IN_A_ROW <= result.counts.failed <= most
    assert {row["error_code"] for row in unsuccessful(folder).values()} == {"bad_credentials"}
    assert job_rows(folder) == ["bad_credentials"]
    assert "20 items in a row failed with bad_credentials" in result.message
    assert verify_job(folder).valid
    asked = source.asked
    source.good_until = 10**9
    result = attempt(folder, source, workers=workers)
    check_account(folder)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 120)
    assert source.asked == asked + 90


def test_shards_in_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard that shares no stop with its job, as on a cluster, ends the job too: no other shard is started."""
    monkeypatch.setattr(enumeration, "SHARD_ITEMS", 30)
    source = expiring(300, good_until=35)
    folder = new_job(MemoryStore(), source)
    number, begun, policy = claim_attempt(folder), [], CollectionPolicy(retry=RETRY)

    def submit(shard: Shard) -> Future[Counts]:
        begun.append(shard.part)
        return Inline().submit(collect_shard, source, folder, number, shard.part, ShardPolicy("test", policy))

    result = run_attempt(folder, folder.record(), number, source, submit, policy, in_flight=1)
    check_account(folder)
    assert begun == [0, 1]
    assert (result.counts.succeeded, result.counts.failed, result.counts.not_attempted) == (35, IN_A_ROW, 245)
    assert job_rows(folder) == ["bad_credentials"]
    assert {row["error_code"] for row in unsuccessful(folder).values()} == {"bad_credentials"}


def test_a_success_begins_the_count_anew() -> None:
    """Items that are refused to these credentials, between items that can be read, stop nothing."""
    source = expiring(100, good_until=10**9)
    given = source._content

    def content(item: Item) -> Content:
        if int(item.id[-3:]) % IN_A_ROW:
            raise SourceError(f"Not with these. [{item.id}]", code="bad_credentials")
        return given(item)

    source._content = content  # type: ignore[method-assign]
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source)
    check_account(folder)
    assert (result.counts.succeeded, result.counts.failed, result.counts.not_attempted) == (5, 95, 0)
    assert job_rows(folder) == []


def test_twenty_that_are_all() -> None:
    """If no item was kept from being tried, the job has no failure besides its items'."""
    source = expiring(IN_A_ROW, good_until=0)
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.counts.failed, job_rows(folder)) == (JobStatus.FAILED, IN_A_ROW, [])


def test_looking_up_in_a_retry() -> None:
    """A retry that may not look up its items stops too, and leaves the rest for the next one."""
    source = expiring(300, good_until=10**9, kind="denied")
    folder = new_job(MemoryStore(), source)
    assert attempt(folder, source).counts.failed == 300
    looked_up = source.relist
    asked: list[str] = []

    def relist(item: Item):  # type: ignore[no-untyped-def]
        asked.append(item.id)
        raise SourceError(f"The token has expired. [{item.id}]", code="bad_credentials")

    source.relist = relist  # type: ignore[method-assign]
    result = attempt(folder, source)
    check_account(folder)
    assert IN_A_ROW <= len(asked) <= IN_A_ROW + 16
    assert result.counts.failed + result.counts.not_attempted == 300
    assert result.counts.not_attempted >= 300 - len(asked)
    assert job_rows(folder) == ["bad_credentials"]
    source.relist = looked_up  # type: ignore[method-assign]
    for thing in source.things.values():
        thing.kind = "good"
    assert attempt(folder, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(folder)


def test_only_what_all_items_share_is_counted() -> None:
    """A missing item does not count; the first refusal after a success is the first of twenty."""
    stop = Stop()
    for _ in range(100):
        stop.met(Failure("not_found", "gone"))
    for _ in range(IN_A_ROW - 1):
        stop.met(Failure("bad_credentials", "expired"))
    assert not stop
    stop.met(None)
    for _ in range(IN_A_ROW):
        assert not stop
        stop.met(Failure("bad_credentials", "expired"))
    assert stop.why is not None
    assert stop.why.code == "bad_credentials"
