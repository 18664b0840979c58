"""The page of a job that has ended, as Markdown."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from prefect_collect.codes import CODES
from prefect_collect.errors import CollectError
from prefect_collect.escaping import markdown, markdown_code, markdown_link
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.pages.text import bytes_text, duration_text, items_text
from prefect_collect.statuses import JobKind, JobStatus, NextStep, definition, next_steps
from prefect_collect.stores import Store

LINK_SECONDS: Final = 3600
"""Seconds for which a presigned link on a page works."""

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


def steps_list(kind: JobKind, status: JobStatus, job_id: str, run_page: RunPage | None = None) -> list[str]:
    """Return the next steps as a Markdown list, each with its exact command and Prefect's button that does the same."""
    return [
        f"- {step}: {markdown_code(step_command(step, job_id))}{_button(status, step, run_page)}"
        for step in next_steps(kind, status)
    ]


def _button(status: JobStatus, step: NextStep, run_page: RunPage | None) -> str:
    button = _BUTTONS.get((status, step))
    if run_page is None or button is None or (button == "Retry" and not run_page.has_deployment):
        return ""
    return f", or {button} on {markdown_link('the run in Prefect', run_page.url)}"


def custodian_text(custodian: str) -> str:
    """Return the sentence of a page that names the custodian, as Markdown; "" if there is none."""
    return f"Custodian: {markdown_code(custodian)}. " if custodian else ""


def job_page(
    result: TaskResult, name: str, source: str, destination: Store | None = None, run_page: RunPage | None = None,
    custodian: str = "",
) -> str:  # fmt: skip
    """Return the page of a job that has ended: status, counts, errors, next steps and locations, as Markdown.

    Args:
        result: The job's result.
        name: The name of its flow run.
        source: The data source, as the user named it.
        destination: The store that an export wrote to, to link its package.
        run_page: The page of its flow run in Prefect's UI, if known.
        custodian: The person or department whose data was collected, if known.
    """
    counts = result.counts
    lines = [
        f"# {markdown(name)}: {result.status}",
        "",
        definition(result.kind, result.status),
        "",
        markdown(result.message),
        "",
        *(f"> {markdown(warning)}\n" for warning in result.warnings),
        "| | items |",
        "| --- | ---: |",
        f"| found | {counts.found:,} |",
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
        *_receipt(result),
        *_codes(result),
        "## Next steps",
        "",
        *steps_list(result.kind, result.status, result.job_id, run_page),
        "",
        "## Where things are",
        "",
        *_places(result, destination),
    ]
    return "\n".join(lines) + "\n"


def report_link(result: TaskResult, name: str) -> str | None:
    """Return a link to a report of the job (``errors.csv``, ``errors.parquet``); None if its store has no links."""
    return _link(result.unsuccessful.store, store_keys.report_key(result.job_id, result.attempt, name))


def lifetime(result: TaskResult, url: str) -> str:
    """Return a note on how long a link works; "" if it does not expire."""
    if url.startswith("file:"):
        return ""
    return f"the link works until {result.ended + timedelta(seconds=LINK_SECONDS):%Y-%m-%d %H:%M} UTC"


def _places(result: TaskResult, destination: Store | None) -> list[str]:
    reports = [(name, report_link(result, name)) for name in ("errors.csv", "errors.parquet")]
    folder = result.error_report.rpartition("/")[0]
    lines = [_place("error report", reports, f"{folder}/", result)]
    if result.package:
        package = [(result.package.rpartition("/")[2], _package_link(result, destination))]
        fingerprint = f"fingerprint {markdown_code(str(result.fingerprint))}"
        lines.append(f"{_place('package', package, result.package, result)}, {fingerprint}")
    return lines


def _place(what: str, links: list[tuple[str, str | None]], location: str, result: TaskResult) -> str:
    """Return a line with links, which may expire, and the location, which does not."""
    opened = [(label, url) for label, url in links if url is not None]
    if not opened:
        return f"- {what}: {markdown_code(location)}"
    notes = lifetime(result, opened[0][1])
    shown = ", ".join(markdown_link(label, url) for label, url in opened)
    return f"- {what}: {shown}{f' ({notes})' if notes else ''}, in {markdown_code(location)}"


def _package_link(result: TaskResult, destination: Store | None) -> str | None:
    package = result.package or ""
    if "://" not in package:
        return Path(package).as_uri() if Path(package).is_absolute() else None
    if not package.endswith(".zip"):  # a browser cannot open a folder of a bucket
        return None
    for store in (destination, result.store):
        if store is not None and package.startswith(f"{store.url.rstrip('/')}/"):
            return _link(store, package[len(store.url.rstrip("/")) + 1 :])
    return None


def _link(store: Store, key: str) -> str | None:
    try:
        return store.link(key, LINK_SECONDS)
    except CollectError:
        return None


def _codes(result: TaskResult) -> list[str]:
    if not result.codes:
        return []
    rows = [
        f"| {markdown(code)} | {items_text(number)} | {markdown(CODES[code].action) if code in CODES else ''} |"
        for code, number in result.codes.items()
    ]
    return ["## What did not succeed", "", "| code | items | what to do |", "| --- | ---: | --- |", *rows, ""]


def _announced(result: TaskResult) -> list[str]:
    """Return what the source's listing announced, to compare with what was collected."""
    if result.estimated_items is None:
        return []
    size = "" if result.estimated_bytes is None else f", {bytes_text(result.estimated_bytes)}"
    return [f"Announced by the listing: {result.estimated_items:,} items{size}.", ""]


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
