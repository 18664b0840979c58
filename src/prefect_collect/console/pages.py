"""The templates of the pages, and what they can call: sizes, times and durations in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse

from prefect_collect.console.access import Session
from prefect_collect.escaping import one_line
from prefect_collect.formats.export_texts import EXPORT_TEXTS
from prefect_collect.pages.text import bytes_text, duration_text

_CODE: Final = re.compile(r"(?<![^\s(])`([^`\n]+)`(?![^\s.,;:)])")
"""What a message writes as code; a backtick within a word, as names of items may have, is left."""

_STATUS_CLASSES: Final = {
    "Successfully completed": "good",
    "Partially completed": "warn",
    "Failed": "bad",
    "Canceled": "idle",
    "In progress": "busy",
    "Queued": "busy",
    "Awaiting collection": "idle",
    "Drafted": "idle",
}


def time_text(when: datetime | None) -> str:
    """Return a time with its zone, as ``2026-01-31 12:00:00 UTC``; "–" for None."""
    return "–" if when is None else f"{f'{when.astimezone(UTC):%Y-%m-%d %H:%M:%S}'.zfill(19)} UTC"


def iso_time_text(when: str) -> str:
    """Return a time of a custody log as `time_text` does; the text itself if it is not a time."""
    try:
        return time_text(datetime.fromisoformat(when))
    except (ValueError, OverflowError):
        return when


def visible(value: object) -> object:
    """Return what stands for a value in a page, before it is escaped: invisible characters as ``\\u202e``."""
    return one_line(value) if type(value) is str else value


def with_code(text: object) -> Markup:
    """Return a message for a page, escaped, with what it has between backticks as code."""
    parts = _CODE.split(str(text))  # what is code is every second part
    shown = (escape(one_line(part)) for part in parts)
    return Markup("").join(Markup("<code>%s</code>") % part if at % 2 else part for at, part in enumerate(shown))


def count_text(number: int | None) -> str:
    """Return a number with separators of thousands; "–" for None."""
    return "–" if number is None else f"{number:,}"


def status_class(status: object) -> str:
    """Return the CSS class of a status's colour."""
    return _STATUS_CLASSES.get(str(status), "idle")


def session_of(request: Request) -> Session:
    """Return the session of a request that has passed the guard."""
    found: Session = request.state.session
    return found


def is_fragment(request: Request) -> bool:
    """Return whether only a part of the page is wanted: htmx asks, and not to restore a page of the history."""
    return "hx-request" in request.headers and "hx-history-restore-request" not in request.headers


class Pages:
    """Renders the templates; names and messages of jobs are escaped by Jinja2 wherever they stand."""

    def __init__(self, root_path: str = "") -> None:
        self.root_path = root_path
        self._environment = Environment(
            loader=PackageLoader("prefect_collect.console"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=visible,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            size=bytes_text,
            time=time_text,
            iso_time=iso_time_text,
            duration=duration_text,
            count=count_text,
            status_class=status_class,
            with_code=with_code,
        )
        self._environment.globals.update(root=root_path, texts=EXPORT_TEXTS)

    def text(self, template: str, **values: Any) -> str:
        """Return a rendered template."""
        return self._environment.get_template(template).render(**values)

    def answer(
        self,
        request: Request,
        template: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: Any,
    ) -> HTMLResponse:
        """Return a rendered template as the answer to a request, whose session the template can use."""
        session = getattr(request.state, "session", None)
        content = self.text(template, session=session, **values)
        return HTMLResponse(content, status, headers=dict(headers or {}))
