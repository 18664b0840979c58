"""Bytes that are taken in a thread of their own."""

from __future__ import annotations

import threading

import pytest

from prefect_collect.threads import beside
from prefect_collect.threads.beside import Beside, Buffer


def test_everything_is_taken_in_order() -> None:
    """All bytes, and views of bytes, are taken in order, in another thread, and after `finish` they are had."""
    taken: list[bytes] = []
    threads: set[int] = set()

    def take(data: Buffer) -> None:
        threads.add(threading.get_ident())
        taken.append(bytes(data))

    work = Beside(take)
    for number in range(100):
        work.put(b"%d" % number if number % 2 else memoryview(b"-%d" % number)[1:])
    work.finish()
    assert taken == [b"%d" % number for number in range(100)]
    assert threading.get_ident() not in threads


def test_a_buffer_is_taken_before_it_is_used_again() -> None:
    """What is not `bytes` has been taken when `put` returns, after all that came before it."""
    taken: list[bytes] = []
    work = Beside(lambda data: taken.append(bytes(data)))
    buffer = bytearray(b"0000")
    for number in range(50):
        work.put(b"-")
        buffer[:] = b"%04d" % number
        work.put(memoryview(buffer))
        assert taken[-2:] == [b"-", b"%04d" % number]
    work.finish()


def test_only_so_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """`put` waits while as many bytes wait as may."""
    monkeypatch.setattr(beside, "_BEHIND", 10)
    gate, held = threading.Event(), threading.Event()
    work = Beside(lambda data: (gate.wait(), None)[1])
    work.put(b"x" * 10)
    putting = threading.Thread(target=lambda: (work.put(b"y"), held.set()))
    putting.start()
    assert not held.wait(0.05)
    gate.set()
    assert held.wait(60)
    putting.join()
    work.finish()


@pytest.mark.parametrize("is_last", [True, False])
def test_an_error(is_last: bool) -> None:
    """An error is raised by the next `put`, or by `finish`; nothing more is taken."""
    taken: list[bytes] = []

    def take(data: Buffer) -> None:
        taken.append(bytes(data))
        raise OSError("full")

    work = Beside(take)
    work.put(b"first")

    def put() -> None:
        while True:
            work.put(b"more")

    with pytest.raises(OSError, match="full"):
        (work.finish if is_last else put)()
    assert taken == [b"first"]
    work.drop()


def test_what_is_dropped_is_not_taken() -> None:
    """`drop` leaves what waits, and its thread ends once the running call does."""
    taken: list[bytes] = []
    begun, gate, ended = threading.Event(), threading.Event(), threading.Event()

    def take(data: Buffer) -> None:
        begun.set()
        gate.wait()
        taken.append(bytes(data))
        ended.set()

    work = Beside(take)
    for number in range(5):
        work.put(b"%d" % number)
    assert begun.wait(60)
    work.drop()
    gate.set()
    assert ended.wait(60)
    work.finish()
    assert taken == [b"0"]


def test_without_a_core_to_spare_the_caller_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where as many such threads run as may, `put` itself takes."""
    monkeypatch.setattr(beside, "_SPARE", threading.Semaphore(0))
    threads: set[int] = set()
    work = Beside(lambda data: threads.add(threading.get_ident()))
    work.put(b"x")
    work.finish()
    assert threads == {threading.get_ident()}
