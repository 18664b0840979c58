"""The saved blocks of Prefect that the form of a new collection offers as credentials, by the source's fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from prefect_collect import jobs
from prefect_collect.blocks.data_source import SECRETS, SavedBlocks
from prefect_collect.blocks.locate import saved_fields
from prefect_collect.stores.addresses import INSIDE, listed

_PICKED: Final = "saved_"
_PATHS: Final = ("/", "~", ".")


@dataclass(frozen=True)
class CredentialChoice:
    """A field of the new source that a saved block fills.

    Attributes:
        field: Its name.
        title: Its name in the form.
        types: Which blocks it takes, as a sentence.
        blocks: Those that are saved.
        picked: The id of the block that is picked; "" if none is.
    """

    field: str
    title: str
    types: str
    blocks: tuple[jobs.SavedBlock, ...]
    picked: str


def picked_of(fields: Mapping[str, str]) -> dict[str, str]:
    """Return the ids of the saved blocks that the form picks, by the source's field."""
    return {name.removeprefix(_PICKED): value for name, value in fields.items() if name.startswith(_PICKED) and value}


def is_typed(fields: Mapping[str, str]) -> bool:
    """Return whether the form's location is a URL or clearly a path, so neither empty nor the beginning of a URL."""
    location = fields.get("location", "").strip()
    kind, is_inside, rest = location.partition(":")
    return "://" in location or (rest if is_inside and kind in INSIDE else location).startswith(_PATHS)


def credential_choices(fields: Mapping[str, str]) -> list[CredentialChoice]:
    """Return what the form offers for its location. Raise InvalidLocation for a URL of no installed source."""
    location = fields.get("location", "").strip()
    taken, picked = saved_fields(location), picked_of(fields)
    return [
        CredentialChoice(
            field, field.replace("_", " ").capitalize(), _sentence(taken[field]), tuple(blocks), picked.get(field, "")
        )
        for field, blocks in jobs.list_credentials(location).items()
    ]


def _sentence(blocks: SavedBlocks) -> str:
    others = [slug for slug in blocks.types if slug not in SECRETS.types]
    takes = [f"a block {listed(others, 'or')}"] if others else []
    if len(others) < len(blocks.types):
        copied = "" if blocks.by_name else "; its value is copied"
        takes.append(f"a Secret block whose name begins with {jobs.SECRET_PREFIX}{copied}")
    return f"It takes {', or '.join(takes)}."
