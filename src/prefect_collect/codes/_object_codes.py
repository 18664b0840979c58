"""The codes of what only objects of a bucket have: archive tiers and encryption."""

from __future__ import annotations

from prefect_collect.codes._code import Category, Code, Who

OBJECT_TABLE = (
    Code(
        "archived_object",
        Category.CONTENT,
        "The object is in an archive tier and must be restored before it can be read.",
        "Restore the object from its archive tier, then retry.",
        Who.SOURCE_OWNER,
    ),
    Code(
        "encrypted_object",
        Category.CONTENT,
        "The object is encrypted with a key that the job does not have.",
        "Allow the job's credentials to decrypt with that key, then retry.",
        Who.SOURCE_OWNER,
    ),
)
"""The codes, with their texts."""
