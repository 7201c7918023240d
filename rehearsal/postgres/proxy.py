"""Proxies for PostgreSQL's sockets: connections can be refused and cut, and a replication stream can be held up."""

import asyncio
import math
import socket
from collections import deque
from pathlib import Path

from rehearsal.errors import PostgresError
from rehearsal.sockets import Listener, LoopClock, LoopThread, closing_stream, first_of, reset

STOPPED = math.inf  # a delay that lasts until it is changed
CHUNK = 64 * 1024  # bytes
HELD = 32 * 1024 * 1024  # bytes held up on one connection, beyond which the sender waits
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

    def refuse(self, refusing: bool = True) -> None:
        """Take no more connections, or take them again; open ones are left alone."""
        self._refusing = refusing

    def cut(self) -> None:
        """Drop every connection with what it carries, and take no more until `refuse(False)`."""
        self._refusing = True
        self._network.call(self._listener.drop())

    def close(self) -> None:
        """End for good."""
        self._network.call(self._listener.close())

    async def admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        """What to send to the server first on behalf of a client; None if the client has been turned away."""
        del reader, writer
        return b""

    async def carry_down(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Carry what the server sends to the client, and its end."""
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
        except* (OSError, EOFError, PostgresError):
            pass  # either side may vanish at any moment; the other one learns it by the end of its connection


class ReplicationLink(SocketProxy):
    """The way from a standby to its writer. The log can be held up; what the two agree on before and between is not.

    PostgreSQL's own `recovery_min_apply_delay` is no substitute: a standby keeps what it has received when it is
    promoted, and Aurora loses what lags.
    """

    def __init__(self, network: LoopThread, upstream: Path, path: Path, clock: LoopClock) -> None:
        self._clock = clock
        self._delay = 0.0
        self._changed = asyncio.Event()
        super().__init__(network, upstream, path)

    def slow(self, seconds: float) -> None:
        """Hand everything on so many seconds after it came, also what is held up now."""
        async def change() -> None:
            self._delay = seconds
            self._changed.set()
            self._changed = asyncio.Event()

        self._network.call(change())

    async def carry_down(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Carry what the writer sends to the standby, late."""
        log = _HeldLog(self._clock)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(log.fill(source))
            tasks.create_task(self._empty(log, sink))

    async def _empty(self, log: "_HeldLog", sink: asyncio.StreamWriter) -> None:
        chunk = b"-"
        while chunk:
            arrived, chunk = await log.take()
            while arrived is not None and (left := arrived + self._delay - self._clock.time()) > 0:
                await first_of(self._changed.wait(), self._clock.sleep(left))
            log.release(len(chunk))
            sink.write(chunk)
            await sink.drain()
        sink.close()


class _HeldLog:
    """Chunks in order, each with the time when it came, or None if it goes on at once; an empty one marks the end."""

    def __init__(self, clock: LoopClock) -> None:
        self._clock = clock
        self._held: deque[tuple[float | None, bytes]] = deque()
        self._size = 0
        self._more, self._room = asyncio.Event(), asyncio.Event()

    async def fill(self, source: asyncio.StreamReader) -> None:
        """Take what comes, and its end."""
        chunk = b"-"
        while chunk:
            try:
                chunk = await source.read(CHUNK)
            except OSError:
                chunk = b""
            free = 0 if self._size else _before_the_log(chunk)
            if free:
                self._held.append((None, chunk[:free]))
            if free < len(chunk) or not chunk:
                self._held.append((self._clock.time(), chunk[free:]))
            self._size += len(chunk)
            self._more.set()
            while self._size > HELD:
                self._room.clear()
                await self._room.wait()

    async def take(self) -> tuple[float | None, bytes]:
        """The oldest chunk; it counts as held until it is released."""
        while not self._held:
            self._more.clear()
            await self._more.wait()
        return self._held.popleft()

    def release(self, size: int) -> None:
        """So many bytes are held no more."""
        self._size -= size
        self._room.set()


def _before_the_log(chunk: bytes) -> int:
    """How many bytes at the beginning of what comes after a silence are messages other than the log's."""
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
    path.chmod(0o666)  # the folder that it lies in says who may connect
    return listening
