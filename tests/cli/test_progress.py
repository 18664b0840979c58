"""The progress that the command line shows."""

from __future__ import annotations

import io
import re
import sys
import threading

import pytest

from prefect_collect.cli import _progress
from prefect_collect.threads.own_forks import has_one_thread
from prefect_collect.threads.progress import Progress, announce
from tests.support.process_fork import run_fork


def test_where_no_terminal_is_a_line_from_time_to_time_says_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a terminal, a line from time to time gives the present job's items and bytes; a quick job has none."""
    with _progress.shown_jobs():
        announce("job", Progress())
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(_progress, "LINE_EVERY", 0.01)
    said, told = "", threading.Event()
    with _progress.shown_jobs():
        announce("first", Progress(phase="Collecting", found=1000, succeeded=998, failed=2, listing=False))
        announce("second", Progress(phase="Exporting", found=3, succeeded=1, bytes=2048))
        while "Exporting" not in said:
            told.wait(0.01)
            said += capsys.readouterr().err
    last = said.splitlines()[-1]
    assert re.fullmatch(r"prefect-collect: Exporting: 1 of 3\+ items, 2\.0 KiB, .+/s", last)


def test_where_no_terminal_is_a_line_says_at_once_what_a_job_waits_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A waiting job has one line for each change of the reason, escaped, and no lines from time to time."""
    monkeypatch.setattr(_progress, "LINE_EVERY", 0.01)
    with _progress.shown_jobs():
        announce("job", Progress(waits_for="Waiting for one\n\x1b[2J (00000000); 1 before it in the queue."))
        announce("job", Progress(waits_for="Waiting for two (11111111); it is the next."))
        threading.Event().wait(0.1)
    assert capsys.readouterr().err.splitlines() == [
        r"prefect-collect: Waiting for one\n\x1b[2J (00000000); 1 before it in the queue.",
        "prefect-collect: Waiting for two (11111111); it is the next.",
    ]


class _Terminal(io.StringIO):
    """Standard error that says it is a terminal."""

    def isatty(self) -> bool:
        return True

    def until(self, text: str) -> None:
        """Wait until that text was written."""
        waited = threading.Event()
        while text not in self.getvalue():
            waited.wait(0.01)


def test_in_a_terminal_what_a_job_waits_for_is_a_line_that_gives_way_to_its_bar(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a terminal, a waiting job has one line that changes in place, is wrapped, and goes when the job starts."""
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    for name, value in {"TERM": "xterm", "COLUMNS": "60", "LINES": "20"}.items():
        monkeypatch.setenv(name, value)
    with _progress.shown_jobs():
        announce("job", Progress(waits_for="Waiting for [red] one (00000000); 1 before it in the queue."))
        terminal.until("queue.")
        announce("job", Progress(waits_for="Waiting for two (11111111); it is the next."))
        terminal.until("it is the next.")
        announce("job", Progress(phase="Collecting", found=3, listing=False))
        terminal.until("Collecting")
    said = terminal.getvalue()
    assert "Waiting for [red] one" in said
    assert "Waiting for" not in said[said.index("Collecting") :]
    assert "one" not in said[said.index("two") :]


@pytest.mark.parametrize("by_thread", [True, False])
def test_the_bar_of_files_moves_while_nothing_is_done(by_thread: bool) -> None:
    """A thread turns the spinner, or each call does: then there is no thread, so that the process can be forked."""

    def program() -> None:
        terminal = _Terminal()
        sys.stderr = terminal
        with _progress.shown_files("Verifying", by_thread=by_thread) as count:
            assert count is not None
            assert has_one_thread() != by_thread
            waited = threading.Event()
            while len({*"⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"} & {*terminal.getvalue()}) < 2:
                if not by_thread:
                    count(0, 0)
                waited.wait(0.01)

    assert run_fork(program, environment={"TERM": "xterm", "COLUMNS": "60"}).code == 0
