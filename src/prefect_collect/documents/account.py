"""What a chain of custody document says, as JSON: the page and the PDF are made of nothing else.

    {"form": 1, "pages": 1, "tools": {…}, "meanings": {…}, "job": {…}, "result": {…}, "custody": {…}, "files": […],
     "package": {…}, "export": {…}}

`package` is null in the document of a job, `export` in that of a collection. Texts are clipped and lists are cut, with
the number of what was left out, so that a document stays small whatever a job holds. The meanings of codes are in the
account, as their words may change with a version.
"""

from __future__ import annotations

import json
import platform
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from prefect_collect.codes import CODES
from prefect_collect.untrusted.bounded_json import (
    BadValue,
    Check,
    anything,
    fields,
    flag,
    list_of,
    moment,
    or_none,
    parse_json,
    table_of,
    text,
    whole,
)

FORM: Final = 1
"""The version of the account's form."""

PAGES: Final = 1
"""The version of the pages: raise it with every change of what `page`, `html_page` or `pdf_page` make of an account."""

MOST_BYTES: Final = 1 << 20
"""The most bytes of an account; clipped texts and cut lists keep one far below."""

LONGEST: Final = 400
MOST_EVENTS: Final = 200
MOST_LISTS: Final = 40
MOST_ASKED: Final = 60
MOST_CODES: Final = 1_000
MOST_WARNINGS: Final = 20
_MOST_VALUES: Final = 20_000
_TOOLS: Final = ("prefect-collect", "pyarrow", "reportlab")

_TEXT: Final = text(LONGEST)
_HASH: Final = text(64, "[0-9a-f]{64}")


def _most(most: int, inside: Check) -> Check:
    """Return a check for a list or an object with at most so many values, which must pass `inside`."""

    def check(value: Any, name: str) -> None:
        inside(value, name)
        if len(value) > most:
            raise BadValue(f"{name} has more than {most} values")

    return check


def _rows(most: int, *columns: Check) -> Check:
    """Return a check for a list of at most so many rows with these columns."""
    is_table = _most(most, list_of(list_of(anything)))

    def check(value: Any, name: str) -> None:
        is_table(value, name)
        for row in value:
            if len(row) != len(columns):
                raise BadValue(f"{name} has a row without {len(columns)} columns")
            for inside, cell in zip(columns, row, strict=True):
                inside(cell, f"{name}[]")

    return check


_OUTCOMES: Final = table_of(_most(MOST_CODES, table_of(whole(1), text(100))), text(30, "failed|skipped|not_attempted"))
_MEANINGS: Final = _most(MOST_CODES, table_of(_TEXT, text(100)))

ACCOUNT: Final = fields(
    {
        "form": whole(FORM, FORM),
        "pages": whole(1),
        "meanings": _MEANINGS,
        "tools": _most(10, table_of(text(60), text(60))),
        "job": fields(
            {
                "id": text(100), "kind": text(20, "collection|export"), "name": _TEXT, "source": _rows(3, _TEXT, _TEXT),
                "custodian": _TEXT, "created_by": _TEXT, "created_at": text(64),
                "asked": _rows(MOST_ASKED, _TEXT, _TEXT), "asked_left": whole(),
            }
        ),
        "result": fields(
            {
                "attempt": whole(1), "status": text(40), "started": moment, "ended": moment, "found": whole(),
                "succeeded": whole(), "failed": whole(), "skipped": whole(), "not_attempted": whole(), "bytes": whole(),
                "outcomes": _OUTCOMES, "job_codes": _MEANINGS,
                "warnings": _most(MOST_WARNINGS, list_of(_TEXT)),
                "listing_complete": flag,
            }
        ),
        "custody": fields(
            {
                "entries": whole(), "sha256": _HASH, "late": _TEXT, "events_left": whole(),
                "events": _rows(MOST_EVENTS, whole(1), moment, _TEXT, text(60), or_none(whole(1)), _HASH),
            }
        ),
        "files": _rows(10, _TEXT, _HASH),
        "package": or_none(
            fields(
                {
                    "base": _TEXT, "date": text(10, r"\d{4}-\d{2}-\d{2}"), "delivered": whole(), "bytes": whole(),
                    "not_delivered": _OUTCOMES, "lists": _rows(MOST_LISTS, _TEXT, _HASH), "lists_left": whole(),
                }
            )
        ),
        "export": or_none(
            fields({"collection": text(100), "package": or_none(_TEXT), "fingerprint": or_none(_HASH)})
        ),
    }
)  # fmt: skip
"""The check of an account."""


def clipped(value: str, most: int = LONGEST) -> str:
    """Return the text, or its beginning and an ellipsis; bytes of a name that are not UTF-8 become escapes."""
    whole_text = value.encode("utf-8", "backslashreplace").decode()
    return whole_text if len(whole_text) <= most else f"{whole_text[: most - 1]}…"


def tool_versions() -> dict[str, str]:
    """Return the versions of what makes packages and documents."""
    found = {"Python": platform.python_version(), "Unicode": unicodedata.unidata_version}
    return found | {name: _version_of(name) for name in _TOOLS}


@cache  # it is read from a file with all that a package says of itself
def _version_of(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def meanings_of(codes: Iterable[str], *, whole: bool = False) -> dict[str, str]:
    """Return what each code that this version knows means, of an item or of the job as a whole."""
    return {code: clipped(CODES[code].meaning_for(whole=whole)) for code in sorted({*codes}) if code in CODES}


def account_bytes(account: Mapping[str, Any]) -> bytes:
    """Return the account as JSON, in the one form that it is written in."""
    return json.dumps(account, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"


def read_account(data: bytes) -> dict[str, Any]:
    """Return the account in the bytes. Raise BadValue."""
    account = parse_json(data, ACCOUNT, MOST_BYTES, _MOST_VALUES)
    try:
        is_written = account_bytes(account) == data
    except UnicodeEncodeError:
        is_written = False
    if not is_written:
        raise BadValue("it is not in the form in which it is written")
    return account
