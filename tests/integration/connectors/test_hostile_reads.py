"""The bytes of an object are compared with its listing, also if the answer to the GET states nothing."""

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
"""The sizes of an object that is read with others, and of one that is read alone."""


@pytest.fixture(params=SIZES)
def store(request: pytest.FixtureRequest) -> Iterator[HostileStore]:
    """A store of one object."""
    with HostileStore({"k": b"a" * request.param}) as hostile:
        yield hostile


def outcome(store: HostileStore) -> str:
    """Return the error code of the object after a collection; "" if it was collected."""
    source = ObjectStoreSource(url="s3://bucket/", endpoint_url=store.url, anonymous=True)
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source)
    check_account(folder)
    rows = result.unsuccessful.to_arrow().to_pylist()
    assert (result.status is JobStatus.SUCCESSFULLY_COMPLETED) == (not rows)
    return "".join(row["error_code"] for row in rows)


def without(reply: Reply, *names: str, **more: str) -> Reply:
    """Return a reply without some headers, and with others (`_` for `-`)."""
    headers = {name: value for name, value in reply.headers.items() if name not in names}
    return replace(reply, headers=headers | {name.replace("_", "-"): value for name, value in more.items()})


def other(reply: Reply) -> Reply:
    """Return the reply with other content of the same length."""
    return replace(reply, body=b"b" * len(reply.body))


def test_other_content_without_an_etag(store: HostileStore) -> None:
    """Other content than listed fails by the MD5 in the listing's ETag, if the GET states no ETag."""
    store.getting = lambda key, honest: other(without(honest, "ETag", "Last-Modified"))
    assert outcome(store) == "checksum_mismatch"


def test_other_content_with_the_etag_of_the_listing(store: HostileStore) -> None:
    """Other content than listed fails by the MD5, if the GET repeats the ETag."""
    store.getting = lambda key, honest: other(honest)
    assert outcome(store) == "checksum_mismatch"


def test_other_content_with_its_own_etag(store: HostileStore) -> None:
    """An object that was changed since the listing fails as `changed_during_read`."""
    store.getting = lambda key, honest: without(other(honest), ETag=f'"{md5(other(honest).body)}"')
    assert outcome(store) == "changed_during_read"


def test_the_same_content_without_an_etag(store: HostileStore) -> None:
    """The listed content is collected, although the GET states no ETag."""
    store.getting = lambda key, honest: without(honest, "ETag")
    assert outcome(store) == ""


@pytest.mark.parametrize("how", ["aws:kms", "aws:kms:dsse", "customer", "multipart"])
def test_an_etag_that_is_no_md5(store: HostileStore, how: str) -> None:
    """Intact objects whose ETag is not their MD5 are collected: with KMS, with customer keys, of several parts."""
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
    """A right checksum of other content does not replace the comparison with the listing's MD5."""
    said = {"x-amz-checksum-crc32": b64encode(zlib.crc32(b"b" * len(store.objects["k"])).to_bytes(4, "big")).decode()}
    store.getting = lambda key, honest: other(without(honest, "ETag", "Last-Modified", **said))
    assert outcome(store) == "checksum_mismatch"


@pytest.mark.parametrize("name", ["crc32", "crc64nvme", "sha256"])
def test_other_content_with_the_etag_of_the_listing_and_its_own_checksum(store: HostileStore, name: str) -> None:
    """A checksum that the server computes of the bytes it sends does not replace the MD5 in the listing."""
    sent = b"b" * len(store.objects["k"])
    said = {f"x-amz-checksum-{name}": b64encode(checksum(name, sent)).decode()}
    store.getting = lambda key, honest: other(without(honest, **said))
    assert outcome(store) == "checksum_mismatch"


@pytest.mark.parametrize("where", ["listing", "answer"])
@pytest.mark.parametrize("name", ["sha1", "sha256", "crc32", "crc32c", "crc64nvme"])
def test_a_checksum_of_parts_that_does_not_say_so(store: HostileStore, name: str, where: str) -> None:
    """An intact object is collected if its checksum is that of its parts' checksums, without a type, as from Garage."""
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
    """Return the bytes of a checksum, which the header has in base64."""
    if not name.startswith("crc"):
        return hashlib.new(name, data).digest()
    model = {"crc32": "CRC32", "crc32c": "CRC32C", "crc64nvme": "CRC64-NVME"}[name]
    number: int = anycrc.Model(model).calc(data)
    return number.to_bytes(8 if "64" in name else 4, "big")


@pytest.mark.parametrize("of_parts", [False, True])
@pytest.mark.parametrize("name", ["sha1", "sha256", "crc32", "crc32c", "crc64nvme"])
def test_other_content_with_only_a_checksum(store: HostileStore, name: str, of_parts: bool) -> None:
    """If an object's ETag is no MD5, any checksum of the whole object is compared, but not one of its parts' checksums.

    The right content is collected in both cases.
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
    """A retry reads items by HEAD, whose answer has no error document; the cause of a refusal is read by a GET."""
    source = ObjectStoreSource(url="s3://bucket/", endpoint_url=store.url, anonymous=True)
    item = next(items_of(source))
    store.getting = lambda key, honest: Reply(f"<Error><Code>{name}</Code></Error>".encode(), status)
    with pytest.raises(SourceError, match=name) as caught:
        list(source.relist(item))
    assert caught.value.code == code
