"""The command `demo`: it runs the whole process once, on real files, and prints what it does."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect_collect.cli._demo_tree import Damage, copy_tree, damage, prepare, standard_library
from prefect_collect.cli._exits import FAILED, OK, PROGRAM
from prefect_collect.cli._output import Output
from prefect_collect.cli._package_verdict import print_verification, verification_json
from prefect_collect.cli._report import first_rows, print_report
from prefect_collect.cli._server import prefect_server
from prefect_collect.cli._summary import print_job_summary
from prefect_collect.errors import JobFailed
from prefect_collect.pages.text import items
from prefect_collect.statuses import JobStatus, NextStep

if TYPE_CHECKING:
    from prefect_collect.jobs import Job
    from prefect_collect.packages import Verification


class Narrator:
    """Prints what the demonstration does: on standard output, or on standard error with --json."""

    def __init__(self, out: Output) -> None:
        self.out = out
        self._step = 0

    def step(self, text: str, command: str = "") -> None:
        """Print the next step, and the command line that would do it."""
        self._step += 1
        if self.out.as_json:
            self.out.say(f"{self._step}. {text}")
            return
        self.out.line()
        self.out.line(f"{self._step}. {text}", style="bold cyan")
        if command:
            self.out.line(f"$ {command}", style="dim")

    def say(self, text: str) -> None:
        """Print a line about the present step."""
        (self.out.say if self.out.as_json else self.out.line)(f"   {text}")


def run_demo(folder: Path, tree: Path | None, *, json: bool) -> int:
    """Run ``demo``. It works on a copy of the user's files; Prefect's files are kept in the folder too."""
    out = Output(as_json=json)
    tell = Narrator(out)
    asked = Path(os.path.abspath(folder.expanduser()))
    chosen = tree or standard_library()
    root = prepare(asked)
    if root != asked:
        tell.say(f"{asked} has an earlier demonstration, which is kept; this one is in {root}.")
    tell.step(f"Copying {'Python’s standard library' if tree is None else 'the tree'} {chosen} to {root / 'source'}")
    files = copy_tree(chosen, root / "source")
    tell.say(f"{files:,} files. One of them is made unreadable:")
    broken = damage(root / "source")
    tell.say(broken.how)
    if "PREFECT_API_URL" not in os.environ:
        os.environ["PREFECT_HOME"] = str(root / "prefect")
        tell.step("Starting a Prefect server for the time of this demonstration; its files are in prefect/")
    with prefect_server(tell.say):
        result = _jobs(tell, root, broken)
    tell.step("Where things are")
    for label, place in result.pop("places").items():
        tell.say(f"{label:<9}{place}")
    out.json(result)
    return OK if result["valid"] else FAILED


def _jobs(tell: Narrator, root: Path, broken: Damage) -> dict[str, Any]:
    from prefect_collect.blocks import FileSource
    from prefect_collect.cli._job_steps import again_here
    from prefect_collect.cli._jobs import collect_here, export_here

    staging, source = str(root / "staging"), root / "source"
    store = f"--store {shlex.quote(staging)}"
    tell.step(
        "Collecting the copy into the staging store",
        f"prefect-collect collect {shlex.quote(str(source))} --name demo --follow-symlinks {store}",
    )
    # Links are followed so that a dangling link fails; the copy holds no other links.
    block = FileSource(name="demo", root=source, follow_symlinks=True)
    first = collect_here(source=block, name="demo", query={}, store=staging)
    _require(first, JobStatus.PARTIALLY_COMPLETED)
    print_job_summary(tell.out, first, staging)

    tell.step("Reading the error report: which item, why, what to do", f"prefect-collect report {first.id} {store}")
    assert first.result is not None
    print_report(tell.out, first.result, first_rows(first.result, 20))

    tell.step("Repairing the file", broken.repair)
    broken.undo()

    tell.step("Retrying only what has not succeeded", f"prefect-collect retry {first.id} {store}")
    again = again_here(first.id, NextStep.RETRY, staging)
    _require(again, JobStatus.SUCCESSFULLY_COMPLETED)
    print_job_summary(tell.out, again, staging, steps=False)
    assert again.result is not None
    tried = again.result.this_attempt.found
    tell.say(
        f"        {items(tried)} tried; the {again.result.counts.succeeded - tried:,} others were kept as they were."
    )

    exports = str(root / "exports")
    tell.step("Exporting a bag (RFC 8493)", f"prefect-collect export {first.id} --to {shlex.quote(exports)} {store}")
    exported = export_here(first.id, exports, staging)
    _require(exported, JobStatus.SUCCESSFULLY_COMPLETED)
    print_job_summary(tell.out, exported, staging, steps=False)

    package = str(exported.result and exported.result.package)
    tell.step("Verifying the package: offline, every byte", f"prefect-collect verify {shlex.quote(package)}")
    found = _verify(tell, package)
    return {
        "collection": again.to_json(),
        "export": exported.to_json(),
        "tried_again": tried,
        "package": package,
        "valid": found.valid,
        "verification": verification_json(found),
        "places": {
            "source": source,
            "staging": staging,
            "report": f"{first.result.error_report} (errors.csv beside it)",
            "package": package,
            "look": f"{as_started()} show {first.id} {store}",
        },
    }


def _verify(tell: Narrator, package: str) -> Verification:
    from prefect_collect.packages import verify

    found = verify(package)
    print_verification(tell.out, found)
    return found


def as_started() -> str:
    """Return the command as the user can type it again.

    It is the program's name if the shell finds it, else the path it was started with, as by `make demo`.
    """
    started = sys.argv[0]
    found = shutil.which(PROGRAM)
    if os.path.basename(started) != PROGRAM:
        return PROGRAM if found else f"{shlex.quote(sys.executable)} -m prefect_collect"
    return PROGRAM if found and os.path.samefile(found, started) else shlex.quote(started)


def _require(job: Job, status: JobStatus) -> None:
    if job.status is not status:
        raise JobFailed(
            f"The demonstration expected {str(status)!r}, but the job is {str(job.status)!r}: {job.message} "
            f"[job={job.id}]"
        )
