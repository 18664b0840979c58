"""How many items of an export have the bytes of another item."""

from __future__ import annotations

from dataclasses import dataclass

from prefect_collect.escaping import one_line


@dataclass(frozen=True, slots=True)
class DuplicateCounts:
    """How many items have the bytes (the SHA-256) of another, of this collection or of an earlier job.

    Attributes:
        items: The items that repeat another one's bytes.
        bytes: Their bytes.
        earlier: How many of them are marked with an item of an earlier job.
        withheld: How many of them are not delivered because of that.
        withheld_bytes: The bytes of those.
        deduplicate: Which of the items with the same bytes were to be delivered; None if all were.
    """

    items: int = 0
    bytes: int = 0
    earlier: int = 0
    withheld: int = 0
    withheld_bytes: int = 0
    deduplicate: str | None = None

    @property
    def text(self) -> str:
        """A sentence with the counts."""
        have = "item has" if self.items == 1 else "items have"
        found = f"{self.items:,} {have} the bytes of another"
        earlier = f", {self.earlier:,} of them of an item of an earlier job" if self.earlier else ""
        if self.deduplicate is None:
            return f"{found}{earlier}; none is left out for that."
        return (
            f"{found}{earlier}; {self.withheld:,} {'is' if self.withheld == 1 else 'are'} not delivered again "
            f"(deduplicate: {one_line(self.deduplicate)})."
        )
