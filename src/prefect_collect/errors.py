"""Every error that prefect-collect raises, in one tree.

    CollectError
    ├── UsageError                  an argument, option or field is wrong
    │   ├── InvalidLocation         a URL or path is not that of a source, store or package
    │   ├── InvalidQuery            a field of a query cannot be used
    │   ├── JobNotFound             no job has that id
    │   └── SourceNotFound          no data source has that name
    ├── StatusError                 the specification's status tables do not allow it
    │   ├── ActionNotAllowed        the status does not offer that next step
    │   └── TransitionNotAllowed    the specification has no such change of status
    ├── SourceError                 a data source answered with an error (has a code of `codes`)
    │   └── TransientSourceError    … a temporary one, so that a later try may succeed     (transient)
    ├── StoreError                  the staging store or the destination failed
    │   ├── KeyExists               a conditional create failed because the key exists
    │   ├── KeyMissing              the key does not exist
    │   ├── StoreFull               no space is left
    │   │   └── StoreQuotaExceeded  a quota is used up
    │   ├── StoreTooLarge           the blob is larger than the store allows
    │   ├── StoreNameTooLong        the key is longer than the store allows
    │   ├── StoreAccessDenied       reading or writing is not allowed
    │   ├── StoreUnsafe             the store has no conditional creates, so two writers could fork a job
    │   └── StoreUnavailable        the store did not answer, or is busy                   (transient)
    ├── EvidenceError               stored evidence cannot be read back as it was written
    │   ├── CorruptPart             an inventory, ledger or manifest file is damaged
    │   └── CorruptSegment          a segment is lost, or its bytes are not the collected ones
    ├── PackageError                a package cannot be made or read
    │   └── PackageExists           the destination already has something with the package's name
    ├── JobError                    a whole job cannot continue
    │   ├── JobFailed               it ended as Failed; has its result
    │   ├── AttemptSuperseded       another process has started a later attempt
    │   ├── JobCanceled             a user stopped it
    │   └── SourceInactive          the source is SUSPENDED or ARCHIVED
    └── PrefectError                Prefect's server refused a request
        └── PrefectUnavailable      it did not answer, or failed itself              (transient)

`transient` is True if a later try may succeed without any change by a user. A message says what happened to what and
what to do, and ends in the thing's name in square brackets, as in ``[key=inbox/1.eml]``.
"""

from __future__ import annotations

from typing import ClassVar

from prefect_collect.escaping import one_line


class CollectError(Exception):
    """The base class of all errors of prefect-collect; its message is one line that can be shown to a user."""

    transient: ClassVar[bool] = False

    def __str__(self) -> str:
        return one_line(super().__str__())


class UsageError(CollectError):
    """An argument, option or field is wrong; the message names it and what it may be."""


class InvalidLocation(UsageError):
    """A URL or path is not that of a data source, staging store, destination or package."""


class InvalidQuery(UsageError):
    """A field of a query cannot be used, or contradicts another."""


class JobNotFound(UsageError):
    """No job has that id in Prefect or in the staging store."""


class SourceNotFound(UsageError):
    """No data source has that name."""


class StatusError(CollectError):
    """The status tables of the specification do not allow it."""


class ActionNotAllowed(StatusError):
    """The status of a job does not offer that next step; the message lists the steps that it offers."""


class TransitionNotAllowed(StatusError):
    """The specification has no such change of status; the message lists the possible ones."""


class SourceError(CollectError):
    """A data source answered with an error; `code` is a key of `prefect_collect.codes.CODES`."""

    def __init__(self, message: str, *, code: str = "unexpected_error", http_status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.http_status = http_status


class TransientSourceError(SourceError):
    """A data source answered with a temporary error: a later try may succeed."""

    transient: ClassVar[bool] = True


class StoreError(CollectError):
    """The staging store or the destination failed; `code` is a key of `prefect_collect.codes.CODES`."""

    code: ClassVar[str] = "store_error"


class KeyExists(StoreError):
    """A conditional create failed because the key exists."""

    code: ClassVar[str] = "destination_exists"


class KeyMissing(StoreError):
    """The key does not exist in the store."""

    code: ClassVar[str] = "store_missing"


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
    """The store does not allow reading or writing."""

    code: ClassVar[str] = "store_access_denied"


class StoreUnsafe(StoreError):
    """The store ignores conditional creates, so two writers could both take themselves for the owner of a job."""

    code: ClassVar[str] = "store_unsafe"


class StoreUnavailable(StoreError):
    """The store did not answer, or is busy."""

    transient: ClassVar[bool] = True
    code: ClassVar[str] = "store_unavailable"


class EvidenceError(CollectError):
    """Stored evidence cannot be read back as it was written; `code` is a key of `prefect_collect.codes.CODES`."""

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
    """The destination already has something with the package's name."""

    code: ClassVar[str] = "destination_exists"


class JobError(CollectError):
    """A whole job cannot continue; `code` is a key of `prefect_collect.codes.CODES`."""

    code: ClassVar[str] = "unexpected_error"


class JobFailed(JobError):
    """A job ended as Failed. `result` is its `TaskResult`, with the reason and the location of the error report."""

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


class JobInterrupted(KeyboardInterrupt):
    """Ctrl-C came when a job that runs in this process had done its work, or before it had begun.

    It is no CollectError, so that a program ends by it as by any KeyboardInterrupt. What the job came to, its status
    says; the message says if Prefect's server could not be asked to store that.

    Attributes:
        job_id: The job's id; "" if it has none yet.
    """

    def __init__(self, message: str, job_id: str = "") -> None:
        super().__init__(message)
        self.job_id = job_id


class SourceInactive(JobError):
    """The data source is SUSPENDED or ARCHIVED, so nothing may be started on it."""

    code: ClassVar[str] = "source_inactive"


class PrefectError(CollectError):
    """Prefect's server refused a request; the message contains its answer."""


class PrefectUnavailable(PrefectError):
    """Prefect's server did not answer, or failed itself."""

    transient: ClassVar[bool] = True
