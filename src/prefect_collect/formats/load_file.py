"""The options of an export as a load file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from prefect_collect.errors import UsageError
from prefect_collect.formats.options import FormatOptions, is_whole
from prefect_collect.formats.profiles import Profile, profile_of

Encoding = Literal["utf-8", "utf-16", "cp1252"]
"""The encoding of a load file: UTF-8 and UTF-16 (little-endian) with a byte order mark, or Windows' code page 1252."""

Unencodable = Literal["refuse", "replace"]
"""What becomes of characters that the encoding does not have: the export is refused, or they become question marks."""

Tables = Literal["dat", "csv", "both"]
"""Whether the load file is a Concordance DAT file, a CSV file, or both."""

WIDTHS: Final = (4, 12)
_PREFIX: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_JOB: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class LoadFile(FormatOptions):
    """The options of an export as a load file.

    Attributes:
        prefix: What control numbers begin with: letters, digits, - and _, the last one no digit.
        width: The digits of control numbers, 4 to 12.
        profile: The columns: relativity, everlaw, concordance or disco, or lines of your own such as
            BEGDOC = control_number.
        tables: "dat": a Concordance DAT file; "csv": a CSV file; "both".
        encoding: "utf-8" or "utf-16", with a byte order mark, or "cp1252".
        unencodable: What becomes of characters that CP1252 does not have: "refuse" the export, or "replace" them by ?.
        volume_items: The most items of a volume; by default all are in one.
        volume_bytes: The most bytes of a volume's natives and texts; an item that is larger has a volume of its own.
        continue_from: The id of an earlier export as a load file: its items keep their numbers, and new ones go on
            after its last number.

    Raises:
        UsageError: A field cannot be used; the message names it.
    """

    parameter: ClassVar[str] = "load_file"
    example: ClassVar[str] = "{'prefix': 'ABC'}"

    prefix: str = "DOC"
    width: int = 8
    profile: str = "relativity"
    tables: Tables = "dat"
    encoding: Encoding = "utf-8"
    unencodable: Unencodable = "refuse"
    volume_items: int | None = None
    volume_bytes: int | None = None
    continue_from: str | None = None

    def __post_init__(self) -> None:
        prefix, low, high = self.prefix, *WIDTHS
        if not isinstance(prefix, str) or _PREFIX.fullmatch(prefix) is None:
            raise UsageError(
                "prefix must be 1 to 32 letters (A to Z), digits, - and _, and begin with a letter or digit. "
                f"[prefix={str(prefix)[:40]}]"
            )
        if prefix[-1].isdigit():
            raise UsageError(
                "prefix must not end in a digit, because readers could not tell where the number begins; add a - or _. "
                f"[prefix={prefix}]"
            )
        if not is_whole(self.width, low) or self.width > high:
            raise UsageError(f"width must be a whole number from {low} to {high}. [width={self.width}]")
        for name, choices in (("tables", Tables), ("encoding", Encoding), ("unencodable", Unencodable)):
            self.require_choice(name, choices)
        for name in ("volume_items", "volume_bytes"):
            self.require_count(name)
        if self.continue_from is not None and _JOB.fullmatch(str(self.continue_from)) is None:
            raise UsageError(f"continue_from must be the id of an export. [continue_from={self.continue_from!s:.60}]")
        if self.encoding not in self.columns.encodings:
            raise UsageError(
                f"{self.columns.name} reads load files in {', '.join(self.columns.encodings)} only. "
                f"[encoding={self.encoding}]"
            )

    @property
    def columns(self) -> Profile:
        """The profile. Raise UsageError."""
        if not isinstance(self.profile, str):
            raise UsageError("profile must be a preset's name or the lines of a profile. [profile]")
        return profile_of(self.profile)
