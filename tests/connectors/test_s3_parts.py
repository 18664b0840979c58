"""The S3 connector without a server: signatures, headers, error documents, listings."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import botocore.exceptions as bx
import pycurl
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.codes import CODES
from prefect_collect.connectors.buckets.page import Entry
from prefect_collect.connectors.buckets.s3_page import read_page
from prefect_collect.connectors.errors import body_error, one_line
from prefect_collect.connectors.http.engine import Answer, curl_error
from prefect_collect.connectors.http.headers import http_date
from prefect_collect.connectors.s3._boto import boto_error
from prefect_collect.connectors.s3._listing import _item
from prefect_collect.connectors.s3._sigv4 import Keys, Signer
from prefect_collect.connectors.s3.headers import WANTED, content_of
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item


@settings(deadline=None)
@given(
    key=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    token=st.sampled_from([None, "to/ken=="]),
    payer=st.booleans(),
    checksums=st.booleans(),
    version=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
def test_signs_as_botocore(key: str, token: str | None, payer: bool, checksums: bool, version: str) -> None:
    """For any key and version, with or without a session token and a payer, AWS's own signer signs so too.

    So it does for a request that asks for no checksums, as that of a page of a listing.
    """
    path = f"/bucket/{quote(key, safe='/~')}"
    query = f"versionId={quote(version, safe='~')}" if version else ""
    url = f"http://example.com:9000{path}{query and '?'}{query}"
    request = AWSRequest("GET", url, headers={"x-amz-checksum-mode": "ENABLED"} if checksums else {})
    if payer:
        request.headers["x-amz-request-payer"] = "requester"
    request.context["payload_signing_enabled"] = True
    S3SigV4Auth(Credentials("AKID", "sec/ret+", token), "s3", "eu-west-1").add_auth(request)
    theirs = dict(request.headers)
    keys = Keys("AKID", "sec/ret+", token)
    signer = Signer(host="example.com:9000", region="eu-west-1", keys=lambda: keys, request_payer=payer)
    now = time.strptime(theirs["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
    ours = signer.headers(path, query=query, checksums=checksums, now=now)
    assert ("x-amz-checksum-mode: ENABLED" in ours) == checksums
    assert dict(line.split(": ", 1) for line in ours)["Authorization"] == theirs["Authorization"]


def test_keys_show_no_secret() -> None:
    """The secret and the token are not in the repr."""
    assert "hush" not in repr(Keys("AKID", "hush", "hush-token"))


def test_head_of_the_last_response() -> None:
    """Of a proxy's own response, a 100 and the real response, the real one counts; header names match in any case."""
    lines = [
        b"HTTP/1.1 200 Connection established\r\n", b"ETag: \"proxy\"\r\n", b"\r\n",
        b"HTTP/1.1 100 Continue\r\n", b"\r\n",
        b"HTTP/1.1 206 Partial Content\r\n", b"eTag:  \"x\" \r\n", b"Server: y\r\n", b"CONTENT-LENGTH: 3\r\n", b"\r\n",
    ]  # fmt: skip
    assert Answer(lines).head(WANTED) == (206, {b"etag": '"x"', b"content-length": "3"})
    assert Answer().head(WANTED) == (0, {})
    assert Answer([b"garbage\r\n", b"HTTP/1.1 abc\r\n"]).head(WANTED) == (0, {})


LISTED = Item("k", "k", size=3, modified=datetime(2026, 1, 2, 3, 4, 5, 678000, UTC))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({b"etag": '"d41d8cd98f00b204e9800998ecf8427e"'}, {"md5": bytes.fromhex("d41d8cd98f00b204e9800998ecf8427e")}),
        (
            {b"etag": '"d41d8cd98f00b204e9800998ecf8427e-2"'},
            {"md5": None, "etag": "d41d8cd98f00b204e9800998ecf8427e-2"},
        ),
        ({b"etag": "0" * 32, b"x-amz-server-side-encryption": "aws:kms"}, {"md5": None}),
        ({b"etag": "0" * 32, b"x-amz-server-side-encryption": "AES256"}, {"md5": bytes(16)}),
        ({b"etag": "0" * 32, b"x-amz-server-side-encryption-customer-algorithm": "AES256"}, {"md5": None}),
        ({b"x-amz-checksum-crc32": "AAAAAQ=="}, {"crc32": 1}),
        ({b"x-amz-checksum-crc32": "AAAAAQ==", b"etag": "0" * 32}, {"crc32": 1, "md5": bytes(16)}),
        ({b"x-amz-checksum-crc32": "AAAAAQ==", b"etag": "0" * 32 + "-2"}, {"crc32": None}),
        (
            {b"x-amz-checksum-crc32": "AAAAAQ==", b"x-amz-checksum-type": "FULL_OBJECT", b"etag": "0" * 32 + "-2"},
            {"crc32": 1},
        ),
        ({b"x-amz-checksum-crc32": "AAAAAQ==", b"x-amz-checksum-type": "FULL_OBJECT"}, {"crc32": 1}),
        ({b"x-amz-checksum-crc32": "AAAAAQ==", b"x-amz-checksum-type": "COMPOSITE"}, {"crc32": None}),
        ({b"x-amz-checksum-crc32": "AAAAAQ==-3"}, {"crc32": None}),
        ({b"x-amz-checksum-sha256": "A" * 43 + "="}, {"sha256": bytes(32)}),
        ({b"x-amz-checksum-sha1": "A" * 27 + "="}, {"sha1": bytes(20)}),
        ({b"x-amz-checksum-sha1": "A" * 27 + "=", b"x-amz-checksum-type": "COMPOSITE"}, {"sha1": None}),
        ({b"x-amz-checksum-sha256": "not base64"}, {"sha256": None}),
        ({b"content-length": "17"}, {"size": 17}),
        ({b"content-length": "many"}, {"size": None}),
        ({b"last-modified": "Fri, 02 Jan 2026 03:04:05 GMT"}, {"modified": LISTED.modified}),
        ({b"last-modified": "Fri, 02 Jan 2026 03:04:07 GMT"}, {"modified": datetime(2026, 1, 2, 3, 4, 7, tzinfo=UTC)}),
        ({b"last-modified": "yesterday"}, {"modified": None}),
        ({}, {"etag": None, "size": None, "md5": None, "crc32": None, "sha256": None, "modified": None}),
    ],
)
def test_what_headers_say(said: dict[bytes, str], expected: dict[str, Any]) -> None:
    """Sizes, times, ETags and whole-object checksums are used; parts' checksums and ETags that are no MD5 are not."""
    content = content_of(said, (), LISTED)
    assert {name: getattr(content, name) for name in expected} == expected


def test_http_date() -> None:
    """The date format that servers must send is read; any other gives None."""
    assert http_date("Sun, 06 Nov 1994 08:49:37 GMT") == datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "name", "message", "code"),
    [
        (503, "SlowDown", "Reduce your rate.", "throttled"),
        (503, "", "", "throttled"),
        (429, "TooManyRequests", "", "throttled"),
        (500, "InternalError", "", "source_error"),
        (502, "", "", "source_error"),
        (504, "", "", "source_error"),
        (403, "AccessDenied", "Access Denied", "access_denied"),
        (403, "", "", "access_denied"),
        (403, "InvalidAccessKeyId", "", "bad_credentials"),
        (403, "SignatureDoesNotMatch", "", "bad_credentials"),
        (400, "ExpiredToken", "", "bad_credentials"),
        (403, "RequestTimeTooSkewed", "", "bad_credentials"),
        (401, "", "", "bad_credentials"),
        (301, "PermanentRedirect", "", "bad_credentials"),
        (404, "NoSuchKey", "", "not_found"),
        (404, "NoSuchBucket", "", "not_found"),
        (404, "", "", "not_found"),
        (403, "InvalidObjectState", "", "archived_object"),
        (409, "BlobArchived", "This operation is not permitted on an archived blob.", "archived_object"),
        (400, "KMS.DisabledException", "", "encrypted_object"),
        (403, "AccessDenied", "User is not authorized to perform: kms:Decrypt", "encrypted_object"),
        (400, "InvalidRequest", "The object was stored using a form of Server Side Encryption.", "encrypted_object"),
        (400, "RequestTimeout", "", "timeout"),
        (412, "PreconditionFailed", "", "changed_during_read"),
        (418, "Teapot", "", "unexpected_error"),
    ],
)
def test_what_answers_mean(status: int, name: str, message: str, code: str) -> None:
    """Statuses and S3's error codes give our codes; the error has the status, and its message ends in the object."""
    document = f"<?xml version='1.0'?><Error><Code>{name}</Code><Message>{message}</Message></Error>" if name else ""
    error = body_error(status, document.encode(), "s3://bucket/key")
    assert (error.code, error.http_status) == (code, status)
    assert str(error).endswith(". [s3://bucket/key]")
    assert name in str(error)
    assert error.transient == CODES[code].retryable


def test_not_found_says_what() -> None:
    """A missing bucket and a missing object have different messages."""
    assert "no such bucket" in str(body_error(404, b"<Error><Code>NoSuchBucket</Code></Error>", "x"))
    assert "no such object" in str(body_error(404, b"<Error><Code>NoSuchKey</Code></Error>", "x"))


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (pycurl.E_COULDNT_RESOLVE_HOST, "connection_lost"),
        (pycurl.E_COULDNT_CONNECT, "connection_lost"),
        (pycurl.E_OPERATION_TIMEDOUT, "timeout"),
        (pycurl.E_PARTIAL_FILE, "truncated"),
        (pycurl.E_RECV_ERROR, "connection_lost"),
        (pycurl.E_GOT_NOTHING, "connection_lost"),
        (pycurl.E_SSL_CACERT, "connection_lost"),
        (pycurl.E_OUT_OF_MEMORY, "unexpected_error"),
    ],
)
def test_what_libcurl_errors_mean(number: int, code: str) -> None:
    """libcurl's error numbers give our codes."""
    assert curl_error(number, "text", "s3://b/k").code == code


def test_every_libcurl_error_has_a_code() -> None:
    """Every other number of libcurl gives `unexpected_error`."""
    numbers = {getattr(pycurl, name) for name in dir(pycurl) if name.startswith("E_")}
    assert all(curl_error(number, "", "x").code in CODES for number in numbers)


def _client_error(name: str, status: int) -> bx.ClientError:
    return bx.ClientError(
        {"Error": {"Code": name, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "ListObjectsV2",
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (_client_error("NoSuchBucket", 404), "not_found"),
        (_client_error("404", 404), "not_found"),
        (_client_error("AccessDenied", 403), "access_denied"),
        (_client_error("SlowDown", 503), "throttled"),
        (bx.NoCredentialsError(), "bad_credentials"),
        (bx.PartialCredentialsError(provider="env", cred_var="x"), "bad_credentials"),
        (bx.ProfileNotFound(profile="p"), "bad_credentials"),
        (bx.ConnectTimeoutError(endpoint_url="http://x"), "timeout"),
        (bx.ReadTimeoutError(endpoint_url="http://x"), "timeout"),
        (bx.EndpointConnectionError(endpoint_url="http://x"), "connection_lost"),
        (bx.SSLError(endpoint_url="http://x", error=OSError("bad")), "connection_lost"),
        (bx.ConnectionClosedError(endpoint_url="http://x"), "connection_lost"),
        (bx.BotoCoreError(), "unexpected_error"),
    ],
)
def test_what_boto_errors_mean(error: Exception, code: str) -> None:
    """boto3's exceptions give our codes, and the message ends in the place."""
    ours = boto_error(error, "s3://b")
    assert isinstance(ours, SourceError)
    assert ours.code == code
    assert str(ours).endswith("[s3://b]")


def test_no_query_string_in_messages() -> None:
    """A signed URL in a library's message loses its query; a long text is cut; line breaks are removed."""
    text = one_line("failed:\n https://h/b/k?X-Amz-Signature=abc&X-Amz-Credential=def " + "x" * 400)
    assert "Signature" not in text
    assert "\n" not in text
    assert len(text) == 300


def test_takes_objects_out_of_a_page() -> None:
    """Objects are listed with their keys decoded without loss."""
    objects = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified><ETag>&quot;x&quot;</ETag>"
        "<Size>3</Size></Contents>"
        for key in ("a/b", "sp+ace%2Bplus", "%FF", "new%0Aline", "%25")
    )
    page = (
        "<ListBucketResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'><EncodingType>url</EncodingType>"
        f"<IsTruncated>true</IsTruncated>{objects}<NextContinuationToken>t</NextContinuationToken></ListBucketResult>"
    )
    found = read_page(page.encode(), "b", "", "s3://b/")
    items = [_item(entry, 0, "b") for entry in found.entries]
    assert [item.id for item in items] == ["a/b", "sp ace+plus", "bytes:%FF", "new\nline", "%"]
    assert items[0] == Item("a/b", "a/b", 3, datetime(2026, 1, 2, 3, 4, 5, 678000, UTC), "x")
    assert items[2].path == "%FF"
    assert found.token == "t"


def test_plain_listing() -> None:
    """A server that knows neither namespaces nor url encoding is understood."""
    entries = "<IsTruncated>false</IsTruncated><Contents><Key>a+b%41</Key></Contents>"
    found = read_page(f"<ListBucketResult>{entries}</ListBucketResult>".encode(), "b", "", "s3://b/")
    assert _item(found.entries[0], 0, "b") == Item("a+b%41", "a+b%41")


def test_folder_markers() -> None:
    """A folder marker of 0 bytes is skipped; a marker with content, and an empty object, are items."""
    assert "folder marker" in str(_item(Entry(b"p/a/", 0, None, None), 2, "b").skipped)
    assert _item(Entry(b"p/a/", 1, None, None), 2, "b").skipped is None
    assert _item(Entry(b"p/a", 0, None, None), 2, "b").skipped is None
    assert _item(Entry(b"p/", 0, None, None), 2, "b").path == "p/"


def test_token_time() -> None:
    """A request that is signed a day later uses the key of that day."""
    signer = Signer(host="h", region="r", keys=lambda: Keys("a", "b", None))
    first = signer.headers("/", now=time.gmtime(0))
    assert signer.headers("/", now=time.gmtime(86400)) != first
    assert signer.headers("/", now=time.gmtime(0)) == first
