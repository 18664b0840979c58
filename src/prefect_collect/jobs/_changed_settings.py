"""The settings of a collection that its retry may change: those that an error code says to change before a retry."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from prefect.blocks.core import Block
from pydantic import TypeAdapter, ValidationError

from prefect_collect.errors import UsageError
from prefect_collect.flows.block_references import saved
from prefect_collect.jobs._job import Job
from prefect_collect.parameters import Concurrency, Percentage
from prefect_collect.statuses import JobKind

_CHECKS: Final[dict[str, TypeAdapter[Any]]] = {
    "tolerated_failure_percentage": TypeAdapter(Percentage),
    "concurrency": TypeAdapter(Concurrency),
}


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """What the next attempts of a collection have in place of the job's settings; None and False: as the job has it.

    Attributes:
        allow_private: Whether a list of URLs may lead to private addresses.
        tolerated_failure_percentage: The share of failed items at which an attempt stops.
        concurrency: How many small items of a shard to read at once.
    """

    allow_private: bool = False
    tolerated_failure_percentage: float | None = None
    concurrency: int | None = None

    @property
    def given(self) -> dict[str, Any]:
        """The settings that are to be changed."""
        return {name: value for name, value in asdict(self).items() if value is not None and value is not False}

    def parameters(self, job: Job) -> dict[str, Any]:
        """Return the parameters of the flow that are to be changed.

        Raise UsageError if the job is an export, a value is out of bounds, or its source does not have `allow_private`.
        """
        given = self.given
        if given and job.kind is JobKind.EXPORT:
            raise UsageError(f"{next(iter(given))} is a setting of collections, and this is an export. [job={job.id}]")
        changed = {name: value for name, value in given.items() if name in _CHECKS}
        for name, value in changed.items():
            try:
                _CHECKS[name].validate_python(value)
            except ValidationError as error:
                raise UsageError(f"{name} is not valid: {error.errors()[0]['msg']}. [{name}={value}]") from error
        return {**changed, "source": _with_private(job)} if self.allow_private else changed


def _with_private(job: Job) -> dict[str, Any]:
    """Return the reference to a copy of the job's source that allows private addresses."""
    named = job.parameters.get("source")
    block = _loaded(named) if isinstance(named, dict) and "$ref" in named else None
    if block is None or "allow_private" not in type(block).model_fields:
        raise UsageError(f"allow_private goes with urls:// only, and the job's source is another. [job={job.id}]")
    if not block._is_anonymous:
        raise UsageError(
            f"The job's source is a saved block: set its field allow_private in Prefect, and retry without the option. "
            f"[source={block._block_document_name}, job={job.id}]"
        )
    return {"$ref": {"block_document_id": str(saved(block.model_copy(update={"allow_private": True})))}}


def _loaded(named: dict[str, Any]) -> Block | None:
    load: Any = Block.load_from_ref
    try:
        block: Block = load(named["$ref"])
    except ValueError:
        return None  # the block was deleted
    return block
