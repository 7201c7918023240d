"""The base of both proxies: a thread with an event loop, a listener that leaks no connection, and a clock.

A connection belongs to the task that serves it from the moment it is accepted. asyncio's own server first
hands it to a task of its own; cancelling that task before its first step leaks the socket.
"""

import asyncio
import socket
import struct
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]

LIMIT = 1 << 20  # bytes that a stream buffers, and of the longest head of an HTTP message
GRACE = 10.0  # seconds for a peer to take what was sent before its connection is closed
_LINGER = struct.pack("ii", 1, 0)  # SO_LINGER: closing discards what is unsent, and the peer sees a reset


class LoopClock:
    """The clock that times a proxy's delays; tests pass one that they move themselves."""

    def time(self) -> float:
        """Seconds since an arbitrary moment."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        await asyncio.sleep(seconds)


class LoopThread:
    """A thread that runs an event loop until `close`."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the thread, and wait for its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """Cancel what still runs, and end the thread."""
        async def finish() -> None:
            await _cancel(asyncio.all_tasks() - {asyncio.current_task()})
            await asyncio.get_running_loop().shutdown_default_executor()

        self.call(finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Listener:
    """Accepts the connections of a listening socket, and serves each in a task of its own, until `close`.

    It runs on the event loop that creates it. `serve` may raise OSError and EOFError: either side of a connection may
    vanish at any moment. Any other error is a fault of the rehearsal: it ends the connection, and is printed in a line.
    """

    def __init__(self, listening: socket.socket,
                 serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
        self._listening, self._serve = listening, serve
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        listening.setblocking(False)
        self._loop.add_reader(listening, self._accept)

    async def drop(self) -> None:
        """Reset every connection, and go on."""
        await _cancel(self._tasks)

    async def close(self) -> None:
        """Reset every connection, and accept no more."""
        self._loop.remove_reader(self._listening)
        self._listening.close()
        await self.drop()

    def _accept(self) -> None:
        with suppress(BlockingIOError, ConnectionAbortedError):  # the client has gone already
            accepted, _ = self._listening.accept()
            task = self._loop.create_task(self._handle(accepted))
            self._tasks.add(task)
            # Not left to the task, which may be cancelled before its first step.
            task.add_done_callback(partial(self._end, accepted))

    def _end(self, accepted: socket.socket, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        accepted.close()
        error = None if task.cancelled() else task.exception()
        if error:
            print(f"a connection failed: {error!r}", file=sys.stderr)

    async def _handle(self, accepted: socket.socket) -> None:
        streams: list[Stream] = []
        protocol = asyncio.StreamReaderProtocol(
            asyncio.StreamReader(LIMIT), lambda reader, writer: streams.append((reader, writer)))
        with suppress(OSError, EOFError):
            await self._loop.connect_accepted_socket(lambda: protocol, accepted)
            reader, writer = streams[0]
            async with closing_stream(writer):
                await self._serve(reader, writer)


@asynccontextmanager
async def closing_stream(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    """Close a connection at the end of the block, once all is sent; if the block is cancelled, reset it."""
    try:
        yield
    except asyncio.CancelledError:
        reset(writer)
        raise
    finally:
        writer.close()
        try:
            # The timeout is an OSError too: TLS waits for a last message, which a client that is gone never sends.
            with suppress(OSError):
                async with asyncio.timeout(GRACE):
                    await writer.wait_closed()
        finally:
            writer.transport.abort()


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection at once; the peer sees a reset."""
    connected = writer.get_extra_info("socket")  # None for TLS whose connection is lost already
    if connected is not None:
        with suppress(OSError):
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
    writer.transport.abort()


async def first_of(*works: Coroutine[Any, Any, object]) -> None:
    """Wait until one of these is done, and cancel the others."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _cancel(tasks)


async def _cancel(tasks: Collection[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
