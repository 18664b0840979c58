"""Every version of the objects of a bucket: each an item, with its own bytes; delete markers are reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_collect.blocks import source_from
from prefect_collect.errors import InvalidLocation, SourceError
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.sources import Item
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from tests.integration.connectors.s3_sources import Proxies, read, source_at
from tests.integration.servers import MOTO_PAGE, S3Server
from tests.support.run_attempts import attempt, check_account, held, new_job, unsuccessful

pytestmark = pytest.mark.integration

ODD = ["plain", "a/q?versionId=x", "sp ace+%41", "é", "a/.hidden"]


def filled(server: S3Server) -> str:
    """Return a bucket that keeps versions: two of each object, and one object that was deleted after them."""
    name, client = server.new_bucket(), server.client()
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    for text in ("first", "second"):
        for key in ODD:
            client.put_object(Bucket=name, Key=key, Body=f"{text} {key}".encode())
    client.delete_object(Bucket=name, Key="plain")
    return name


@pytest.fixture
def bucket(moto: S3Server) -> str:
    """Such a bucket on moto."""
    return filled(moto)


@pytest.mark.parametrize("named", ["moto", "seaweedfs"])
def test_each_version_is_an_item(named: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """A collection holds all versions with their own bytes, under paths that tell them apart; markers are skipped."""
    server: S3Server = request.getfixturevalue(named)
    source = source_at(server, filled(server), versions="all")
    items = [*items_of(source)]
    assert len({item.id for item in items}) == len(items) == 2 * len(ODD) + 1
    folder: JobFolder = new_job(DirectoryStore(tmp_path), source)
    result = attempt(folder, source)
    assert (result.status, result.counts.skipped) == (JobStatus.SUCCESSFULLY_COMPLETED, 1)
    check_account(folder)
    assert [row["error_code"] for row in unsuccessful(folder).values()] == ["delete_marker"]
    rows = held(folder)
    assert {row["source_version"] for row in rows.values()} == {item.version for item in items if not item.skipped}
    latest = {row["original_path"] for row in rows.values() if row["original_path"] in ODD}
    assert latest == {*ODD} - {"plain"}, "what is current has its own name"
    assert len({row["path"] for row in rows.values()}) == 2 * len(ODD)
    readable = [item for item in items if item.skipped is None]
    for item, content in source.read_many(readable, 4):
        assert not isinstance(content, Exception)
        assert b"".join(bytes(chunk) for chunk in content.chunks) == read(source, item)
        assert item.path not in ODD or read(source, item) == f"second {item.path}".encode()
    assert {read(source, item) for item in readable} == {
        f"{text} {key}".encode() for text in ("first", "second") for key in ODD
    }


def test_many_pages(moto: S3Server) -> None:
    """Versions are listed over several pages, also where one object's versions fill more than one."""
    name, client = moto.new_bucket(), moto.client()
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    count = MOTO_PAGE * 2 + 7
    for number in range(count):
        client.put_object(Bucket=name, Key="one", Body=str(number).encode())
    found = [*items_of(source_at(moto, name, versions="all"))]
    assert len({item.version for item in found}) == len(found) == count


def test_a_version_that_is_gone(moto: S3Server, bucket: str) -> None:
    """A version that was removed after it was listed is `not_found`, and a retry does not find it."""
    source = source_at(moto, bucket, versions="all")
    gone = next(item for item in items_of(source) if item.path == "é")
    assert gone.version is not None
    moto.client().delete_object(Bucket=bucket, Key="é", VersionId=gone.version)
    with pytest.raises(SourceError) as error, source.open(gone):
        pass
    assert error.value.code == "not_found"
    assert [*source.relist(gone)] == []
    other = next(item for item in items_of(source) if item.id.startswith("é?"))
    [again] = source.relist(other)
    assert (again.version, again.size, again.etag) == (other.version, other.size, other.etag)


def test_a_listing_that_is_cut(moto: S3Server, bucket: str, fault_proxy: Proxies) -> None:
    """A page of versions that breaks off, or that is another document, is asked for again."""
    proxy = fault_proxy(moto)
    proxy.truncate_next(path="versions")
    found: list[Item] = [*items_of(source_at(moto.at(proxy.url), bucket, versions="all"))]
    assert proxy.hits == 1
    assert len(found) == 2 * len(ODD) + 1


def test_a_bucket_without_versions(moto: S3Server) -> None:
    """Its objects have the version "null", which is read as any other."""
    name = moto.new_bucket()
    moto.client().put_object(Bucket=name, Key="x", Body=b"1")
    source = source_at(moto, name, versions="all")
    [item] = items_of(source)
    assert (item.path, read(source, item)) == ("x", b"1")


def test_only_for_s3() -> None:
    """Other object stores, and other sources, refuse it."""
    assert source_from("s3://bucket/x", versions="all", anonymous=True).model_dump()["versions"] == "all"
    for location in ("gs://bucket/x", "az://bucket/x", "sftp://host/x"):
        with pytest.raises(InvalidLocation, match="versions goes with s3:// only"):
            source_from(location, versions="all")
