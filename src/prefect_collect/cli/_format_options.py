"""What becomes of the given options that only some formats of packages take: files are read, jobs found."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from prefect_collect.errors import UsageError
from prefect_collect.formats import FORMATS, OPTION_GROUPS, grouped_options, parsed_options
from prefect_collect.formats.bag_profile import LONGEST
from prefect_collect.formats.profiles import PRESETS

_LONGEST: Final = 64 << 10
_FLAGS: Final = {"volume_bytes": "--volume-size"}
"""The options that are not called as the fields that they set."""


def format_options_of(format: str, given: dict[str, Any], store: str | None) -> dict[str, dict[str, Any]]:
    """Return the options that were given (are neither None nor False), by the parameters of the flow that take them.

    Raise UsageError, and JobNotFound for an export that is in no staging store.
    """
    fields = resolved(
        {name: value for name, value in given.items() if value is not None and value is not False and value != []},
        store,
    )
    made = grouped(format, fields)
    parsed_options(made)
    return made


def grouped(format: str, given: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the given options in the groups that carry them. Raise UsageError if the format does not take one."""
    for name in given:
        taking = [each for each, facts in FORMATS.items() if any(name in _names(group) for group in facts.options)]
        if format not in taking:
            flag = _FLAGS.get(name, f"--{name.replace('_', '-')}")
            raise UsageError(
                f"{flag} is no option of the format {format}; leave it out, or export with --format "
                f"{' or '.join(taking)}. [format={format}]"
            )
    return grouped_options(format, given)


def _names(group: str) -> dict[str, str]:
    return OPTION_GROUPS[group].option_names() if group in OPTION_GROUPS else {}


def resolved(given: dict[str, Any], store: str | None) -> dict[str, Any]:
    """Return the options with the text of each file that they name, and the id of the job. Raise as the above."""
    from prefect_collect.cli._find_job import find_job

    read: dict[str, Callable[[str], str]] = {
        "profile": profile_text,
        "bag_profile": bag_profile_text,
        "continue_from": lambda job: find_job(job, store, served=True).id,
    }
    return {name: read[name](value) if name in read else value for name, value in given.items()}


def profile_text(given: str) -> str:
    """Return a preset's name as it is, or the lines of a file. Raise UsageError."""
    if given.lower() in PRESETS or not os.path.lexists(given):
        return given
    try:
        data = Path(given).read_bytes()
        if len(data) > _LONGEST:
            raise UsageError(f"The profile is larger than {_LONGEST:,} bytes. [profile={given}]")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"The profile cannot be read ({error.strerror}). [profile={given}]") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"The profile is not UTF-8. [profile={given}]") from error


def bag_profile_text(file: str) -> str:
    """Return the text of a profile's file. Raise UsageError."""
    try:
        with Path(file).open("rb") as opened:
            data = opened.read(4 * LONGEST + 1)
        if len(data) > 4 * LONGEST:
            raise UsageError(f"The BagIt profile is larger than {4 * LONGEST:,} bytes. [profile={file}]")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"The BagIt profile cannot be read ({error.strerror}). [profile={file}]") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"The BagIt profile is not UTF-8. [profile={file}]") from error
