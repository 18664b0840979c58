"""Stores and sources that are pickled for another process, as for a cluster's workers."""

from __future__ import annotations

import sys
from pathlib import Path

import boto3
import cloudpickle
import pytest
from botocore.config import Config

from prefect_collect.blocks import FileSource, ObjectStoreSource
from prefect_collect.stores import DirectoryStore, S3Store, open_store
from tests import forked

CLIENT = "_bucket.client"
_READ = """
import pickle, sys
thing = pickle.load(sys.stdin.buffer)
print(eval(sys.argv[1]), end="")
"""


def elsewhere(thing: object, expression: str, **environment: str) -> str:
    """Return what `expression` gives for `thing` in another process that unpickles it, with only that environment."""
    done = forked.run(
        [sys.executable, "-c", _READ, expression], input=cloudpickle.dumps(thing), capture_output=True,
        env={"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "none", **environment},
    )  # fmt: skip
    assert not done.returncode, done.stderr.decode()
    return str(done.stdout, "utf-8")


def test_a_directory(tmp_path: Path) -> None:
    """A directory store is the same directory in another process."""
    store = open_store(tmp_path / "store")
    store.create("J/a", b"content")
    assert elsewhere(store, "thing.read('J/a').decode()") == "content"
    assert isinstance(store, DirectoryStore)


def test_buckets_and_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In another process a bucket has the keys, server and options of its credentials block, or that process's keys.

    A bucket with the environment's keys is pickled without them. No lock or client is pickled. Source blocks are
    pickled with their secrets, which their repr does not show in the other process either.
    """
    from prefect_aws import AwsCredentials

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "HERE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-environment")
    session = boto3.session.Session("KEY", "SECRET", region_name="eu-central-1")
    own = S3Store(
        "bucket", "a/b", endpoint_url="http://127.0.0.1:1", session=session, single_writer=True,
        client_parameters={"verify": False, "config": Config(read_timeout=7)},
    )  # fmt: skip
    stores = own, S3Store("bucket"), S3Store("bucket", session=boto3.session.Session(region_name="eu-west-1"))
    assert all(store._bucket.client is store._bucket.client for store in stores)
    assert b"of-the-environment" not in cloudpickle.dumps(stores)

    (tmp_path / "a.txt").write_text("a")
    keys = AwsCredentials(aws_access_key_id="KEY", aws_secret_access_key="very-secret")
    sources = FileSource(root=tmp_path), ObjectStoreSource(url="s3://bucket", credentials=keys)

    said = elsewhere(
        (stores, sources),
        f"""[
            (thing[0][0], thing[0][0].{CLIENT}.meta.region_name, thing[0][0].{CLIENT}.meta.config.read_timeout),
            [store.{CLIENT}._request_signer._credentials.access_key for store in thing[0]],
            next(thing[1][0].items()).id, thing[1][1].credentials.aws_secret_access_key.get_secret_value(),
            "very-secret" in repr(thing[1]),
        ]""",
        AWS_ACCESS_KEY_ID="THERE", AWS_SECRET_ACCESS_KEY="x", AWS_REGION="eu-west-1",
    )  # fmt: skip
    options = f"({own!r}, 'eu-central-1', 7)"
    assert said == f"[{options}, ['KEY', 'THERE', 'THERE'], 'a.txt', 'very-secret', False]"
