"""The codes of items that a package does not have: of copies, and of what some formats cannot hold."""

from __future__ import annotations

from prefect_collect.codes._code import Category, Code, Who

PACKAGE_TABLE = (
    Code(
        "duplicate",
        Category.CONTENT,
        "The export was asked to deliver items with the same bytes once, and another one with them is delivered.",
        "Nothing to do; the message names the delivered item. To have every copy, export without deduplicate.",
        Who.NOBODY,
    ),
    Code(
        "not_a_message",
        Category.CONTENT,
        "The item is no e-mail message (RFC 5322), so that an export as mail leaves it out.",
        "Export the collection in another format too, such as bagit, to deliver it.",
        Who.JOB_OWNER,
    ),
    Code(
        "not_a_table",
        Category.CONTENT,
        "The item cannot be read as rows of a table, so that an export as a dataset leaves it out.",
        "Export the collection in another format too, such as bagit, to deliver it as it is.",
        Who.JOB_OWNER,
    ),
)
"""A part of the table of all codes."""
