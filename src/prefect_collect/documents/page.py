"""The blocks of a chain of custody document, before they become HTML or PDF: one page, then an appendix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from prefect_collect.job_folder.result import CodeCount, counts_by_outcome

_FIRST_CODES: Final = 6
_FIRST_WARNINGS: Final = 3
_SHOWN_ASKED: Final = 4
_SHORT: Final = 160
"""The most characters of a text on the first page; the appendix has more of it."""

OUTCOMES: Final = ("failed", "skipped", "not_attempted")


@dataclass(frozen=True, slots=True)
class Block:
    """A part of the document under a heading: a table, or sentences, or both.

    Attributes:
        title: Its heading.
        rows: The rows of its table.
        head: The headings of the columns; none for a table of labels and values.
        numbers: The columns that hold numbers.
        codes: The columns that hold hashes, ids and names of files.
        notes: Sentences below the table.
        blank: True for a table that is filled in by hand.
    """

    title: str
    rows: Sequence[Sequence[str]] = ()
    head: Sequence[str] = ()
    numbers: frozenset[int] = frozenset()
    codes: frozenset[int] = frozenset()
    notes: Sequence[str] = ()
    blank: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A whole document."""

    title: str
    subtitle: str
    first: list[Block] = field(default_factory=list)
    appendix: list[Block] = field(default_factory=list)


def page_of(account: Mapping[str, Any]) -> Page:
    """Return the document that says what the account says."""
    job, package = account["job"], account["package"]
    what = "Package" if package else f"{job['kind'].capitalize()} job"
    return Page(
        f"Chain of custody: {_short(job['name'])}",
        f"{what} {package['base'] if package else job['id']}",
        [
            _asked(account),
            _done(account),
            _counts(account),
            *_exceptions(account, _FIRST_CODES),
            _hashes(account),
            Block("Handed over", [["", "", "", ""]], ("Delivered by", "Received by", "Date and place", "Signature"),
                  blank=True),
        ],
        [
            _attempts(account),
            *(_exceptions(account, None) if len(_codes(account)) > _FIRST_CODES else ()),
            *_warnings(account),
            _all_asked(account),
            _log(account),
            _files(account),
            _tools(account),
        ],
    )  # fmt: skip


def _asked(account: Mapping[str, Any]) -> Block:
    job = account["job"]
    source = ", ".join(value for _, value in job["source"])
    rows = [
        [f"{job['kind'].capitalize()}", f"{_short(job['name'])} (job {job['id']})"],
        ["Data source", _short(source)],
        ["Custodian", _short(job["custodian"]) or "not named for the whole job"],
        ["Asked by", f"{_short(job['created_by']) or 'not recorded'}, {_time(job['created_at'])}"],
    ]
    selected = [f"{name} = {_short(value)}" for name, value in job["asked"][:_SHOWN_ASKED]]
    left = len(job["asked"]) - len(selected) + job["asked_left"]
    more = f"; {left} more in the appendix" if left else ""
    return Block("What was asked", [*rows, ["Selection and options", ("; ".join(selected) or "everything") + more]])


def _done(account: Mapping[str, Any]) -> Block:
    result, package, export = account["result"], account["package"], account["export"]
    complete = "listed to its end" if result["listing_complete"] else "not proven to be listed to its end"
    rows = [
        ["Status", f"{result['status']}, after attempt {result['attempt']}"],
        ["Last attempt", f"{_time(result['started'])} to {_time(result['ended'])}"],
    ]
    if export is None:
        rows.append(["Data source", complete])
    else:
        rows.append(["Of the collection", export["collection"]])
        rows.append(["Package", _short(export["package"] or "none was made")])
    if package:
        rows.append(["Package", f"{package['base']}, {package['delivered']:,} items, {package['bytes']:,} bytes"])
    notes = [_short(warning) for warning in _all_warnings(account)[:_FIRST_WARNINGS]]
    return Block("What was done", rows, notes=notes)


def _all_warnings(account: Mapping[str, Any]) -> list[str]:
    late = account["custody"]["late"]
    return [*([late] if late else []), *account["result"]["warnings"]]


def _warnings(account: Mapping[str, Any]) -> list[Block]:
    """Return a block of all warnings, if the first page lacks some, or shortens them."""
    found = _all_warnings(account)
    is_whole = len(found) <= _FIRST_WARNINGS and all(_short(warning) == warning for warning in found)
    return [] if is_whole else [Block("All warnings", notes=found)]


def _counts(account: Mapping[str, Any]) -> Block:
    result, package = account["result"], account["package"]
    head = ["", "Found", "Succeeded", "Failed", "Skipped", "Not attempted", "Bytes"]
    made = "Collected" if account["job"]["kind"] == "collection" else "Exported"
    columns = ("found", "succeeded", *OUTCOMES, "bytes")
    rows = [[made, *(f"{result[name]:,}" for name in columns)]]
    notes = [f"{made}: {_sum(result['found'], [result['succeeded'], *(result[name] for name in OUTCOMES)])}."]
    if package:
        missing = [sum(package["not_delivered"].get(name, {}).values()) for name in OUTCOMES]
        listed = package["delivered"] + sum(missing)
        numbers = [listed, package["delivered"], *missing, package["bytes"]]
        rows.append(["In this package", *(f"{number:,}" for number in numbers)])
        notes.append(f"In this package: {_sum(listed, [package['delivered'], *missing])}. Its item list has them all.")
    return Block("Account of items", rows, head, frozenset(range(1, 7)), notes=notes)


def _sum(whole: int, parts: Sequence[int]) -> str:
    words = ("succeeded", "failed", "skipped", "not attempted")
    said = " + ".join(f"{part:,} {word}" for part, word in zip(parts, words, strict=True))
    sign = "=" if whole == sum(parts) else "≠"
    return f"{whole:,} found {sign} {said}"


def _codes(account: Mapping[str, Any]) -> list[CodeCount]:
    package, result = account["package"], account["result"]
    of_items = counts_by_outcome(package["not_delivered"] if package else result["outcomes"])
    return [*(CodeCount("the job", code, 0) for code in result["job_codes"]), *of_items]


def _exceptions(account: Mapping[str, Any], most: int | None) -> list[Block]:
    codes = _codes(account)
    if not codes:
        return [Block("Exceptions", notes=["None: every item that was found succeeded."])]
    rows = [
        [one.outcome, one.code, f"{one.items:,}" if one.items else "", _meaning(account, one)] for one in codes[:most]
    ]
    left = len(codes) - len(rows)
    notes = [f"These are the first of {len(codes)}; all are in the appendix."] if left else []
    title = "Exceptions by code" if most else "All exceptions by code"
    head = ("Outcome", "Code", "Items", "Meaning")
    return [Block(title, rows, head, frozenset({2}), frozenset({1}), notes)]


def _meaning(account: Mapping[str, Any], one: CodeCount) -> str:
    known: Mapping[str, str] = account["meanings"] if one.items else account["result"]["job_codes"]
    return known.get(one.code) or "not known to this version"


def _hashes(account: Mapping[str, Any]) -> Block:
    files, custody = dict(account["files"]), account["custody"]
    named = [(name, sha256) for name, sha256 in files.items() if name.startswith("manifest/")]
    rows = [["Manifest of the job", sha256] for _, sha256 in named[:1]]
    rows.append([f"Custody log, entry {custody['entries']:,}", custody["sha256"]])
    if account["package"]:
        lists = dict(account["package"]["lists"])
        rows += [[name, lists[name]] for name in ("manifest-sha256.txt", "items.parquet") if name in lists]
        note = "The package's fingerprint covers this document too, so that the export states it, and this page cannot."
    else:
        fingerprint = account["export"] and account["export"]["fingerprint"]
        rows += [["Fingerprint of the package", fingerprint]] if fingerprint else []
        note = "Each entry of the custody log holds the SHA-256 of the one before it, and those of the job's files."
    return Block("Hashes (SHA-256)", rows, codes=frozenset({1}), notes=[note])


def _attempts(account: Mapping[str, Any]) -> Block:
    found: dict[int, list[str]] = {}
    for _, at, who, action, attempt, _ in account["custody"]["events"]:
        if attempt is not None and action in ("started", "ended"):
            row = found.setdefault(attempt, [f"{attempt}", "", "", ""])
            row[1 if action == "started" else 2] = _time(at)
            row[3] = row[3] or who
    return Block("Attempts", [*found.values()], ("Attempt", "Started", "Ended", "By"), frozenset({0}))


def _all_asked(account: Mapping[str, Any]) -> Block:
    job = account["job"]
    rows = [["name", job["name"]], ["custodian", job["custodian"]], ["asked by", job["created_by"]]]
    rows += [[f"source: {name}", value] for name, value in job["source"]]
    left = [f"{job['asked_left']} more are in the job's record."] if job["asked_left"] else []
    return Block("All that was asked", [*(row for row in rows if row[1]), *job["asked"]], notes=left)


def _log(account: Mapping[str, Any]) -> Block:
    custody = account["custody"]
    rows = [
        [f"{number}", _time(at), who, action if attempt is None else f"{action} (attempt {attempt})", sha256]
        for number, at, who, action, attempt, sha256 in custody["events"]
    ]
    left = custody["events_left"]
    notes = [f"{left:,} entries in between are not shown; the last hash covers them."] if left else []
    head = ("No.", "Time", "Who", "What", "SHA-256 of the entry")
    return Block("Custody log", rows, head, frozenset({0}), frozenset({4}), notes)


def _files(account: Mapping[str, Any]) -> Block:
    package = account["package"]
    rows = [["job", name, sha256] for name, sha256 in account["files"]]
    notes = []
    if package:
        rows += [["package", name, sha256] for name, sha256 in package["lists"]]
        if package["lists_left"]:
            notes = [f"{package['lists_left']:,} more lists are in the package."]
    return Block("Files and their hashes", rows, ("Of the", "File", "SHA-256"), codes=frozenset({1, 2}), notes=notes)


def _tools(account: Mapping[str, Any]) -> Block:
    rows = [[name, value or "not installed"] for name, value in sorted(account["tools"].items())]
    checks = [
        "To check a package: prefect-collect verify PACKAGE (offline); it compares this document with the lists of the "
        "package. Without it: sha256sum --check with each manifest of the package.",
        "Found items have one outcome each: they succeeded, failed, were skipped on purpose, or were not attempted.",
    ]
    return Block("Tools, and how to check", rows, notes=checks)


def _short(value: str) -> str:
    return value if len(value) <= _SHORT else f"{value[: _SHORT - 1]}…"


def utc_of(value: str) -> datetime | None:
    """Return a time in ISO 8601 as one in UTC; None if it is no time, has no offset, or is beyond what UTC can say."""
    try:
        at = datetime.fromisoformat(value)
        return None if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _time(value: str) -> str:
    """Return a time in UTC, to the second."""
    at = utc_of(value)
    return "time not recorded" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"
