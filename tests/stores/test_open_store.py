"""Opening the store at a location."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from prefect_collect.errors import InvalidLocation, UsageError
from prefect_collect.stores import AzureStore, DirectoryStore, GcsStore, S3Store, Store, open_store
from prefect_collect.stores._cloud import CloudStore


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path, as text or as a path, relative or absolute, and a file:// URL are directories."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for location in (tmp_path / "x y", str(tmp_path / "x y"), "x y", "./x y", "~/x y", (tmp_path / "x y").as_uri()):
        store = open_store(location)
        assert isinstance(store, DirectoryStore)
        assert store.url == str(tmp_path / "x y")
        assert isinstance(store, Store)


def test_s3() -> None:
    """A bucket with and without a prefix, on AWS or another server; nothing is sent yet."""
    store = open_store("s3://bucket/a/b/", endpoint_url="http://127.0.0.1:1", single_writer=True)
    assert isinstance(store, S3Store)
    assert isinstance(store, Store)
    assert store.url == "s3://bucket/a/b"
    assert store.locate("k") == "s3://bucket/a/b/k"
    assert store.single_writer
    assert open_store("s3://bucket").url == open_store("s3://bucket/").url == "s3://bucket"
    assert open_store("s3://bucket").locate("k") == "s3://bucket/k"


@pytest.mark.parametrize(("scheme", "kind"), [("gs", GcsStore), ("az", AzureStore)])
def test_google_and_azure(scheme: str, kind: type[CloudStore]) -> None:
    """A bucket or container with and without a prefix; nothing is sent yet, and no account need be named."""
    store = open_store(f"{scheme}://bucket/a/b/", endpoint_url="http://127.0.0.1:1")
    assert isinstance(store, kind)
    assert isinstance(store, Store)
    assert store.url == f"{scheme}://bucket/a/b"
    assert store.locate("k") == f"{scheme}://bucket/a/b/k"
    assert open_store(f"{scheme}://bucket").url == open_store(f"{scheme}://bucket/").url == f"{scheme}://bucket"
    with pytest.raises(UsageError, match="7 days"):
        store.link("k", 8 * 24 * 3600)


@pytest.mark.parametrize(
    ("scheme", "library", "extra"),
    [("gs", "google.cloud.storage", "gcp"), ("az", "azure.storage.blob", "azure")],
)
def test_a_library_that_is_missing(monkeypatch: pytest.MonkeyPatch, scheme: str, library: str, extra: str) -> None:
    """Without the service's library the error names the extra that brings it."""
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UsageError, match=rf"pip install 'prefect-collect\[{extra}\]'"):
        open_store(f"{scheme}://bucket")


@pytest.mark.parametrize(
    "location", ["", "s3://", "s3:///x", "s3:/bucket", "s3://a", "s3://user:secret@b/x", "gs://b", "http://x/y", "a\0b",
                 "file://host/x", "az://c/p", "gs://user:secret@bucket/x",
                 "az://user:secret@container", "gs:/bucket", "az://a--b", "gs://"]
)  # fmt: skip
def test_anything_else_is_refused(location: str) -> None:
    """A wrong location is refused; the message says what a store can be, and contains no password."""
    with pytest.raises(InvalidLocation) as caught:
        open_store(location)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("location", "meant"),
    [
        ("s3:/bucket/x", "s3://bucket/x"),
        ("s3:bucket", "s3://bucket"),
        ("S3:/bucket", "s3://bucket"),
        ("s3//bucket", "s3://bucket"),
        ("gs:/b", "gs://b"),
        ("az:/b/x", "az://b/x"),
        ("file:/srv/x", "file:///srv/x"),
        ("http:/x", "http://x"),
        ("sftp:host/x", "sftp://host/x"),
        ("collect-s3-stor/nope", "collect-s3-store/nope"),
        ("Collect-S3-Store/nope", "collect-s3-store/nope"),
        ("collect-directry-store/x", "collect-directory-store/x"),
    ],
)
def test_a_mistyped_url_or_block_is_no_folder(
    location: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was meant as a URL or a store block is refused, with what it was meant as and how a folder is named."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidLocation) as caught:
        open_store(location)
    assert str(caught.value).startswith(f"Did you mean {meant}? For a local folder of that name write ./")
    assert open_store(f"./{location}").url == str(tmp_path / location.replace("//", "/"))
    assert not [*tmp_path.iterdir()]


def test_folders_with_such_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that exists is one though it looks like a mistyped block; a colon alone makes no URL."""
    monkeypatch.chdir(tmp_path)
    for location in ("collect-s3-stor/x", "s3/x"):
        (tmp_path / location).mkdir(parents=True)
    for location in ("collect-s3-stor/x", "s3/x", "s3//x", "2026:05/x", "file//x", "a/b", "collections/x"):
        assert isinstance(open_store(location), DirectoryStore)


@pytest.mark.parametrize(
    "endpoint", ["localhost:9000", "ftp://x", "http://", "http://host:99999", "http://user:secret@host:9000"]
)
def test_endpoints_are_checked(endpoint: str) -> None:
    """A server's address must be http or https, without a password."""
    with pytest.raises(InvalidLocation, match="endpoint_url") as caught:
        open_store("s3://bucket/x", endpoint_url=endpoint)
    assert "secret" not in str(caught.value)


def test_libraries_are_imported_only_for_buckets() -> None:
    """Opening a directory imports no library of an object store."""
    code = (
        "import sys; from prefect_collect.stores import open_store; open_store('x');"
        "names = 'boto3', 'botocore', 'prefect', 'google.cloud', 'azure', 'requests';"
        "print([name for name in names if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
