"""Processes that kill themselves at a chosen write; each is a fork of a process that has imported everything.

An *instant* is the moment before a write to Prefect's server or to a store; the last instant is after all writes. It
is named by what is written and by how often that was written before, so that it is found again in another run.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import signal
import subprocess
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Final

import httpx
from prefect import engine, flow

import prefect_collect.cli
from prefect_collect import AutoExport, FileSource, collect, export, jobs
from prefect_collect.collecting import enumeration
from prefect_collect.flows.running_job import RunningJob
from prefect_collect.runs import session as sessions
from prefect_collect.stores import DirectoryStore, _directory_writer
from tests import forked

PATIENCE: Final = 80.0
"""Seconds for one process: less than the 90 s of a lease, so that nothing is settled because the lease runs out."""

END: Final = "the end"
_MAKES_A_RUN: Final = ("POST /flow_runs/", "POST /deployments/ID/create_flow_run")
WAITS: Final = "waits for its turn"
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
_READS: Final = re.compile(r"/(filter|history|count|flows/|logs/|names|paginate|block_types/|block_schemas/)/?$")
_ROOT: Final = Path(__file__).parents[3]


@dataclass(frozen=True)
class Died:
    """What a process left: its writes in order, the runs that it made, its exit code (-9: it killed itself)."""

    writes: list[str]
    runs: list[str]
    code: int | None
    said: str


def run_dying(
    environment: dict[str, str], folder: Path, what: str, *words: str, at: str = "", patience: float = PATIENCE
) -> Died:
    """Run a scene in a process that kills itself at an instant, and return what the process left.

    Args:
        environment: All environment variables of the process.
        folder: Where the process's report is written.
        what: The scene, a key of `_SCENES`.
        words: The scene's arguments.
        at: The instant; without it the process runs to its end.
        patience: Seconds after which the test fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / f"{what}-{len([*folder.iterdir()])}"
    with open(f"{report}.said", "w") as said:
        process = forked.Popen(
            [sys.executable, "-m", "tests.integration.jobs.dying_processes", report, at, what, *words],
            stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd=_ROOT,
            env={**environment, "PREFECT_LOGGING_TO_API_ENABLED": "false"},
        )  # fmt: skip
    try:
        code = process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(
            f"{what} {words} has not ended after {patience} s:\n{_text(report, 'said')[-3000:]}"
        ) from None
    lines = [line.split(" ", 1) for line in _text(report, "writes").splitlines()]
    return Died(
        [text for kind, text in lines if kind == "write"],
        [text for kind, text in lines if kind == "run"],
        code,
        _text(report, "said"),
    )


def _text(report: Path, suffix: str) -> str:
    path = report.with_suffix(f".{suffix}")
    return path.read_text() if path.exists() else ""


def _main(report: str, at: str, what: str, *words: str) -> None:
    instants = Instants(at, f"{report}.writes")
    instants.watch()
    _present.append(instants)
    code = 1
    try:
        code = _SCENES[what](*words) or 0
    except BaseException:
        traceback.print_exc()
    instants.pass_by(END)
    sys.stdout.flush()
    os._exit(code)  # as a killed process ends, without what Python and Prefect do at an exit


_present: list[Instants] = []


class Instants:
    """Notes each write of this process before it is made, and kills the process at the chosen write."""

    def __init__(self, at: str, report: str) -> None:
        self._at, self._lock, self._seen = at, threading.RLock(), Counter[str]()
        self._report = open(report, "a", buffering=1)  # noqa: SIM115  # it ends with the process

    def pass_by(self, name: str) -> None:
        """Note a write that is about to be made, and kill the process if it is the chosen one."""
        with self._lock:
            self._seen[name] += 1
            instant = f"{name} #{self._seen[name]}"
            self._report.write(f"write {instant}\n")
            if instant == self._at:
                os.kill(os.getpid(), signal.SIGKILL)
                signal.pause()

    def watch(self) -> None:
        """Note the writes to Prefect's server and to directories from now on."""
        send = httpx.Client.send

        def sending(client: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
            name = _name_of(request)
            if name:
                self.pass_by(name)
            answer = send(client, request, **options)
            if answer.is_success and name.startswith(_MAKES_A_RUN):
                self._report.write(f"run {answer.json()['id']}\n")
            return answer

        httpx.Client.send = sending  # type: ignore[assignment,method-assign]
        for place, calls in (
            (DirectoryStore, ("create", "compose", "delete", "remove")),
            (_directory_writer.DirectoryWriter, ("commit",)),
        ):
            for call in calls:
                setattr(place, call, self._noting(place, call))

    def _noting(self, place: Any, call: str) -> Callable[..., Any]:
        made = getattr(place, call)

        @wraps(made)
        def noting(store: Any, *args: Any, **options: Any) -> Any:
            key = args[0] if args and isinstance(args[0], str) else ""
            self.pass_by(f"{call} {_UUID.sub('ID', key)}".strip())
            return made(store, *args, **options)

        return noting


def _name_of(request: httpx.Request) -> str:
    """Return what the request writes; "" if it only reads."""
    path = _UUID.sub("ID", request.url.path.removeprefix("/api"))
    if request.method == "GET" or _READS.search(path):
        return ""
    try:
        body = json.loads(request.content or b"{}")
    except (ValueError, httpx.RequestNotRead):
        body = {}
    if path.endswith("/set_state"):
        return f"state {body['state']['type']} {body['state'].get('name')}"
    if path.endswith("/labels"):
        names = sorted({str(name).removeprefix("prefect-collect.").partition(".")[0] for name in body})
        return f"labels {','.join(names)}"
    return f"{request.method} {path}"


def _collect(root: str, name: str, store: str, out: str = "") -> int:
    source = FileSource(name=name, root=root)
    auto = AutoExport(destination=out) if out else None
    state = collect(source=source, store=store, name=name, auto_export=auto, return_state=True)
    return 0 if state.name == "Successfully completed" else 1


def _export(collection: str, out: str, store: str) -> int:
    return 0 if export(collection, out, store=store, return_state=True).name == "Successfully completed" else 1


def _called(root: str, name: str, store: str) -> int:
    """Run a collection that another flow calls."""

    @flow(name="calling")
    def calling() -> int:
        return _collect(root, name, store)

    return calling()


def _canceled(root: str, name: str, store: str) -> int:
    """Run a collection of three shards that is canceled, as by Ctrl-C, when its first one is committed."""
    enumeration.SHARD_ITEMS = 2  # type: ignore[misc]
    create, asking = DirectoryStore.create, threading.Lock()

    def stopping(self: DirectoryStore, key: str, data: Any, into: Any = None) -> Any:
        if "/ledger/" in key:
            [session] = sessions._sessions.values()
            if asking.acquire(blocking=False):
                jobs.cancel(session.run.id)
            session.stop.wait(10.0)
        return create(self, key, data, into)

    DirectoryStore.create = stopping  # type: ignore[method-assign]
    _collect(root, name, store)
    return 0


def _waiting(root: str, name: str, store: str) -> int:
    """Run a collection that waits for its turn; each message that it waits is an instant."""
    waits = RunningJob._waits

    def waiting(self: RunningJob, message: str) -> None:
        waits(self, message)
        _present[0].pass_by(WAITS)

    RunningJob._waits = waiting  # type: ignore[method-assign]
    return _collect(root, name, store)


def _draft(root: str, name: str, store: str, out: str) -> int:
    """Make a draft with an export, and edit it."""
    job = jobs.draft_collection(
        FileSource(name=name, root=root), store=store, name=name, auto_export=AutoExport(destination=out)
    )
    jobs.edit_draft(job.id, name=f"{name} edited", auto_export=AutoExport(destination=f"{out}-edited"))
    return 0


def _engine(job_id: str) -> int:
    """Run what a worker, or `serve`, starts for a run of a deployment."""
    os.environ["PREFECT__FLOW_RUN_ID"] = job_id
    sys.argv = [engine.__file__]
    with suppress(SystemExit):
        runpy.run_path(engine.__file__, run_name="__main__")
    return 0


def _delete(job_id: str) -> int:
    jobs.delete(job_id)
    return 0


def _command(*words: str) -> int:
    return prefect_collect.cli.run([*words])


_SCENES: Final[dict[str, Callable[..., int]]] = {
    "collect": _collect,
    "export": _export,
    "called": _called,
    "canceled": _canceled,
    "waiting": _waiting,
    "draft": _draft,
    "engine": _engine,
    "delete": _delete,
    "command": _command,
}


if __name__ == "__main__":
    _main(*sys.argv[1:])
