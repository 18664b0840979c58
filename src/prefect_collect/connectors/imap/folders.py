"""The folders of a mailbox: their names in modified UTF-7, what LIST says of them, and which are collected."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.imap.responses import Answer, BadAnswer
from prefect_collect.connectors.imap.session import Session

LABELS: Final = "X-GM-EXT-1"
"""Gmail's extension: folders are labels, and the folder `\\All` has every message once, with its labels."""

_MOST: Final = 100_000
_CLOSED: Final = frozenset({b"\\noselect", b"\\nonexistent"})
_VIEWS: Final = frozenset({b"\\all", b"\\flagged"})
"""Special uses of folders that show messages of other folders (RFC 6154, section 2)."""

_WITH_LABELS: Final = frozenset({b"\\all", b"\\junk", b"\\trash"})
"""Where each message of Gmail is once: in one of these three."""

_CODED: Final = re.compile(r"&([A-Za-z0-9+,]*)-")


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of a mailbox.

    Attributes:
        wire: Its name as the protocol sends it, which names it without loss.
        path: Its name for users, "/"-separated.
        flags: Its attributes in lower case, such as ``\\sent``.
        is_view: It shows messages of other folders, which are collected there.
        is_nameless: Its name is neither modified UTF-7 nor UTF-8, so it cannot be asked for; `wire` shows it.
    """

    wire: str
    path: str
    flags: frozenset[bytes] = frozenset()
    is_view: bool = False
    is_nameless: bool = False


def folders_of(session: Session, wanted: str) -> list[Folder]:
    """Return the folders to collect; those in which no messages can be are left out.

    Args:
        session: The session.
        wanted: A folder, which is taken with all below it; or a special use, as ``\\Sent``; "" for all.

    Raises:
        SourceError: No such folder.
    """
    found = _listed(session)
    if wanted.startswith("\\"):
        chosen = [folder for folder in found if wanted.lower().encode() in folder.flags]
    elif wanted:
        chosen = [folder for folder in found if _is_within(folder.path, wanted)]
    else:
        chosen = _everything(found, has_labels=session.has(LABELS))
    if not chosen:
        named = ", ".join(folder.path for folder in found[:20])
        raise source_error("not_found", f"There is no folder {wanted}; there are: {named}", session.place)
    return [folder for folder in chosen if not folder.flags & _CLOSED]


def _everything(found: Sequence[Folder], *, has_labels: bool) -> list[Folder]:
    if has_labels and any(b"\\all" in folder.flags for folder in found):
        return [folder for folder in found if folder.flags & _WITH_LABELS]
    return [replace(folder, is_view=bool(folder.flags & _VIEWS)) for folder in found]


def _is_within(path: str, wanted: str) -> bool:
    wanted = wanted.rstrip("/")
    if wanted[:5].upper() == "INBOX" and wanted[5:6] in ("", "/"):
        path, wanted = _with_inbox(path), _with_inbox(wanted)
    return path == wanted or path.startswith(f"{wanted}/")


def _with_inbox(path: str) -> str:
    """Return a path whose first folder is written INBOX, if it is that one in any case."""
    return f"INBOX{path[5:]}" if path[:5].upper() == "INBOX" and path[5:6] in ("", "/") else path


def _listed(session: Session) -> list[Folder]:
    extended = session.has("LIST-EXTENDED") and session.has("SPECIAL-USE")
    found: dict[str, Folder] = {}
    try:
        tag = session.send(b'LIST "" "*"' + (b" RETURN (SPECIAL-USE)" if extended else b""))
        for word, answer in session.answers(tag):
            if word == b"LIST":
                folder = _folder(answer)
                found.setdefault(folder.wire, folder)
            if len(found) > _MOST:
                raise BadAnswer(f"there are more than {_MOST:,} folders")
    except BadAnswer as error:
        raise session.not_imap(error) from error
    return sorted(found.values(), key=lambda folder: folder.path)


def _folder(answer: Answer) -> Folder:
    flags, delimiter, name = answer.value(), answer.value(), answer.value()
    if not isinstance(flags, list) or isinstance(delimiter, list) or not isinstance(name, bytes):
        raise BadAnswer("LIST gives a folder without a name")
    wire = name.decode(errors="backslashreplace")
    between = delimiter.decode(errors="replace") if delimiter else ""
    parts = wire.split(between) if between else [wire]
    path = "/".join(decoded_name(part).replace("/", "_") for part in parts)
    marks = frozenset(flag.lower() for flag in flags if isinstance(flag, bytes))
    return Folder(wire, path, marks, is_nameless=wire.encode() != name)


def decoded_name(name: str) -> str:
    """Return a name in modified UTF-7 (RFC 3501, section 5.1.3) as text; one that is not stays as it is."""
    try:
        return _CODED.sub(lambda coded: _decoded(coded[1]), name)
    except (ValueError, UnicodeDecodeError):
        return name


def _decoded(coded: str) -> str:
    if not coded:
        return "&"
    padded = coded.replace(",", "/") + "=" * (-len(coded) % 4)
    return base64.b64decode(padded, validate=True).decode("utf-16-be")
