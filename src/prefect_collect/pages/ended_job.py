"""The page of a job that has ended, as Markdown."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from prefect_collect.escaping import markdown, markdown_code, markdown_link
from prefect_collect.job_folder.estimates import Estimate
from prefect_collect.job_folder.exports_made import ExportMade
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.pages.console_links import ConsoleLinks
from prefect_collect.pages.expected import expected_rows
from prefect_collect.pages.text import bytes_text, duration_text, found_word, items_text
from prefect_collect.statuses import JobKind, JobStatus, NextStep, definition, next_steps

_BUTTONS: Final = {
    (JobStatus.DRAFTED, NextStep.START): "Resume",
    (JobStatus.QUEUED, NextStep.CANCEL): "Cancel",
    (JobStatus.IN_PROGRESS, NextStep.CANCEL): "Cancel",
    (JobStatus.PARTIALLY_COMPLETED, NextStep.RETRY): "Retry",
    (JobStatus.FAILED, NextStep.RETRY): "Retry",
    (JobStatus.CANCELED, NextStep.START): "Retry",
}
"""The buttons on Prefect's page of a run that do a next step.

Delete is not among them, because Prefect's button does not delete the staged data.
"""


def step_command(step: NextStep, job_id: str, store: str | None = None) -> str:
    """Return the command line of a next step, with the staging store if one is given."""
    suffix = {NextStep.EXPORT: " --to DEST", NextStep.DOWNLOAD: " --to DIR"}.get(step, "")
    named = "" if store is None else f" --store {shlex.quote(store)}"
    return f"prefect-collect {step.value.lower()} {job_id}{suffix}{named}"


@dataclass(frozen=True, slots=True)
class RunPage:
    """The page of a job's flow run in Prefect's UI.

    Attributes:
        url: The page's address.
        has_deployment: True if the run is of a deployment; Prefect's Retry button works only then.
    """

    url: str
    has_deployment: bool = False


def steps_list(
    kind: JobKind,
    status: JobStatus,
    job_id: str,
    run_page: RunPage | None = None,
    console: ConsoleLinks | None = None,
) -> list[str]:
    """Return the next steps as a Markdown list, each with the ways to take it: its exact command, Prefect's button that
    does the same, and the console's page.
    """
    return [
        f"- {step}: {', or '.join(_ways(status, step, job_id, run_page, console))}" for step in next_steps(kind, status)
    ]


def _ways(
    status: JobStatus, step: NextStep, job_id: str, run_page: RunPage | None, console: ConsoleLinks | None
) -> list[str]:
    ways = [markdown_code(step_command(step, job_id))]
    button = _BUTTONS.get((status, step))
    if run_page is not None and button is not None and (button != "Retry" or run_page.has_deployment):
        ways.append(f"{button} on {markdown_link('the run in Prefect', run_page.url)}")
    if console is not None:
        page = console.items(job_id) if step is NextStep.PREVIEW else console.job(job_id)
        ways.append(markdown_link("in the console", page))
    return ways


def console_line(job_id: str, console: ConsoleLinks | None) -> list[str]:
    """Return a line that leads to the job's page in the console; nothing if no console is known."""
    return [] if console is None else [markdown_link("Open this job in the console", console.job(job_id)), ""]


def custodian_text(custodian: str) -> str:
    """Return the sentence of a page that names the custodian, as Markdown; "" if there is none."""
    return f"Custodian: {markdown_code(custodian)}. " if custodian else ""


def job_page(
    result: TaskResult,
    name: str,
    source: str,
    run_page: RunPage | None = None,
    *,
    custodian: str = "",
    console: ConsoleLinks | None = None,
    exports: Sequence[ExportMade] = (),
    estimate: Estimate | None = None,
) -> str:
    """Return the page of a job that has ended: status, counts, errors, next steps and locations, as Markdown.

    Args:
        result: The job's result.
        name: The name of its flow run.
        source: The data source, as the user named it.
        run_page: The page of its flow run in Prefect's UI, if known.
        custodian: The person or department whose data was collected, if known.
        console: The links to the console, if one is known; without them, files are named by their location only.
        exports: The finished exports of a collection; those that lack what was collected since are shown.
        estimate: What was expected of the collection before it was made, if that was estimated.
    """
    counts = result.counts
    lines = [
        f"# {markdown(name)}: {result.status}",
        "",
        definition(result.kind, result.status),
        "",
        *console_line(result.job_id, console),
        markdown(result.message),
        "",
        *(f"{markdown(note)}\n" for note in result.notes),
        *(f"> {markdown(warning)}\n" for warning in result.warnings),
        "| | items |",
        "| --- | ---: |",
        f"| {found_word(result.kind)} | {counts.found:,} |",
        f"| succeeded | {counts.succeeded:,} |",
        f"| failed | {counts.failed:,} |",
        f"| skipped | {counts.skipped:,} |",
        f"| not attempted | {counts.not_attempted:,} |",
        "",
        f"{bytes_text(counts.bytes)}, success rate {result.success_rate:.2f} %, attempt {result.attempt}, "
        f"in {duration_text((result.ended - result.started).total_seconds())}. Source: {markdown_code(source)}. "
        f"{custodian_text(custodian)}Job: {markdown_code(result.job_id)}.",
        "",
        *_announced(result),
        *_expected(estimate, result),
        *_duplicates(result),
        *_receipt(result),
        *_codes(result),
        *_exports(exports, console),
        "## Next steps",
        "",
        *steps_list(result.kind, result.status, result.job_id, run_page, console),
        "",
        "## Where things are",
        "",
        *_places(result, console),
    ]
    return "\n".join(lines) + "\n"


def report_links(result: TaskResult, console: ConsoleLinks) -> str:
    """Return links to the error report: as a table of the console, and its files."""
    shown = {"as a table": console.errors(result.job_id, result.attempt)}
    for form in ("csv", "parquet"):
        shown[f"errors.{form}"] = console.report(result.job_id, result.attempt, form)
    return ", ".join(markdown_link(label, url) for label, url in shown.items())


def _places(result: TaskResult, console: ConsoleLinks | None) -> list[str]:
    folder = result.error_report.rpartition("/")[0]
    lines = [_place("error report", "" if console is None else report_links(result, console), f"{folder}/")]
    if result.package:
        name = result.package.rpartition("/")[2]
        link = "" if console is None else markdown_link(name, console.package(result.job_id))
        fingerprint = f"fingerprint {markdown_code(str(result.fingerprint))}"
        lines.append(f"{_place('package', link, result.package)}, {fingerprint}")
    return lines


def _place(what: str, links: str, location: str) -> str:
    """Return a line with the links, if there are any, and the location, to copy."""
    return f"- {what}: {f'{links}, in ' if links else ''}{markdown_code(location)}"


def _codes(result: TaskResult) -> list[str]:
    if not result.codes:
        return []
    rows = [
        f"| {one.outcome} | {markdown(one.code)} | {items_text(one.items)} | {markdown(one.action)} |"
        for one in result.code_counts
    ]
    head = ["| outcome | code | items | what to do |", "| --- | --- | ---: | --- |"]
    return ["## What did not succeed", "", *head, *rows, ""]


def _exports(exports: Sequence[ExportMade], console: ConsoleLinks | None) -> list[str]:
    """Return the exports that lack items that a later attempt collected, and what to do."""
    lines = [
        f"- {markdown_code(one.job_id) if console is None else markdown_link(one.job_id, console.job(one.job_id))}: "
        f"{one.note}"
        for one in exports
        if one.note
    ]
    return ["## Exports that lack what was collected since", "", *lines, ""] if lines else []


def _announced(result: TaskResult) -> list[str]:
    """Return what the source's listing announced, to compare with what was collected."""
    if result.estimated_items is None:
        return []
    size = "" if result.estimated_bytes is None else f", {bytes_text(result.estimated_bytes)}"
    return [f"Announced by the listing: {result.estimated_items:,} items{size}.", ""]


def _expected(estimate: Estimate | None, result: TaskResult) -> list[str]:
    """Return what was expected beside what came, as a table."""
    if estimate is None:
        return []
    rows = [f"| {title} | {expected} | {actual} |" for title, expected, actual in expected_rows(estimate, result)]
    head = [f"| | estimated {estimate.made_at:%Y-%m-%d %H:%M} UTC | actual |", "| --- | ---: | ---: |"]
    return [*head, *rows, ""]


def _duplicates(result: TaskResult) -> list[str]:
    """Return how many items of an export have the bytes of another, with their sizes; nothing if none has."""
    found = result.duplicates
    if found is None or not found.items:
        return []
    size = f"{bytes_text(found.bytes)}, of which {bytes_text(found.withheld_bytes)} are not delivered again"
    return [f"Duplicates: {markdown(found.text)} {size if found.withheld else bytes_text(found.bytes)}.", ""]


def _receipt(result: TaskResult) -> list[str]:
    """Return the receipt of a canceled job: the items that were kept, cut off and never started."""
    receipt = result.receipt
    if receipt is None:
        return []
    rows = [
        f"| kept | {receipt.kept:,} | {bytes_text(receipt.kept_bytes)} |",
        f"| cut off | {receipt.cut_off:,} | |",
        f"| never started | {receipt.never_started:,} | |",
    ]
    return ["## Receipt", "", "| | items | size |", "| --- | ---: | ---: |", *rows, ""]
