"""The SourceErrors of answers of Google Cloud Storage and Azure Blob Storage."""

from __future__ import annotations

import re
from typing import Final

from prefect_collect.connectors.errors import answer_error, body_error, source_error
from prefect_collect.errors import SourceError
from prefect_collect.stores.azure_access import WRONG_CREDENTIALS

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
