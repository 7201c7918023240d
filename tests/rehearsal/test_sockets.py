"""The event loop and the listener of the proxies: no connection leaks, whenever it is dropped."""

import asyncio
import gc
import socket
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import closing
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rehearsal.polling import PATIENCE
from rehearsal.sockets import Listener, LoopThread, first_of, reset

STEPS = range(8)  # of the event loop; a connection is being served after three of them


@pytest.fixture
def leaks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[Any]]]:
    """Collects what was never closed."""
    found: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: found.append(unraisable.exc_value))

    def collected() -> list[Any]:
        gc.collect()
        return found

    gc.freeze()  # collecting what exists already would take long
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield collected
    gc.unfreeze()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve a connection."""
    while chunk := await reader.read(100):
        writer.write(chunk)


def listening() -> socket.socket:
    """A socket on a free port."""
    return socket.create_server(("127.0.0.1", 0))


def connected(to: socket.socket) -> socket.socket:
    """A client, which may wait to be accepted."""
    return socket.create_connection(to.getsockname(), PATIENCE)


def ended(client: socket.socket) -> bool:
    """Whether the other side ends the connection."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("steps", STEPS)
def test_a_connection_is_closed_with_its_listener_at_every_step(
    leaks: Callable[[], list[Any]], steps: int
) -> None:
    async def work() -> socket.socket:
        server = listening()
        client = connected(server)
        listener = Listener(server, echo)
        for _ in range(steps):
            await asyncio.sleep(0)
        await listener.close()
        return client

    with closing(asyncio.run(work())) as client:
        assert ended(client)
    assert leaks() == []


@pytest.mark.parametrize("steps", STEPS)
def test_a_loop_that_ends_closes_every_connection(leaks: Callable[[], list[Any]], steps: int) -> None:
    async def begin() -> None:
        Listener(server, echo)
        for _ in range(steps):
            await asyncio.sleep(0)

    thread, server = LoopThread("test"), listening()
    with closing(connected(server)) as client:
        thread.call(begin())
        thread.close()
        server.close()
        assert ended(client)
    assert leaks() == []


def test_a_dropped_connection_is_reset_and_the_next_one_is_served() -> None:
    thread, server = LoopThread("test"), listening()

    async def begin() -> Listener:
        return Listener(server, echo)

    listener = thread.call(begin())
    with closing(connected(server)) as client:
        client.sendall(b"1")
        assert client.recv(1) == b"1"
        thread.call(listener.drop())
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with closing(connected(server)) as client:
        client.sendall(b"2")
        assert client.recv(1) == b"2"
    thread.call(listener.close())
    thread.close()


@pytest.mark.parametrize(("fails", "error", "said"), [
    ("connect", ConnectionResetError(), ""), ("connect", RuntimeError("no loop"), "failed: RuntimeError('no loop')\n"),
    ("serve", OSError(), ""), ("serve", ValueError("not HTTP"), "a connection failed: ValueError('not HTTP')\n")])
def test_whatever_ends_a_connection_nothing_is_left_unretrieved(
        leaks: Callable[[], list[Any]], capsys: pytest.CaptureFixture[str], fails: str, error: Exception, said: str
) -> None:
    unretrieved: list[Any] = []

    async def fail(*_: object) -> None:
        raise error

    async def work() -> bool:
        loop, server = asyncio.get_running_loop(), listening()
        loop.set_exception_handler(lambda _, context: unretrieved.append(context))
        if fails == "connect":
            loop.connect_accepted_socket = fail  # type: ignore[assignment, method-assign]
        listener = Listener(server, echo if fails == "connect" else fail)
        with closing(connected(server)) as client:
            over = await asyncio.to_thread(ended, client)
        await listener.close()
        return over

    assert asyncio.run(work())
    assert leaks() == []
    assert unretrieved == []
    assert capsys.readouterr().err.endswith(said)


def test_all_that_was_sent_arrives_before_the_end() -> None:
    text = b"x" * 10_000_000

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text)

    async def begin() -> Listener:
        return Listener(server, talk)

    thread, server = LoopThread("test"), listening()
    listener = thread.call(begin())
    with closing(connected(server)) as client, client.makefile("rb") as stream:
        assert stream.read() == text
    thread.call(listener.close())
    thread.close()


def test_what_still_runs_ends_with_the_thread() -> None:
    thread = LoopThread("test")
    began = asyncio.run_coroutine_threadsafe(asyncio.Event().wait(), thread.call(_loop()))
    thread.close()
    with pytest.raises(CancelledError):
        began.result(PATIENCE)


def test_a_connection_that_is_lost_already_has_no_socket_to_reset() -> None:
    aborted: list[str] = []
    lost = SimpleNamespace(get_extra_info=lambda _: None, transport=SimpleNamespace(abort=lambda: aborted.append("it")))
    reset(cast("asyncio.StreamWriter", lost))
    assert aborted == ["it"]


async def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_the_first_of_several_ends_the_others() -> None:
    ended: list[str] = []

    async def wait_for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    asyncio.run(first_of(asyncio.sleep(0), wait_for_ever()))
    assert ended == ["cancelled"]
