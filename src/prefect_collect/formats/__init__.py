"""The names of the package formats, and the options that only some of them take; `packages` builds and verifies them.

They stand apart from the code that builds packages, because the help of the command line and the forms name every
format, and must not wait for pyarrow. `packages.PACKAGE_FORMATS` has, for the same names, the functions.
"""

from prefect_collect.formats.registry import (
    FORMAT_WORDS,
    FORMATS,
    LIMITED,
    OPTION_GROUPS,
    Format,
    FormatFacts,
    fitting_options,
    grouped_options,
    options_json,
    parsed_options,
    require_options,
    require_source,
)

__all__ = [
    "FORMATS",
    "FORMAT_WORDS",
    "LIMITED",
    "OPTION_GROUPS",
    "Format",
    "FormatFacts",
    "fitting_options",
    "grouped_options",
    "options_json",
    "parsed_options",
    "require_options",
    "require_source",
]
