"""The codes of what lies inside files: entries of ZIP files, messages of mbox files, exports of other systems."""

from __future__ import annotations

from prefect_collect.codes._code import Category, Code, Who

CONTAINER_TABLE = (
    Code(
        "unreadable_entry",
        Category.CONTENT,
        "The ZIP file, or the entry in it, is damaged, of a kind that is not read, or made to mislead its readers.",
        "Get the file anew from where it was made; or unpack it by hand, look at it, and collect the folder.",
        Who.SOURCE_OWNER,
    ),
    Code(
        "encrypted_entry",
        Category.CONTENT,
        "The entry of the ZIP file is encrypted.",
        "Unpack the ZIP file with its password, and collect the folder; or collect the ZIP file itself.",
        Who.SOURCE_OWNER,
    ),
    Code(
        "looked_into",
        Category.CONTENT,
        "The file itself was not collected, as what it holds was.",
        "Nothing to do; to have the file itself, collect its folder without looking into files.",
        Who.NOBODY,
    ),
    Code(
        "missing_in_export",
        Category.MISSING,
        "A list of the export names the item, but its files do not hold it.",
        "Download or make the export anew, put what is missing beside it, then retry.",
        Who.SOURCE_OWNER,
    ),
    Code(
        "not_exported",
        Category.MISSING,
        "The exporting system says itself that it could not export the item.",
        "Read the system's reason in the message; export the item again there, if it can be.",
        Who.SOURCE_OWNER,
    ),
    Code(
        "unreadable_list",
        Category.CONTENT,
        "A list of the export cannot be read to its end, so that not all that it promises was looked for.",
        "Download or make the export anew, then retry; or compare the list by hand.",
        Who.SOURCE_OWNER,
    ),
    Code(
        "list_mismatch",
        Category.CONTENT,
        "The list that is the data source states another size for the item than its server.",
        "Correct the size in the list, or leave it out; then retry: the list is read anew.",
        Who.JOB_OWNER,
    ),
    Code(
        "linked_file",
        Category.CONTENT,
        "The export has only a link to the file, which is kept in the system that it was exported from, so it was not "
        "attempted.",
        "Collect the file from that system while it is there; no retry of this job can bring it.",
        Who.JOB_OWNER,
        elsewhere=True,
    ),
    Code(
        "empty_channel",
        Category.CONTENT,
        "A list of the export names the channel or conversation, but the export has no messages of it.",
        "Nothing to do if it had none in the time of the export; else make the export anew.",
        Who.NOBODY,
    ),
    Code(
        "unsure_split",
        Category.CONTENT,
        "It is not sure where messages begin in a part of an mbox file, or the file is no mbox file; its bytes were "
        "collected, as one item.",
        "Look at the item: if it holds several messages, have it split by hand; if the file is no mbox file, nothing "
        "is to do, as it was collected as it is.",
        Who.NOBODY,
    ),
)
"""A part of the table of all codes."""
