"""The options of an export as mail: mbox files, or EML files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

from prefect_collect.errors import UsageError
from prefect_collect.formats.options import FormatOptions

Messages = Literal["mbox", "eml"]
"""Whether messages are put together in mbox files, or each is an EML file."""

MboxOf = Literal["folder", "all"]
"""Whether each folder of the source becomes an mbox file, or all messages are in one."""

_OF_MBOX: Final = ("mbox_of", "volume_bytes")


@dataclass(frozen=True)
class MailSet(FormatOptions):
    """The options of an export as mail.

    Attributes:
        messages: "mbox": the messages together in mbox files (RFC 4155, with lines From quoted as mboxrd does);
            "eml": each message as a file of its own.
        mbox_of: "folder": an mbox file for each folder of the source; "all": one for all messages.
        volume_bytes: The most bytes of an mbox file; a message that is larger has one of its own.

    Raises:
        UsageError: A field cannot be used; the message names it.
    """

    parameter: ClassVar[str] = "mail"
    example: ClassVar[str] = "{'messages': 'eml'}"

    messages: Messages = "mbox"
    mbox_of: MboxOf = "folder"
    volume_bytes: int | None = None

    @classmethod
    def fitting(cls, present: Mapping[str, Any], format: str, changed: Mapping[str, Any]) -> dict[str, Any]:
        """Return the present fields without those of mbox files if the messages become EML files."""
        dropped = _OF_MBOX if changed.get("messages") == "eml" else ()
        return {name: value for name, value in present.items() if name not in dropped}

    def __post_init__(self) -> None:
        self.require_choice("messages", Messages)
        self.require_choice("mbox_of", MboxOf)
        self.require_count("volume_bytes")
        if self.messages == "eml" and (self.volume_bytes is not None or self.mbox_of != "folder"):
            name = "mbox_of" if self.volume_bytes is None else "volume_bytes"
            raise UsageError(f"{name} is of mbox files; leave it out, or export with messages=mbox. [messages=eml]")
