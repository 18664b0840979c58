"""The command `estimate`: what a collection of a source is expected to take."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from prefect_collect.cli._exits import FAILED, OK
from prefect_collect.cli._jobs import may_be_saved, source_of
from prefect_collect.cli._output import Output
from prefect_collect.cli._places import require_usable, store_location
from prefect_collect.cli._run_command import print_error
from prefect_collect.cli._server import prefect_server
from prefect_collect.codes import CODES
from prefect_collect.errors import SourceError
from prefect_collect.pages.expected import size_text, time_text
from prefect_collect.pages.text import counted, items

if TYPE_CHECKING:
    from prefect_collect.cli._collection_options import CollectionOptions


def estimate_source(named: str, options: CollectionOptions, store: str | None, *, json: bool) -> int:
    """Run ``estimate``; return 4 if the source cannot be listed to its end."""
    out = Output(as_json=json)
    location = store_location(store)
    require_usable(location)
    with prefect_server(out.say) if may_be_saved(named) else nullcontext():
        source = source_of(named, options.access)
    from prefect_collect import jobs

    said = _Said(out)
    try:
        made = jobs.estimate(source, options.query, location, progress=said.listed)
    except SourceError as error:
        print_error(str(error))
        out.line(f"What to do: {CODES[error.code].action_for(whole=True)}")
        return FAILED
    out.json({"source": source.name, "location": source.location(), "store": location, **made.to_json()})
    out.line(f"{source.name}: {source.location()}")
    out.line(f"  items    {made.items:,}")
    if made.failed:
        out.line(f"  failed   {made.failed:,} cannot be read; `prefect-collect sources test` shows why", style="yellow")
    out.line(f"  size     {size_text(made)}")
    if time := time_text(made):
        out.line(f"  time     {time}, by {counted(len(made.jobs), 'earlier job')}: {', '.join(made.jobs)}")
    else:
        out.line("  time     not known: this staging store has no earlier job of the source")
    return OK


class _Said:
    """Says how many items were listed, each time that the number has doubled."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._next = 10_000

    def listed(self, number: int) -> None:
        if number >= self._next:
            self._out.say(f"{items(number)} listed …")
            self._next *= 2
