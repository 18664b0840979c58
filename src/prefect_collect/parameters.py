"""The choices and bounds of the job flows' parameters, and the formats of packages.

The flows, and so the forms of their deployments, the command line and the engine use them. This module imports none of
the modules that do the work, so that the command line can show its help at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from annotated_types import Interval

OnEmpty = Literal["succeed", "fail"]
"""The result of a collection in which no item matches: a success with a warning, or a failure."""

Since = Literal["last"]
"""The jobs that an incremental collection compares with: the last ones that collected the source."""

Runner = Literal["threads", "dask", "ray"]
"""The place where the shards of a collection run: threads of the job's process, or a cluster."""

When = Literal["completed", "successful"]
"""The condition for an automatic export to start: the collection is completed (also partially), or successful."""

Percentage = Annotated[float, Interval(ge=0, le=100)]
Tries = Annotated[int, Interval(ge=1, le=100)]
Concurrency = Annotated[int, Interval(ge=1, le=1024)]
Workers = Annotated[int | None, Interval(ge=1, le=1024)]

Format = Literal["bagit", "directory"]
"""The name of a package format, a key of `FORMATS`."""


@dataclass(frozen=True)
class PackageFormat:
    """A format of packages.

    Attributes:
        words: A description of such a package, for forms and help.
        suffix: The suffix of the package's key at the destination, after its base folder.
        is_folder: True if the package is many files below that key, False if it is one file.
    """

    words: str
    suffix: str = ""
    is_folder: bool = False


FORMATS: Final[Mapping[Format, PackageFormat]] = {
    "bagit": PackageFormat("an RFC 8493 bag as one ZIP file", suffix=".zip"),
    "directory": PackageFormat("the same bag unpacked", is_folder=True),
}

FORMAT_WORDS: Final = "; ".join(f'"{name}": {one.words}' for name, one in FORMATS.items()) + "."
"""The descriptions of all formats, for forms and help."""


def bounds(parameter: Any) -> dict[str, Any]:
    """Return the bounds of a parameter's type such as `Tries`: `min` and `max`, both inclusive."""
    [interval] = [one for one in parameter.__metadata__ if isinstance(one, Interval)]
    return {"min": interval.ge, "max": interval.le}
