"""A bucket and a prefix in it: the requests that the store, its writers and its composer are made of."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import stamina
from botocore.exceptions import ClientError

from prefect_collect.errors import CorruptSegment, KeyExists, KeyMissing, StoreError, StoreUnavailable, StoreUnsafe
from prefect_collect.stores._base import Blob, Buffer
from prefect_collect.stores._keys import key_parts
from prefect_collect.stores._s3_errors import BOTO_ERRORS, CONFLICT, NOT_IMPLEMENTED, code_of, s3_error, s3_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_TOKEN: Final = "collect-write"
_LONGEST_KEY: Final = 1024  # bytes of UTF-8, with the prefix
_READS: Final = 4
_CONFLICTS: Final = 6
_DELETED_AT_ONCE: Final = 1000
_NOT_IN_XML: Final = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Token:
    """A random mark in an object's metadata, by which a writer whose answer was lost recognises its own object."""

    value: str

    @property
    def metadata(self) -> dict[str, str]:
        """The mark as user metadata."""
        return {_TOKEN: self.value}


@dataclass(frozen=True, slots=True)
class Fetched:
    """Bytes of an object, and the size and ETag of the whole."""

    data: bytes
    size: int
    etag: str


def new_token() -> Token:
    """A mark that no other write has."""
    return Token(secrets.token_hex(16))


class Bucket:
    """Requests to one bucket, below one prefix. The client is made at the first request, and shared between threads."""

    def __init__(self, name: str, prefix: str, make_client: Callable[[], S3Client], *, single_writer: bool) -> None:
        self.name = name
        self.prefix = f"{prefix}/" if prefix else ""
        self.single_writer = single_writer
        self._make_client = make_client
        self._client: S3Client | None = None
        self._lock = threading.Lock()

    @property
    def client(self) -> S3Client:
        """The client; raises StoreError if the settings do not give one."""
        with self._lock:
            if self._client is None:
                self._client = self._make_client()
            return self._client

    @property
    def endpoint(self) -> str:
        """The server's address."""
        return str(self.client.meta.endpoint_url)

    def key(self, key: str) -> str:
        """The key in the bucket; raises StoreError if S3 cannot hold it."""
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
        """The whole URL."""
        return f"s3://{self.name}/{self.prefix}{key}"

    def put(self, key: str, data: Buffer, *, replace: bool) -> Blob:
        """One PUT. Unless `replace`, KeyExists is raised if the key is taken; of racing writers exactly one wins."""
        if not replace and self.single_writer and self.holds(key):
            raise KeyExists(f"The object is already there, and is not overwritten [{self.locate(key)}]")
        return self._put(key, bytes(data), replace=replace)

    def create_raw(self, key: str) -> None:
        """Create an empty object with nothing but the server's own care for exclusiveness."""
        self._put(key, b"", replace=False)

    def _put(self, key: str, body: bytes, *, replace: bool) -> Blob:
        where = {"Bucket": self.name, "Key": self.key(key)}
        token = new_token()

        def send(condition: dict[str, str]) -> str:
            options: dict[str, Any] = {**where, **condition, **self.integrity(body), "Metadata": token.metadata}
            return str(self.client.put_object(Body=io.BytesIO(body), **options)["ETag"])

        return Blob(key, len(body), self.conditionally(send, key, token, replace=replace))

    def conditionally(self, send: Callable[[dict[str, str]], str], key: str, token: Token, *, replace: bool) -> str:
        """Send a request that makes `key` if it is free (or in any case, with `replace`); gives its ETag.

        S3 answers 409 to writers that meet; they try again. A refusal, or no answer, may hide that an earlier sending
        of the same request succeeded: then the object bears our token.
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
            etag = self._ours(key, token) if _may_be_done(failure, error) else None
            if etag is not None:
                return etag
            if code_of(error) not in CONFLICT:
                raise failure from error
            if condition and self.holds(key):
                raise KeyExists(f"Another writer made the object first [{self.locate(key)}]") from error
            raise StoreUnavailable(
                f"Other writes to the object kept ours from being made [{self.locate(key)}]"
            ) from error

    def _without_condition(self, error: Exception, key: str) -> None:
        if not self.single_writer:
            raise StoreUnsafe(
                "The S3 server has no conditional creates (If-None-Match), so two writers could fork a job; use "
                "another one, or say --single-writer (single_writer of a block) if nothing else ever writes there "
                f"[{self.locate(key)}]"
            ) from error

    def _ours(self, key: str, token: Token) -> str | None:
        """The ETag of the object if it bears this mark."""
        try:
            answer = self.client.head_object(Bucket=self.name, Key=self.key(key))
        except BOTO_ERRORS:
            return None
        return str(answer["ETag"]) if answer["Metadata"].get(_TOKEN) == token.value else None

    def head(self, key: str) -> Blob:
        """Size and ETag; raises KeyMissing."""
        with s3_errors(self.locate(key)):
            answer = self.client.head_object(Bucket=self.name, Key=self.key(key))
        return Blob(key, answer["ContentLength"], answer["ETag"])

    def holds(self, key: str) -> bool:
        """Whether the key is taken."""
        try:
            self.head(key)
        except KeyMissing:
            return False
        return True

    def remove(self, keys: Sequence[str]) -> None:
        """Delete objects, a thousand a request; those that are gone already are no error."""
        together = [key for key in keys if not _NOT_IN_XML.search(key)]
        alone = [key for key in keys if _NOT_IN_XML.search(key)]
        for start in range(0, len(together), _DELETED_AT_ONCE):
            batch = together[start : start + _DELETED_AT_ONCE]
            objects: list[Any] = [{"Key": self.key(key)} for key in batch]
            with s3_errors(self.locate(batch[0])):
                answer = self.client.delete_objects(Bucket=self.name, Delete={"Objects": objects, "Quiet": True})
            for problem in answer.get("Errors", []):
                said: Any = {"Code": problem.get("Code", ""), "Message": problem.get("Message", "")}
                raise s3_error(ClientError({"Error": said}, "DeleteObjects"), f"s3://{self.name}/{problem.get('Key')}")
        for key in alone:
            with s3_errors(self.locate(key)):
                self.client.delete_object(Bucket=self.name, Key=self.key(key))

    def get(self, key: str, start: int = 0, end: int | None = None, etag: str = "") -> Fetched:
        """The bytes, and the whole object's size and ETag; a body that breaks off is fetched again.

        Past the end there are no bytes. `etag` makes it CorruptSegment if the object is another one by now.
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
                raise CorruptSegment(f"It was replaced while it was in use (its ETag differs) [{location}]") from error
            raise s3_error(error, location) from error
        except BOTO_ERRORS as error:
            raise s3_error(error, location) from error
        if len(data) != answer["ContentLength"]:
            raise StoreUnavailable(f"The S3 server sent fewer bytes than it announced [{location}]")
        total = answer.get("ContentRange", "").rpartition("/")[2]
        return Fetched(data, int(total) if total.isdigit() else len(data), answer.get("ETag", ""))

    def integrity(self, data: bytes) -> dict[str, str]:
        """What lets the server check the bytes that it got.

        Over http boto3 signs a SHA-256 of every body; over https it does not, so the body's MD5 goes along.
        """
        if not self.endpoint.startswith("https:"):
            return {}
        digest = hashlib.md5(data, usedforsecurity=False).digest()
        return {"ContentMD5": base64.b64encode(digest).decode()}


def _writers_met(error: Exception) -> bool:
    """Whether a conditional write met another one, so that S3 asks to send it again."""
    cause = error.__cause__
    return isinstance(error, StoreUnavailable) and isinstance(cause, Exception) and code_of(cause) in CONFLICT


def _may_be_done(failure: StoreError, error: Exception) -> bool:
    """Whether this error can follow a success of the same request whose answer was lost, and that was sent again."""
    return isinstance(failure, (KeyExists, KeyMissing, StoreUnavailable)) or code_of(error) == "NoSuchUpload"
