"""A call in a fork of this process: its result is there later, or None."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from prefect_collect.threads.fork_beside import ForkBeside
from tests.support.process_fork import run_fork


def _no_child_is_left() -> None:
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_another_process_returns_the_result() -> None:
    """The result, also one larger than a pipe, is that of another process, which has ended with the block."""

    def program() -> None:
        with ForkBeside(lambda: [os.getpid(), {"a": b"x" * (3 << 20)}]) as beside:
            pid, found = beside.result()
        assert pid != os.getpid()
        assert found == {"a": b"x" * (3 << 20)}
        _no_child_is_left()

    assert run_fork(program).code == 0


def test_without_a_result_there_is_none() -> None:
    """There is none of a call that fails or is killed, of no call, and in a process with other threads."""

    def program() -> None:
        for call in (lambda: 1 // 0, lambda: os.kill(os.getpid(), signal.SIGKILL), None, object):
            with ForkBeside(call) as beside:
                assert beside.result() is None
        end = threading.Event()
        other = threading.Thread(target=end.wait)
        other.start()
        with ForkBeside(lambda: 1) as beside:
            assert beside.result() is None
        end.set()
        other.join()
        _no_child_is_left()

    assert run_fork(program).code == 0


def test_the_block_ends_a_fork_that_goes_on() -> None:
    """A result that is not asked for is not waited for."""

    def program() -> None:
        with ForkBeside(signal.pause):
            pass
        _no_child_is_left()

    assert run_fork(program).code == 0


def test_the_fork_ends_with_a_process_that_is_killed() -> None:
    """What reads a pipe of a process that SIGKILL ends comes to its end, whatever its fork does."""

    def program() -> None:
        reads, writes = os.pipe()
        middle = os.fork()
        if not middle:
            os.close(reads)

            def call() -> None:
                os.write(writes, b"x")
                signal.pause()

            with ForkBeside(call) as beside:
                beside.result()
        os.close(writes)
        assert os.read(reads, 1) == b"x"
        os.kill(middle, signal.SIGKILL)
        os.waitpid(middle, 0)
        assert os.read(reads, 1) == b""

    assert run_fork(program).code == 0
