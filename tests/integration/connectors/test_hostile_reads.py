"""The bytes of an object are compared with its listing, also if the answer to the GET states nothing."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import anycrc
import pytest

from prefect_collect.blocks import ObjectStoreSource
from prefect_collect.errors import SourceError
from prefect_collect.sources.listing import items_of
from tests.integration.hostile import HostileStore, Reply, md5
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, held, new_job, unsuccessful

pytestmark = pytest.mark.integration

SIZES = [100, 3 << 20]
"""The sizes of an object that is read with others, and of one that is read alone."""

Answer = Callable[[Reply], Reply]
CHECKSUMS = ("sha1", "sha256", "crc32", "crc32c", "crc64nvme")


@dataclass(frozen=True)
class Case:
    """An object of a store: its ETag in the listing (its MD5 if empty), the answer to a GET, and what comes of it.

    `code` is the error code of the item in the collection; "" if it is collected.
    """

    what: str
    answer: Answer
    code: str
    listed: str = ""


def without(reply: Reply, *names: str, **more: str) -> Reply:
    """Return a reply without some headers, and with others (`_` for `-`)."""
    headers = {name: value for name, value in reply.headers.items() if name not in names}
    return replace(reply, headers=headers | {name.replace("_", "-"): value for name, value in more.items()})


def other(reply: Reply) -> Reply:
    """Return the reply with other content of the same length."""
    return replace(reply, body=b"b" * len(reply.body))


def checksum(name: str, data: bytes) -> bytes:
    """Return the bytes of a checksum, which the header has in base64."""
    if not name.startswith("crc"):
        return hashlib.new(name, data).digest()
    model = {"crc32": "CRC32", "crc32c": "CRC32C", "crc64nvme": "CRC64-NVME"}[name]
    number: int = anycrc.Model(model).calc(data)
    return number.to_bytes(8 if "64" in name else 4, "big")


def stated(name: str, value: bytes, **more: str) -> dict[str, str]:
    """Return the header that states a checksum, and others."""
    return {f"x-amz-checksum-{name}": b64encode(value).decode(), **more}


def compared_with_the_md5(size: int) -> Iterator[Case]:
    """Objects whose ETag in the listing is their MD5, which is compared whatever the answer states."""
    changed = b"b" * size
    yield Case("other content, no ETag", lambda r: other(without(r, "ETag", "Last-Modified")), "checksum_mismatch")
    yield Case("other content, the listed ETag", other, "checksum_mismatch")
    yield Case("changed since", lambda r: without(other(r), ETag=f'"{md5(changed)}"'), "changed_during_read")
    yield Case("listed content, no ETag", lambda r: without(r, "ETag"), "")
    crc32 = stated("crc32", checksum("crc32", changed))
    yield Case(
        "other content, no ETag, its checksum",
        lambda r: other(without(r, "ETag", "Last-Modified", **crc32)),
        "checksum_mismatch",
    )
    for name in ("crc32", "crc64nvme", "sha256"):
        said = stated(name, checksum(name, changed))
        yield Case(
            f"other content, the listed ETag, its {name}",
            lambda r, said=said: other(without(r, **said)),  # type: ignore[misc]
            "checksum_mismatch",
        )


def without_an_md5(size: int) -> Iterator[Case]:
    """Intact objects whose ETag is not their MD5: encrypted with KMS or customer keys, or of several parts."""
    random = md5(b"random")
    kinds = {
        "KMS": {"x-amz-server-side-encryption": "aws:kms"},
        "KMS twice": {"x-amz-server-side-encryption": "aws:kms:dsse"},
        "a customer's key": {"x-amz-server-side-encryption-customer-algorithm": "AES256"},
    }
    for name, said in kinds.items():
        yield Case(name, lambda r, said=said: without(r, "ETag", **said), "", random)  # type: ignore[misc]
    yield Case("several parts", lambda r: without(r, "ETag"), "", f"{random}-2")
    data = b"a" * size
    half, etag = size // 2, f"{md5(data)}-2"
    for name in CHECKSUMS:
        value = checksum(name, checksum(name, data[:half]) + checksum(name, data[half:]))
        for where, more in (("listing", {}), ("answer", {"ETag": f'"{etag}"'})):
            said = stated(name, value, **more)
            yield Case(
                f"{name} of the parts' {name}, of which the {where} tells",
                lambda r, said=said: without(r, "ETag", **said),  # type: ignore[misc]
                "",
                etag,
            )


def compared_with_a_checksum(size: int) -> Iterator[Case]:
    """Objects whose ETag is no MD5, with a checksum of the listed content, or of its parts' checksums."""
    data = b"a" * size
    etag = f"{md5(data)}-2"
    for name in CHECKSUMS:
        for kind in ("COMPOSITE", "FULL_OBJECT"):
            said = stated(name, checksum(name, data), **{"x-amz-checksum-type": kind})
            answer: Answer = lambda r, said=said: without(r, "ETag", **said)  # type: ignore[misc]  # noqa: E731
            changed: Answer = lambda r, answer=answer: other(answer(r))  # type: ignore[misc]  # noqa: E731
            yield Case(f"listed content, its {name} ({kind})", answer, "", etag)
            code = "" if kind == "COMPOSITE" else "checksum_mismatch"
            yield Case(f"other content, a {name} ({kind})", changed, code, etag)


@pytest.mark.parametrize("size", SIZES)
def test_the_bytes_are_those_of_the_listing(size: int) -> None:
    """An object of each case is collected, or fails with its code, whatever the answer to its GET states.

    - Other content than listed fails by the MD5 in the listing's ETag: if the GET states no ETag, repeats the listed
      one, or states a right checksum of the other content, which the server computes of the bytes that it sends.
    - An object that was changed since the listing fails as `changed_during_read`.
    - Intact objects whose ETag is not their MD5 are collected: with KMS, with customer keys, of several parts; also if
      their checksum is that of their parts' checksums and does not say so, as from Garage.
    - If the ETag is no MD5, any checksum of the whole object is compared, but not one of its parts' checksums.
    """
    cases = {c.what: c for c in (*compared_with_the_md5(size), *without_an_md5(size), *compared_with_a_checksum(size))}
    assert len(cases) == 8 + 14 + 20
    with HostileStore(dict.fromkeys(cases, b"a" * size), page=100) as store:
        store.etags = {key: case.listed for key, case in cases.items() if case.listed}
        store.getting = lambda key, honest: cases[key].answer(honest)
        source = ObjectStoreSource(url="s3://bucket/", endpoint_url=store.url, anonymous=True)
        folder = new_job(MemoryStore(), source)
        attempt(folder, source)
    check_account(folder)
    failed = {key: row["error_code"] for key, row in unsuccessful(folder).items()}
    assert failed == {key: case.code for key, case in cases.items() if case.code}
    assert held(folder).keys() == {key for key, case in cases.items() if not case.code}


@pytest.fixture
def store() -> Iterator[HostileStore]:
    """A store of one object."""
    with HostileStore({"k": b"a" * 100}) as hostile:
        yield hostile


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
