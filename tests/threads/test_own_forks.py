"""Forks of a process with one thread answer requests side by side, and none of them is a single point of failure."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from select import select

import pytest

from prefect_collect.errors import CollectError
from prefect_collect.threads.own_forks import OwnForks, has_one_thread
from tests.support.process_fork import run_fork


def test_answers_come_in_the_order_of_the_requests() -> None:
    """Requests, also ones larger than a pipe, are answered by other processes, in order, and steps are done first."""

    def program() -> None:
        assert has_one_thread()
        done: list[str] = []
        requests = [(number, b"x" * (3 << 20 if number % 50 == 1 else 100)) for number in range(200)]
        with OwnForks(3, lambda request: (request[0], len(request[1]), os.getpid())) as forks:
            answers = list(
                forks.map(requests, [lambda pause: done.append("a"), lambda pause: (pause(), done.append("b"))])
            )
        assert [answer[:2] for answer in answers] == [(number, len(data)) for number, data in requests]
        assert os.getpid() not in {answer[2] for answer in answers}
        assert done == ["a", "b"]

    assert run_fork(program).code == 0


def test_forks_end_when_all_is_answered() -> None:
    """While a last step still takes its time, no fork holds memory any more; all answers are there."""

    def program() -> None:
        def step(pause: Callable[[], None]) -> None:
            until = time.monotonic() + 60
            while len(forks):
                assert time.monotonic() < until
                pause()
            with pytest.raises(ChildProcessError):
                os.waitpid(-1, os.WNOHANG)

        with OwnForks(2, lambda request: request + 1) as forks:
            assert list(forks.map(range(100), [step])) == list(range(1, 101))

    assert run_fork(program).code == 0


def _byte_of(gate: int) -> None:
    """Take one byte from a pipe; raise TimeoutError where none comes, so that a test fails instead of hanging."""
    if not select([gate], [], [], 60)[0]:
        raise TimeoutError
    os.read(gate, 1)


def test_requests_are_dealt_out_by_their_work() -> None:
    """After a long message with little work come short ones with much: each fork has its half of them, and no more."""

    def program() -> None:
        gate, opens = os.pipe()

        def answer(_: object) -> int:
            _byte_of(gate)
            return os.getpid()

        taken: list[int] = []

        def requests() -> Iterator[tuple[int, bytes]]:
            for number in range(13):
                taken.append(number)
                yield (16 << 20, b"") if number else (1, b"x" * 40_000)

        def step(pause: Callable[[], None]) -> None:
            pause()
            assert len(taken) == 9
            os.write(opens, b"x" * 13)

        with OwnForks(2, answer) as forks:
            answers = list(forks.map(requests(), [step], work=lambda request: request[0]))
        assert sorted(Counter(answers[:9]).values()) == [4, 5]

    assert run_fork(program).code == 0


def test_nothing_waits_behind_a_request_that_takes_long() -> None:
    """The first request ends only after the 30 others, the next of which is a long message: another fork does them."""

    def program() -> None:
        done, tells = os.pipe()

        def answer(request: tuple[int, int, bytes]) -> int:
            for _ in range(0 if request[0] else 30):
                _byte_of(done)
            os.write(tells, b"x")
            return request[0]

        requests = [(0, 5 << 30, b""), (1, 1000, b"x" * 40_000), *((number, 1000, b"") for number in range(2, 31))]
        with OwnForks(2, answer) as forks:
            assert list(forks.map(requests, work=lambda request: request[1])) == list(range(31))

    assert run_fork(program).code == 0


def test_while_no_answer_comes_there_is_a_beat() -> None:
    """A request is answered only after `beat` was called twice while everything waited for it."""

    def program() -> None:
        gate, opens = os.pipe()

        def answer(request: str) -> str:
            for _ in range(6):
                _byte_of(gate)
            return request

        with OwnForks(1, answer) as forks:
            assert list(forks.map(["a"], beat=lambda: os.write(opens, b"x"))) == ["a"]

    assert run_fork(program).code == 0


def test_forks_end_with_a_process_that_is_killed() -> None:
    """What reads the standard output of a process that SIGKILL ends comes to its end, whatever the forks do."""

    def program() -> None:
        reads, writes = os.pipe()
        middle = os.fork()
        if not middle:
            os.close(reads)
            with OwnForks(2, lambda request: (os.write(writes, b"x"), signal.pause())) as forks:
                list(forks.map([0, 1], work=lambda _: 1 << 30))
        os.close(writes)
        for _ in range(2):
            _byte_of(reads)
        os.kill(middle, signal.SIGKILL)
        assert select([reads], [], [], 60)[0]
        assert os.read(reads, 1) == b""
        os.waitpid(middle, 0)

    assert run_fork(program).code == 0


@pytest.mark.parametrize(("files", "forks"), [(8, 1), (5, 0)])
def test_with_fewer_forks_than_wanted_all_is_answered(files: int, forks: int) -> None:
    """Where so many files may be open, one of three forks can be had, or none; what was opened for others is closed."""

    def program() -> None:
        os.closerange(3, 1024)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
        with OwnForks(3, lambda request: request + 1) as made:
            assert len(made) == forks
            assert list(made.map(range(50))) == list(range(1, 51))
        assert [*os.pipe()] == [3, 4]
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)

    ended = run_fork(program)
    assert ended.code == 0, ended.err.decode()


def test_forks_are_made_without_standard_streams() -> None:
    """A program may have no standard output: nothing is written before a fork, nor by one."""

    def program() -> None:
        streams = sys.stdout, sys.stderr
        sys.stdout = sys.stderr = None
        try:
            with OwnForks(1, str) as forks:
                assert list(forks.map([1])) == ["1"]
        finally:
            sys.stdout, sys.stderr = streams

    assert run_fork(program).code == 0


def test_what_a_killed_fork_did_not_answer_is_answered_here() -> None:
    """Each fork kills itself at a request: all of them are answered all the same, also when no fork is left."""

    def program() -> None:
        own = os.getpid()

        def answer(request: int) -> int:
            if request % 7 == 3 and os.getpid() != own:
                os.kill(os.getpid(), signal.SIGKILL)
            return request * request

        with OwnForks(2, answer) as forks:
            assert list(forks.map(range(40))) == [number * number for number in range(40)]

    assert run_fork(program).code == 0


def test_an_exception_in_a_fork_is_an_error_here() -> None:
    """The error says what went wrong in the other process, and no process is left."""

    def program() -> None:
        with pytest.raises(CollectError, match="ZeroDivisionError"), OwnForks(2, lambda request: 1 // request) as forks:
            list(forks.map([1, 0]))
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)

    assert run_fork(program).code == 0


def test_a_process_with_threads_is_not_forked() -> None:
    """A second thread may hold a lock that a fork would find taken for ever."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    assert not has_one_thread()
    end.set()
    thread.join()
