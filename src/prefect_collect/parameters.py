"""The choices and bounds of the job flows' parameters.

The flows, and so the forms of their deployments, the command line and the engine use them. This module imports none of
the modules that do the work, so that the command line can show its help at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from annotated_types import Interval

OnEmpty = Literal["succeed", "fail"]
"""The result of a collection in which no item matches: a success with a warning, or a failure."""

Since = Literal["last"]
"""The jobs that an incremental collection compares with: the last ones that collected the source."""

Runner = Literal["auto", "threads", "processes", "dask", "ray"]
"""The place where the shards of a collection run: threads of the job's process, processes beside it, or a cluster.

`auto` is threads, and processes as soon as the job keeps a core busy.
"""

IN_THREADS: Final = ("auto", "threads")
"""The runners that begin in threads of the job's process, and work on every machine."""

ON_THIS_MACHINE: Final = (*IN_THREADS, "processes")
"""The runners without a cluster."""

Hash = Literal["md5", "sha1"]
"""A hash that a collection computes of every item beside SHA-256, if it is asked to: receivers match items by it."""

Deduplicate = Literal["custodian", "global"]
"""Which of the items with the same bytes an export delivers: one for each custodian, or one in all."""

When = Literal["completed", "successful"]
"""The condition for an automatic export to start: the collection is completed (also partially), or successful."""

Percentage = Annotated[float, Interval(ge=0, le=100)]
Tries = Annotated[int, Interval(ge=1, le=100)]
Concurrency = Annotated[int, Interval(ge=1, le=1024)]
Workers = Annotated[int | None, Interval(ge=1, le=1024)]

MOST_CUSTODIAN: Final = 200
"""The most characters of a custodian's name."""

_SIZE: Final = re.compile(r"(\d{1,15})(\.\d{1,6})? *([kmgt]?)i?(?:b(?:ytes?)?)?", re.ASCII | re.IGNORECASE)
_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_MOST_BYTES: Final = (1 << 63) - 1
_LINE_BREAKS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def size_of(text: str) -> int | None:
    """Return the bytes of a size such as ``4096``, ``10k``, ``1.5 MB`` or ``2 GiB``, in binary units.

    Return None if the text is no size.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        return None
    unit = _UNITS[found[3].lower()]
    return min(int(found[1]) * unit + int(float(found[2] or 0) * unit), _MOST_BYTES)


def checked_custodian(text: str | None) -> str | None:
    """Return the custodian without spaces around it; None for an empty text.

    Raises:
        ValueError: It is longer than `MOST_CUSTODIAN`, or has a line break or another control character.
    """
    text = (text or "").strip()
    if len(text) > MOST_CUSTODIAN or _LINE_BREAKS.search(text):
        raise ValueError(f"custodian must be one line of at most {MOST_CUSTODIAN} characters.")
    return text or None


CUSTODIAN_NAME: Final = "{custodian}"
"""What stands for a custodian's name in a path of folders."""

_LONGEST_FOLDER: Final = 1_000


def checked_custodian_folder(text: str | None) -> str | None:
    """Return where each custodian has a folder, without "/" at its ends; None for an empty text.

    It is a path of folders from the source's top, such as ``home/{custodian}`` or ``*/mail-{custodian}``: in one of its
    names `CUSTODIAN_NAME` stands for the custodian's, and a ``*`` is any one folder.

    Raises:
        ValueError: It is not such a path.
    """
    text = (text or "").strip().strip("/")
    names = text.split("/")
    is_wrong = "" in names or any("*" in name and name != "*" for name in names)
    if text and (is_wrong or text.count(CUSTODIAN_NAME) != 1 or len(text) > _LONGEST_FOLDER):
        raise ValueError(
            f"custodian_folder must be a path of folders with one {CUSTODIAN_NAME} in it, such as "
            f"home/{CUSTODIAN_NAME}; * stands for a whole name only."
        )
    return text or None


@dataclass(frozen=True, eq=False)
class _Checked:
    """Has pydantic check a parameter, and add to a form's JSON schema; pydantic calls both methods."""

    check: Callable[[Any], Any]
    schema: Mapping[str, Any] = field(default_factory=dict)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {**handler(schema), **self.schema}


CustodianFolder = Annotated[str | None, _Checked(checked_custodian_folder)]
"""Where each custodian has a folder (`checked_custodian_folder`)."""


MOST_CUSTODIAN_PATTERNS: Final = 1_000
"""The most patterns of custodians of a job: each item is compared with one after the other."""


def checked_custodians(given: Iterable[Mapping[str, str]] | None) -> list[dict[str, str]] | None:
    """Return the patterns over paths and their custodians, in order; None if there are no patterns.

    Each entry has a `pattern` (a glob, as of queries) and a `custodian`.

    Raises:
        ValueError: An entry has other fields, or one of them is empty, too long or more than a line.
    """
    found = []
    for one in given or ():
        is_entry = isinstance(one, Mapping) and one.keys() == {"pattern", "custodian"}
        if not is_entry or not all(isinstance(text, str) for text in one.values()):
            raise ValueError('custodians must be a list of {"pattern": "mail/anna/**", "custodian": "Anna"}.')
        pattern, name = one["pattern"].strip(), checked_custodian(one["custodian"])
        if not pattern or len(pattern) > _LONGEST_FOLDER or name is None:
            raise ValueError(
                f"Each entry of custodians needs a pattern of at most {_LONGEST_FOLDER:,} characters and a custodian."
            )
        found.append({"pattern": pattern, "custodian": name})
    if len(found) > MOST_CUSTODIAN_PATTERNS:
        raise ValueError(f"custodians may have {MOST_CUSTODIAN_PATTERNS:,} patterns at most, not {len(found):,}.")
    return found or None


_CUSTODIAN_ENTRY: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "pattern": {"type": "string", "title": "Pattern", "minLength": 1, "maxLength": _LONGEST_FOLDER, "position": 0},
        "custodian": {
            "type": "string", "title": "Custodian", "minLength": 1, "maxLength": MOST_CUSTODIAN, "position": 1,
        },
    },
    "required": ["pattern", "custodian"],
    "additionalProperties": False,
}  # fmt: skip

CustodianPatterns = Annotated[
    list[dict[str, str]] | None,
    _Checked(checked_custodians, {"items": _CUSTODIAN_ENTRY, "maxItems": MOST_CUSTODIAN_PATTERNS}),
]
"""The custodians of items by patterns over their paths (`checked_custodians`)."""


Custodian = Annotated[
    str | None, _Checked(checked_custodian, {"maxLength": MOST_CUSTODIAN, "pattern": "^[^\\x00-\\x1f\\x7f]*$"})
]
"""The person or department whose data is collected."""


def bounds(parameter: Any) -> dict[str, Any]:
    """Return the bounds of a parameter's type such as `Tries`: `min` and `max`, both inclusive."""
    [interval] = [one for one in parameter.__metadata__ if isinstance(one, Interval)]
    return {"min": interval.ge, "max": interval.le}
