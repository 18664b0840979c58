"""The table of all error codes."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from prefect_collect.codes._code import Code
from prefect_collect.codes._item_codes import TABLE
from prefect_collect.codes._whole_texts import WHOLE_TEXTS


def _whole(code: Code) -> Code:
    meaning, action = WHOLE_TEXTS.get(code.name, ("", ""))
    return replace(code, whole_meaning=meaning, whole_action=action)


CODES: Final[dict[str, Code]] = {code.name: _whole(code) for code in TABLE}
"""Every code by its name."""

ELSEWHERE: Final = frozenset(code.name for code in TABLE if code.elsewhere)
"""The codes of items that a source only names, as they are kept elsewhere."""
