"""Whether a bag conforms to a BagIt profile: one that is there, or one that an export would make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from prefect_collect.formats.bag_profile import BagProfile, TagRule

MEDIA_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "zip": ("application/zip", "application/x-zip", "application/x-zip-compressed"),
    "tar": ("application/x-tar", "application/tar"),
    "tar.zst": ("application/zstd", "application/x-zstd"),
}
"""The media types of a package in one file, by the suffix of its name; the first is the one that is sent."""

INFO: Final = "bag-info.txt"
_PROFILE_TAG: Final = "bagit-profile-identifier"


@dataclass(frozen=True, slots=True)
class BagFacts:
    """What a profile may ask of a bag.

    Attributes:
        tags: The values of the tags in bag-info.txt by their labels, in lower case; None for one not yet known.
        manifests: The algorithms of the payload manifests; None if not yet known.
        tag_manifests: The algorithms of the tag manifests; None if not yet known.
        files: All other tag files but bagit.txt, bag-info.txt and fetch.txt.
        has_fetch: True if there is a fetch.txt.
        payload: Number and bytes of the payload's files; None if not yet known.
        kind: The suffix that says how it is one file, a key of `MEDIA_TYPES`; "" for a folder.
        version: The version of BagIt that it declares.
    """

    tags: Mapping[str, list[str | None]]
    manifests: frozenset[str] | None
    tag_manifests: frozenset[str] | None
    files: Iterable[str]
    has_fetch: bool
    payload: tuple[int, int] | None
    kind: str
    version: tuple[int, int]


def missing_tags(profile: BagProfile, facts: BagFacts) -> list[str]:
    """Return the labels that the profile requires and the bag lacks."""
    return [rule.label for rule in profile.tags if rule.required and not facts.tags.get(rule.label.lower())]


def breaches(profile: BagProfile, facts: BagFacts) -> Iterator[tuple[str, str]]:
    """Yield what does not conform to the profile, missing tags apart: the file it is about, and what it is."""
    for rule in profile.tags:
        yield from ((INFO, what) for what in _of_tag(rule, facts.tags.get(rule.label.lower(), [])))
    if profile.identifier not in facts.tags.get(_PROFILE_TAG, []):
        yield INFO, f"it does not name the profile: BagIt-Profile-Identifier: {profile.identifier}"
    for kind, found, required, allowed in (
        ("manifest", facts.manifests, profile.manifests, profile.manifests_allowed),
        ("tagmanifest", facts.tag_manifests, profile.tag_manifests, profile.tag_manifests_allowed),
    ):
        if found is None:
            continue
        yield from ((f"{kind}-{name}.txt", "the profile requires it") for name in required if name not in found)
        if allowed is not None:
            rest = sorted(found - {*allowed})
            yield from ((f"{kind}-{name}.txt", "the profile does not allow this algorithm") for name in rest)
    yield from _of_files(profile, facts)
    yield from _of_the_whole(profile, facts)


def _of_tag(rule: TagRule, found: list[str | None]) -> Iterator[str]:
    if not rule.repeatable and len(found) > 1:
        yield f"{rule.label} stands {len(found)} times, and the profile allows it once"
    if not rule.values:
        return
    for value in found:
        if value is not None and value not in rule.values:
            some = ", ".join(rule.values[:10]) + (", …" if len(rule.values) > 10 else "")
            yield f"{rule.label} is {value[:100]}, and the profile allows {some}"


def _of_files(profile: BagProfile, facts: BagFacts) -> Iterator[tuple[str, str]]:
    wanted = set(profile.tag_files)
    for name in facts.files:
        wanted.discard(name)
        patterns = profile.tag_files_allowed
        if patterns is not None and not any(fnmatchcase(name, pattern) for pattern in patterns):
            yield name, "the profile does not allow this tag file"
    own = {"bagit.txt", INFO, *(["fetch.txt"] if facts.has_fetch else [])}
    for kind, found in (("manifest", facts.manifests), ("tagmanifest", facts.tag_manifests)):
        own |= {f"{kind}-{name}.txt" for name in found or ()}
    yield from ((name, "the profile requires this tag file") for name in sorted(wanted - own))
    if profile.fetch is False and facts.has_fetch:
        yield "fetch.txt", "the profile does not allow it"
    if profile.fetch and not facts.has_fetch:
        yield "fetch.txt", "the profile requires it"


def _of_the_whole(profile: BagProfile, facts: BagFacts) -> Iterator[tuple[str, str]]:
    if profile.empty and facts.payload is not None and facts.payload not in ((0, 0), (1, 0)):
        yield "data/", "the profile wants an empty payload"
    if profile.versions and facts.version not in {_version(text) for text in profile.versions}:
        said = f"{facts.version[0]}.{facts.version[1]}"
        yield "bagit.txt", f"it declares BagIt {said}, and the profile accepts {', '.join(profile.versions[:10])}"
    if not facts.kind:
        if profile.serialization == "required":
            yield "package", "it is a folder, and the profile requires one file"
    elif profile.serialization == "forbidden":
        yield "package", "it is one file, and the profile requires a folder"
    elif not {*MEDIA_TYPES[facts.kind]} & {name.lower() for name in profile.media_types}:
        some = ", ".join(profile.media_types[:10]) or "none"
        yield "package", f"it is a {facts.kind.upper()} file, and the profile accepts {some}"


def _version(text: str) -> tuple[int, int] | None:
    major, _, minor = text.partition(".")
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else None
