"""The data sources: those that are saved, the kinds that are installed, and a look at what one lists."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from prefect_collect.cli._exits import FAILED, OK
from prefect_collect.cli._jobs import may_be_saved, source_of
from prefect_collect.cli._output import Output
from prefect_collect.cli._server import configured_api, prefect_server
from prefect_collect.cli._summary import print_codes
from prefect_collect.codes import CODES
from prefect_collect.job_folder.result import counts_by_outcome
from prefect_collect.pages.text import be, bytes_text, items
from prefect_collect.sources.query import Query
from prefect_collect.sources.sampling import FIRST, MOST, Sample, Taken, take_sample, taken

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from prefect_collect.blocks import DataSource
    from prefect_collect.cli._collection_options import CollectionOptions
    from prefect_collect.codes import Failure
    from prefect_collect.jobs import SavedSource
    from prefect_collect.sources import Item

SECONDS: Final = 10.0
"""The most seconds that a test's listing takes."""


def list_sources(*, json: bool) -> int:
    """Run ``sources``."""
    out = Output(as_json=json)
    api = configured_api()
    from prefect_collect import jobs
    from prefect_collect.blocks.kinds import kinds

    saved = [] if api is None else jobs.list_sources()
    found = [*kinds()]
    out.json(
        {
            "saved": [_saved_as_json(one) for one in saved],
            "kinds": [
                {"name": one.name, "urls": [*one.urls], "summary": one.summary, "package": one.package,
                 "problem": one.problem or None}
                for one in found
            ],
        }
    )  # fmt: skip
    if api is None:
        out.line("No Prefect server is configured, so saved sources are not listed; set PREFECT_API_URL.")
    elif not saved:
        out.line("No source is saved; `prefect-collect collect` also takes a URL or a path.")
    else:
        out.table(
            ("source", "name", "location", "lifecycle", "problem"),
            [(one.reference, one.name, one.location, one.lifecycle.value, one.problem) for one in saved],
            fold={"name": 12, "location": 20, "problem": 20}, spare=("name",),
        )  # fmt: skip
    out.line()
    out.line("Installed kinds of sources:", style="bold")
    out.table(
        ("kind", "locations", "collects", "package"),
        [(one.name, " or ".join(one.urls), one.summary, one.package) for one in found],
        fold={"locations": 24, "collects": 24, "package": 16}, spare=("package",),
    )  # fmt: skip
    for one in found:
        if one.problem:
            out.line(f"{one.name} on this machine: {one.problem}")
    return OK


def test_source(named: str, options: CollectionOptions, *, json: bool) -> int:
    """Run ``sources test``: list the first items of a source, and say how many there are; return 4 if that fails."""
    out = Output(as_json=json)
    query = Query.of(options.query)
    with prefect_server(out.say) if may_be_saved(named) else nullcontext():
        source = source_of(named, options.access)
    sample = take_sample(source, MOST, SECONDS)
    count = taken(sample, query)
    out.json(_as_json(source, sample, count))
    out.line(f"{source.name}: {source.location()}")
    _print_first(out, sample.items[:FIRST])
    out.line(_estimate(sample, count))
    if count.outcomes:
        out.line()
        print_codes(out, counts_by_outcome(count.outcomes))
    if sample.failure is not None:
        out.line(f"The listing failed with {sample.failure.code}: {sample.failure.message}", style="red")
        out.line(f"What to do: {CODES[sample.failure.code].action_for(whole=True)}")
    return OK if sample.failure is None and not (sample.timed_out and not sample.items) else FAILED


def _print_first(out: Output, items: Sequence[Item]) -> None:
    if not items:
        return
    rows = [
        (
            one.path, "" if one.size is None else f"{one.size:,}", _time(one.modified), one.outcome or "",
            _code(one) or "",
        )
        for one in items
    ]  # fmt: skip
    out.table(
        ("path", "bytes", "modified", "outcome", "code"), rows, right=("bytes",), fold={"path": 24}, spare=("modified",)
    )  # fmt: skip


def _time(modified: datetime | None) -> str:
    return "" if modified is None else f"{modified:%Y-%m-%d %H:%M}".zfill(16)  # of the year 1, Python writes "1"


def _estimate(sample: Sample, count: Taken) -> str:
    """Return the numbers of a sample in a sentence."""
    said = f"{items(count.items)}, {bytes_text(count.bytes)}"
    if count.unsized:
        said += f", without the size of {count.unsized:,} that have no stated one"
    if count.failed:
        said += f"; {count.failed:,} cannot be read"
    if count.skipped:
        said += f"; {count.skipped:,} {be(count.skipped)} skipped"
    if count.elsewhere:
        said += f"; {count.elsewhere:,} {be(count.elsewhere)} elsewhere, and not attempted"
    if sample.failure is not None:
        return f"Before the listing failed: {said}."
    if count.is_whole:
        return f"A collection takes {said}."
    found = f"the first {count.listed:,}" if not sample.timed_out else f"those listed within {SECONDS:.0f} seconds"
    return f"A collection takes at least {said}; only {found} were listed."


def _code(item: Item) -> str | None:
    return None if item.unread is None else item.unread.code


def _failure_as_json(failure: Failure | None) -> dict[str, str] | None:
    if failure is None:
        return None
    return {"code": failure.code, "message": failure.message, "action": CODES[failure.code].action_for(whole=True)}


def _saved_as_json(source: SavedSource) -> dict[str, Any]:
    return {
        "reference": source.reference, "name": source.name, "location": source.location, "type": source.type,
        "lifecycle": source.lifecycle.value, "problem": source.problem or None,
    }  # fmt: skip


def _as_json(source: DataSource, sample: Sample, count: Taken) -> dict[str, Any]:
    return {
        "source": source.name, "location": source.location(), "listed": count.listed, "items": count.items,
        "bytes": count.bytes, "without_size": count.unsized, "failed": count.failed, "skipped": count.skipped,
        "elsewhere": count.elsewhere, "outcomes": count.outcomes, "is_whole": count.is_whole,
        "timed_out": sample.timed_out, "failure": _failure_as_json(sample.failure),
        "first": [
            {"id": one.id, "path": one.path, "size": one.size, "modified": one.modified,
             "outcome": one.outcome, "code": _code(one)}
            for one in sample.items[:FIRST]
        ],
    }  # fmt: skip
