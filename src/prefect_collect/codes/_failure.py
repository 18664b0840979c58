"""The reason why one item, or a whole job, did not succeed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from prefect_collect.codes._table import CODES

LONGEST_MESSAGE: Final = 4_000
"""The most characters of a failure's message; a longer one is cut."""

_HIGHEST_STATUS: Final = 999


@dataclass(frozen=True, slots=True)
class Failure:
    """The reason why one item (or a whole job) did not succeed.

    Attributes:
        code: A key of `prefect_collect.codes.CODES`.
        message: A sentence for users that names the item. Characters that UTF-8 cannot encode are escaped, and a
            message longer than `LONGEST_MESSAGE` is cut.
        http_status: The status that a server answered; None if there is none, or the given one is not an HTTP status.
    """

    code: str
    message: str
    http_status: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.code, str) or self.code not in CODES:
            raise ValueError(f"{self.code!r} is not an error code of prefect-collect; see prefect_collect.codes.")
        text = self.message if type(self.message) is str else str(self.message)
        if len(text) > LONGEST_MESSAGE:
            text = text[: LONGEST_MESSAGE - 1] + "…"
        if not text.isascii():
            text = text.encode("utf-8", "backslashreplace").decode()
        object.__setattr__(self, "message", text)
        status = self.http_status
        if status is not None and not (type(status) is int and 0 <= status <= _HIGHEST_STATUS):
            object.__setattr__(self, "http_status", None)

    @property
    def retryable(self) -> bool:
        """True if a later try may succeed without any change by a user."""
        return CODES[self.code].retryable

    @property
    def elsewhere(self) -> bool:
        """True if the source only names the item, which is kept elsewhere: no attempt can collect it."""
        return CODES[self.code].elsewhere


CANCELED: Final = Failure("canceled", "The job was canceled before it came to this item.")
"""The reason why an item was not attempted in a canceled job."""

WORKER_LOST: Final = Failure("worker_lost", "The process that ran the job ended before it came to this item.")
"""The reason why an item was not attempted in a job whose process ended."""
