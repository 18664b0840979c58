"""Refuses, before an export starts, a bag that could not conform to the BagIt profile that it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from prefect_collect.errors import UsageError
from prefect_collect.formats.bag_options import ALWAYS, OF_GROUPS, WRITTEN, BagOptions
from prefect_collect.formats.bag_profile import BagProfile
from prefect_collect.formats.bag_rules import BagFacts, breaches, missing_tags
from prefect_collect.formats.registry import CUSTODY_DOCUMENTS, FORMATS, Format

TAG_FILES: Final = ("items.csv", "items.parquet", "metadata.jsonl", *CUSTODY_DOCUMENTS)
"""The tag files that bags made here have beside the standard's own; metadata.jsonl if the source states something."""

_BY_COLLECTING: Final = {
    "custodian": "collect with --custodian", "md5": "collect with --hash md5", "sha1": "collect with --hash sha1",
    "sha512": "export with --sha512",
}  # fmt: skip
_MOST: Final = 20


def require_conforming(
    bag: BagOptions | None,
    format: Format,
    *,
    sha512: bool,
    known: Mapping[str, str] | None = None,
    hashes: Sequence[str] | None = None,
) -> None:
    """Raise UsageError if the bag that these options make could not conform to the profile.

    Args:
        bag: The options of the bag.
        format: The package's format.
        sha512: Whether it has SHA-512 manifests.
        known: Values of tags that the export writes, as far as they are known; None before the collection is there.
        hashes: The further hashes that the collection computed; None if that is not known.
    """
    profile = None if bag is None else bag.rules
    if bag is None or profile is None:
        return
    tags: dict[str, list[str | None]] = {label.lower(): [None] for label in ALWAYS}
    if known is None:
        tags["custodian"] = [None]
    tags |= {label.lower(): [value] for label, value in (known or {}).items()}
    tags["bagit-profile-identifier"] = [profile.identifier]
    files: Sequence[str] = TAG_FILES
    kind = FORMATS[format].suffix.removeprefix(".")
    if format == "bagit-group":
        tags |= {label: [None] for label in OF_GROUPS}
        del tags["chain-of-custody"]  # one for all bags is beside them
        files, kind = TAG_FILES[:3], bag.volumes
    for label, value in bag.lines:
        tags.setdefault(label.lower(), []).append(value)
    algorithms = None if hashes is None else frozenset({"sha256", *hashes, *(["sha512"] if sha512 else [])})
    facts = BagFacts(tags, algorithms, algorithms, files, False, None, kind, (1, 0))
    found = [*_missing(profile, facts), *(f"{path}: {what}{_hint(path)}" for path, what in breaches(profile, facts))]
    if found:
        more = f"; and {len(found) - _MOST:,} more" if len(found) > _MOST else ""
        raise UsageError(
            f"The bag would not conform to the BagIt profile: {'; '.join(found[:_MOST])}{more}. "
            f"[profile={profile.identifier}]"
        )


def _missing(profile: BagProfile, facts: BagFacts) -> list[str]:
    written = {label.lower() for label in WRITTEN}
    missing = missing_tags(profile, facts)
    given = [label for label in missing if label.lower() not in written]
    others = [label for label in missing if label.lower() in written]
    found = [f"it lacks the tag {label}{_hint(label)}" for label in others]
    if given:
        example = next((rule.values[0] for rule in profile.tags if rule.label == given[0] and rule.values), "…")
        noun = "tag" if len(given) == 1 else "tags"
        found.insert(0, f"it lacks the {noun} {', '.join(given)} (give each, as --tag '{given[0]}={example}')")
    return found


def _hint(path: str) -> str:
    name = path.lower().removesuffix(".txt").rpartition("-")[2]
    return f" ({_BY_COLLECTING[name]})" if name in _BY_COLLECTING else ""
