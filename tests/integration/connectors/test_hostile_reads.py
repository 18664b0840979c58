"""What the listing proves of an object is compared with what arrives, also where the GET says nothing of it."""

from __future__ import annotations

import hashlib
import zlib
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace

import anycrc
import pytest

from prefect_collect.blocks import ObjectStoreSource
from prefect_collect.errors import SourceError
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobStatus
from tests.integration.hostile import HostileStore, Reply, md5
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, new_job

pytestmark = pytest.mark.integration

SIZES = [100, 3 << 20]
"""An object that is read among many, and one that is read alone."""


@pytest.fixture(params=SIZES)
def store(request: pytest.FixtureRequest) -> Iterator[HostileStore]:
    """A store of one object."""
    with HostileStore({"k": b"a" * request.param}) as hostile:
        yield hostile


def outcome(store: HostileStore) -> str:
    """The code of what became of the object; "" if it was collected."""
    source = ObjectStoreSource(url="s3://bucket/", endpoint_url=store.url, anonymous=True)
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source)
    check_account(folder)
    rows = result.unsuccessful.to_arrow().to_pylist()
    assert (result.status is JobStatus.SUCCESSFULLY_COMPLETED) == (not rows)
    return "".join(row["error_code"] for row in rows)


def without(reply: Reply, *names: str, **more: str) -> Reply:
    """A reply without some headers, and with others (`_` for `-`)."""
    headers = {name: value for name, value in reply.headers.items() if name not in names}
    return replace(reply, headers=headers | {name.replace("_", "-"): value for name, value in more.items()})


def other(reply: Reply) -> Reply:
    """The reply with other content of the same length."""
    return replace(reply, body=b"b" * len(reply.body))


def test_other_content_without_an_etag(store: HostileStore) -> None:
    """It does not have the MD5 that the listing's ETag is, and is not taken."""
    store.getting = lambda key, honest: other(without(honest, "ETag", "Last-Modified"))
    assert outcome(store) == "checksum_mismatch"


def test_other_content_with_the_etag_of_the_listing(store: HostileStore) -> None:
    """The same where the GET repeats the ETag."""
    store.getting = lambda key, honest: other(honest)
    assert outcome(store) == "checksum_mismatch"


def test_other_content_with_its_own_etag(store: HostileStore) -> None:
    """An object that was changed since it was listed says so."""
    store.getting = lambda key, honest: without(other(honest), ETag=f'"{md5(other(honest).body)}"')
    assert outcome(store) == "changed_during_read"


def test_the_same_content_without_an_etag(store: HostileStore) -> None:
    """It has the MD5 of the listing, and is taken."""
    store.getting = lambda key, honest: without(honest, "ETag")
    assert outcome(store) == ""


@pytest.mark.parametrize("how", ["aws:kms", "aws:kms:dsse", "customer", "multipart"])
def test_an_etag_that_is_no_md5(store: HostileStore, how: str) -> None:
    """Good objects whose ETag is not their MD5 are taken: with KMS, with customer keys, of several parts."""
    etag = md5(b"random") + ("-2" if how == "multipart" else "")
    page = store.page_of(["k"]).replace(md5(store.objects["k"]).encode(), etag.encode())
    store.listing = lambda asked, query: Reply(page)
    said = {
        "multipart": {},
        "customer": {"x_amz_server_side_encryption_customer_algorithm": "AES256"},
    }.get(how, {"x_amz_server_side_encryption": how})
    store.getting = lambda key, honest: without(honest, "ETag", **said)
    assert outcome(store) == ""


def test_other_content_without_an_etag_but_with_its_own_checksum(store: HostileStore) -> None:
    """A checksum of other content proves nothing of what was listed: the listing's MD5 is compared all the same."""
    said = {"x-amz-checksum-crc32": b64encode(zlib.crc32(b"b" * len(store.objects["k"])).to_bytes(4, "big")).decode()}
    store.getting = lambda key, honest: other(without(honest, "ETag", "Last-Modified", **said))
    assert outcome(store) == "checksum_mismatch"


@pytest.mark.parametrize("name", ["crc32", "crc64nvme", "sha256"])
def test_other_content_with_the_etag_of_the_listing_and_its_own_checksum(store: HostileStore, name: str) -> None:
    """A checksum that a server makes of what it sends does not stand for the MD5 that was listed."""
    sent = b"b" * len(store.objects["k"])
    said = {f"x-amz-checksum-{name}": b64encode(checksum(name, sent)).decode()}
    store.getting = lambda key, honest: other(without(honest, **said))
    assert outcome(store) == "checksum_mismatch"


@pytest.mark.parametrize("where", ["listing", "answer"])
@pytest.mark.parametrize("name", ["sha1", "sha256", "crc32", "crc32c", "crc64nvme"])
def test_a_checksum_of_parts_that_does_not_say_so(store: HostileStore, name: str, where: str) -> None:
    """Garage gives a multipart upload's checksum of its parts' checksums without a type: the good object is taken."""
    data = store.objects["k"]
    half = len(data) // 2
    value = checksum(name, checksum(name, data[:half]) + checksum(name, data[half:]))
    said = {f"x-amz-checksum-{name}": b64encode(value).decode()}
    etag = md5(data) + "-2"
    store.listing = lambda asked, query: Reply(store.page_of(["k"]).replace(md5(data).encode(), etag.encode()))
    if where == "answer":
        said["ETag"] = f'"{etag}"'
    store.getting = lambda key, honest: without(honest, "ETag", **said)
    assert outcome(store) == ""


def checksum(name: str, data: bytes) -> bytes:
    """A checksum's bytes, as the header says them in base64."""
    if not name.startswith("crc"):
        return hashlib.new(name, data).digest()
    model = {"crc32": "CRC32", "crc32c": "CRC32C", "crc64nvme": "CRC64-NVME"}[name]
    number: int = anycrc.Model(model).calc(data)
    return number.to_bytes(8 if "64" in name else 4, "big")


@pytest.mark.parametrize("of_parts", [False, True])
@pytest.mark.parametrize("name", ["sha1", "sha256", "crc32", "crc32c", "crc64nvme"])
def test_other_content_with_only_a_checksum(store: HostileStore, name: str, of_parts: bool) -> None:
    """Of an object whose ETag is no MD5, what S3 says of the whole of it is compared, whichever checksum it is.

    A checksum of the parts' checksums is not; the same content is taken.
    """
    data = store.objects["k"]
    said = {
        f"x-amz-checksum-{name}": b64encode(checksum(name, data)).decode(),
        "x-amz-checksum-type": "COMPOSITE" if of_parts else "FULL_OBJECT",
    }
    page = store.page_of(["k"]).replace(md5(data).encode(), md5(data).encode() + b"-2")
    store.listing = lambda asked, query: Reply(page)
    store.getting = lambda key, honest: other(without(honest, "ETag", **said))
    assert outcome(store) == ("" if of_parts else "checksum_mismatch")
    store.getting = lambda key, honest: without(honest, "ETag", **said)
    assert outcome(store) == ""


@pytest.mark.parametrize(
    ("status", "name", "code"),
    [(400, "ExpiredToken", "bad_credentials"), (403, "InvalidAccessKeyId", "bad_credentials"),
     (403, "AccessDenied", "access_denied")],
)  # fmt: skip
def test_what_a_head_does_not_say(store: HostileStore, status: int, name: str, code: str) -> None:
    """A retry looks items up by HEAD, which brings no document: why it is refused is asked for by a GET."""
    source = ObjectStoreSource(url="s3://bucket/", endpoint_url=store.url, anonymous=True)
    item = next(items_of(source))
    store.getting = lambda key, honest: Reply(f"<Error><Code>{name}</Code></Error>".encode(), status)
    with pytest.raises(SourceError, match=name) as caught:
        list(source.relist(item))
    assert caught.value.code == code
