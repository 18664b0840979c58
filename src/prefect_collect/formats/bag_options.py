"""The options of an export as a bag: tags for bag-info.txt, and the BagIt profile that its receiver asks for."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, get_args

from prefect_collect.errors import UsageError
from prefect_collect.formats.bag_profile import BagProfile, read_profile
from prefect_collect.formats.options import FormatOptions

Volumes = Literal["zip", "tar", "tar.zst"]
"""What each bag of a group is, as the suffix of its name says."""

VOLUME_BYTES: Final = 4_000_000_000
"""The most bytes of each bag of a group, as a file, if no other number is asked for: what FAT32 takes as one file."""

WRITTEN: Final = (
    "Bag-Software-Agent",
    "Bagging-Date",
    "Payload-Oxum",
    "Bag-Size",
    "External-Identifier",
    "External-Description",
    "Internal-Sender-Description",
    "Collected-Items",
    "Chain-Of-Custody",
    "Custodian",
    "BagIt-Profile-Identifier",
    "Duplicate-Items",
    "Unchanged-Items",
)
"""The tags that every bag has, or that are made of what the job knows."""

ALWAYS: Final = WRITTEN[:9]
"""Those that every bag has."""

OF_GROUPS: Final = ("bag-group-identifier", "bag-count")
"""The tags, in lower case, that each bag of a group has besides."""

_GROUP: Final = "bagit-group"
_OF_GROUP: Final = ("volume_bytes", "volumes")
_RESERVED: Final = {name.lower(): name for name in WRITTEN}
_MOST: Final = 500
_LONGEST_LABEL: Final = 100
_LONGEST_VALUE: Final = 4000
_LINE_ENDS: Final = ("Cc", "Zl", "Zp", "Cs")
"""Categories of characters that end lines for some reader, or are no text (Unicode, table 4-4)."""


@dataclass(frozen=True)
class BagOptions(FormatOptions):
    """The options of an export as a bag.

    Attributes:
        tags: Further lines of bag-info.txt as LABEL=VALUE, in their order; a label may stand in several.
        profile: The BagIt profile (JSON) that the bag must conform to, and names in bag-info.txt.
        volume_bytes: The most bytes of each bag of a group, as a file, by default 4 GB; an item that is larger has a
            bag of its own.
        volumes: What each bag of a group is: "zip", "tar" or "tar.zst".

    Raises:
        UsageError: A field cannot be used; the message names it.
    """

    parameter: ClassVar[str] = "bag"
    example: ClassVar[str] = "{'tags': ['A=B']}"
    named: ClassVar[Mapping[str, str]] = {"tags": "tag", "profile": "bag_profile"}

    tags: tuple[str, ...] = ()
    profile: str | None = None
    volume_bytes: int | None = None
    volumes: Volumes = "zip"

    def __post_init__(self) -> None:
        if isinstance(self.tags, str) or not all(isinstance(tag, str) for tag in self.tags):
            raise UsageError("tags must be a list of texts such as Source-Organization=Example Ltd. [tags]")
        object.__setattr__(self, "tags", tuple(self.tags))
        if len(self.tags) > _MOST:
            raise UsageError(f"A bag takes at most {_MOST} tags of yours. [tags={len(self.tags)}]")
        size = self.volume_bytes
        if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
            raise UsageError(f"volume_bytes must be a whole number of 1 or more. [volume_bytes={size!s:.40}]")
        if self.volumes not in get_args(Volumes):
            raise UsageError(f"volumes must be {' or '.join(get_args(Volumes))}. [volumes={self.volumes!s:.40}]")
        self.lines  # noqa: B018 (checks the tags)
        self.rules  # noqa: B018 (checks the profile)

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """The tags as labels and values. Raise UsageError."""
        return tuple(_tag(text) for text in self.tags)

    @property
    def rules(self) -> BagProfile | None:
        """The profile that the bag must conform to. Raise UsageError."""
        return None if self.profile is None else read_profile(self.profile)

    @classmethod
    def fitting(cls, present: Mapping[str, Any], format: str, changed: Mapping[str, Any]) -> dict[str, Any]:
        """Return the present fields without those of groups for one bag, and without a group's own tags for a group."""
        if format != _GROUP:
            return {name: value for name, value in present.items() if name not in _OF_GROUP}
        tags = [tag for tag in present.get("tags") or () if str(tag).partition("=")[0].strip().lower() not in OF_GROUPS]
        return {**present, **({"tags": tags} if "tags" in present else {})}

    def require_format(self, format: str) -> None:
        """Raise UsageError if an option of groups is given for one bag, or a tag that the bags of a group have."""
        if format != _GROUP and (self.volume_bytes is not None or self.volumes != "zip"):
            raise UsageError(f"volume_bytes and volumes are options of {_GROUP}; leave them out. [format={format}]")
        labels = [label for label, _ in self.lines if label.lower() in OF_GROUPS]
        if format == _GROUP and labels:
            raise UsageError(f"{labels[0]} is written into each bag of a group; leave this tag out. [tag={labels[0]}]")

    def to_json(self) -> dict[str, Any]:
        """Return the fields that are set, as JSON values, from which `BagOptions.of` makes the same options."""
        made: dict[str, Any] = {"tags": [*self.tags]} if self.tags else {}
        given = {"profile": self.profile, "volume_bytes": self.volume_bytes}
        given["volumes"] = None if self.volumes == "zip" else self.volumes
        return made | {name: value for name, value in given.items() if value is not None}


def _tag(text: str) -> tuple[str, str]:
    """Return label and value of LABEL=VALUE. Raise UsageError."""
    label, equals, value = text.partition("=")
    label, value = label.strip(), value.strip()
    if not equals or not label or not value:
        raise UsageError(f"A tag is written LABEL=VALUE, such as Source-Organization=Example Ltd. [tag={text[:100]!r}]")
    if any(unicodedata.category(letter) in _LINE_ENDS for letter in label + value):
        raise UsageError(
            f"A tag is one line, without control characters; give its label again for a further value. "
            f"[tag={text[:100]!r}]"
        )
    if ":" in label:
        raise UsageError(f"The label of a tag has no colon (RFC 8493, 2.2.2); write LABEL=VALUE. [tag={text[:100]!r}]")
    if len(label) > _LONGEST_LABEL or len(value) > _LONGEST_VALUE:
        raise UsageError(
            f"A label has at most {_LONGEST_LABEL} characters, a value {_LONGEST_VALUE:,}. [tag={label[:100]!r}]"
        )
    if (written := _RESERVED.get(label.lower())) is not None:
        raise UsageError(f"{written} is written by prefect-collect itself; leave this tag out. [tag={text[:100]!r}]")
    return label, value
