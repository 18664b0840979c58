"""What the command line says of the work while it lasts."""

from __future__ import annotations

import re
import threading

import pytest

from prefect_collect.cli import _progress
from prefect_collect.control import Progress, announce


def test_where_no_terminal_is_a_line_from_time_to_time_says_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a crontab's mail: the present job, its items and bytes; nothing of what is quickly done."""
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
