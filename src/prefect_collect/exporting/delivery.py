"""Where an export delivers, in which format and with which options; and the package that a collection makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prefect_collect.errors import KeyMissing, PackageError, UsageError
from prefect_collect.exporting.bound_collection import BoundCollection, count_unchanged
from prefect_collect.exporting.taken_name import taken_name
from prefect_collect.exporting.unchanged import since_text
from prefect_collect.formats import FORMATS, LIMITED, OPTION_GROUPS, Format, require_options
from prefect_collect.formats.bag_options import BagOptions
from prefect_collect.formats.dataset import Dataset
from prefect_collect.formats.load_file import LoadFile
from prefect_collect.formats.mail_set import MailSet
from prefect_collect.job_folder.folder import JobFolder, JobRecord
from prefect_collect.packages import Owner, PackageSpec, package_base, package_key, require_possible
from prefect_collect.packages import require_later as require_later_version
from prefect_collect.parameters import Deduplicate
from prefect_collect.stores import DirectoryStore, Store


@dataclass(frozen=True)
class Delivery:
    """The format and destination of an export, with its options; `owner` (set by `run_export`) is the exporting job.

    Raise UsageError if an option is given that the format does not take.
    """

    destination: Store
    format: Format
    sha512: bool = False
    owner: Owner | None = None
    portable_names: bool = False
    load_file: LoadFile | None = None
    bag: BagOptions | None = None
    mail: MailSet | None = None
    dataset: Dataset | None = None
    deduplicate: Deduplicate | None = None
    duplicates_of: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_options(self.format, {name: getattr(self, name) for name in LIMITED})

    @property
    def options(self) -> dict[str, Any]:
        """The options that only some formats take and that were given, by their parameters."""
        return {name: options for name in OPTION_GROUPS if (options := getattr(self, name)) is not None}

    def base(self, record: JobRecord) -> str:
        """Return the package's base folder; `record` is the collection's."""
        return package_base(record, self.format)

    def key(self, base: str) -> str:
        """Return the package's key at the destination."""
        return package_key(base, self.format)

    def require_free(self, base: str, collection: JobFolder | None = None) -> None:
        """Raise PackageExists if the package's name is taken at the destination, StoreError if it is no folder.

        The message names the export of the `collection` that wrote what is there.
        """
        if isinstance(self.destination, DirectoryStore):
            self.destination.require_folder()
        if FORMATS[self.format].grows:
            require_possible(self.destination)
            return
        key = self.key(base)
        try:
            self.destination.stat(key)
        except KeyMissing:
            if not FORMATS[self.format].is_folder or next(iter(self.destination.list(f"{key}/")), None) is None:
                return
        raise taken_name(self.destination.locate(key), collection)


def require_later(bound: BoundCollection, delivery: Delivery) -> None:
    """Raise UsageError, before there is a job, if what the export adds to has a version of a later collection."""
    if FORMATS[delivery.format].grows:
        try:
            require_later_version(
                delivery.destination, delivery.key(delivery.base(bound.record)), spec_of(bound, delivery)
            )
        except PackageError as error:
            raise UsageError(str(error)) from error


def spec_of(bound: BoundCollection, delivery: Delivery) -> PackageSpec:
    """Return the package that this collection makes: the same for the same manifest, for every export at any time."""
    record, result = bound.record, bound.result
    info = {
        "External-Description": f"{record.name}, collected from {record.source.get('location', '')}",
        "Collected-Items": f"{result.counts.succeeded} of {result.counts.found}",
    }
    if count_unchanged(result):
        info["Unchanged-Items"] = f"{since_text(result)} and not in this bag; items.csv lists them"
    info |= {"Custodian": record.custodian} if record.custodian else {}
    custodians = bool(record.custodian or record.custodian_folder or record.custodians)
    ways = delivery.sha512, delivery.portable_names
    return PackageSpec(
        record.package_base, record.job_id, result.ended.date(), record.name, *ways, info, record.hashes, custodians,
        source=str(record.source.get("name", "")), **delivery.options, deduplicate=delivery.deduplicate,
        ended=result.ended, as_of=bound.as_of() if FORMATS[delivery.format].grows else None,
    )  # fmt: skip
