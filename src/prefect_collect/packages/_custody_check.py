"""Compares a package's chain of custody documents with the package: counts, hashes, and every byte of the pages."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from prefect_collect.archive.problems import Damaged
from prefect_collect.documents.account import MOST_BYTES, PAGES, meanings_of, read_account, tool_versions
from prefect_collect.documents.files import ACCOUNT_FILE, DOCUMENT_FILES, HTML_FILE, PDF_FILE
from prefect_collect.documents.html_page import html_of
from prefect_collect.documents.pdf_page import pdf_of
from prefect_collect.packages._format import PackageCheck, PagesCheck
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.bags.pages_beside import MadePages
from prefect_collect.packages.building.agent import AGENT
from prefect_collect.packages.building.custody_documents import ITEM_LIST, Counted, count_items
from prefect_collect.untrusted.bounded_json import BadValue
from prefect_collect.untrusted.bounded_parquet import BadParquet

_OUTCOMES: Final = ("failed", "skipped", "not_attempted")
_MOST_PAGE: Final = 32 << 20


def check_documents(files: BagFiles, check: PackageCheck) -> None:
    """Add to the findings of a package made here what is wrong with its documents; earlier versions made none.

    The files' bytes are proven by the seal, as all others. Here what they say is compared: the counts with the item
    list, the hashes with the files, and the HTML and the PDF with what this version makes of the same account.
    """
    problems = files.findings.problems
    missing = [name for name in DOCUMENT_FILES if files.entry(name) is None]
    if missing == [*DOCUMENT_FILES] and not check.has_documents:
        return
    for name in missing:
        problems.add(name, "it is missing, though the package states that it has chain of custody documents")
    if ACCOUNT_FILE in missing:
        return
    try:
        data = files.start(ACCOUNT_FILE, MOST_BYTES + 1)
        account = read_account(data)
    except Damaged:  # reported when it was hashed
        return
    except BadValue as error:
        problems.add(ACCOUNT_FILE, f"it cannot be read as the account of a package: {error}")
        return
    if account["package"] is None:
        problems.add(ACCOUNT_FILE, "it is not the account of a package")
        return
    _check_account(files, check, account)
    _check_meanings(files, account)
    made = check.made if isinstance(check, PagesCheck) else MadePages()
    _check_pages(files, account, missing, partial(made.of, data))


def _check_account(files: BagFiles, check: PackageCheck, account: Mapping[str, Any]) -> None:
    problems, package, result = files.findings.problems, account["package"], account["result"]
    tool = f"{AGENT} {account['tools'].get(AGENT, '')}".strip()
    if tool != check.tool.strip():
        problems.add(ACCOUNT_FILE, f"it names {tool!r} as the tool, but the package states {check.tool[:100]!r}")
    counted = _counted(files)
    if counted is not None:
        stated = Counted(package["delivered"], package["bytes"], package["not_delivered"])
        if stated != counted:
            problems.add(
                ACCOUNT_FILE,
                f"it states {stated.delivered:,} delivered items of {stated.listed:,} and {stated.bytes:,} bytes, or "
                f"outcomes and codes, that {ITEM_LIST} does not have: there are {counted.delivered:,} of "
                f"{counted.listed:,} and {counted.bytes:,} bytes",
            )
        if counted.listed != result["found"]:
            problems.add(
                ACCOUNT_FILE, f"it states {result['found']:,} found items, but {ITEM_LIST} lists {counted.listed:,}"
            )
    if result["found"] != result["succeeded"] + sum(result[name] for name in _OUTCOMES):
        problems.add(ACCOUNT_FILE, "the outcomes that it states do not add up to the found items")
    for outcome, codes in result["outcomes"].items():
        if sum(codes.values()) != result[outcome]:
            problems.add(ACCOUNT_FILE, f"its codes do not add up to the items that are {outcome.replace('_', ' ')}")
    for name, sha256 in package["lists"]:
        if files.sha256(name) != sha256:
            problems.add(ACCOUNT_FILE, f"the hash that it states of {name[:200]} is not that of the file")


def _counted(files: BagFiles) -> Counted | None:
    """Return the counts of the package's item list; None if it cannot be read, which is reported elsewhere."""
    entry = files.entry(ITEM_LIST)
    if entry is None:
        return None
    try:
        with tempfile.TemporaryFile() as file:
            for chunk in files.chunks(entry):
                file.write(chunk)
            return count_items(file)
    except (Damaged, BadParquet):
        return None


def _check_meanings(files: BagFiles, account: Mapping[str, Any]) -> None:
    """Warn of codes that mean something else here: the words may have changed with a version, or were forged."""
    stated = {False: account["meanings"], True: account["result"]["job_codes"]}
    for whole, meanings in stated.items():
        here = meanings_of(meanings, whole=whole)
        for code, meaning in meanings.items():
            if meaning != here.get(code, ""):
                what = f"the meaning that it states of the code {code[:60]} is not the one of this version"
                files.findings.warnings.add(ACCOUNT_FILE, what)


def _check_pages(
    files: BagFiles, account: Mapping[str, Any], missing: list[str], made: Callable[[str], bytes | None]
) -> None:
    """Compare the HTML and the PDF with those that this version makes of the account, if it makes the same."""
    stated, here = {**account["tools"], "pages": f"{account['pages']}"}, {**tool_versions(), "pages": f"{PAGES}"}
    makers = {HTML_FILE: (html_of, ["pages", "Unicode"]), PDF_FILE: (pdf_of, ["pages", "Unicode", "reportlab"])}
    for name, (make, versions) in makers.items():
        if name in missing:
            continue
        others = [one for one in versions if stated.get(one) != here[one]]
        if others:
            what = ", ".join(f"{one} {stated.get(one, 'of no version')} (here {here[one]})" for one in others)
            files.findings.warnings.add(name, f"its words were not compared, as another version made it: {what}")
            continue
        try:
            if files.start(name, _MOST_PAGE) != (made(name) or make(account)):
                files.findings.problems.add(name, f"it does not say what {ACCOUNT_FILE} says")
        except Damaged:
            continue
