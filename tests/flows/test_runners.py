"""The runners of shards: wrong use, and the messages for it."""

from __future__ import annotations

import socket
from importlib.util import find_spec

import pytest

from prefect_collect.errors import UsageError
from prefect_collect.flows import runners
from prefect_collect.flows.runners import require_runner
from prefect_collect.parameters import Runner


@pytest.mark.skipif(find_spec("prefect_ray") is not None, reason="the extra ray is installed")
def test_an_extra_that_is_not_installed() -> None:
    """For a runner that is not installed, the message names the command that installs it."""
    with pytest.raises(UsageError, match=r"pip install 'prefect-collect\[ray\]'"):
        require_runner("ray")


@pytest.mark.parametrize("runner", ["auto", "threads", "processes"])
def test_this_machine_takes_no_address(runner: Runner) -> None:
    """An address with the runners of this machine is refused, not ignored."""
    require_runner(runner)
    with pytest.raises(UsageError, match="runner_address is for the runners dask and ray"):
        require_runner(runner, "tcp://127.0.0.1:8786")


def test_a_scheduler_that_does_not_answer() -> None:
    """For a cluster that does not answer, the message names the address and what to check."""
    import dask

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with (
            dask.config.set({"distributed.comm.timeouts.connect": "500ms"}),
            pytest.raises(UsageError, match=rf"scheduler at {address} cannot be used: .*runner_address={address}\]"),
            runners._dask(address, None),
        ):
            pass
