"""The status of an attempt: what was found, succeeded and failed, and what may fail."""

from __future__ import annotations

import pytest

from prefect_collect.errors import SourceError, UsageError
from prefect_collect.sources import Content, Item
from prefect_collect.statuses import JobStatus, TaskStatus
from tests.collecting.things_of_a_kind import some
from tests.support.memory_source import KINDS, SUCCEEDS, MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, held, job_rows, new_job, unsuccessful

pytestmark = pytest.mark.usefixtures("small_shards")


def test_one_of_each_kind() -> None:
    """Items that succeed, fail, are skipped, or recover on a later try are each counted as such."""
    source = MemorySource({id_: thing for kind in KINDS for id_, thing in some(kind, 2).items()})
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source)
    check_account(folder, {id_: thing.data for id_, thing in source.things.items()})
    assert result.status is JobStatus.PARTIALLY_COMPLETED
    assert {id_.split("/")[0] for id_ in held(folder)} == SUCCEEDS
    codes = {id_.split("/")[0]: (row["error_code"], row["tries"]) for id_, row in unsuccessful(folder).items()}
    assert codes == {
        "denied": ("access_denied", 1),
        "down": ("connection_lost", 3),
        "skipped": ("special_file", 0),
        "changed": ("changed_during_read", 1),
        "checksum": ("checksum_mismatch", 3),
        "truncated": ("truncated", 3),
        "breaks": ("unexpected_error", 1),
        "unlisted_failure": ("access_denied", 1),
        "elsewhere": ("linked_file", 0),
    }


@pytest.mark.parametrize("workers", [0, 3])
def test_all_good(workers: int) -> None:
    """When every item succeeds, the job is Successfully completed and the report empty."""
    source = MemorySource(some("good", 20) | some("skipped", 1))
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source, workers=workers)
    check_account(folder)
    assert (result.status, result.task_status) == (JobStatus.SUCCESSFULLY_COMPLETED, TaskStatus.COMPLETED)
    assert result.success_rate == 100.0
    assert set(source.given.values()) == {1}


def test_all_failed() -> None:
    """When no item succeeds, the job is Failed."""
    source = MemorySource(some("denied", 5))
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.task_status) == (JobStatus.FAILED, TaskStatus.FAILED)
    assert result.success_rate == 0.0


def test_empty_source_succeeds_with_a_warning() -> None:
    """A source in which there is nothing, or nothing matches, is a success with a warning that says which."""
    source = MemorySource()
    for query, says in (
        ({}, "There is nothing at the source, so nothing was collected."),
        ({"include": ["*.eml"]}, "Nothing at the source matched, so nothing was collected."),
    ):
        folder = new_job(MemoryStore(), source, query=query)
        result = attempt(folder, source)
        check_account(folder)
        assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
        assert says in result.warnings


@pytest.mark.parametrize(
    ("include", "hint"),
    [
        (["*.eml", "contract"], " contract has no wildcard, so it matches only that exact name; *contract* matches"),
        (["docs/2026"], " docs/2026 has no wildcard, so it matches only that exact path; docs/2026/** matches all"),
        (["*invoice*", "docs/", "[ab]?"], ""),
    ],
)
def test_a_pattern_without_a_wildcard_that_matches_nothing(include: list[str], hint: str) -> None:
    """The warning that nothing matched says what a pattern without a wildcard matches, and what was perhaps meant."""
    source = MemorySource({"old contract.pdf": Thing("good", b"x")})
    result = attempt(new_job(MemoryStore(), source, query={"include": include}), source)
    [said] = [one for one in result.warnings if one.startswith("Nothing at the source matched, so nothing was")]
    assert said.partition("collected.")[2].startswith(hint)
    assert ("wildcard" in said) is bool(hint)


def test_empty_source_fails_if_asked_also_when_retried() -> None:
    """`on_empty="fail"` fails the job, at each retry, until there is an item."""
    source = MemorySource()
    folder = new_job(MemoryStore(), source)
    for _ in range(2):
        result = attempt(folder, source, on_empty="fail")
        check_account(folder)
        assert result.status is JobStatus.FAILED
        assert job_rows(folder) == ["nothing_matched"]
    source.things = some("good", 2)
    result = attempt(folder, source, on_empty="fail")
    check_account(folder)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 2)


def test_listing_fails_at_once() -> None:
    """A source that cannot be listed makes the job Failed, with a row about the whole job; a retry lists it again."""
    source = MemorySource(some("good", 4), breaks_after=0)
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.counts.found, job_rows(folder)) == (JobStatus.FAILED, 0, ["connection_lost"])
    source.breaks_after = None
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 4)


@pytest.mark.parametrize("after", [1, 3, 5, 7])
def test_listing_breaks_off_midway(after: int) -> None:
    """What was listed until then is collected; the job is Partially completed; a retry collects only the rest."""
    source = MemorySource(some("good", 7), breaks_after=after)
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.counts.succeeded) == (JobStatus.PARTIALLY_COMPLETED, after)
    assert job_rows(folder) == ["enumeration_failed"]
    source.breaks_after = None
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 7)
    assert set(source.given.values()) == {1}


def test_a_partial_retry_does_not_hide_a_broken_listing() -> None:
    """Retrying some rows of a job whose listing broke off does not make the listing complete."""
    source = MemorySource(some("denied", 2) | some("good", 6), breaks_after=5)
    folder = new_job(MemoryStore(), source)
    attempt(folder, source)
    for thing in source.things.values():
        thing.kind = "good"
    source.breaks_after = None
    result = attempt(folder, source, only=[Item("denied/000", "denied/000"), Item("denied/001", "denied/001")])
    check_account(folder)
    assert result.status is JobStatus.PARTIALLY_COMPLETED
    assert job_rows(folder) == ["enumeration_failed"]
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 8)
    assert set(source.given.values()) == {1}


@pytest.mark.parametrize(
    ("tolerated", "status"),
    [(0, JobStatus.PARTIALLY_COMPLETED), (10, JobStatus.PARTIALLY_COMPLETED), (100, JobStatus.PARTIALLY_COMPLETED)],
)
def test_tolerated_failures(tolerated: float, status: JobStatus) -> None:
    """More failures than are tolerated stop the job; the other items' messages tell why they were not attempted."""
    source = MemorySource(some("denied", 3) | some("good", 30))
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source, tolerated_failure_percentage=tolerated)
    check_account(folder)
    if tolerated == 100:
        assert (result.counts.failed, result.counts.not_attempted, job_rows(folder)) == (3, 0, [])
        return
    assert result.counts.found == 33
    assert result.counts.not_attempted > 20
    assert job_rows(folder) == ["threshold_exceeded"]
    assert {row["error_code"] for row in unsuccessful(folder).values() if row["outcome"] == "not_attempted"} == {
        "threshold_exceeded"
    }
    for thing in source.things.values():
        thing.kind = "good"
    result = attempt(folder, source, tolerated_failure_percentage=tolerated)
    check_account(folder)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 33)


def test_tolerance_is_judged_over_the_whole_job_also_in_a_retry() -> None:
    """Few failures among many items stay tolerated when a retry works on only those and they fail again."""
    source = MemorySource(some("denied", 2) | some("good", 98))
    folder = new_job(MemoryStore(), source)
    attempt(folder, source, tolerated_failure_percentage=70)
    result = attempt(folder, source, tolerated_failure_percentage=70)
    check_account(folder)
    assert (result.counts.failed, result.counts.not_attempted, job_rows(folder)) == (2, 0, [])


def test_an_old_report_retries_nothing_that_is_held() -> None:
    """A retry with a report of an earlier attempt works on those of its rows that still have not succeeded."""
    source = MemorySource(some("denied", 4) | some("good", 2))
    folder = new_job(MemoryStore(), source)
    attempt(folder, source)
    old = [Item(id_, id_) for id_ in unsuccessful(folder)]
    source.things["denied/000"].kind = source.things["denied/001"].kind = "good"
    attempt(folder, source)
    source.things["denied/002"].kind = "good"
    result = attempt(folder, source, only=old)
    check_account(folder)
    assert (result.counts.found, result.counts.succeeded, result.counts.failed) == (6, 5, 1)
    assert set(source.given.values()) == {1}


def test_a_report_that_names_a_row_twice_or_a_stranger() -> None:
    """Rows that the job does not know are left out, and a row that occurs twice is retried once."""
    source = MemorySource(some("denied", 3))
    folder = new_job(MemoryStore(), source)
    attempt(folder, source)
    source.things["denied/000"].kind = "good"
    source.things["stranger"] = Thing("good", b"x")
    only = [Item("denied/000", "denied/000"), Item("denied/000", "denied/000"), Item("stranger", "stranger")]
    result = attempt(folder, source, only=only)
    check_account(folder)
    assert (result.counts.found, result.counts.succeeded, result.counts.failed) == (3, 1, 2)
    assert "stranger" not in source.opened


def test_a_report_of_which_nothing_is_left() -> None:
    """A retry with a report without any remaining row changes nothing, and warns of that."""
    source = MemorySource(some("denied", 1) | some("good", 1))
    folder = new_job(MemoryStore(), source)
    before = attempt(folder, source)
    result = attempt(folder, source, only=[Item("good/000", "good/000")])
    check_account(folder)
    assert (result.status, result.counts) == (before.status, before.counts)
    assert "1 items of the report were left out" in " ".join(result.warnings)


def test_a_report_for_a_job_that_never_ran() -> None:
    """A report can only be retried by a job that has an attempt."""
    source = MemorySource(some("good", 1))
    folder = new_job(MemoryStore(), source)
    with pytest.raises(UsageError, match="no attempt to retry"):
        attempt(folder, source, only=[Item("good/000", "good/000")])


def test_a_code_that_only_the_source_knows() -> None:
    """An unknown error code of a source affects only the name of one item's failure, not the shard."""
    source = MemorySource(some("good", 3))
    given = source._content

    def content(item: Item) -> Content:
        if item.id == "good/001":
            raise SourceError("The mailbox is asleep.", code="mailbox_asleep")
        return given(item)

    source._content = content  # type: ignore[method-assign]
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source)
    check_account(folder)
    assert (result.counts.succeeded, result.counts.failed) == (2, 1)
    (row,) = unsuccessful(folder).values()
    assert row["error_code"] == "unexpected_error"
    assert "mailbox_asleep" in row["message"]


def test_the_report_says_since_when_an_item_fails() -> None:
    """first_failed_at stays over all attempts, last_failed_at changes; also if the listing could not read the item."""
    source = MemorySource({"denied": Thing("denied"), "unlisted": Thing("unlisted_failure"), "good": Thing("good")})
    folder = new_job(MemoryStore(), source)
    attempt(folder, source)
    first = unsuccessful(folder)
    attempt(folder, source)
    second = unsuccessful(folder)
    assert first.keys() == second.keys() == {"denied", "unlisted"}
    for name, row in second.items():
        assert row["first_failed_at"] == first[name]["first_failed_at"] == first[name]["last_failed_at"]
        assert row["last_failed_at"] > row["first_failed_at"]
