"""Words that several commands say."""

from __future__ import annotations

import re
from typing import Final

_STOPS: Final = re.compile(r"(?<=\])\.(?=\s|$)|(?<=[^\s./])\.(?=\.(?:\s|$))")


def tidy(text: str) -> str:
    """A message in one line, with one full stop where messages that end in one, or in [a name], were put together."""
    return _STOPS.sub("", " ".join(text.split()))
