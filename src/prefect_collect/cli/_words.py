"""Words that several commands say."""

from __future__ import annotations

import re
from typing import Final

_STOPS: Final = re.compile(r"(?<=\])\.(?=\s|$)|(?<=[^\s./])\.(?=\.(?:\s|$))")


def items(number: int) -> str:
    """A number of items in words."""
    return counted(number, "item")


def counted(number: int, thing: str) -> str:
    """A number of things in words, whose plural is made by an s."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def tidy(text: str) -> str:
    """A message in one line, with one full stop where messages that end in one, or in [a name], were put together."""
    return _STOPS.sub("", " ".join(text.split()))
