"""A bucket with an object that is held back, so that a job that collects it is in progress until a test releases it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.integration.faults import FaultProxy
from tests.integration.servers import S3Server

if TYPE_CHECKING:
    from tests.integration.cli.conftest import Command

ITEMS = 6


@dataclass(frozen=True)
class SlowBucket:
    """A bucket of six objects behind a proxy, which holds back the last one, again and again, until `release`."""

    proxy: FaultProxy
    bucket: str

    @property
    def url(self) -> str:
        """The URL to collect."""
        return f"s3://{self.bucket}/data"

    @property
    def options(self) -> tuple[str, ...]:
        """The options of its server; one item at a time, so that the items before the held one are collected."""
        return ("--endpoint-url", self.proxy.url, "--region", "us-east-1", "--concurrency", "1")

    @property
    def asked(self) -> int:
        """How often jobs have asked for the held object."""
        return self.proxy.count("GET", "/data/5.txt")

    def until_held(self, before: int = 0) -> None:
        """Wait until a job has asked for the held object, more often than `before`."""
        from tests.integration.cli.conftest import until

        until(lambda: self.asked > before)

    def release(self) -> None:
        """Let all requests through from now on."""
        self.proxy.clear()
        self.proxy.release()


def slow_bucket(server: S3Server, proxy: FaultProxy) -> SlowBucket:
    """Return a new bucket behind the proxy."""
    bucket = server.new_bucket()
    for number in range(ITEMS):
        server.client().put_object(Bucket=bucket, Key=f"data/{number}.txt", Body=b"x" * (number + 1))
    proxy.hang_next(1000, method="GET", path="/data/5.txt")
    return SlowBucket(proxy, bucket)


def keyed(command: Command, server: S3Server) -> Command:
    """Return the command with the server's keys."""
    return command.with_environment(**server.environment())
