"""The blocks of documents that Prefect's server gave without secrets.

In place of a secret it sends ``********`` (Prefect 3.8), also of a `SecretDict` that was never set. Such a mask is no
value: checked as one, it is no dictionary, and no key of a service account.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final, get_args, get_origin

from prefect.blocks.core import Block
from prefect.client.schemas.objects import BlockDocument
from pydantic import BaseModel, Secret, SecretBytes, SecretStr, ValidationError

from prefect_collect.escaping import one_line

_SECRETS: Final = (Secret, SecretStr, SecretBytes)
_MOST_FIELDS: Final = 3
_LONGEST: Final = 500


def masked_block(document: BlockDocument) -> Block:
    """Return the block of a document that was read without secrets; secrets that may be left out are left out.

    A class that wants one of several secrets gets the masks, as what is masked there was set. Raise what its class
    raises if the block cannot be read.
    """
    if document.block_schema is None:
        return Block._from_block_document(document)
    kind = Block.get_block_class_from_schema(document.block_schema)
    try:
        return _block(document, without_masks(kind, document.data))
    except Exception:
        with suppress(Exception):  # the first reason is the one without masks
            return _block(document, document.data)
        raise


def _block(document: BlockDocument, data: dict[str, Any]) -> Block:
    return Block._from_block_document(document.model_copy(update={"data": data}))


def without_masks(kind: type[BaseModel], data: dict[str, Any]) -> dict[str, Any]:
    """Return a block's fields without the texts in place of secrets; those of fields that must be given stay."""
    kept: dict[str, Any] = {}
    for name, value in data.items():
        field = kind.model_fields.get(name)
        types = [] if field is None else [*_types(field.annotation)]
        if isinstance(value, dict):
            for inner in types:
                value = without_masks(inner, value) if issubclass(inner, BaseModel) else value
        may_be_left_out = field is not None and not field.is_required()
        if not (isinstance(value, str) and may_be_left_out and any(issubclass(one, _SECRETS) for one in types)):
            kept[name] = value
    return kept


def _types(hint: Any) -> Iterator[type]:
    """Yield the classes of which a field's annotation consists."""
    plain = get_origin(hint) or hint
    if isinstance(plain, type):
        yield plain
    for inner in get_args(hint):
        yield from _types(inner)


def unreadable(error: Exception) -> str:
    """Return the sentence why a saved block cannot be read, with the fields that are wrong; it has none of the values.

    An error of another kind than pydantic's is given in its own words.
    """
    if isinstance(error, ValidationError):
        wrong = error.errors(include_url=False, include_context=False, include_input=False)
        by_field: dict[str, str] = {}
        for one in wrong:
            field = str(one["loc"][0]) if one["loc"] else "a field"
            by_field.setdefault(field, "is missing" if one["type"] == "missing" else f"is not valid: {one['msg']}")
        said = [f"{field} {what}" for field, what in by_field.items()]
        more = [f"{len(said) - _MOST_FIELDS} more fields are wrong"] if len(said) > _MOST_FIELDS else []
        why = "; ".join([*said[:_MOST_FIELDS], *more])
    else:
        why = str(error) or type(error).__name__
    why = one_line(" ".join(why.split()))[:_LONGEST]
    return f"The block cannot be read; correct its fields in Prefect, or save it again: {why}"
