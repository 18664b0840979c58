"""How type checkers see a field for which a block takes other types than the one it keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

K = TypeVar("K", covariant=True)
G = TypeVar("G", contravariant=True)

if TYPE_CHECKING:

    class Converted(Generic[K, G]):
        """A field that is a K, and for which a G is taken, as its validator does: for each class that has it."""

        @overload
        def __get__(self, block: None, owner: type) -> Self: ...
        @overload
        def __get__(self, block: object, owner: type) -> K: ...
        def __get__(self, block: object, owner: type) -> Any:
            """Return what the block keeps."""

        def __set__(self, block: object, value: G) -> None:
            """Take a value."""
