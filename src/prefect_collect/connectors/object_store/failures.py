"""The SourceErrors of answers of Google Cloud Storage and Azure Blob Storage, and of obstore's exceptions."""

from __future__ import annotations

import re
from typing import Final

from prefect_collect.connectors.errors import answer_error, body_error, source_error
from prefect_collect.errors import SourceError
from prefect_collect.stores.azure_access import WRONG_CREDENTIALS

_STATUS: Final = re.compile(r"status code: (\d{3})")
_REFUSED: Final = (400, 401, 403)
_NAME: Final = re.compile(r"<Code>([^<]{1,100})</Code>|\"reason\": *\"([^\"]{1,100})\"")


def refusal(status: int, headers: dict[bytes, str], body: bytes, place: str) -> SourceError:
    """Return the error of an answer that is no success.

    Args:
        status: Its status.
        headers: Its headers; an answer to HEAD has Azure's code in one.
        body: The beginning of its body.
        place: The location, in which the error's message ends.
    """
    stated = _NAME.search(body[:65536].decode("utf-8", "replace"))
    name = (stated[1] or stated[2]) if stated else headers.get(b"x-ms-error-code", "")
    if name in WRONG_CREDENTIALS:
        return source_error("bad_credentials", f"Azure does not accept the credentials ({name})", place, status)
    return body_error(status, body, place) if stated and stated[1] else answer_error(status, name, "", place)


def obstore_error(error: Exception, place: str) -> SourceError:
    """Return the SourceError of an exception of obstore, which asks for tokens; parts of its text may be secret."""
    text = str(error)
    if stated := _STATUS.search(text):
        status, who = int(stated[1]), "The server that gives the tokens"
        if status in _REFUSED:
            return source_error("bad_credentials", f"{who} refuses the credentials (HTTP {status})", place, status)
        return answer_error(status, "", f"{who} failed", place)
    if "kind: Timeout" in text or "timed out" in text:
        code, summary = "timeout", "The server that gives the tokens did not answer in time"
    elif "HTTP error" in text or "kind: Connect" in text:
        code, summary = "connection_lost", "The server that gives the tokens could not be reached, or broke off"
    elif "MissingAccount" in text:
        code, summary = "bad_credentials", "Set AZURE_STORAGE_ACCOUNT_NAME and the account's credentials"
    else:
        code, summary = "unexpected_error", text
    return source_error(code, summary.partition("\n")[0], place)
