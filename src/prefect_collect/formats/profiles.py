"""Profiles of load files: which columns one has, in which order, under which names; the presets and their sources.

A profile of one's own is a text with a line for each column, ``COLUMN NAME = FACT``; what begins with ``#`` is a
comment. The facts are those of `FACTS`.

The presets follow what the makers of the systems that load them publish:

- ``relativity``: any column names do, one column must be the identifier, and date and time are one column:
  https://help.relativity.com/RelativityOne/Content/Relativity/Import_Export/Import_Export_Load_file_specifications.htm
- ``everlaw``: a first and a last number, and the names of Everlaw's standard fields, which it recognises:
  https://support.everlaw.com/hc/en-us/articles/360004962052-Standard-Format-for-Processed-Data and
  https://support.everlaw.com/hc/en-us/articles/208407963-Standard-Fields
- ``concordance``: names of at most 12 letters, digits and underscores that begin with a letter, and dates as YYYYMMDD:
  https://www.meridiandiscovery.com/software/concordance-field-naming-requirements/ and
  https://answercenter.ediscovery.co/litigation2/ac/cn_desktop/managing_data_files.htm
- ``disco``: the names of DISCO's own productions, dates and times apart, in UTF-8 only:
  https://support.csdisco.com/hc/en-us/articles/205353694-Fields-in-DISCO-productions-Legacy and
  https://support.csdisco.com/hc/en-us/articles/360025908852-Ingesting-load-files

"All Custodians" with "All Paths/Locations" (Relativity) or "All Paths" (Everlaw) are those of the document and of its
duplicates that were left out: https://www.relativity.com/ (Processing user guide, "Optional fields"), Everlaw as above.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from prefect_collect.errors import UsageError
from prefect_collect.formats.facts import FACTS, FAMILY_RANGE, METADATA, REQUIRED, is_fact

_LONGEST: Final = 64 << 10
_COLUMN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_ .()/#&-]{0,99}")
"""A column's name: a letter or digit, then what all four systems take in a name of a column or of a mapping."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The columns of a load file.

    Attributes:
        name: The preset's name; "" for a profile of one's own.
        columns: Name and fact of each column, in order.
        encodings: The encodings that the receiver reads.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    encodings: tuple[str, ...] = ("utf-8", "utf-16", "cp1252")

    def columns_for(self, *, has_families: bool) -> tuple[tuple[str, str], ...]:
        """Return the columns of a load file in which an item states a family, or none does."""
        if has_families or not self.name:
            return self.columns
        return tuple(column for column in self.columns if column[1] not in FAMILY_RANGE)


def profile_of(text: str) -> Profile:
    """Return the preset of that name, or the profile whose lines these are. Raise UsageError."""
    if "=" not in text and "\n" not in text.strip():
        found = PRESETS.get(text.strip().lower())
        if found is None:
            raise UsageError(
                f"There is no preset of that name; there are {', '.join(PRESETS)}. A profile of your own has lines "
                f"such as BEGDOC = control_number. [profile={text[:100]}]"
            )
        return found
    if len(text) > _LONGEST:
        raise UsageError(f"The profile has more than {_LONGEST:,} characters. [profile]")
    columns = tuple(_columns(text))
    for fact in REQUIRED:
        if fact not in {fact for _, fact in columns}:
            raise UsageError(f"The profile needs a column with the fact {fact}. [profile]")
    return Profile("", columns)


def _columns(text: str) -> list[tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, fact = (part.strip() for part in line.rpartition("="))
        if not equals or not is_fact(fact):
            raise UsageError(
                f"Line {number} of the profile is not COLUMN NAME = FACT; the facts are {', '.join(FACTS)} and "
                f"{METADATA}NAME. [profile]"
            )
        if _COLUMN.fullmatch(name) is None:
            raise UsageError(
                f"Line {number} of the profile names a column {name[:100]!r}; a name begins with a letter or digit, "
                f"and has at most 100 letters, digits, spaces and . _ - ( ) / # &. [profile]"
            )
        if name.casefold() in found:
            raise UsageError(f"Line {number} of the profile names the column {name!r} again. [profile]")
        if any(fact == known for _, known in found.values()):
            raise UsageError(
                f"Line {number} of the profile names the fact {fact} again; each has one column. [profile]"
            )
        found[name.casefold()] = name, fact
    return [*found.values()]


def _preset(name: str, lines: str, *encodings: str) -> Profile:
    made = Profile(name, tuple(_columns(lines)))
    return Profile(name, made.columns, encodings or made.encodings)


PRESETS: Final[Mapping[str, Profile]] = {
    one.name: one
    for one in (
        _preset(
            "relativity",
            """
            Control Number = control_number
            Custodian = custodian
            Source = source
            File Name = file_name
            File Extension = extension
            File Size = size
            Original Path = original_path
            MD5 Hash = md5
            SHA1 Hash = sha1
            SHA256 Hash = sha256
            Date Created = created
            Date Created UTC = created_utc
            Date Last Modified = modified
            Date Last Modified UTC = modified_utc
            Email From = from
            Email To = to
            Email CC = cc
            Email BCC = bcc
            Email Subject = subject
            Date Sent = sent
            Date Sent UTC = sent_utc
            Message ID = message_id
            EDRM MIH = edrm_mih
            Group Identifier = family
            Begin Attachment = family_begin
            End Attachment = family_end
            Duplicate Of = duplicate_of
            All Custodians = all_custodians
            All Paths/Locations = all_paths
            Native File Path = native_path
            Extracted Text = text_path
            """,
        ),
        _preset(
            "everlaw",
            """
            Begin Bates = control_number
            End Bates = end_number
            Custodian = custodian
            Dataset = source
            Original Path = original_path
            Filename = file_name
            Extension = extension
            File Size = size
            MD5 Hash = md5
            SHA1 Hash = sha1
            SHA256 Hash = sha256
            Date Created = created_utc
            Date Modified = modified_utc
            From = from
            To = to
            Cc = cc
            Bcc = bcc
            Subject = subject
            Date Sent = sent_utc
            Date Sent With Zone = sent
            Message ID = message_id
            EDRM MIH = edrm_mih
            Begin Family = family_begin
            End Family = family_end
            Duplicate Of = duplicate_of
            All Custodians = all_custodians
            All Paths = all_paths
            Native Path = native_path
            Text Path = text_path
            """,
        ),
        _preset(
            "concordance",
            """
            BEGDOC = control_number
            ENDDOC = end_number
            CUSTODIAN = custodian
            SOURCE = source
            ORIGPATH = original_path
            FILENAME = file_name
            FILEEXT = extension
            FILESIZE = size
            MD5HASH = md5
            SHA1HASH = sha1
            SHA256HASH = sha256
            DATECREATED = created_date
            TIMECREATED = created_time
            CREATEDUTC = created_utc
            DATELASTMOD = modified_date
            TIMELASTMOD = modified_time
            MODIFIEDUTC = modified_utc
            FROM = from
            TO = to
            CC = cc
            BCC = bcc
            SUBJECT = subject
            DATESENT = sent_date
            TIMESENT = sent_time
            SENTZONED = sent
            MESSAGEID = message_id
            EDRMMIH = edrm_mih
            BEGATTACH = family_begin
            ENDATTACH = family_end
            DUPLICATEOF = duplicate_of
            ALLCUST = all_custodians
            ALLPATHS = all_paths
            NATIVEPATH = native_path
            TEXTPATH = text_path
            """,
        ),
        _preset(
            "disco",
            """
            Begbates = control_number
            Endbates = end_number
            Custodian = custodian
            Source = source
            Original file path = original_path
            File name = file_name
            File extension = extension
            File length = size
            MD5 hash = md5
            SHA1 hash = sha1
            SHA256 hash = sha256
            Create date = created_date
            Create time = created_time
            Date last modified = modified_date
            Time last modified = modified_time
            From = from
            To = to
            Cc = cc
            Bcc = bcc
            Subject = subject
            Date sent = sent_date
            Time sent = sent_time
            Sent with zone = sent
            Message ID = message_id
            EDRM MIH = edrm_mih
            Begattach = family_begin
            Endattach = family_end
            Duplicate of = duplicate_of
            All custodians = all_custodians
            All paths = all_paths
            Native path = native_path
            OCR path = text_path
            """,
            "utf-8",
        ),
    )
}
"""The profiles by name."""
