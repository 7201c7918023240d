"""Bytes carried between clients and a server's socket, which can be held up, refused and cut while they flow."""

import asyncio
import math
import socket
import struct
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from rehearsal.postgres.process_group import PostgresError

T = TypeVar("T")
Way = tuple[asyncio.StreamReader, asyncio.StreamWriter]  # from one to the other

STOPPED = math.inf  # a delay that lasts until it is changed
CHUNK = 64 * 1024  # bytes
HELD = 32 * 1024 * 1024  # bytes on their way in one direction, beyond which the sender waits
COPY_DATA = b"d"  # the type of the messages in which the log comes
GRACE = 1.0  # seconds for a client to take notice of the end
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing throws away what is unsent, and the peer sees a reset


class ProxyLoop:
    """The thread in which every relay of a pair lives."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="database-network", daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something there, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """End the thread; its relays have been closed before."""
        async def finish() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.get_running_loop().shutdown_default_executor()
        self.call(finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass
class ConnectionCounts:
    """Connections of a relay: those that it passed on, those that it did not, and those that are open now."""

    passed: int = 0
    refused: int = 0
    open: int = 0


class SocketProxy:
    """A listening socket, on a free loopback port or at a path, with a PostgreSQL server's socket behind it."""

    def __init__(self, network: ProxyLoop, upstream: Path, path: Path | None = None) -> None:
        self.upstream = upstream
        self.counts = ConnectionCounts()
        self._network = network
        self._to_server = self._to_client = 0.0
        self._refusing = False
        self._connections: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._listener = network.call(
            asyncio.start_unix_server(self._accept, path) if path else
            asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=1024))
        self.port = 0 if path else int(self._listener.sockets[0].getsockname()[1])
        if path:
            path.chmod(0o666)  # the folder that it lies in says who may

    def slow(self, *, to_server: float = 0.0, to_client: float = 0.0) -> None:
        """Hand everything on so many seconds after it came, what is on its way already included."""
        self._to_server, self._to_client = to_server, to_client
        self._network.call(self._wake())

    def refuse(self, refusing: bool = True) -> None:
        """Take no further connections, or do again; those that are open live on."""
        self._refusing = refusing

    def cut(self) -> None:
        """Drop every connection with what is on its way, and take no further ones until `refuse(False)`."""
        self._refusing = True
        self._network.call(self._drop())

    def close(self) -> None:
        """End for good."""
        async def work() -> None:
            self._listener.close()
            await self._drop()
            await self._listener.wait_closed()
        self._network.call(work())

    # --- For those that do more than carry

    async def admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        """What to say to the server first on behalf of a client; None if the client has been turned away."""
        del reader, writer
        return b""

    def exempt(self, chunk: bytes) -> int:
        """How many bytes at the beginning of what comes first, or after a silence, are not held up."""
        del chunk
        return 0

    async def pause(self) -> None:
        """Wait as long as a question and its answer would be on their way."""
        await self._due(asyncio.get_running_loop().time(), lambda: self._to_server + self._to_client)

    # --- Within

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            self.counts.refused += 1
            _reset(writer)
            return
        self.counts.open += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        try:
            opening = await self.admit(reader, writer)
            if opening is None:
                self.counts.refused += 1
            else:
                below, above = await asyncio.open_unix_connection(self.upstream)
                ends.append(above)
                above.write(opening)
                self.counts.passed += 1
                await self._carry((reader, above), (below, writer))
        except* (OSError, EOFError, PostgresError):
            pass  # either side may vanish at any moment; the other one learns it by the end of its connection
        except* asyncio.CancelledError:
            for end in ends:
                _reset(end)
        finally:
            self.counts.open -= 1
            await asyncio.gather(*map(_close, ends))

    async def _carry(self, up: Way, down: Way) -> None:
        async with asyncio.TaskGroup() as tasks:
            for (source, sink), delay in ((up, lambda: self._to_server), (down, lambda: self._to_client)):
                lane = _Lane()
                tasks.create_task(lane.fill(source, self.exempt))
                tasks.create_task(lane.empty(sink, partial(self._due, delay=delay)))

    async def _due(self, arrived: float, delay: Callable[[], float]) -> None:
        clock = asyncio.get_running_loop().time
        while (left := arrived + delay() - clock()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), None if left == STOPPED else left)

    async def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _drop(self) -> None:
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Lane:
    """One direction of a connection: chunks in order, each with the time when it came, None if it goes on at once."""

    def __init__(self) -> None:
        self._held: deque[tuple[float | None, bytes]] = deque()
        self._size = 0
        self._more, self._room = asyncio.Event(), asyncio.Event()

    async def fill(self, source: asyncio.StreamReader, exempt: Callable[[bytes], int]) -> None:
        """Take what comes, and its end."""
        chunk = b"-"
        while chunk:
            try:
                chunk = await source.read(CHUNK)
            except OSError:
                chunk = b""
            free = 0 if self._size else exempt(chunk)
            if free:
                self._held.append((None, chunk[:free]))
            if free < len(chunk) or not chunk:
                self._held.append((asyncio.get_running_loop().time(), chunk[free:]))
            self._size += len(chunk)
            self._more.set()
            while self._size > HELD:
                self._room.clear()
                await self._room.wait()

    async def empty(self, sink: asyncio.StreamWriter, due: Callable[[float], Awaitable[None]]) -> None:
        """Hand each chunk on when it is due; the end too."""
        chunk = b"-"
        while chunk:
            while not self._held:
                self._more.clear()
                await self._more.wait()
            arrived, chunk = self._held.popleft()
            if arrived is not None:
                await due(arrived)
            self._size -= len(chunk)
            self._room.set()
            sink.write(chunk)
            await sink.drain()
        sink.close()


class ReplicationLink(SocketProxy):
    """The way from a standby to its writer: the log is held up, what the two agree on before and between is not."""

    def exempt(self, chunk: bytes) -> int:
        """All messages before the first one of the log."""
        end = 0
        while end < len(chunk) and chunk[end:end + 1] != COPY_DATA:
            end += 1 + int.from_bytes(chunk[end + 1:end + 5])
        return min(end, len(chunk))


def _reset(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        await asyncio.wait_for(writer.wait_closed(), GRACE)
    except OSError:  # a timeout too: TLS waits for a farewell, which a client that is gone never says
        writer.transport.abort()
