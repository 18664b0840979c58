"""Throughput of one and two worker processes beside threads, from each kind of server, into a local store.

    python -m benchmarks --only workers

Without Prefect; the workers have been started, with their imports. The server runs on the same cores, so the note says
what it used: where the job and the server fill both cores, more workers cannot be faster here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.context import Bench
from benchmarks.data import DataSet, remove
from benchmarks.databases import fill
from benchmarks.limits import Limit
from benchmarks.mailboxes import message
from benchmarks.measure import say
from benchmarks.peers import credentials
from benchmarks.product import source_of
from benchmarks.servers import cpu_seconds, family
from benchmarks.sftp import Sshd
from benchmarks.shard_runs import in_turn, times_as_fast
from benchmarks.urls import Nginx, write_list
from benchmarks.webdav import WebDav
from benchmarks.worker import Worker
from tests.integration.databases import postgres_database
from tests.integration.mail_server import PASSWORD, dovecot

_ITEMS: Final = 8_000
"""Four shards: two for each of two workers."""

_SLICES: Final = 4_000
_SLICE: Final = 25
"""Slices of a table, and the rows of each; in slices as large as by default it would be one shard, of one worker."""

_ROUNDS: Final = 2

_WAYS: Final = ("threads, 2", "processes, 1", "processes, 2")
_BASES: Final = (("processes, 1", "1 process"), ("threads, 2", "2 threads"))

Server = tuple[dict[str, Any], int, dict[str, str]]
"""What a source is, for `product`; a process of its server, or 0; the environment of the job's process."""


def measure(source: dict[str, Any], folder: str, rounds: int, server: int) -> dict[str, Any]:
    """Collect a source in each way in turn: ratios, seconds and CPU seconds."""
    block = source_of(source)
    in_turn(block, Path(folder), _WAYS[:1], 1)  # imports are no part of it
    before = _of_server(server)
    took = in_turn(block, Path(folder), _WAYS, rounds)
    return {
        "beside": {base: times_as_fast(took, base, "processes, 2") for base, _ in _BASES},
        "clock": {way: median(one.clock for one in runs) for way, runs in took.items()},
        "used": {way: median(one.job + one.workers for one in runs) for way, runs in took.items()},
        "job": median(one.job for one in took["processes, 2"]),
        "server": (_of_server(server) - before) / (rounds * len(_WAYS)) if server else None,
    }


def _of_server(pid: int) -> float:
    return sum(map(cpu_seconds, family(pid))) if pid else 0.0


def _s3(bench: Bench, data: DataSet) -> Server:
    server = bench.s3bench(data)
    return {"s3": data.name, "endpoint": server.endpoint}, server.pid, credentials(server.endpoint)


def _sftp(bench: Bench, data: DataSet) -> Server:
    server = bench.started(Sshd(bench.work / "sshd-workers", bench.log("sshd")))
    bench.stack.callback(remove, server.folder)
    return server.source(bench.tree(data), server.port), server.pid, {}


def _webdav(bench: Bench, data: DataSet) -> Server:
    server = bench.started(WebDav(bench.tree(data), bench.log("webdav")))
    return {"webdav": f"webdav://127.0.0.1:{server.port}/"}, server.pid, {}


def _urls(bench: Bench, data: DataSet) -> Server:
    tree = bench.tree(data)
    server = bench.started(Nginx(bench.work / "nginx-workers", tree, bench.log("nginx")))
    bench.stack.callback(remove, server.folder)
    names = sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file())
    write_list(server.folder / "list.jsonl", names, server.port)
    return {"urls": f"urls://{server.folder / 'list.jsonl'}"}, server.pid, {}


def _imap(bench: Bench, data: DataSet) -> Server:
    server = bench.stack.enter_context(dovecot(connections=20))
    mailbox = server.new_user()
    mailbox.deliver(message(number) for number in range(data.count))
    fields = {"url": f"imaps://{mailbox.user}@127.0.0.1:{server.tls_port}", "password": PASSWORD}
    return {"block": "ImapSource", "fields": fields}, 0, {"SSL_CERT_FILE": str(server.certificate)}


def _postgresql(_: Bench, data: DataSet) -> Server:
    database = postgres_database()
    fill(database, _SLICE * min(_SLICES, data.count))
    fields = {"url": database.url, "rows": _SLICE, "tables": ["orders"]}
    return {"block": "SqlSource", "fields": fields}, 0, {}


_SERVERS: Final[dict[str, Callable[[Bench, DataSet], Server]]] = {
    "S3, small objects": _s3,
    "SFTP, small files": _sftp,
    "WebDAV, small files": _webdav,
    "list of URLs, small files": _urls,
    "IMAP, messages of 5 KB": _imap,
    f"PostgreSQL, slices of {_SLICE} rows": _postgresql,
}


def workers(bench: Bench) -> list[Limit]:
    """Measure two worker processes beside one, and beside two threads, from each kind of server."""
    rows: list[Limit] = []
    data, rounds = bench.fewer(_ITEMS), min(_ROUNDS, bench.rounds)
    for what, start in _SERVERS.items():
        source, server, environment = start(bench, data)
        worker = Worker(bench.log("worker"), environment)
        try:
            bench.settle()
            folder = str(bench.scratch(f"workers-{len(rows)}"))
            found = worker.call("workers.measure", source=source, folder=folder, rounds=rounds, server=server)
        finally:
            worker.stop()
        clock, used = found["clock"], found["used"]
        say(f"    {what}: {found}")
        of_server = "" if found["server"] is None else f", the server's {found['server']:.2f} s"
        for base, other in _BASES:
            note = f"{clock[base]:.2f} s → {clock['processes, 2']:.2f} s; CPU {used[base]:.2f} → "
            note += f"{used['processes, 2']:.2f} s, of it the job's process {found['job']:.2f} s{of_server}"
            title = f"2 worker processes beside {other}, {what}"
            rows.append(Limit(title, found["beside"][base], "times", note=note, is_least=True, rounds=rounds))
    return rows
