"""The description of a package to make, and of one that was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from prefect_collect.codes import Failure
from prefect_collect.formats.bag_options import BagOptions
from prefect_collect.formats.dataset import Dataset
from prefect_collect.formats.load_file import LoadFile
from prefect_collect.formats.mail_set import MailSet
from prefect_collect.packages.building.continued import Continued
from prefect_collect.parameters import Deduplicate, Hash
from prefect_collect.stores import Blob

NOT_DELIVERED = [
    "item_id",
    "original_path",
    "source_size",
    "source_modified",
    "source_etag",
    "custodian",
    "outcome",
    "error_code",
    "message",
]
"""The columns of `table_columns.LEDGER` that a package lists of the items that were not collected."""

DELIVERED: Final = "delivered"
"""The outcome that item lists state of an item that is in the package."""


DUPLICATE: Final = "duplicate"
"""The code of an item that is not delivered because another one with its bytes is."""


def outcome_of(failure: Failure | None) -> str:
    """Return the outcome that item lists state of an item that was held."""
    if failure is None:
        return DELIVERED
    return "skipped" if failure.code == DUPLICATE else "failed"


@dataclass(frozen=True, slots=True)
class PackageSpec:
    """A package to make.

    `base` is its base folder and must be the `folder` that the segments were written with; `job_id` is the
    collection's; `bagging_date` goes into bag-info.txt as it is given (no clock is read); `info` holds further lines of
    bag-info.txt. With `sha512` it has SHA-512 manifests too; with `portable`, names that every system accepts. `hashes`
    names the columns of the manifest, ``md5`` and ``sha1``, of which it has manifests too; with `custodians`, its
    item lists name each item's custodian, and bag-info.txt all of them. A load file is made by the options `load_file`,
    mail by `mail` and a dataset by `dataset`; they state the `source`, and `continued` has the numbers that an earlier
    export gave. `custody` is the account of the collection (`documents.account`), of which the chain of custody
    documents are made; none are made without it. `bag` has lines of bag-info.txt that the user gave, the BagIt
    profile that the bag conforms to, and how large the bags of a group may be. `deduplicate` says which of the items
    with the same bytes it holds, if not all. `ended` is when the collection ended, which a version states; `as_of` is
    when its first attempt ended of which it has items or the listing: by this versions are ordered.
    """

    base: str
    job_id: str
    bagging_date: date
    name: str = ""
    sha512: bool = False
    portable: bool = False
    info: Mapping[str, str] = field(default_factory=dict)
    hashes: tuple[Hash, ...] = ()
    custodians: bool = False
    load_file: LoadFile = field(default_factory=LoadFile)
    mail: MailSet = field(default_factory=MailSet)
    dataset: Dataset = field(default_factory=Dataset)
    source: str = ""
    continued: Continued | None = None
    custody: Mapping[str, Any] | None = None
    bag: BagOptions = field(default_factory=BagOptions)
    deduplicate: Deduplicate | None = None
    ended: datetime | None = None
    as_of: datetime | None = None

    @property
    def algorithms(self) -> list[str]:
        """The algorithms of its manifests, the first of which its fingerprint is made with."""
        return ["sha256", *(["sha512"] if self.sha512 else []), *self.hashes]


@dataclass(frozen=True, slots=True)
class Built:
    """A package that was made.

    `blob` is the ZIP file, or the ``bagit.txt`` of a directory; `items` and `bytes` count the payload; `fingerprint` is
    the hex SHA-256 of ``tagmanifest-sha256.txt``; `failed` holds, by its row in the manifest, each item that could not
    be written (always empty for a ZIP file); `warnings` are sentences that a user should read, and `remark` one that
    belongs to the result, such as which version of an OCFL object it is; "" for none.
    """

    key: str
    blob: Blob
    items: int
    bytes: int
    fingerprint: str
    failed: Mapping[int, Failure]
    warnings: tuple[str, ...] = ()
    remark: str = ""
