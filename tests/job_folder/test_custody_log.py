"""The custody log: any entry that is removed, added or changed is found."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.errors import CorruptPart, JobNotFound, KeyExists, StoreUnavailable
from prefect_collect.job_folder import custody_log
from prefect_collect.job_folder.custody_events import record_missed_events
from prefect_collect.job_folder.custody_log import FIRST, append, check_chain, entries
from prefect_collect.job_folder.custody_rules import ENDED, STARTED
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.lifecycle import claim_attempt
from prefect_collect.job_folder.store_keys import custody_key, job_key
from prefect_collect.stores import Blob, Buffer, DirectoryStore
from tests.examples import STEP, examples
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import Killed, MemoryStore
from tests.support.run_attempts import attempt, export, new_job

DETAILS = st.dictionaries(
    st.text(max_size=5),
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    max_size=3,
)


def log(count: int, store: MemoryStore | None = None) -> JobFolder:
    """Return a job's folder with that many entries, and nothing else."""
    folder = JobFolder(store or MemoryStore(), "job")
    for number in range(count):
        append(folder, "edited", {"step": number, "name": "größe"}, who="ann@host")
    return folder


def source() -> MemorySource:
    """Return a source with five readable items, and one that cannot be read."""
    return MemorySource({**{f"good/{n}": Thing("good", b"x" * n) for n in range(5)}, "denied": Thing("denied")})


def actions(folder: JobFolder) -> list[tuple[str, object]]:
    """Return the action and the attempt of each entry."""
    return [(entry.action, entry.details.get("attempt")) for entry in entries(folder)]


class Racing(MemoryStore):
    """A store in which other writers are faster, as often as `before` lists."""

    before: list[Callable[[], object]]

    def create(self, key: str, data: Buffer) -> Blob:
        """Let the next other writer create its entry first."""
        if getattr(self, "before", None):
            self.before.pop()()
        return super().create(key, data)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["drafted", "edited", "cancel-requested"]), DETAILS), max_size=6))
def test_entries_are_read_back_as_they_were_appended(written: list[tuple[str, dict[str, object]]]) -> None:
    """Entries are numbered from 1, each with the hash of the one before; details are read as JSON holds them."""
    folder = JobFolder(MemoryStore(), "job")
    made = [append(folder, action, details, who="ann") for action, details in written]
    assert entries(folder) == made
    assert [entry.number for entry in made] == [*range(1, len(written) + 1)]
    assert [(entry.action, dict(entry.details)) for entry in made] == written
    assert [entry.previous for entry in made] == [FIRST, *(entry.sha256 for entry in made)][: len(made)]
    for entry in made:
        assert hashlib.sha256(folder.store.read(custody_key("job", entry.number))).hexdigest() == entry.sha256
    assert check_chain(folder).problems == []


@settings(max_examples=examples(200), deadline=None)
@given(count=st.integers(1, 4), data=st.data())
def test_any_flipped_bit_is_found(count: int, data: st.DataObject) -> None:
    """A flipped bit is found in any entry, also in the last, whose hash no other entry holds; the entry is named."""
    store = MemoryStore()
    folder = log(count, store)
    number = data.draw(st.integers(1, count))
    key = custody_key("job", number)
    damaged = bytearray(store.blobs[key])
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    store.blobs[key] = bytes(damaged)
    assert f"custody/{number:06d}.json" in [problem.place for problem in check_chain(folder).problems]
    with pytest.raises(CorruptPart, match=rf"{number:06d}\.json\]$"):
        entries(folder)
    append(folder, "edited")
    assert len(check_chain(folder).entries) == count, "the log goes on, and the damage stays visible"
    assert check_chain(folder).problems


@settings(deadline=None)
@given(count=st.integers(2, 6), data=st.data())
def test_removed_and_exchanged_entries_are_found(count: int, data: st.DataObject) -> None:
    """A gap is named; entries that are exchanged, or come from another log, do not fit the chain."""
    store = MemoryStore()
    log(count, store)
    gone = data.draw(st.integers(1, count - 1))
    taken = store.copy()
    del taken.blobs[custody_key("job", gone)]
    assert [problem.place for problem in check_chain(JobFolder(taken, "job")).problems] == [f"custody/{gone:06d}.json"]
    first, second = custody_key("job", gone), custody_key("job", count)
    exchanged = store.copy()
    exchanged.blobs[first], exchanged.blobs[second] = store.blobs[second], store.blobs[first]
    assert check_chain(JobFolder(exchanged, "job")).problems
    other = MemoryStore()
    log(count, other)
    foreign = store.copy()
    foreign.blobs[first] = other.blobs[first]
    places = [problem.place for problem in check_chain(JobFolder(foreign, "job")).problems]
    assert f"custody/{gone + 1:06d}.json" in places


@pytest.mark.parametrize("count", [0, 5, 20])
def test_entries_that_are_known_are_not_read_again(count: int) -> None:
    """A second check reads only what was appended since, and finds what was removed and what does not fit; a long log
    of a remote store, many of whose entries are read at once, is the same in the same order.
    """
    folder = log(20)
    assert isinstance(folder.store, MemoryStore)
    known = check_chain(folder).entries[:count]
    assert [entry.number for entry in check_chain(folder).entries] == [*range(1, 21)]
    append(folder, "viewed")
    for entry in known[:-1]:
        folder.store.blobs[custody_key(folder.job_id, entry.number)] = b"not read again"
    again = check_chain(folder, known)
    assert [entry.number for entry in again.entries] == [*range(1, 22)]
    assert again.problems == []
    if count:
        del folder.store.blobs[custody_key(folder.job_id, 1)]
        assert [str(problem) for problem in check_chain(folder, known).problems] == [
            "custody/000001.json: the entry is missing"
        ]
    folder.store.blobs[custody_key(folder.job_id, 21)] = folder.store.blobs[custody_key(folder.job_id, 20)]
    assert check_chain(folder, known).problems


def test_a_resealed_entry_does_not_fit_the_next_one() -> None:
    """A forger who rewrites an entry must rewrite all that follow, and the log's fingerprint changes."""
    store = MemoryStore()
    folder = log(3, store)
    before = check_chain(folder).fingerprint
    values = json.loads(store.blobs[custody_key("job", 2)])
    values.pop("seal")
    store.blobs[custody_key("job", 2)] = custody_log._sealed({**values, "who": "somebody else"})
    assert [problem.place for problem in check_chain(folder).problems] == ["custody/000003.json"]
    values = json.loads(store.blobs[custody_key("job", 3)])
    values.pop("seal")
    values["previous"] = hashlib.sha256(store.blobs[custody_key("job", 2)]).hexdigest()
    store.blobs[custody_key("job", 3)] = custody_log._sealed(values)
    assert check_chain(folder).problems == []
    assert check_chain(folder).fingerprint != before


@settings(deadline=None)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=5))
def test_writers_that_come_first(losses: list[int]) -> None:
    """A writer that loses the race for a number takes the next; no entry is lost and the chain is whole."""
    store = Racing()
    for number, lost in enumerate(losses):
        store.before = [lambda: append(JobFolder(store, "job"), "edited", who="quick")] * lost
        append(JobFolder(store, "job"), "cancel-requested", {"round": number}, who="slow")
    found = check_chain(JobFolder(store, "job"))
    assert found.problems == []
    assert len(found.entries) == sum(losses) + len(losses)
    assert [entry.details["round"] for entry in found.entries if entry.who == "slow"] == [*range(len(losses))]


def test_a_store_that_grants_nothing() -> None:
    """A store that reports every number as taken does not make the writer loop for ever."""
    store = MemoryStore()

    def taken(operation: str, key: str) -> None:
        raise KeyExists("Taken. [memory:]")

    store.fault = taken
    with pytest.raises(StoreUnavailable):
        append(JobFolder(store, "job"), "edited")


def test_two_processes_append_at_once(tmp_path: Path) -> None:
    """Two processes with two threads each, which append 25 entries each, make one chain of 100."""
    program = (
        "import sys; from prefect_collect.job_folder.custody_log import append; "
        "from prefect_collect.job_folder.folder import JobFolder; "
        "from prefect_collect.stores import DirectoryStore\n"
        "folder = JobFolder(DirectoryStore(sys.argv[1]), 'job', who=sys.argv[2])\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "for number in range(25): append(folder, 'edited', {'number': number})\n"
    )
    others = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path), f"process {n}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for n in range(2)
    ]  # fmt: skip
    for other in others:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
    for other in others:
        assert other.stdin is not None
        other.stdin.write("go\n")
        other.stdin.flush()
    folder = JobFolder(DirectoryStore(tmp_path), "job")

    def edit(name: str) -> None:
        for number in range(25):
            append(folder, "edited", {"number": number}, who=name)

    with ThreadPoolExecutor(2) as pool:
        for name in ("thread 0", "thread 1"):
            pool.submit(edit, name)
    for other in others:
        other.communicate()
        assert other.returncode == 0
    found = check_chain(folder)
    assert found.problems == []
    assert len(found.entries) == 100
    for who in ("process 0", "process 1", "thread 0", "thread 1"):
        assert [entry.details["number"] for entry in found.entries if entry.who == who] == [*range(25)]


@pytest.mark.parametrize("action", ["", "Edited", "two words", "edited\n", "-x"])
def test_actions_are_lower_case_words(action: str) -> None:
    """Any other action is a mistake of the program."""
    with pytest.raises(ValueError, match="lower-case"):
        append(JobFolder(MemoryStore(), "job"), action)


def test_the_log_of_a_job_from_draft_to_export() -> None:
    """A log may begin before job.json exists.

    Then it has each attempt's start and end, and each export, with the user.
    """
    store = MemoryStore()
    append(JobFolder(store, "job", who="ann"), "drafted")
    folder = new_job(store, source(), "job")
    attempt(folder, source())
    attempt(JobFolder(store, "job", who="bob"), source())
    job, result = export(folder, MemoryStore())
    assert actions(folder) == [
        ("drafted", None), ("created", None), (STARTED, 1), (ENDED, 1), (STARTED, 2), (ENDED, 2), ("exported", 2),
    ]  # fmt: skip
    assert actions(job) == [("created", None), (STARTED, 1), (ENDED, 1)]
    who = [entry.who for entry in entries(folder)]
    assert (who[0], who[4], who[5]) == ("ann", "bob", "bob")
    exported = entries(folder)[-1].details
    assert (exported["job"], exported["fingerprint"]) == (job.job_id, result.fingerprint)
    ended = entries(folder)[3].details
    assert ended["status"] == "Partially completed"
    assert ended["counts"]["succeeded"] == 5


def test_the_evidence_is_what_sha256sum_takes(tmp_path: Path) -> None:
    """The list of an attempt's hashes can be checked with coreutils, and the log holds the hash of the list."""
    folder = new_job(DirectoryStore(tmp_path), source())
    attempt(folder, source())
    where = tmp_path / folder.job_id
    done = subprocess.run(["sha256sum", "--check", "--strict", "evidence/0001.sha256"], cwd=where, capture_output=True)
    assert done.returncode == 0, done.stderr
    listed = (where / "evidence/0001.sha256").read_bytes()
    files = entries(folder)[-1].details["files"]
    assert files["evidence/0001.sha256"] == hashlib.sha256(listed).hexdigest()
    names = {line.split("  ")[1] for line in listed.decode().splitlines()}
    there = {str(path.relative_to(where)) for path in where.rglob("*") if path.is_file()}
    assert there - names == {
        "custody/000001.json", "custody/000002.json", "custody/000003.json", "evidence/0001.sha256",
        "segments/0001/00000.zip",
    }  # fmt: skip


def test_dying_between_what_is_done_and_its_entry() -> None:
    """Whichever write was the last, the next start adds the missing entries, marked as late, and none twice."""
    whole = MemoryStore()
    attempt(new_job(whole, source(), "job"), source())
    late = set()
    for moment in range(1, len(whole.written) + 1, STEP):
        store = MemoryStore(die_after=moment)
        with pytest.raises(Killed):
            attempt(new_job(store, source(), "job"), source())
        found = store.copy()
        folder = JobFolder(found, "job")
        if folder.exists():
            made = record_missed_events(folder)
            assert all(entry.details["late"] for entry in made)
            late |= {entry.action for entry in made}
            assert record_missed_events(folder) == []
            attempt(folder, source())
        chain = check_chain(folder)
        assert chain.problems == []
        ended = [number for action, number in actions(folder) if action == ENDED]
        assert sorted(ended, key=str) == folder.closed_attempts()
    assert late <= {"created", STARTED, ENDED}
    assert len(late) == 3 or STEP > 1


def test_a_store_that_fails_for_the_entry_of_an_end() -> None:
    """The result stays; the next start adds the missing entry."""
    store = MemoryStore()
    folder = new_job(store, source(), "job")

    def fault(operation: str, key: str) -> None:
        if key == custody_key("job", 3):
            raise StoreUnavailable("Busy. [memory:]")

    store.fault = fault
    result = attempt(folder, source())
    assert result.counts.succeeded == 5
    store.fault = None
    assert actions(folder)[-1] == (STARTED, 1)
    attempt(folder, source())
    assert actions(folder)[2:] == [(ENDED, 1), (STARTED, 2), (ENDED, 2)]
    assert entries(folder)[2].details["late"] is True


def test_nothing_is_done_to_a_deleted_job() -> None:
    """After 'deleted' no entry is appended, the job is not created again, and no attempt starts."""
    store = MemoryStore()
    folder = new_job(store, source(), "job")
    append(folder, "deleted", who="ann")
    for act in (
        lambda: append(folder, "edited"),
        lambda: claim_attempt(folder),
        lambda: new_job(store, source(), "job"),
    ):
        with pytest.raises(JobNotFound, match="deleted by ann"):
            act()
    assert job_key("job") in store.blobs
