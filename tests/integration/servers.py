"""Real servers for the tests, most of them of S3, each a process of its own on free ports that ends with the tests."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import botocore.config
import botocore.exceptions

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ACCESS_KEY = "collect-tests"
SECRET_KEY = "not-a-secret-of-anybody"
REGION = "us-east-1"
DOMAIN = "s3.test"
"""The domain below which SeaweedFS also accepts a bucket in the host name; only a proxy leads to it."""
_PATIENCE = 120.0


@dataclass(frozen=True)
class S3Server:
    """A running S3 server and the keys that it accepts."""

    name: str
    url: str
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    region: str = REGION

    def session(self) -> boto3.session.Session:
        """Return a session with the right keys; all have the same one, as each would read the models of AWS anew."""
        return _session_of(self.access_key, self.secret_key, self.region)

    def client(self) -> S3Client:
        """Return a client that is independent of the code under test, to prepare and inspect buckets."""
        return _client_of(self)

    def environment(self) -> dict[str, str]:
        """Return the environment variables by which a child process uses these keys and this server."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def new_bucket(self) -> str:
        """Create an empty bucket with a unique name, and return the name."""
        name = f"test-{uuid.uuid4().hex[:16]}"
        self.client().create_bucket(Bucket=name)
        return name

    def at(self, url: str) -> S3Server:
        """Return the same server at another address, such as that of a `FaultProxy`."""
        return S3Server(self.name, url, self.access_key, self.secret_key, self.region)


@cache
def _session_of(access_key: str, secret_key: str, region: str) -> boto3.session.Session:
    return boto3.session.Session(access_key, secret_key, region_name=region)


@cache
def _client_of(server: S3Server) -> S3Client:
    config = botocore.config.Config(s3={"addressing_style": "path"}, retries={"max_attempts": 5, "mode": "standard"})
    return server.session().client("s3", endpoint_url=server.url, config=config)


@contextmanager
def seaweedfs(folder: Path) -> Iterator[S3Server]:
    """Run SeaweedFS, which checks signatures and checksums, and has conditional writes, multipart and part copies."""
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    data = folder / "data"
    data.mkdir(exist_ok=True)

    def command(port: int) -> list[str]:
        roles = ["master", "volume", "filer"]
        ports = [f"-{role}.port{kind}={free_port()}" for role in roles for kind in ("", ".grpc")]
        return [
            *[find_program("weed"), "-v=-1", f"-logdir={folder}"],
            *["mini", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"],
            *[f"-s3.port={port}", f"-s3.port.grpc={free_port()}", f"-s3.config={folder / 's3.json'}", *ports],
            *["-s3.port.iceberg=0", "-webdav=false", "-admin.ui=false", f"-admin.port={free_port()}"],
            *[
                f"-admin.port.grpc={free_port()}",
                "-master.telemetry=false",
                f"-s3.domainName={DOMAIN}",
                # Each bucket takes volumes of its own; the default, by free disk, is used up by a test session.
                "-volume.max=10000",
                f"-filer.localSocket={data / 'filer.sock'}",
                f"-s3.localSocket={data / 's3.sock'}",
            ],
        ]

    with _running("seaweedfs", command, folder) as server:
        yield server


MOTO_PAGE = 100
"""The most keys on a page of moto's listings, so that few objects make several pages (SeaweedFS has 1,000 as S3)."""


@contextmanager
def moto(folder: Path, smallest_part: int = 5 << 20) -> Iterator[S3Server]:
    """Run moto's server, which checks neither signatures nor checksums, and keeps everything in memory.

    It refuses parts of less than `smallest_part` bytes, except the last of an upload.
    """

    def command(port: int) -> list[str]:
        settings = f"MOTO_S3_DEFAULT_MAX_KEYS={MOTO_PAGE}", f"S3_UPLOAD_PART_MIN_SIZE={smallest_part}"
        return ["env", *settings, sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]

    with _running("moto", command, folder) as server:
        yield server


@contextmanager
def rclone(folder: Path) -> Iterator[S3Server]:
    """Run ``rclone serve s3``, which checks signatures, ignores `If-None-Match` and has no part copies."""
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)

    def command(port: int) -> list[str]:
        keys = f"--auth-key={ACCESS_KEY},{SECRET_KEY}"
        where = [f"--addr=127.0.0.1:{port}", "--vfs-cache-mode=off", f"--config={folder / 'rclone.conf'}"]
        return [find_program("rclone"), "serve", "s3", *where, keys, str(data)]

    with _running("rclone", command, folder) as server:
        yield server


def find_program(name: str) -> str:
    """Return a program from the scripts folder of this Python (where PyPI packages put theirs), or from the PATH."""
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed; install the dependency group 'test' [program={name}]")
    return found


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(name: str, command: Callable[[int], list[str]], folder: Path) -> Iterator[S3Server]:
    """Start a server, with other ports if one was taken meanwhile, and end it when the context ends."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}.log"
    for _ in range(5):
        port = free_port()
        server = S3Server(name, f"http://127.0.0.1:{port}")
        with log.open("ab") as output:
            process = subprocess.Popen(
                ending_with_us(command(port)), stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder
            )
        try:
            if _answers(server, process):
                yield server
                return
        finally:
            end_process(process)
    raise RuntimeError(f"{name} does not start:\n{log.read_text(errors='replace')[-4000:]}")


@contextmanager
def served(command: list[str], port: int, log: Path) -> Iterator[None]:
    """Run a server until the context ends. Raise RuntimeError if nothing accepts connections on its port."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            ending_with_us(command), stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=log.parent
        )
    try:
        deadline = time.monotonic() + _PATIENCE
        while not _accepts(port):
            if process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(errors="replace")[-4000:]
                raise RuntimeError(f"{Path(command[0]).name} does not start:\n{said}")
            time.sleep(0.02)  # the condition is polled: a connection is how such a server is asked
        yield
    finally:
        end_process(process)


def _accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def ending_with_us(command: list[str]) -> list[str]:
    """Return the command so that the kernel ends the server if the tests are killed."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", *command] if setpriv else command


def _answers(server: S3Server, process: subprocess.Popen[bytes]) -> bool:
    """Wait until a bucket can be created and written; return False if the server has ended."""
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError):
            bucket = server.new_bucket()
            server.client().put_object(Bucket=bucket, Key="ready", Body=b"ready")
            return True
        time.sleep(0.05)  # the condition is polled: these servers announce themselves in no other way
    return False


def end_process(process: subprocess.Popen[bytes]) -> None:
    """End a server, by force if it does not end in 10 seconds."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
