"""What the parameters of the job flows may be: their choices, their bounds, and the formats of packages.

The flows, and so the forms of their deployments, the command line and the engine take them from here. This module
imports nothing that does the work, so that the command line shows its help at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Annotated, Any, Final, Literal

from annotated_types import Interval

OnEmpty = Literal["succeed", "fail"]
"""Whether a source in which nothing matches is a success, with a warning, or a failure."""

Since = Literal["last"]
"""What an incremental collection compares with: the last jobs that collected the source."""

Runner = Literal["threads", "dask", "ray"]
"""Where the shards of a collection run: in threads of the job's process, or on a cluster."""

When = Literal["completed", "successful"]
"""When an export starts that is made with its collection: completed includes partially completed."""

Percentage = Annotated[float, Interval(ge=0, le=100)]
Tries = Annotated[int, Interval(ge=1, le=100)]
Concurrency = Annotated[int, Interval(ge=1, le=1024)]
Workers = Annotated[int | None, Interval(ge=1, le=1024)]

Format = Literal["bagit", "directory"]
"""The name of a package format; `FORMATS` has each."""


@dataclass(frozen=True)
class PackageFormat:
    """A format in which packages are made.

    Attributes:
        words: What a package in it is.
        builder: Where the function is that makes one, as `pkgutil.resolve_name` reads it within `packages`.
        suffix: What follows the package's base folder in its key at the destination.
        is_folder: Whether it is many files below that key, else one file.
    """

    words: str
    builder: str
    suffix: str = ""
    is_folder: bool = False

    @property
    def build(self) -> Callable[..., Any]:
        """Return the function that makes such a package."""
        made: Callable[..., Any] = resolve_name(f"prefect_collect.packages.{self.builder}")
        return made


FORMATS: Final[Mapping[Format, PackageFormat]] = {
    "bagit": PackageFormat("an RFC 8493 bag as one ZIP file", "_zip:build_zip", suffix=".zip"),
    "directory": PackageFormat("the same bag unpacked", "_directory:build_directory", is_folder=True),
}

FORMAT_WORDS: Final = "; ".join(f'"{name}": {one.words}' for name, one in FORMATS.items()) + "."
"""What the formats are, for forms and help."""


def bounds(parameter: Any) -> dict[str, Any]:
    """Return the bounds of a parameter's type, as `Tries`: `min` and `max`, both included."""
    [interval] = [one for one in parameter.__metadata__ if isinstance(one, Interval)]
    return {"min": interval.ge, "max": interval.le}
