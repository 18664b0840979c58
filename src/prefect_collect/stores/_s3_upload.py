"""A multipart upload: started, filled by several threads, and completed or aborted."""

from __future__ import annotations

import contextlib
import io
import threading
from typing import TYPE_CHECKING, Any

from prefect_collect.errors import CorruptSegment, KeyExists
from prefect_collect.stores._base import Blob, CopyRange
from prefect_collect.stores._objects import new_token
from prefect_collect.stores._s3_bucket import Bucket, metadata_of
from prefect_collect.stores._s3_errors import BOTO_ERRORS, NOT_IMPLEMENTED, code_of, s3_error, s3_errors, status_of

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef


class CopiesUnsupported(Exception):
    """The server has no UploadPartCopy. It is always caught within the stores, which then stream the bytes."""


class Upload:
    """A multipart upload of one key; its methods may be called from several threads."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        self._bucket = bucket
        self._key = key
        self._token = new_token()
        self._where: dict[str, Any] = {"Bucket": bucket.name, "Key": bucket.key(key)}
        self._parts: dict[int, str] = {}
        self._lock = threading.Lock()
        with s3_errors(bucket.locate(key)):
            begun = bucket.client.create_multipart_upload(**self._where, Metadata=metadata_of(self._token))
        self._id = begun["UploadId"]

    def send(self, number: int, data: bytes) -> None:
        """Upload a part."""
        with s3_errors(self._bucket.locate(self._key)):
            options: dict[str, Any] = {**self._part(number), **self._bucket.integrity(data)}
            etag = self._bucket.client.upload_part(Body=io.BytesIO(data), **options)["ETag"]
        self._note(number, etag)

    def copy(self, number: int, source: Bucket, piece: CopyRange) -> None:
        """Have the server copy a range into a part. Raise CorruptSegment or CopiesUnsupported."""
        options: dict[str, Any] = {
            **self._part(number),
            "CopySource": {"Bucket": source.name, "Key": source.key(piece.key)},
            "CopySourceRange": f"bytes={piece.start}-{piece.end - 1}",
            **({"CopySourceIfMatch": piece.etag} if piece.etag else {}),
        }
        try:
            answer = self._bucket.client.upload_part_copy(**options)
        except BOTO_ERRORS as error:
            raise _copy_error(error, source.locate(piece.key)) from error
        etag = answer.get("CopyPartResult", {}).get("ETag")
        if not etag:  # the server took the request for the upload of an empty part
            raise CopiesUnsupported
        self._note(number, etag)

    def complete(self, size: int, *, replace: bool) -> Blob:
        """Make the object appear. Raise KeyExists if the key exists, unless `replace`."""
        if not replace and self._bucket.holds(self._key):
            raise KeyExists(f"The object already exists and is not overwritten [{self._bucket.locate(self._key)}]")
        parts: list[CompletedPartTypeDef] = [
            {"PartNumber": number, "ETag": self._parts[number]} for number in sorted(self._parts)
        ]

        def send(condition: dict[str, str]) -> str:
            options: dict[str, Any] = {**self._where, **condition, "UploadId": self._id}
            answer = self._bucket.client.complete_multipart_upload(MultipartUpload={"Parts": parts}, **options)
            return str(answer["ETag"])

        etag = self._bucket.conditionally(send, self._key, self._token, replace=replace)
        return Blob(self._key, size, etag)

    def abort(self) -> None:
        """Have the server discard the parts. Never raise, as this runs after an error."""
        abort_upload(self._bucket, self._where["Key"], self._id)

    def _part(self, number: int) -> dict[str, Any]:
        return {**self._where, "UploadId": self._id, "PartNumber": number}

    def _note(self, number: int, etag: str) -> None:
        with self._lock:
            self._parts[number] = etag


def abort_upload(bucket: Bucket, full_key: str, upload_id: str) -> None:
    """Have the server discard an upload; ignore its errors."""
    with contextlib.suppress(*BOTO_ERRORS):
        bucket.client.abort_multipart_upload(Bucket=bucket.name, Key=full_key, UploadId=upload_id)


def abort_leftovers(bucket: Bucket, prefix: str, *, exact: bool) -> None:
    """Abort the uploads that killed processes left under a key (`exact`) or a prefix, if the server lists them."""
    with contextlib.suppress(*BOTO_ERRORS):
        pages = bucket.client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket.name, Prefix=prefix)
        found = [(upload["Key"], upload["UploadId"]) for page in pages for upload in page.get("Uploads", [])]
        for key, upload_id in found:
            if key == prefix or (not exact and key.startswith(prefix)):
                abort_upload(bucket, key, upload_id)


def _copy_error(error: Exception, location: str) -> Exception:
    code, status = code_of(error), status_of(error)
    if code in NOT_IMPLEMENTED or code == "InvalidRequest" or status in (405, 501):
        return CopiesUnsupported()
    if code in ("NoSuchKey", "NotFound", "404"):
        return CorruptSegment(f"The segment is lost; restore it from a backup [{location}]")
    if code == "PreconditionFailed" or status == 412:
        return CorruptSegment(f"The segment was replaced since it was written (its ETag differs) [{location}]")
    if code in ("InvalidRange", "InvalidArgument") or status == 416:
        return CorruptSegment(f"The segment is shorter than it was [{location}]")
    return s3_error(error, location)
