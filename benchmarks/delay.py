"""A TCP proxy that delays what passes: ``python -m benchmarks.delay PORT TARGET_PORT SECONDS`` (in each direction)."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

_AT_ONCE = 1 << 18
_MOST_UNDER_WAY = 256


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Pass bytes on, each so many seconds after it came."""
    queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_MOST_UNDER_WAY)
    loop = asyncio.get_running_loop()

    async def send() -> None:
        while True:
            due, data = await queue.get()
            await asyncio.sleep(due - loop.time())
            if not data:
                break
            writer.write(data)
            await writer.drain()
        writer.close()

    sending = asyncio.create_task(send())
    with suppress(OSError):
        while data := await reader.read(_AT_ONCE):
            await queue.put((loop.time() + seconds, data))
    await queue.put((loop.time() + seconds, b""))
    with suppress(OSError):
        await sending


async def main(port: int, target: int, seconds: float) -> None:
    """Serve until the process is ended."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", target, limit=_AT_ONCE)
        await asyncio.gather(_pass(reader, there[1], seconds), _pass(there[0], writer, seconds))

    server = await asyncio.start_server(connected, "127.0.0.1", port, limit=_AT_ONCE)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
