"""Statements over a connection of libpq, one at a time, which other threads of the process can interrupt."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any


class Wire:
    """A connection of libpq (psycopg's `pgconn`).

    It is waited for by `poll`, as libpq's own calls that wait keep Python's lock, so that no other thread runs.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection.pgconn
        self._connection.nonblocking = 1
        self.version: int = self._connection.server_version

    def result(self, sql: str) -> Any:
        """Return the result of one statement; PostgreSQL refuses several. Raise psycopg.Error."""
        from psycopg.pq import ExecStatus

        self._send(sql)
        found = self._next_result()
        if found.status == ExecStatus.COPY_OUT:
            return found
        while (more := self._next_result()) is not None:
            found = more
        if found.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            raise _error(found)
        return found

    def copied(self, sql: str) -> Iterator[memoryview | bytes]:
        """Yield the messages of a COPY … TO STDOUT, to their end. Raise psycopg.Error.

        psycopg's own loop over them takes twice the time for small rows.
        """
        from psycopg.pq import ExecStatus

        self.result(sql)
        get, wait = self._connection.get_copy_data, self._wait
        while True:
            size, data = get(1)
            if size > 0:
                yield data
            elif size == 0:
                wait(select.POLLIN)
                self._connection.consume_input()
            else:
                break
        while (ended := self._next_result()) is not None:
            if ended.status != ExecStatus.COMMAND_OK:
                raise _error(ended)

    def shut(self) -> None:
        """Shut the connection down, for another thread: the one that waits for it gets an error."""
        with suppress(OSError), socket.socket(fileno=os.dup(self._connection.socket)) as connection:
            connection.shutdown(socket.SHUT_RDWR)

    def _send(self, sql: str) -> None:
        # With parameters, if only none, PostgreSQL takes one statement and no more.
        self._connection.send_query_params(sql.encode(), None)
        while self._connection.flush():
            self._wait(select.POLLIN | select.POLLOUT)
            self._connection.consume_input()

    def _next_result(self) -> Any:
        while self._connection.is_busy():
            self._wait(select.POLLIN)
            self._connection.consume_input()
        return self._connection.get_result()

    def _wait(self, events: int) -> None:
        waiting = select.poll()
        waiting.register(self._connection.socket, events)
        waiting.poll()


def _error(result: Any) -> Exception:
    from psycopg.errors import error_from_result

    return error_from_result(result)
