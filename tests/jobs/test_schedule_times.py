"""When a schedule starts collections: what is wrong is said before Prefect's server is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_collect import FileSource, jobs
from prefect_collect.errors import UsageError


@pytest.mark.parametrize(
    ("cron", "says"),
    [
        ("0 25 * * *", "not valid: '25' is no hour. Its fields are"),
        ("60 3 * * 8", "not valid: '60' is no minute and '8' is no day of the week. Its fields are"),
        ("every day", "not valid: it has 2 fields, and not five. Its fields are"),
        ("daily", "not valid: it has 1 field, and not five. Its fields are"),
    ],
)
def test_what_is_wrong_with_a_cron_expression(cron: str, says: str, tmp_path: Path) -> None:
    """The value that cannot be is named with its field, or the number of fields."""
    with pytest.raises(UsageError, match=r"minute, hour, .* and day of the week, as in 0 3 \* \* 1-5") as refused:
        jobs.schedule_collection(FileSource(root=tmp_path), cron=cron, timezone="Atlantis")
    assert says in str(refused.value)
    assert str(refused.value).endswith(f"[cron={cron}]")


def test_a_zone_that_is_not_known(tmp_path: Path) -> None:
    """A zone is refused as a zone, with a cron expression that is right."""
    with pytest.raises(UsageError, match=r"^The time zone is not known.*\[timezone=Atlantis\]$"):
        jobs.schedule_collection(FileSource(root=tmp_path), cron="0 3 * * *", timezone="Atlantis")
