"""`--request-payer` on the command line, at a server that refuses requests without the header of a paying requester."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Done
from tests.integration.host_style import AWS, ENDPOINT, HostStyle
from tests.integration.servers import S3Server

pytestmark = pytest.mark.integration


def test_request_payer(
    here: Callable[..., Done], seaweedfs: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the option the bucket cannot be listed, and the message on AWS's refusal names the option; with it the
    job collects. A folder takes no such option.
    """
    bucket = seaweedfs.new_bucket()
    seaweedfs.client().put_object(Bucket=bucket, Key="mail/1", Body=b"one")
    config = tmp_path / "aws-config"
    config.write_text("[default]\ns3 =\n  addressing_style = virtual\n")
    with HostStyle(seaweedfs, payers={bucket}) as proxy:
        for name, value in {
            **seaweedfs.environment(),
            "AWS_ENDPOINT_URL": f"http://{AWS}",
            "AWS_REGION": "us-east-1",
            "AWS_CONFIG_FILE": str(config),
            "http_proxy": proxy.url,
            "no_proxy": "127.0.0.1,localhost",
        }.items():
            monkeypatch.setenv(name, value)
        place, store = f"s3://{bucket}/mail/", tmp_path / "store"
        done = here("collect", place, "--store", store, "--json")
        assert (done.code != 0, done.json["status"]) == (True, "Failed")
        assert "403 AccessDenied" in done.json["message"]
        assert "if the bucket has requesters pay, set request_payer (--request-payer)" in done.json["message"]
        monkeypatch.setenv("AWS_ENDPOINT_URL", ENDPOINT)
        monkeypatch.setenv("AWS_REGION", seaweedfs.region)
        done = here("collect", place, "--store", store, "--request-payer", "--json")
        assert (done.code, done.json["status"], done.json["succeeded"]) == (0, "Successfully completed", 1)
        refused = here("collect", tmp_path, "--store", store, "--request-payer")
        assert refused.code == 2
        assert "request_payer" in refused.error
