"""BagIt profiles: what a receiver of bags asks for, in a JSON file (BagIt Profiles Specification 1.4.0).

https://bagit-profiles.github.io/bagit-profiles-specification/ - nothing is fetched from a profile's address.

bagit-profile, the reference implementation, checks only bags that are unpacked in a folder, ends at the first tag that
is missing, and does not know what version 1.4 added.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from prefect_collect.errors import UsageError

LONGEST: Final = 128 << 10
"""The most characters of a profile."""

_LONGEST_TEXT: Final = 1000
_MOST: Final = 1000
_IDENTIFIER: Final = "BagIt-Profile-Identifier"
_SERIALIZATIONS: Final = ("forbidden", "required", "optional")


@dataclass(frozen=True, slots=True)
class TagRule:
    """What a profile says of a tag in bag-info.txt: its label, and the `values` that it may have, if it says so."""

    label: str
    required: bool = False
    values: tuple[str, ...] = ()
    repeatable: bool = True


@dataclass(frozen=True, slots=True)
class BagProfile:
    """A BagIt profile; None stands for a list that it does not have, so that anything is allowed.

    Attributes:
        identifier: Its URI, which conforming bags name.
        tags: The rules for bag-info.txt.
        manifests: The algorithms that bags must have payload manifests of.
        manifests_allowed: Those that they may have.
        tag_manifests: The algorithms that they must have tag manifests of.
        tag_manifests_allowed: Those that they may have.
        tag_files: The tag files that they must have beside the standard's own.
        tag_files_allowed: Patterns of those that they may have.
        fetch: Whether fetch.txt must be there (True), or must not (False); None if it may.
        empty: True if the payload must be empty.
        serialization: Whether a bag must be one file: forbidden, required or optional.
        media_types: The types of such files.
        versions: The versions of BagIt.
    """

    identifier: str
    tags: tuple[TagRule, ...] = ()
    manifests: tuple[str, ...] = ()
    manifests_allowed: tuple[str, ...] | None = None
    tag_manifests: tuple[str, ...] = ()
    tag_manifests_allowed: tuple[str, ...] | None = None
    tag_files: tuple[str, ...] = ()
    tag_files_allowed: tuple[str, ...] | None = None
    fetch: bool | None = None
    empty: bool = False
    serialization: str = "optional"
    media_types: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()


def read_profile(text: str) -> BagProfile:
    """Return the profile of a JSON text. Raise UsageError if it is not a profile, or contradicts itself."""
    if not isinstance(text, str) or len(text) > LONGEST:
        raise UsageError(f"A BagIt profile is a JSON text of at most {LONGEST:,} characters. [profile]")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"The BagIt profile is no JSON ({str(error)[:100]}). [profile]") from error
    if not isinstance(found, dict) or not isinstance(found.get("BagIt-Profile-Info"), dict):
        raise UsageError("The BagIt profile has no BagIt-Profile-Info, which every profile has. [profile]")
    identifier = found["BagIt-Profile-Info"].get(_IDENTIFIER)
    if not isinstance(identifier, str) or not identifier.strip() or len(identifier) > _LONGEST_TEXT:
        raise UsageError(f"The BagIt profile has no {_IDENTIFIER} in BagIt-Profile-Info. [profile]")
    if not identifier.isprintable():
        raise UsageError(f"The {_IDENTIFIER} of the BagIt profile is no address. [profile]")
    allowed, wanted = _flag(found, "Allow-Fetch.txt", True), _flag(found, "Fetch.txt-Required", False)
    profile = BagProfile(
        identifier.strip(),
        _tags(found.get("Bag-Info", {})),
        _algorithms(found, "Manifests-Required") or (),
        _algorithms(found, "Manifests-Allowed"),
        _algorithms(found, "Tag-Manifests-Required") or (),
        _algorithms(found, "Tag-Manifests-Allowed"),
        _texts(found, "Tag-Files-Required") or (),
        _texts(found, "Tag-Files-Allowed"),
        wanted or (None if allowed else False),
        _flag(found, "Data-Empty", False),
        found.get("Serialization", "optional"),
        _texts(found, "Accept-Serialization") or (),
        _texts(found, "Accept-BagIt-Version") or (),
    )
    _require_consistent(profile, fetch_allowed=allowed)
    return profile


def _require_consistent(profile: BagProfile, *, fetch_allowed: bool) -> None:
    if profile.serialization not in _SERIALIZATIONS:
        raise UsageError(f"Serialization of the BagIt profile must be {' or '.join(_SERIALIZATIONS)}. [profile]")
    if profile.serialization == "required" and not profile.media_types:
        raise UsageError("The BagIt profile requires a serialization, but Accept-Serialization lists none. [profile]")
    if profile.fetch and not fetch_allowed:
        raise UsageError("The BagIt profile requires fetch.txt, and does not allow it. [profile]")
    for kind, required, allowed in (
        ("Manifests", profile.manifests, profile.manifests_allowed),
        ("Tag-Manifests", profile.tag_manifests, profile.tag_manifests_allowed),
    ):
        if lacking := [name for name in required if allowed is not None and name not in allowed]:
            raise UsageError(
                f"{kind}-Allowed of the BagIt profile lacks {lacking[0][:60]}, which is required. [profile]"
            )


def _tags(given: Any) -> tuple[TagRule, ...]:
    if not isinstance(given, Mapping) or len(given) > _MOST:
        raise UsageError(f"Bag-Info of the BagIt profile must be a table of at most {_MOST} tags. [profile]")
    rules = []
    for label, rule in given.items():
        if not isinstance(rule, Mapping) or len(label) > _LONGEST_TEXT:
            raise UsageError(f"Bag-Info of the BagIt profile must have a table for {label[:60]!r}. [profile]")
        repeatable = _flag(rule, "repeatable", True)
        rules.append(TagRule(label, _flag(rule, "required", False), _texts(rule, "values") or (), repeatable))
    return tuple(rules)


def _flag(given: Mapping[str, Any], name: str, default: bool) -> bool:
    value = given.get(name, default)
    if not isinstance(value, bool):
        raise UsageError(f"{name} of the BagIt profile must be true or false. [profile]")
    return value


def _texts(given: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    value = given.get(name)
    if value is None:
        return None
    texts = value if isinstance(value, list) else [None]
    if len(texts) > _MOST or not all(isinstance(text, str) and len(text) <= _LONGEST_TEXT for text in texts):
        raise UsageError(f"{name} of the BagIt profile must be a list of texts. [profile]")
    return tuple(texts)


def _algorithms(given: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    found = _texts(given, name)
    return None if found is None else tuple(text.lower().replace("-", "") for text in found)
