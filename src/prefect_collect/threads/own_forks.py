"""Processes forked from this one, while it has one thread, that answer requests side by side.

Threads share one core for whatever holds the interpreter's lock, and with small files that is most of it. A fork of
this process starts within milliseconds and has imported all that it needs; `threads.forked` serves processes that have
threads, whose locks a fork would find taken for ever.
"""

from __future__ import annotations

import marshal
import os
import signal
import struct
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from select import select
from typing import Any, Final

from prefect_collect.errors import CollectError
from prefect_collect.threads.parent_death import end_with_parent
from prefect_collect.threads.wide_pipe import PIPE_BYTES, widen

Step = Callable[[Callable[[], None]], object]
"""What is done while forks answer: it is given a function to call now and then, that sends and receives."""

_LENGTH: Final = struct.Struct("<Q")

_MOST_WORK: Final = 64 << 20
"""Bytes of work that one fork is asked for before it has answered: some 0.1 s, in which this process may be busy."""

BEAT: Final = 0.2
"""Seconds after which `map` calls its `beat` while no answer comes."""


def has_one_thread() -> bool:
    """Return whether this process can be forked: it runs on Linux, and no other thread may hold a lock."""
    if sys.platform != "linux":
        return False
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


def _no_work(_: object) -> int:
    """Return 0: only the length of its message counts for a request."""
    return 0


def _nothing() -> None:
    """Do nothing."""


class OwnForks:
    """Up to `size` forks of this process; `answer` turns a request into an answer in each of them.

    There are fewer, or none, where the system allows no more processes or open files. Requests and answers are plain
    values that `marshal` takes. What a fork that was killed did not answer is answered in this process. All of them end
    when `map` has all answers, when the `with` block is left, and when this process is killed.
    """

    def __init__(self, size: int, answer: Callable[[Any], Any]) -> None:
        self._answer = answer
        self._forks: list[_Fork] = []
        try:
            first_of_all = end_with_parent(signal.SIGKILL) if size else _nothing
            for _ in range(size):
                self._forks.append(_Fork(answer, self._forks, first_of_all))
        except OSError:
            pass
        except BaseException:
            self.__exit__()
            raise

    def __len__(self) -> int:
        """Return how many forks there are."""
        return len(self._forks)

    def __enter__(self) -> OwnForks:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End all forks: each keeps what this process held when it was forked, so none stays without work."""
        while self._forks:
            self._forks.pop().end()

    def map(
        self,
        requests: Iterable[Any],
        meanwhile: Iterable[Step] = (),
        *,
        work: Callable[[Any], int] = _no_work,
        beat: Callable[[], object] = _nothing,
    ) -> Iterator[Any]:
        """Yield the answers in the order of the requests; this process first takes the steps of `meanwhile`.

        Args:
            requests: They are dealt out as forks have time for them: none waits behind one that takes long.
            meanwhile: Called one after the other.
            work: Returns how much a request has a fork do, in bytes that it reads.
            beat: Called again and again.

        Raises:
            CollectError: `answer` raised an exception.
        """
        given, steps = enumerate(requests), iter(meanwhile)
        answers: dict[int, Any] = {}
        at, more, busy = 0, True, True

        def exchange(*, wait: bool = False) -> None:
            nonlocal more
            while more and (free := self._freest()) is not None:
                numbered = next(given, None)
                more = numbered is not None
                if numbered is not None:
                    free.ask(*numbered, work(numbered[1]))
            answers.update(self._exchange(wait=wait))
            if not more and not any(fork.asked for fork in self._forks):
                self.end()
            beat()

        while busy or more or any(fork.asked for fork in self._forks):
            exchange(wait=not busy)
            if busy:
                step = next(steps, None)
                busy = step is not None
                if step is not None:
                    step(exchange)
            while at in answers:
                yield answers.pop(at)
                at += 1
            if more and all(fork.is_gone for fork in self._forks):
                yield from (self._answer(request) for _, request in given)
                more = False

    def _freest(self) -> _Fork | None:
        """Return the fork that has the least to do of those that have room for more."""
        return min((fork for fork in self._forks if fork.has_room), key=lambda fork: fork.load, default=None)

    def _exchange(self, *, wait: bool) -> Iterator[tuple[int, Any]]:
        """Send what pipes take, and yield the numbers and answers that have come."""
        reading = {fork.reads: fork for fork in self._forks if fork.asked}
        writing = {fork.writes: fork for fork in self._forks if fork.is_sending}
        readable, writable, _ = select(reading, writing, (), BEAT if wait and reading else 0)
        for fd in writable:
            writing[fd].send()
        for fd in readable:
            for number, request, value in reading[fd].receive():
                yield number, self._answer(request) if value is None else _valued(value)


def _valued(value: tuple[bool, Any]) -> Any:
    is_good, what = value
    if not is_good:
        raise CollectError(f"A process that reads beside this one failed: {what}")
    return what


class _Fork:
    """One process, by the two pipes to it."""

    def __init__(self, answer: Callable[[Any], Any], others: list[_Fork], first_of_all: Callable[[], object]) -> None:
        self.asked: deque[tuple[int, Any, int, int]] = deque()
        self.work = self._held = 0
        self._unsent, self._got = bytearray(), bytearray()
        pipes: list[int] = []
        try:
            pipes += os.pipe()
            pipes += os.pipe()
            self._pid = os.fork()
        except OSError:
            for fd in pipes:
                os.close(fd)
            raise
        requests, self.writes, self.reads, answers = pipes
        if not self._pid:
            try:
                first_of_all()
                for fd in (self.writes, self.reads, *(fd for other in others for fd in (other.writes, other.reads))):
                    os.close(fd)
                _serve(requests, answers, answer)
            finally:
                os._exit(0)
        os.close(requests)
        os.close(answers)
        os.set_blocking(self.writes, False)
        os.set_blocking(self.reads, False)
        widen(self.writes)

    @property
    def is_gone(self) -> bool:
        """Return whether it was killed, and owes no answer."""
        return self.work == sys.maxsize

    @property
    def load(self) -> tuple[int, int]:
        """What it has to do, in bytes to read and in bytes of messages."""
        return self.work, self._held

    @property
    def has_room(self) -> bool:
        """Return whether another request may be held for it."""
        return self.work < _MOST_WORK and self._held < PIPE_BYTES

    @property
    def is_sending(self) -> bool:
        """Return whether a request has not been sent as a whole."""
        return bool(self._unsent)

    def ask(self, number: int, request: Any, work: int) -> None:
        """Send a request, as far as the pipe takes it."""
        data = marshal.dumps(request)
        self.asked.append((number, request, work, len(data)))
        self.work += work
        self._held += len(data)
        self._unsent += _LENGTH.pack(len(data)) + data
        self.send()

    def send(self) -> None:
        """Send as much as the pipe takes."""
        try:
            while self._unsent:
                del self._unsent[: os.write(self.writes, self._unsent)]
        except BlockingIOError:
            pass
        except BrokenPipeError:  # it was killed, which `receive` finds
            self._unsent.clear()

    def receive(self) -> Iterator[tuple[int, Any, tuple[bool, Any] | None]]:
        """Yield number and request with the answer, None instead of the answers that a killed process still owes."""
        data = b""
        with suppress(BlockingIOError):
            data = os.read(self.reads, PIPE_BYTES)
            if not data:
                while self.asked:
                    number, request, *_ = self.asked.popleft()
                    yield number, request, None
                self.work = sys.maxsize
                return
        self._got += data
        while len(self._got) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._got)[0]
            if len(self._got) < end:
                return
            value = marshal.loads(self._got[_LENGTH.size : end])
            del self._got[:end]
            number, request, work, size = self.asked.popleft()
            self.work -= work
            self._held -= size
            yield number, request, value

    def end(self) -> None:
        """End the process, whatever it does."""
        os.close(self.writes)
        os.close(self.reads)
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def _serve(requests: int, answers: int, answer: Callable[[Any], Any]) -> None:
    """Answer requests until there is no more; Ctrl-C reaches all processes, of which the first ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with open(requests, "rb") as asked, open(answers, "wb") as answered:
        while len(head := asked.read(_LENGTH.size)) == _LENGTH.size:
            try:
                value = True, answer(marshal.loads(asked.read(_LENGTH.unpack(head)[0])))
            except Exception as error:
                value = False, f"{type(error).__name__}: {error}"
            data = marshal.dumps(value)
            answered.write(_LENGTH.pack(len(data)) + data)
            answered.flush()
