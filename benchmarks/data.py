"""The data that is moved: the same at every run, incompressible, of the sizes that the rows name."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.servers import ACCESS_KEY, REGION, SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK: Final = 16 << 20


@dataclass(frozen=True)
class DataSet:
    """`count` items of random sizes between `smallest` and `largest` bytes, in 100 folders."""

    name: str
    count: int
    smallest: int
    largest: int

    @property
    def fill(self) -> str:
        """Return the set as an argument of s3bench, which makes it in a bucket of its name."""
        return f"{self.name}:{self.count}:{self.smallest}:{self.largest}"

    def make_tree(self, root: Path) -> Path:
        """Write the set as files below `root`."""
        block = random.Random(1).randbytes(_BLOCK)
        for i in range(self.count):
            sizes = random.Random(i)
            path = root / f"dir{i % 100:03d}" / f"obj-{i:07d}.bin"
            if i < 100:
                path.parent.mkdir(parents=True, exist_ok=True)
            size = sizes.randint(self.smallest, self.largest)
            start = sizes.randrange(_BLOCK - min(size, _BLOCK) + 1)
            with path.open("wb") as file:
                while size > 0:
                    size -= file.write(block[start : start + min(size, _BLOCK)])
        return root


EMPTY: Final = DataSet("empty", 0, 0, 0)


def count_files(root: Path) -> int:
    """Return the number of regular files below a folder."""
    return sum(1 for path in root.rglob("*") if path.is_file())


def remove(path: Path) -> None:
    """Delete a folder if it exists."""
    shutil.rmtree(path, ignore_errors=True)


class Buckets:
    """The harness's own requests to an S3 server, outside of the timed parts."""

    def __init__(self, endpoint: str) -> None:
        import boto3
        from botocore.config import Config

        self._client: Any = boto3.client(
            "s3", endpoint_url=endpoint, region_name=REGION, aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY, config=Config(s3={"addressing_style": "path"}),
        )  # fmt: skip

    def make(self, bucket: str) -> None:
        """Create a bucket that does not exist yet."""
        self._client.create_bucket(Bucket=bucket)

    def put(self, bucket: str, key: str, data: bytes) -> None:
        """Store one object."""
        self._client.put_object(Bucket=bucket, Key=key, Body=data)

    def keys(self, bucket: str, prefix: str = "") -> Iterator[str]:
        """Return every key of a bucket."""
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            yield from (entry["Key"] for entry in page.get("Contents", ()))

    def count(self, bucket: str, prefix: str = "") -> int:
        """Return how many objects a bucket holds."""
        return sum(1 for _ in self.keys(bucket, prefix))

    def remove(self, bucket: str) -> None:
        """Delete a bucket and all that it holds."""
        keys = list(self.keys(bucket))
        for start in range(0, len(keys), 1000):
            objects = [{"Key": key} for key in keys[start : start + 1000]]
            self._client.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
        self._client.delete_bucket(Bucket=bucket)
