"""Carries connections between a TCP port and a Unix socket: the way out of a network namespace of its own.

`python relay.py tcp:PORT unix:PATH` listens on the first and connects to the second; either may be either.
"""

import asyncio
import contextlib
import sys

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(to: str) -> Streams:
    kind, _, place = to.partition(":")
    if kind == "unix":
        return await asyncio.open_unix_connection(place)
    return await asyncio.open_connection("127.0.0.1", int(place))


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


async def relay(listen: str, to: str) -> None:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner, outer = await connect(to)
        except OSError:
            writer.close()
            return
        await asyncio.gather(copy(reader, outer), copy(inner, writer))

    kind, _, place = listen.partition(":")
    if kind == "unix":
        server = await asyncio.start_unix_server(carry, place)
    else:
        server = await asyncio.start_server(carry, "127.0.0.1", int(place))
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(relay(*sys.argv[1:3]))
