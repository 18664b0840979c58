"""The options of an export as a bag: tags for bag-info.txt, and the BagIt profile that its receiver asks for."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from prefect_collect.errors import UsageError
from prefect_collect.formats.bag_profile import BagProfile, read_profile
from prefect_collect.formats.options import FormatOptions

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
)
"""The tags that every bag has, or that are made of what the job knows."""

ALWAYS: Final = WRITTEN[:9]
"""Those that every bag has."""

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

    Raises:
        UsageError: A field cannot be used; the message names it.
    """

    parameter: ClassVar[str] = "bag"
    example: ClassVar[str] = "{'tags': ['A=B']}"
    named: ClassVar[Mapping[str, str]] = {"tags": "tag", "profile": "bag_profile"}

    tags: tuple[str, ...] = ()
    profile: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.tags, str) or not all(isinstance(tag, str) for tag in self.tags):
            raise UsageError("tags must be a list of texts such as Source-Organization=Example Ltd. [tags]")
        object.__setattr__(self, "tags", tuple(self.tags))
        if len(self.tags) > _MOST:
            raise UsageError(f"A bag takes at most {_MOST} tags of yours. [tags={len(self.tags)}]")
        self.lines  # noqa: B018 (checks the tags)
        self.rules  # noqa: B018 (checks the profile)

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """The tags as labels and values. Raises UsageError."""
        return tuple(_tag(text) for text in self.tags)

    @property
    def rules(self) -> BagProfile | None:
        """The profile that the bag must conform to. Raises UsageError."""
        return None if self.profile is None else read_profile(self.profile)

    def to_json(self) -> dict[str, Any]:
        """Return the fields that are set, as JSON values, from which `BagOptions.of` makes the same options."""
        made: dict[str, Any] = {"tags": [*self.tags]} if self.tags else {}
        return made if self.profile is None else {**made, "profile": self.profile}


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
