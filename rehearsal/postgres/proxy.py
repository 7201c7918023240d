"""Proxies for PostgreSQL's sockets: connections can be refused and cut, and a replication stream can be held up."""

import asyncio
import math
import socket
from collections import deque
from pathlib import Path

from rehearsal.errors import RehearsalError
from rehearsal.sockets import Listener, LoopClock, LoopThread, closing_stream, first_of, reset

STOPPED = math.inf  # a delay that lasts until it is changed
CHUNK = 64 * 1024  # bytes
COPY_DATA = b"d"  # the type of the messages in which the log comes


class SocketProxy:
    """A listening socket, on a free loopback port or at `path`, with a PostgreSQL server's socket behind it."""

    def __init__(self, network: LoopThread, upstream: Path, path: Path | None = None) -> None:
        self.upstream = upstream
        self._network = network
        self._refusing = False
        listening = _listen(path) if path else socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = 0 if path else int(listening.getsockname()[1])
        self._listener = network.call(self._start(listening))

    def cut(self) -> None:
        """Reset every connection, and accept none until `heal`."""
        self._refusing = True
        self._network.call(self._listener.drop())

    def heal(self) -> None:
        """Accept connections again."""
        self._refusing = False

    def close(self) -> None:
        """Close for good."""
        self._network.call(self._listener.close())

    async def admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        """What to send to the server first on behalf of a client; None if the client has been turned away."""
        del reader, writer
        return b""

    async def carry_down(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Pass what the server sends on to the client, and close the connection with the server's."""
        await _carry(source, sink)

    async def _start(self, listening: socket.socket) -> Listener:
        return Listener(listening, self._serve)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            reset(writer)
            return
        try:
            opening = await self.admit(reader, writer)
            if opening is None:
                return
            below, above = await asyncio.open_unix_connection(self.upstream)
            async with closing_stream(above):
                above.write(opening)
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(_carry(reader, above))
                    tasks.create_task(self.carry_down(below, writer))
        except* (OSError, EOFError, RehearsalError):
            pass  # either side may vanish at any moment; then the other side's connection ends


class ReplicationLink(SocketProxy):
    """The connection of a standby to its writer. The log can be held up; other messages pass at once.

    PostgreSQL's own `recovery_min_apply_delay` is no substitute: a standby keeps what it has received when it is
    promoted, and Aurora loses what lags.
    """

    def __init__(self, network: LoopThread, upstream: Path, path: Path, clock: LoopClock) -> None:
        self._clock = clock
        self._delay = 0.0
        self._changed = asyncio.Event()
        super().__init__(network, upstream, path)

    def slow(self, seconds: float) -> None:
        """Pass the log on so many seconds after it came, including what is held up now."""
        async def change() -> None:
            self._delay = seconds
            self._changed.set()
            self._changed = asyncio.Event()

        self._network.call(change())

    async def carry_down(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Pass what the writer sends on to the standby, delayed."""
        # Each chunk with the time when it came, or None if it goes on at once; an empty one marks the end. All of it
        # is in memory: the log of a rehearsal is small.
        held, more = deque[tuple[float | None, bytes]](), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hold(source, held, more))
            tasks.create_task(self._release(held, more, sink))

    async def _hold(self, source: asyncio.StreamReader, held: deque[tuple[float | None, bytes]],
                    more: asyncio.Event) -> None:
        chunk = b"-"
        while chunk:
            try:
                chunk = await source.read(CHUNK)
            except OSError:
                chunk = b""
            free = 0 if held else _before_the_log(chunk)
            if free:
                held.append((None, chunk[:free]))
            if free < len(chunk) or not chunk:
                held.append((self._clock.time(), chunk[free:]))
            more.set()

    async def _release(self, held: deque[tuple[float | None, bytes]], more: asyncio.Event,
                       sink: asyncio.StreamWriter) -> None:
        chunk = b"-"
        while chunk:
            while not held:
                more.clear()
                await more.wait()
            arrived, chunk = held[0]  # it stays there until it is sent
            while arrived is not None and (left := arrived + self._delay - self._clock.time()) > 0:
                await first_of(self._changed.wait(), self._clock.sleep(left))
            sink.write(chunk)
            await sink.drain()
            held.popleft()
        sink.close()


def _before_the_log(chunk: bytes) -> int:
    """How many bytes at the start of a chunk, which starts with a message, are messages other than the log's."""
    end = 0
    while end < len(chunk) and chunk[end:end + 1] != COPY_DATA:
        end += 1 + int.from_bytes(chunk[end + 1:end + 5])
    return min(end, len(chunk))


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while chunk := await source.read(CHUNK):
        sink.write(chunk)
        await sink.drain()
    sink.close()


def _listen(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()
    path.chmod(0o666)  # the permissions of its folder decide who may connect
    return listening
