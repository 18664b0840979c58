"""What was asked for, as rows of the side sheet."""

from __future__ import annotations

from prefect_collect.console.asked_for import asked_for
from prefect_collect.job_folder.folder import JobRecord
from prefect_collect.statuses import JobKind


def test_filters_and_options_are_named_in_words() -> None:
    """The place, each filter and each option that is set has a row; what is not set has none; a long list is cut."""
    record = JobRecord(
        "id",
        JobKind.COLLECTION,
        "name",
        {"name": "docs", "location": "/srv/docs"},
        "docs",
        query={"exclude": [f"{n}.tmp" for n in range(25)], "max_size": 10 << 20},
        options={"custodian": "Zoë", "tries": 3, "since": None, "compress": True, "portable_names": False},
    )
    rows = dict(asked_for(record))
    patterns = rows.pop("Without paths like").splitlines()
    assert (patterns[0], len(patterns), patterns[-1]) == ("0.tmp", 21, "… 5 more")
    assert rows == {
        "Location of the source": "/srv/docs",
        "Largest size": "10.0 MiB",
        "Tries": "3",
        "Compress": "yes",
    }
