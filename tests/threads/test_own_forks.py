"""Forks of a process with one thread answer requests side by side, and none of them is a single point of failure."""

from __future__ import annotations

import os
import signal
import threading

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
