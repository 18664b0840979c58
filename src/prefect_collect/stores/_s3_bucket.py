"""The requests to a bucket, below a prefix, that the S3 store, its writers and its composer send."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import stamina
from botocore.exceptions import ClientError

from prefect_collect.errors import CorruptSegment, KeyExists, KeyMissing, StoreError, StoreUnavailable, StoreUnsafe
from prefect_collect.stores._base import Blob, Buffer
from prefect_collect.stores._keys import key_parts
from prefect_collect.stores._objects import Fetched, Token, new_token
from prefect_collect.stores._s3_errors import BOTO_ERRORS, CONFLICT, NOT_IMPLEMENTED, code_of, s3_error, s3_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_TOKEN: Final = "collect-write"
_LONGEST_KEY: Final = 1024  # bytes of UTF-8, with the prefix
_READS: Final = 4
_CONFLICTS: Final = 6
_DELETED_AT_ONCE: Final = 1000
_NOT_IN_XML: Final = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")


def metadata_of(token: Token) -> dict[str, str]:
    """Return the mark as user metadata."""
    return {_TOKEN: token.value}


class Bucket:
    """Requests to one bucket, below one prefix; the client is created at the first request and shared by threads."""

    def __init__(self, name: str, prefix: str, make_client: Callable[[], S3Client], *, single_writer: bool) -> None:
        self.name = name
        self.prefix = f"{prefix}/" if prefix else ""
        self.single_writer = single_writer
        self._make_client = make_client
        self._client: S3Client | None = None
        self._lock = threading.Lock()

    @property
    def client(self) -> S3Client:
        """The client. Raise StoreError if none can be created from the settings."""
        with self._lock:
            if self._client is None:
                self._client = self._make_client()
            return self._client

    @property
    def endpoint(self) -> str:
        """The server's address."""
        return str(self.client.meta.endpoint_url)

    def key(self, key: str) -> str:
        """Return the key in the bucket. Raise StoreError if S3 does not allow it."""
        key_parts(key)
        full = self.prefix + key
        try:
            size = len(full.encode())
        except UnicodeEncodeError as error:
            raise StoreError(f"S3 keys are UTF-8, and this one is not [key={key!r}]") from error
        if size > _LONGEST_KEY:
            raise StoreError(f"S3 keys have at most {_LONGEST_KEY} bytes, and this one has {size} [key={key}]")
        return full

    def locate(self, key: str) -> str:
        """Return the full URL of a key."""
        return f"s3://{self.name}/{self.prefix}{key}"

    def put(self, key: str, data: Buffer, *, replace: bool) -> Blob:
        """Write an object with one PUT.

        Raise KeyExists if the key exists, unless `replace`; of several writers at once exactly one succeeds.
        """
        if not replace and self.single_writer and self.holds(key):
            raise KeyExists(f"The object already exists and is not overwritten [{self.locate(key)}]")
        return self._put(key, bytes(data), replace=replace)

    def create_raw(self, key: str) -> None:
        """Create an empty object, relying on the server alone to refuse an existing key."""
        self._put(key, b"", replace=False)

    def _put(self, key: str, body: bytes, *, replace: bool) -> Blob:
        where = {"Bucket": self.name, "Key": self.key(key)}
        token = new_token()

        def send(condition: dict[str, str]) -> str:
            options: dict[str, Any] = {**where, **condition, **self.integrity(body), "Metadata": metadata_of(token)}
            return str(self.client.put_object(Body=io.BytesIO(body), **options)["ETag"])

        return Blob(key, len(body), self.conditionally(send, key, token, replace=replace))

    def conditionally(self, send: Callable[[dict[str, str]], str], key: str, token: Token, *, replace: bool) -> str:
        """Send a request that creates `key` if it does not exist (with `replace`: in any case); return the ETag.

        If S3 answers 409, because another writer is writing the same key, the request is sent again. After a refusal
        or a lost answer, an earlier sending of the same request may have succeeded: the object then has our token.

        Args:
            send: Sends the request with the condition that it is given, and returns the ETag.
            key: The key that the request creates.
            token: The mark that the request writes.
            replace: Also replace an existing object.
        """
        condition = {} if replace else {"IfNoneMatch": "*"}
        for attempt in stamina.retry_context(
            on=_writers_met, attempts=_CONFLICTS, timeout=None, wait_initial=0.05, wait_max=2.0, wait_jitter=0.05
        ):
            with attempt:
                return self._conditionally_once(send, key, token, condition)
        raise AssertionError("unreachable")

    def _conditionally_once(
        self, send: Callable[[dict[str, str]], str], key: str, token: Token, condition: dict[str, str]
    ) -> str:
        try:
            return send(condition)
        except BOTO_ERRORS as error:
            if code_of(error) in NOT_IMPLEMENTED and condition:
                self._without_condition(error, key)
                condition.clear()
                return self._conditionally_once(send, key, token, condition)
            failure = s3_error(error, self.locate(key))
            etag = self._own_etag(key, token) if _may_have_succeeded(failure, error) else None
            if etag is not None:
                return etag
            if code_of(error) not in CONFLICT:
                raise failure from error
            if condition and self.holds(key):
                raise KeyExists(f"Another writer created the object first [{self.locate(key)}]") from error
            raise StoreUnavailable(
                f"The object could not be written because of other writes to it; try again [{self.locate(key)}]"
            ) from error

    def _without_condition(self, error: Exception, key: str) -> None:
        if not self.single_writer:
            raise StoreUnsafe(
                "The S3 server has no conditional creates (If-None-Match), so two writers could fork a job; use "
                "another server, or set --single-writer (single_writer of a block) if nothing else ever writes there "
                f"[{self.locate(key)}]"
            ) from error

    def _own_etag(self, key: str, token: Token) -> str | None:
        """Return the ETag of the object if it has this mark."""
        try:
            answer = self.client.head_object(Bucket=self.name, Key=self.key(key))
        except BOTO_ERRORS:
            return None
        return str(answer["ETag"]) if answer["Metadata"].get(_TOKEN) == token.value else None

    def head(self, key: str) -> Blob:
        """Return the size and ETag. Raise KeyMissing."""
        with s3_errors(self.locate(key)):
            answer = self.client.head_object(Bucket=self.name, Key=self.key(key))
        return Blob(key, answer["ContentLength"], answer["ETag"])

    def holds(self, key: str) -> bool:
        """Return whether the key exists."""
        try:
            self.head(key)
        except KeyMissing:
            return False
        return True

    def remove(self, keys: Sequence[str]) -> None:
        """Delete objects, a thousand in each request; missing ones are no error."""
        together = [key for key in keys if not _NOT_IN_XML.search(key)]
        alone = [key for key in keys if _NOT_IN_XML.search(key)]
        for start in range(0, len(together), _DELETED_AT_ONCE):
            batch = together[start : start + _DELETED_AT_ONCE]
            objects: list[Any] = [{"Key": self.key(key)} for key in batch]
            with s3_errors(self.locate(batch[0])):
                answer = self.client.delete_objects(Bucket=self.name, Delete={"Objects": objects, "Quiet": True})
            for problem in answer.get("Errors", []):
                why: Any = {"Code": problem.get("Code", ""), "Message": problem.get("Message", "")}
                raise s3_error(ClientError({"Error": why}, "DeleteObjects"), f"s3://{self.name}/{problem.get('Key')}")
        for key in alone:
            with s3_errors(self.locate(key)):
                self.client.delete_object(Bucket=self.name, Key=self.key(key))

    def get(self, key: str, start: int = 0, end: int | None = None, etag: str = "") -> Fetched:
        """Return bytes of an object, and its size and ETag; fetch again if the body breaks off.

        Past the object's end there are no bytes. Raise CorruptSegment if the object no longer has the given `etag`.
        """
        location = self.locate(key)
        options: dict[str, Any] = {"Bucket": self.name, "Key": self.key(key), **({"IfMatch": etag} if etag else {})}
        if start or end is not None:
            options["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        for attempt in stamina.retry_context(on=StoreUnavailable, attempts=_READS, timeout=None, wait_max=2.0):
            with attempt:
                return self._get(options, location, start)
        raise AssertionError("unreachable")

    def _get(self, options: dict[str, Any], location: str, start: int) -> Fetched:
        try:
            answer = self.client.get_object(**options)
            data = answer["Body"].read()
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status == 416 or code_of(error) == "InvalidRange":
                return Fetched(b"", start, "")
            if status == 412:
                raise CorruptSegment(
                    f"The object was replaced while it was in use (its ETag differs) [{location}]"
                ) from error
            raise s3_error(error, location) from error
        except BOTO_ERRORS as error:
            raise s3_error(error, location) from error
        if len(data) != answer["ContentLength"]:
            raise StoreUnavailable(f"The S3 server sent fewer bytes than it announced [{location}]")
        total = answer.get("ContentRange", "").rpartition("/")[2]
        return Fetched(data, int(total) if total.isdigit() else len(data), answer.get("ETag", ""))

    def integrity(self, data: bytes) -> dict[str, str]:
        """Return the options by which the server can check the bytes that it receives.

        Over http boto3 signs a SHA-256 of every body; over https it does not, so the body's MD5 is sent with it.
        """
        if not self.endpoint.startswith("https:"):
            return {}
        digest = hashlib.md5(data, usedforsecurity=False).digest()
        return {"ContentMD5": base64.b64encode(digest).decode()}


def _writers_met(error: Exception) -> bool:
    """Return whether a conditional write collided with another one, so that S3 asks for it to be sent again."""
    cause = error.__cause__
    return isinstance(error, StoreUnavailable) and isinstance(cause, Exception) and code_of(cause) in CONFLICT


def _may_have_succeeded(failure: StoreError, error: Exception) -> bool:
    """Return whether an earlier sending of the request may have succeeded although its repetition got this error."""
    return isinstance(failure, (KeyExists, KeyMissing, StoreUnavailable)) or code_of(error) == "NoSuchUpload"
