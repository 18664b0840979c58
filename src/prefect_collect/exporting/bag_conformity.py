"""Holds the bag that an export would make of a collection to the BagIt profile that it is asked for."""

from __future__ import annotations

from prefect_collect.exporting.bound_collection import BoundCollection
from prefect_collect.exporting.delivery import Delivery, spec_of
from prefect_collect.formats.bag_planning import require_conforming


def require_profile(bound: BoundCollection, delivery: Delivery) -> None:
    """Raise UsageError, which names the missing tags, if the bag could not conform to the profile."""
    if delivery.bag is None or delivery.bag.profile is None:
        return
    spec = spec_of(bound, delivery)
    known = {
        **spec.info,
        "Bagging-Date": spec.bagging_date.isoformat(),
        "External-Identifier": spec.job_id,
    }
    require_conforming(delivery.bag, delivery.format, sha512=spec.sha512, known=known, hashes=spec.hashes)
