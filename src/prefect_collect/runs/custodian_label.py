"""The label of a job's run that names the custodian, whose data is collected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

PREFIX: Final = "prefect-collect."
"""What the names of all labels of this package begin with."""

CUSTODIAN: Final = "custodian"


def custodian_labels(custodian: object) -> dict[str, str]:
    """Return the values of the label that names the custodian; none if there is no custodian."""
    return {CUSTODIAN: custodian.strip()} if isinstance(custodian, str) and custodian.strip() else {}


def custodian_of(parameters: Mapping[str, Any], labels: Mapping[str, Any]) -> str:
    """Return the custodian that a run names; "" if it names none.

    A collection has it as a parameter, exactly as it was given; an export has only the label, as one line.
    """
    return str(parameters.get(CUSTODIAN) or labels.get(f"{PREFIX}{CUSTODIAN}") or "").strip()
