"""Text that several commands print."""

from __future__ import annotations

import re
from typing import Final

_STOPS: Final = re.compile(r"(?<=\])\.(?=\s|$)|(?<=[^\s./])\.(?=\.(?:\s|$))")


def tidy(text: str) -> str:
    """Return a message as one line, without the doubled full stops of messages that were put together."""
    return _STOPS.sub("", " ".join(text.split()))
