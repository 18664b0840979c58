"""The connection to an S3 bucket: boto3 finds endpoint and credentials, libcurl lists and reads."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from prefect_collect.connectors.buckets.reading import Objects, Reader
from prefect_collect.connectors.errors import body_error, source_error
from prefect_collect.connectors.files.tree import decode_id
from prefect_collect.connectors.http.engine import Limits
from prefect_collect.connectors.http.pace import Pace
from prefect_collect.connectors.per_process import per_process
from prefect_collect.connectors.s3._boto import boto_error
from prefect_collect.connectors.s3._listing import Listing, list_items
from prefect_collect.connectors.s3._sigv4 import Keys, Signer
from prefect_collect.connectors.s3._versions import split_version
from prefect_collect.connectors.s3.headers import WANTED, content_of
from prefect_collect.errors import SourceError
from prefect_collect.sources import Content, Item, Listed
from prefect_collect.stores.buckets import is_access_point, region_of
from prefect_collect.stores.s3_settings import configured_style, hints_of, is_aws, pay_for_requests

if TYPE_CHECKING:
    from botocore.config import Config

    from prefect_collect.connectors.s3.credentials import Credentials

_HOST_NAME: Final = re.compile(r"[a-z0-9-]+")
_PLAIN: Final = re.compile(r"[A-Za-z0-9._~/-]+")


@dataclass(frozen=True, slots=True)
class Access:
    """The settings by which a bucket is reached, and the key by which `connect` keeps connections.

    `connect_timeout` and `read_timeout` are in seconds; the latter limits silence. With `versions`, items are versions.
    """

    bucket: str
    endpoint_url: str | None
    region: str | None
    credentials: Credentials | None = field(compare=False, repr=False)
    anonymous: bool
    request_payer: bool
    connect_timeout: float
    read_timeout: float
    versions: bool = False


def connect(access: Access) -> Connection:
    """Return the connection for these settings; it is shared within the process."""
    secrets: dict[str, Any] = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    if access.credentials is not None:
        secrets["block"] = _values(access.credentials)
    fingerprint = hashlib.sha256(json.dumps(secrets, sort_keys=True, default=repr).encode()).digest()
    return _connection(access, fingerprint)


def _values(block: Credentials) -> dict[str, str]:
    """Return the block's values, its secrets too. Each read asks for them: `model_dump` of a block takes 20 ms."""
    return {name: value.get_secret_value() if isinstance(value, SecretStr) else repr(value) for name, value in block}


@per_process
def _connection(access: Access, _secrets: bytes) -> Connection:
    return Connection(access)


class Connection:
    """One bucket, which several threads may use. Every error is a SourceError."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._place = f"s3://{access.bucket}"
        try:
            self._open()
        except SourceError:
            raise
        except Exception as error:
            raise boto_error(error, self._place) from error
        self._reader = Reader(
            Objects(self._prepare, WANTED, content_of, _refusal, self.place, self._limits, self._pace)
        )

    def _open(self) -> None:
        from prefect_collect.connectors.s3.credentials import client_parameters, session_from

        access = self._access
        session = session_from(access.credentials, access.region)
        given = client_parameters(access.credentials)
        endpoint = access.endpoint_url or given.get("endpoint_url")
        options = {name: given[name] for name in ("use_ssl", "verify") if name in given}
        make = partial(session.client, "s3", endpoint_url=endpoint, **options)
        # AWS wants the bucket in the host name, which few other servers support; a profile may set either.
        styles = ["path"] if endpoint or not _HOST_NAME.fullmatch(access.bucket) else ["virtual", "path"]
        if (chosen := configured_style(session, access.bucket)) is not None:
            styles = [chosen]
        for style in styles:
            config = self._config(style, given.get("config"))
            self._client: Any = make(region_name=session.region_name or "us-east-1", config=config)
            if self._is_aws():
                break
        self._credentials: Any = None if access.anonymous else session.get_credentials()
        if self._credentials is None and not access.anonymous:
            raise source_error(
                "bad_credentials",
                "No AWS credentials were found: give the source a credentials block, set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or set anonymous for a public bucket",
                self._place,
            )
        region = self._region()
        if region != self._client.meta.region_name:
            self._client = make(region_name=region, config=config)
        self._hint = hints_of(self._client, access.bucket, request_payer=access.request_payer)
        if access.request_payer:
            pay_for_requests(self._client)
        url = self._client.generate_presigned_url("get_object", Params={"Bucket": access.bucket, "Key": "x"})
        parts = urlsplit(url)
        # libcurl leaves a scheme's default port out of the Host header, which is signed.
        host = parts.netloc.removesuffix(":443" if parts.scheme == "https" else ":80")
        self._origin = f"{parts.scheme}://{host}"
        self._folder = parts.path[:-1]
        self._pace = Pace(f"{self._origin}{self._folder}")
        self._signer = (
            None
            if access.anonymous
            else Signer(host=host, region=region, keys=self._keys, request_payer=access.request_payer)
        )
        self._limits = Limits(access.connect_timeout, access.read_timeout, _ca_bundle(options.get("verify"), session))

    def _config(self, style: str, given: Config | None) -> Config:
        from botocore import UNSIGNED
        from botocore.config import Config

        wanted: Any = {"addressing_style": style, **(getattr(given, "s3", None) or {})}
        config = Config(
            signature_version=UNSIGNED if self._access.anonymous else "s3v4",
            s3=wanted,
            connect_timeout=self._access.connect_timeout,
            read_timeout=self._access.read_timeout,
            retries={"mode": "standard", "total_max_attempts": 6},
        )
        return config if given is None else given.merge(config)

    def _is_aws(self) -> bool:
        return is_aws(self.endpoint)

    def _region(self) -> str:
        """Return the bucket's region, which AWS states even in an answer that denies access."""
        region: str = region_of(self._access.bucket) or self._client.meta.region_name
        if not self._is_aws() or is_access_point(self._access.bucket):
            return region
        from botocore.exceptions import ClientError

        try:
            answer = self._client.head_bucket(Bucket=self._access.bucket)
        except ClientError as error:
            answer = error.response
        return str(answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region", region))

    def _keys(self) -> Keys:
        try:
            frozen = self._credentials.get_frozen_credentials()
        except Exception as error:
            raise boto_error(error, self._place) from error
        return Keys(frozen.access_key, frozen.secret_key, frozen.token)

    @property
    def endpoint(self) -> str:
        """The server's address."""
        return str(self._client.meta.endpoint_url)

    def items(self, prefix: str) -> Iterator[Listed]:
        """Yield every object whose key begins with `prefix`, in the server's order, and the listing's end."""
        how = (self._prepare_listing, self._limits, self._pace, self._hint)
        return list_items(Listing(self._access.bucket, prefix, self._access.versions, *how))

    def head(self, item: Item) -> Content | None:
        """Return what the server states about an object now; None if it is gone."""
        return self._reader.head(item)

    def open(self, item: Item, within: tuple[int, int] | None = None) -> AbstractContextManager[Content]:
        """Open an object of any size; with `within` only the bytes from the first number to the second, exclusive."""
        return self._reader.open(item, within)

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Read small objects, many at once."""
        return self._reader.read_many(items, concurrency)

    def place(self, item: Item) -> str:
        """Return the object's URL, in which messages end."""
        return f"{self._place}/{item.id}"

    def _prepare_listing(self, query: str) -> tuple[str, list[str]]:
        path = self._folder.rstrip("/") or "/"
        lines = [] if self._signer is None else self._signer.headers(path, query=query, checksums=False)
        return f"{self._origin}{path}?{query}", lines

    def _prepare(self, item: Item, lines: Iterable[str] = (), method: str = "GET") -> tuple[str, list[str]]:
        """Return URL and header lines of a request for an object; lines of its own are not signed."""
        key, query = item.id, ""
        if self._access.versions:
            key, version = split_version(item.id)
            query = f"versionId={quote(version, safe='~')}"
        path = self._folder + (key if _PLAIN.fullmatch(key) else quote(decode_id(key), safe="/~"))
        signed = (
            ["x-amz-checksum-mode: ENABLED"]
            if self._signer is None
            else self._signer.headers(path, query=query, method=method)
        )
        return f"{self._origin}{path}{query and '?'}{query}", [*signed, *lines]


def _refusal(status: int, _headers: dict[bytes, str], body: bytes, place: str) -> SourceError:
    return body_error(status, body, place)


def _ca_bundle(verify: Any, session: Any) -> str | None:
    if verify is False:
        return None
    import certifi

    given = isinstance(verify, (str, os.PathLike))
    chosen = os.fspath(verify) if given else session._session.get_config_variable("ca_bundle")
    return chosen or certifi.where()
