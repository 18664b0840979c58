"""The blocks of what lies inside files: where the files are, and how that is written in one line."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from prefect.blocks.core import Block

from prefect_collect.blocks import DataSource, FileSource, MboxSource, ObjectStoreSource, source_from
from prefect_collect.blocks.data_source import short_name
from prefect_collect.blocks.kinds import inside_class
from prefect_collect.errors import InvalidLocation
from prefect_collect.stores.addresses import INSIDE

KINDS = [*map(inside_class, INSIDE)]


@pytest.mark.parametrize("kind", KINDS)
def test_where_the_files_are(kind: type[DataSource], tmp_path: Path) -> None:
    """The files are those of a source of files, of a path, or of a URL; the location says the kind, too."""
    root = str(tmp_path)
    for given in (root, FileSource(root=root), {"root": root}):
        source = kind.model_validate({"inside": given})
        scheme = source.location().partition(":")[0]
        assert inside_class(scheme) is kind
        assert source.location() == f"{scheme}:{root}"
        assert source.name.endswith(short_name(root)[-20:])
        assert source_from(source.location()) == source
        assert pickle.loads(pickle.dumps(source)) == source
    bucket = source_from(f"{scheme}:s3://bucket/x", endpoint_url="http://localhost:9000", name="Case 7")
    assert bucket == kind.model_validate(
        {"inside": ObjectStoreSource(url="s3://bucket/x", endpoint_url="http://localhost:9000"), "name": "Case 7"}
    )


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("mbox:imaps://ann@host/INBOX", "mbox: goes before a folder, a file, s3://, gs:// or az://"),
        ("mbox:mbox:/", "goes before"),
        ("mbox:ftp://x", "must begin with"),
    ],
)
def test_where_they_cannot_be(location: str, said: str) -> None:
    """What holds the files is a folder, a file or a bucket."""
    with pytest.raises(InvalidLocation, match=said):
        source_from(location)
    with pytest.raises(InvalidLocation, match="inside must be"):
        MboxSource(inside="")


def test_the_kind_of_block_is_kept() -> None:
    """What Prefect stores of a block leads back to the same source, credentials included."""
    source = MboxSource(inside=ObjectStoreSource(url="s3://bucket/x", anonymous=True))
    again: Block = MboxSource.model_validate(source.model_dump(context={"include_secrets": True}))
    assert isinstance(again, MboxSource)
    assert (again.location(), again.inside.model_fields_set >= {"url", "anonymous"}) == (source.location(), True)
