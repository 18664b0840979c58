"""Every error prefect-collect raises, in one tree.

    CollectError
    ├── UsageError                  what was asked for is wrong; names the field
    │   ├── InvalidLocation         a URL or path that names no source, store or package
    │   ├── InvalidQuery            a query field that cannot be used
    │   ├── JobNotFound             no job with that id
    │   └── SourceNotFound          no data source with that name
    ├── StatusError                 the status tables do not allow it
    │   ├── ActionNotAllowed        a next step that the status does not offer
    │   └── TransitionNotAllowed    a change of status that the specification does not have
    ├── SourceError                 a data source answered with an error (carries a code of `codes`)
    │   └── TransientSourceError    … that a later try may not meet                        (transient)
    ├── StoreError                  the staging store or the destination failed
    │   ├── KeyExists               a conditional create lost: the key is taken
    │   ├── KeyMissing              no such key
    │   ├── StoreFull               no space is left
    │   │   └── StoreQuotaExceeded  a quota is used up
    │   ├── StoreTooLarge           it holds no blob of that size
    │   ├── StoreNameTooLong        it holds no blob of so long a name
    │   ├── StoreAccessDenied       not allowed to read or write there
    │   ├── StoreUnsafe             it cannot create conditionally, so two writers could fork a job
    │   └── StoreUnavailable        it did not answer, or answered that it is busy         (transient)
    ├── EvidenceError               what was stored cannot be read back as it was written
    │   ├── CorruptPart             an inventory, ledger or manifest file is damaged
    │   └── CorruptSegment          a segment is lost, or its bytes are not the collected ones
    ├── PackageError                a package cannot be made or read
    │   └── PackageExists           the destination already holds a package of that name
    ├── JobError                    a whole job cannot go on
    │   ├── JobFailed               it ended as Failed; carries its result
    │   ├── AttemptSuperseded       another process has started a later attempt
    │   ├── JobCanceled             a user stopped it
    │   └── SourceInactive          the source is SUSPENDED or ARCHIVED
    └── PrefectError                Prefect's server refused what it was asked
        └── PrefectUnavailable      it did not answer, or failed itself              (transient)

`transient` says whether a later try may succeed without any change by a user. A message says what happened to what
and what to do, and ends in the thing's name in square brackets, as in ``[key=inbox/1.eml]``.
"""

from __future__ import annotations

from typing import ClassVar

from prefect_collect.escaping import one_line


class CollectError(Exception):
    """The base of all errors of prefect-collect; its message is one line that can be shown to a user as it is."""

    transient: ClassVar[bool] = False

    def __str__(self) -> str:
        return one_line(super().__str__())


class UsageError(CollectError):
    """What was asked for is wrong. The message names the field and what it may be."""


class InvalidLocation(UsageError):
    """A URL or path names no data source, staging store, destination or package."""


class InvalidQuery(UsageError):
    """A field of a query cannot be used, or contradicts another."""


class JobNotFound(UsageError):
    """No job has that id in Prefect or in the staging store."""


class SourceNotFound(UsageError):
    """No data source is saved under that name."""


class StatusError(CollectError):
    """The status tables of the specification do not allow what was asked."""


class ActionNotAllowed(StatusError):
    """A next step that a job in this status does not offer; the message lists those it does."""


class TransitionNotAllowed(StatusError):
    """A change of status that the specification does not have; the message lists those it has."""


class SourceError(CollectError):
    """A data source answered with an error; `code` is a key of `prefect_collect.codes.CODES`."""

    def __init__(self, message: str, *, code: str = "unexpected_error", http_status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.http_status = http_status


class TransientSourceError(SourceError):
    """A data source answered with an error that a later try may not meet."""

    transient: ClassVar[bool] = True


class StoreError(CollectError):
    """The staging store or the destination failed; `code` is a key of `prefect_collect.codes.CODES`."""

    code: ClassVar[str] = "store_error"


class KeyExists(StoreError):
    """A conditional create lost: the key is taken."""

    code: ClassVar[str] = "destination_exists"


class KeyMissing(StoreError):
    """The store holds no such key."""

    code: ClassVar[str] = "not_found"


class StoreFull(StoreError):
    """The store has no space left, or (`StoreQuotaExceeded`) a quota is used up."""

    code: ClassVar[str] = "disk_full"


class StoreQuotaExceeded(StoreFull):
    """A quota of the store is used up."""

    code: ClassVar[str] = "quota_exceeded"


class StoreTooLarge(StoreError):
    """A blob is larger than the store, or the limits of this process, allow."""

    code: ClassVar[str] = "too_large"


class StoreNameTooLong(StoreError):
    """A key is longer than the store allows."""

    code: ClassVar[str] = "name_too_long"


class StoreAccessDenied(StoreError):
    """The store does not let us read or write there."""

    code: ClassVar[str] = "store_access_denied"


class StoreUnsafe(StoreError):
    """The store ignores conditional creates, so two writers could both believe that they own a job."""

    code: ClassVar[str] = "store_unsafe"


class StoreUnavailable(StoreError):
    """The store did not answer, or answered that it is busy."""

    transient: ClassVar[bool] = True
    code: ClassVar[str] = "store_unavailable"


class EvidenceError(CollectError):
    """What was stored cannot be read back as it was written; `code` is a key of `prefect_collect.codes.CODES`."""

    code: ClassVar[str] = "evidence_corrupt"


class CorruptPart(EvidenceError):
    """An inventory, ledger, manifest or report file is damaged."""

    code: ClassVar[str] = "ledger_corrupt"


class CorruptSegment(EvidenceError):
    """A segment is lost, or its bytes are not those that were collected."""

    code: ClassVar[str] = "segment_corrupt"


class PackageError(CollectError):
    """A package cannot be made or read."""

    code: ClassVar[str] = "package_error"


class PackageExists(PackageError):
    """The destination already holds something under the package's name."""

    code: ClassVar[str] = "destination_exists"


class JobError(CollectError):
    """A whole job cannot go on; `code` is a key of `prefect_collect.codes.CODES`."""

    code: ClassVar[str] = "unexpected_error"


class JobFailed(JobError):
    """A job ended as Failed. `result` is its `TaskResult`, which says why and where the error report is."""

    def __init__(self, message: str, *, result: object = None) -> None:
        super().__init__(message)
        self.result = result


class AttemptSuperseded(JobError):
    """Another process has started a later attempt of this job; this one must stop writing."""

    code: ClassVar[str] = "worker_lost"


class JobCanceled(JobError):
    """A user stopped the job. `result` is its `TaskResult`, if it had been started."""

    code: ClassVar[str] = "canceled"

    def __init__(self, message: str, *, result: object = None) -> None:
        super().__init__(message)
        self.result = result


class SourceInactive(JobError):
    """The data source is SUSPENDED or ARCHIVED, so nothing may be started on it."""

    code: ClassVar[str] = "source_inactive"


class PrefectError(CollectError):
    """Prefect's server refused what it was asked; the message has its words."""


class PrefectUnavailable(PrefectError):
    """Prefect's server did not answer, or failed itself."""

    transient: ClassVar[bool] = True
