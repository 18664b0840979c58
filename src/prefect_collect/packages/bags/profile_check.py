"""Checks a bag by a BagIt profile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from prefect_collect.formats.bag_profile import BagProfile
from prefect_collect.formats.bag_rules import INFO, BagFacts, breaches, missing_tags
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.bags.info import BagInfo
from prefect_collect.packages.contents.name_keys import bounds, unpack

_OWN: Final = ("bagit.txt", INFO, "fetch.txt")
_MANIFEST: Final = re.compile(r"(tag)?manifest-([^/]+)\.txt")


def labels_of(profile: BagProfile) -> set[str]:
    """Return the labels, in lower case, whose values the profile's rules need."""
    return {rule.label.lower() for rule in profile.tags} | {"bagit-profile-identifier"}


def check_profile(bag: BagFiles, profile: BagProfile, info: BagInfo) -> None:
    """Add to the findings what does not conform to the profile; `info` has the values of its `labels_of`."""
    problems = bag.findings.problems
    found: dict[str, set[str]] = {"": set(), "tag": set()}
    for name in bag.tag_names():
        if (match := _MANIFEST.fullmatch(name)) is not None:
            found[match[1] or ""].add(match[2].lower().replace("-", ""))
    size, items = bag.payload()
    facts = BagFacts(
        {label: [*values] for label, values in info.values.items()},
        frozenset(found[""]), frozenset(found["tag"]), _tag_files(bag), bag.entry("fetch.txt") is not None,
        (items, size), bag.container.kind, bag.declared.version,
    )  # fmt: skip
    for label in missing_tags(profile, facts):
        problems.add(INFO, f"it lacks the tag {label[:100]}, which the profile requires")
    for path, what in breaches(profile, facts):
        problems.add(path, what)


def _tag_files(bag: BagFiles) -> Iterator[str]:
    """Yield the paths of the files outside of the payload, without those that every bag may have."""
    low, high = bounds(bag.base)
    data, end = bounds(f"{bag.base}data/")
    rows = bag.index.query(
        "SELECT DISTINCT name FROM file WHERE name >= ? AND name < ? AND NOT (name >= ? AND name < ?)"
        " AND substr(name, -1) <> CAST('/' AS BLOB) ORDER BY name",
        low, high, data, end,
    )  # fmt: skip
    for name in (unpack(row[0])[len(bag.base) :] for row in rows):
        if name not in _OWN and _MANIFEST.fullmatch(name) is None:
            yield name
