"""What the sources of a process share is made once for the same settings, and anew in a fork."""

from __future__ import annotations

import os
from itertools import count

from prefect_collect.connectors.per_process import per_process


def test_once_for_the_same_settings() -> None:
    """The same arguments give the same thing, others another; a fork has one of its own."""
    numbers = count()

    @per_process
    def made(name: str, size: int) -> int:
        return next(numbers)

    assert (made("a", 1), made("b", 1), made("a", 1)) == (0, 1, 0)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, b"%d" % made("a", 1))
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 9) == b"2"
    assert made("a", 1) == 0
    for descriptor in (read, write):
        os.close(descriptor)
