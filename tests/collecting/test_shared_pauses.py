"""A pause that a server asks one worker process for, and what the others do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from prefect_collect.codes import Failure
from prefect_collect.collecting import enumeration
from prefect_collect.collecting.attempt import run_attempt
from prefect_collect.collecting.enumeration import Shard
from prefect_collect.collecting.policy import CollectionPolicy, ShardPolicy
from prefect_collect.collecting.stop_signals import StopSignals
from prefect_collect.collecting.worker import ShardWork
from prefect_collect.collecting.worker_processes import WorkerProcesses
from prefect_collect.connectors.http.pace import Pace
from prefect_collect.connectors.url_list.access import Access
from prefect_collect.connectors.url_list.connection import Connection, connect
from prefect_collect.job_folder.ledger import read_ledger
from prefect_collect.job_folder.lifecycle import claim_attempt
from prefect_collect.sources import Content, Item, Listed
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import Store, open_store
from prefect_collect.threads.server_pauses import PAUSES, Pause
from tests.support.local_http import serving
from tests.support.run_attempts import RETRY, check_account, new_job

ITEMS = 50
"""The items of a shard: more than a worker reads until a pause has come to it."""


@dataclass
class UrlSource:
    """The URLs of a list, as a source without a block."""

    path: Path
    name: str = "urls"

    @property
    def connection(self) -> Connection:
        """The connection that the source has in this process."""
        return connect(Access(str(self.path), self.place, look_first=False, allow_private=True))

    @property
    def place(self) -> str:
        """The list's URL."""
        return f"urls://{self.path}"

    def items(self) -> Iterator[Listed]:
        """Yield the URLs."""
        return self.connection.items()

    def relist(self, item: Item) -> Iterator[Listed]:
        """Yield a URL as it is now."""
        return self.connection.relist(item)

    def open(self, item: Item) -> AbstractContextManager[Content]:
        """Open a URL."""
        return self.connection.open(item)

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Read the URLs."""
        return self.connection.read_many(items, concurrency)

    def classify(self, error: Exception, item: Item | None = None) -> Failure | None:
        """Say nothing of other errors than SourceError."""

    def overlap(self, store: Store) -> None:
        """Say that it is apart from every store."""


class Server(ThreadingHTTPServer):
    """Asks the reader of /a for a pause when /b is being read too; /b is answered when the others were told.

    Attributes:
        place: Names it in pauses.
        asked: Each request's path, and when it came.
        pauses: The pauses that the process of the job was told of.
    """

    daemon_threads = True

    def __init__(self, place: str) -> None:
        self.place = place
        self.asked: list[tuple[str, float]] = []
        self.pauses: list[Pause] = []
        self.b_is_read, self.is_told = threading.Event(), threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    def paused(self, pause: Pause) -> None:
        """Note a pause."""
        self.pauses.append(pause)
        self.is_told.set()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        server: Any = self.server
        path, is_again = self.path, any(path == self.path for path, _ in server.asked)
        server.asked.append((path, monotonic()))
        if path.startswith("/b"):
            PAUSES.join(server, server.place)  # after the worker, so that it is told when that has been told
            server.b_is_read.set()
            server.is_told.wait(60)
        refused = path == "/a/1" and not is_again
        if refused:
            server.b_is_read.wait(60)
        self.send_response(429 if refused else 200)
        for name, value in {"Retry-After": "2", "Content-Length": "0" if refused else "1"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"" if refused else b"x")

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def test_a_pause_of_one_worker_is_kept_by_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server asks one of two workers for a pause: the other asks for nothing more than it had begun until then.

    A worker that starts meanwhile asks for nothing at all. Then all go on, and no item loses a try.
    """
    monkeypatch.setattr(enumeration, "SHARD_ITEMS", ITEMS)
    shared, source = StopSignals(), UrlSource(tmp_path / "list")
    server = Server(source.place)
    with serving(server) as url:
        urls = [f"{url}/{name}/{n}" for name in "abc" for n in range(ITEMS)]
        source.path.write_text("".join(json.dumps({"url": url}) + "\n" for url in urls))
        folder = new_job(open_store(tmp_path / "store"), source)
        policy = CollectionPolicy(concurrency=1, retry=RETRY)
        work = ShardWork(source, folder, claim_attempt(folder), ShardPolicy("test", policy), 3)
        with WorkerProcesses(work, shared, print) as workers, ThreadPoolExecutor(3) as pool:

            def submit(shard: Shard) -> Future[Any]:
                if shard.part == 2:
                    server.is_told.wait(60)
                return pool.submit(workers.collect, shard.part)

            result = run_attempt(
                folder, folder.record(), work.attempt, source, submit, policy, in_flight=3,
                stop=shared.stop, progress=shared.progress,
            )  # fmt: skip
    [pause] = {*server.pauses}
    early = [path for path, at in server.asked if at < pause.until]
    assert early.count("/a/1") == 1
    assert f"/b/{ITEMS - 1}" not in early
    assert not any(path.startswith("/c") for path in early)
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    ledgers = [read_ledger(folder, work.attempt, part) for part in range(3)]
    assert [set(each.column("tries").to_pylist()) for each in ledgers if each is not None] == [{1}] * 3
    check_account(folder)


def begun(pace: Pace) -> int:
    """Return how many requests may begin at once; they are ended then."""
    count = 0
    while pace.try_begin():
        count += 1
    for _ in range(count):
        pace.end()
    return count


def test_the_pace_of_several(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each halves what it has under way, or takes what the one that was asked sends; other servers are not paused.

    All together send one request more after a round of all.
    """
    asked, busy, idle, other = Pace("server ann"), Pace("server ann"), Pace("server ann"), Pace("server eve")
    for pace, count in ((asked, 8), (busy, 4)):
        for _ in range(count):
            assert pace.try_begin()
    assert asked.too_many(0.0)
    for pace, count in ((asked, 8), (busy, 4)):
        for _ in range(count):
            pace.end()
    assert [begun(pace) for pace in (asked, busy, idle)] == [4, 2, 4]
    for _ in range(99):
        assert other.try_begin()
    monkeypatch.setattr(PAUSES, "processes", 3)
    for _ in range(5):
        busy.passed()
    assert begun(busy) == 2
    busy.passed()
    assert begun(busy) == 3
    asked.too_many(600.0)
    assert not any(pace.try_begin() for pace in (asked, busy, idle, Pace("server ann")))
    assert other.try_begin()
