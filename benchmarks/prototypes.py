"""Bare prototypes without a ledger, segments, a manifest or Prefect: what is possible. Run in a warmed-up process.

They read every object, hash it with SHA-256 and CRC-32, and write it as its own file (or object).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks.servers import ACCESS_KEY, REGION, SECRET_KEY


def _obstore(bucket: str, endpoint: str) -> Any:
    from obstore.store import S3Store

    return S3Store(
        bucket, endpoint=endpoint, access_key_id=ACCESS_KEY, secret_access_key=SECRET_KEY, region=REGION,
        client_options={"allow_http": True},
    )  # fmt: skip


def _keys(bucket: str, endpoint: str) -> list[str]:
    import obstore

    return [entry["path"] for page in obstore.list(_obstore(bucket, endpoint)) for entry in page]


def _digest(data: Any) -> None:
    from isal.isal_zlib import crc32

    hashlib.sha256(data).hexdigest()
    crc32(data)


def _writer(folder: Path) -> Callable[[str, Any], None]:
    made: set[str] = set()

    def write(key: str, data: Any) -> None:
        directory = key.rpartition("/")[0]
        if directory not in made:
            (folder / directory).mkdir(parents=True, exist_ok=True)
            made.add(directory)
        (folder / key).write_bytes(data)

    return write


def obstore_to_files(bucket: str, endpoint: str, folder: str, concurrency: int) -> dict[str, Any]:
    """Make one obstore call per object, in threads."""
    import obstore

    write, store = _writer(Path(folder)), _obstore(bucket, endpoint)

    def one(key: str) -> None:
        data = obstore.get(store, key).bytes()
        _digest(data)
        write(key, data)

    start = time.perf_counter()
    with ThreadPoolExecutor(concurrency) as pool:
        count = sum(1 for _ in pool.map(one, _keys(bucket, endpoint)))
    return {"seconds": time.perf_counter() - start, "succeeded": count}


def obstore_to_bucket(bucket: str, endpoint: str, target: str, concurrency: int) -> dict[str, Any]:
    """Do as `obstore_to_files`, with one PUT for each object."""
    import obstore

    source, store = _obstore(bucket, endpoint), _obstore(target, endpoint)

    def one(key: str) -> None:
        data = obstore.get(source, key).bytes()
        _digest(data)
        obstore.put(store, key, data, use_multipart=False)

    start = time.perf_counter()
    with ThreadPoolExecutor(concurrency) as pool:
        count = sum(1 for _ in pool.map(one, _keys(bucket, endpoint)))
    return {"seconds": time.perf_counter() - start, "succeeded": count}


def tree_to_bucket(tree: str, endpoint: str, target: str, concurrency: int) -> dict[str, Any]:
    """Make one PUT for each file, in threads."""
    import obstore

    store, root = _obstore(target, endpoint), Path(tree)

    def one(path: Path) -> None:
        data = path.read_bytes()
        _digest(data)
        obstore.put(store, path.relative_to(root).as_posix(), data, use_multipart=False)

    start = time.perf_counter()
    with ThreadPoolExecutor(concurrency) as pool:
        count = sum(1 for _ in pool.map(one, (path for path in root.rglob("*") if path.is_file())))
    return {"seconds": time.perf_counter() - start, "succeeded": count}


def curl_to_files(bucket: str, endpoint: str, folder: str, concurrency: int) -> dict[str, Any]:
    """Use libcurl's epoll loop in one thread, with signed requests."""
    write = _writer(Path(folder))
    start = time.perf_counter()
    count = 0
    for key, data in _curl(endpoint, bucket, iter(_keys(bucket, endpoint)), concurrency):
        _digest(data)
        write(key, data)
        count += 1
    return {"seconds": time.perf_counter() - start, "succeeded": count}


def _curl(endpoint: str, bucket: str, keys: Iterator[str], concurrency: int) -> Iterator[tuple[str, bytes]]:
    import pycurl

    multi = pycurl.CurlMulti()
    multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, concurrency)
    pending: dict[Any, tuple[str, list[bytes]]] = {}

    def start(handle: Any) -> None:
        key = next(keys, None)
        if key is not None:
            chunks: list[bytes] = []
            handle.setopt(pycurl.URL, f"{endpoint}/{bucket}/{quote(key)}")
            handle.setopt(pycurl.WRITEFUNCTION, chunks.append)
            pending[handle] = key, chunks
            multi.add_handle(handle)

    for _ in range(concurrency):
        handle = pycurl.Curl()
        handle.setopt(pycurl.AWS_SIGV4, f"aws:amz:{REGION}:s3")
        handle.setopt(pycurl.USERPWD, f"{ACCESS_KEY}:{SECRET_KEY}")
        handle.setopt(pycurl.NOSIGNAL, 1)
        start(handle)
    while pending:
        multi.perform()
        queued = 1
        while queued:
            queued, done, failed = multi.info_read()
            if failed:
                raise RuntimeError(failed[0][2])
            for handle in done:
                multi.remove_handle(handle)
                key, chunks = pending.pop(handle)
                if handle.getinfo(pycurl.RESPONSE_CODE) != 200:
                    raise RuntimeError(f"{handle.getinfo(pycurl.RESPONSE_CODE)} for {key}")
                start(handle)
                yield key, b"".join(chunks)
        if pending:
            multi.select(1.0)


def tree_to_zip(tree: str, folder: str, concurrency: int) -> dict[str, Any]:
    """Use Python's zipfile, stored; `concurrency` is not used."""
    import zipfile

    root, start, count = Path(tree), time.perf_counter(), 0
    with zipfile.ZipFile(Path(folder) / "package.zip", "w") as package:
        for path in root.rglob("*"):
            if path.is_file():
                package.write(path, path.relative_to(root))
                count += 1
    return {"seconds": time.perf_counter() - start, "succeeded": count}


def warm() -> dict[str, Any]:
    """Import what the prototypes use."""
    import obstore.store
    import pycurl
    from isal import isal_zlib

    return {"seconds": 0.0, "imported": [module.__name__ for module in (obstore.store, pycurl, isal_zlib)]}
