"""Progress on standard error: bars on a terminal, else a line a minute; and why a job waits."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from prefect_collect.cli._exits import PROGRAM
from prefect_collect.escaping import one_line
from prefect_collect.threads.own_forks import has_one_thread
from prefect_collect.threads.progress import Progress, watching

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

_DRAW_EVERY: Final = 0.1
"""Seconds between two drawings of a bar that no thread draws."""

LINE_EVERY: Final = 60.0
"""Seconds between progress lines, as in rclone."""


@contextmanager
def shown_jobs() -> Iterator[None]:
    """Show a bar, or lines, for each job that this process runs, and a line with the reason for each that waits."""
    if not sys.stderr.isatty():
        with _lines():
            yield
        return
    from rich.spinner import Spinner
    from rich.text import Text

    followed: dict[Any, Progress] = {}
    waiting: dict[str, Spinner] = {}

    def update(bars: Bars) -> None:
        for task, progress in list(followed.items()):
            total = None if progress.listing else progress.found
            bars.update(task, description=progress.phase, completed=progress.done, total=total, **_words(progress))

    with _bars("{task.fields[items]}  {task.fields[size]}  {task.fields[rate]}", update, waiting.values()) as bars:

        def follow(job_id: str, progress: Progress) -> None:
            waiting.pop(job_id, None)
            if progress.waits_for:
                waiting[job_id] = Spinner("dots", Text(one_line(progress.waits_for)))
                return
            followed[bars.add_task(progress.phase, total=None, **_words(progress))] = progress

        with watching(follow):
            yield
        update(bars)


@contextmanager
def _lines() -> Iterator[None]:
    followed: list[Progress] = []
    over = threading.Event()

    def say(text: str) -> None:
        print(one_line(f"{PROGRAM}: {text}"), file=sys.stderr, flush=True)

    def repeat() -> None:
        while not over.wait(LINE_EVERY):
            for progress in followed[-1:]:
                if not progress.waits_for:
                    say(f"{progress.phase}: {', '.join(_words(progress).values())}")

    def follow(_: str, progress: Progress) -> None:
        followed.append(progress)
        if progress.waits_for:
            say(progress.waits_for)

    thread = threading.Thread(target=repeat, name="progress lines", daemon=True)
    thread.start()
    try:
        with watching(follow):
            yield
    finally:
        over.set()
        thread.join()


def _words(progress: Progress) -> dict[str, Any]:
    from prefect_collect.pages.text import bytes_text

    rate = progress.bytes / progress.seconds if progress.seconds > 0 else 0
    found = f"{progress.found:,}{'+' if progress.listing else ''}"
    failed = f", {progress.failed:,} failed" if progress.failed else ""
    return {
        "items": f"{progress.done:,} of {found} items{failed}",
        "size": bytes_text(progress.bytes),
        "rate": f"{bytes_text(rate)}/s",
    }


@contextmanager
def shown_files(label: str, *, by_thread: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Yield a function to call with the files and bytes done since its last call; None if there is no terminal.

    A thread draws the bar, or, without `by_thread`, each call, so that no thread runs meanwhile: only a process with
    one thread verifies by forks.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from prefect_collect.pages.text import bytes_text

    done, drawn, by_thread = [0, 0], 0.0, by_thread or not has_one_thread()

    def count(files: int, size: int) -> None:
        nonlocal drawn
        done[0] += files
        done[1] += size
        if not by_thread and monotonic() - drawn > _DRAW_EVERY:
            drawn = monotonic()
            bars.refresh()

    def update(bars: Bars) -> None:
        for task in bars.task_ids:
            bars.update(task, words=f"{done[0]:,} files  {bytes_text(done[1])}")

    with _bars("{task.fields[words]}", update, auto_refresh=by_thread) as bars:
        bars.add_task(label, total=None, words="")
        yield count
        update(bars)


def _bars(
    words: str, update: Callable[[Bars], None], above: Collection[Any] = (), *, auto_refresh: bool = True
) -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    class Live(Bars):
        """Bars that call `update` each time they are drawn."""

        def get_renderables(self) -> Any:
            update(self)
            return [*above, *super().get_renderables()]

    columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=30), TextColumn(words)]
    return Live(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True, auto_refresh=auto_refresh)
