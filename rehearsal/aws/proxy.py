"""HTTP relays in front of the emulator, one a region and one outside: where calls are cut, slowed, failed and recorded.

What runs in a region calls AWS through the region's relay, and clients call a region's API through it. Whom a call is
for is read from the scope of its signature; an unsigned one is a client's, for the region whose relay it uses. As an
HTTP proxy (`HTTP_PROXY`) a relay also takes calls from its region to another relay; that of `WORLD` takes only such.
Requests and answers pass as they are, byte for byte but for `Expect`, which the relay answers itself.
"""

import asyncio
import json
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4
from xml.sax.saxutils import escape

from rehearsal.aws.faults import OUTSIDE, WORLD, ApiCall, FailureMode, Faults, InjectedFailure

T = TypeVar("T")
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]

HANG = 30.0  # seconds of silence until a call that hangs is reset
LIMIT = 1 << 20  # bytes of a head, or of a chunk's frame
MOVES = ("SwitchoverGlobalCluster", "FailoverGlobalCluster")
FORM = "application/x-www-form-urlencoded"
RECORD = "/_rehearsal/calls"  # GET from outside: how often who has called what

_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/([^/]+)/([^/]+)/aws4_request")
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s
_EMPTY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


@dataclass(frozen=True)
class WriterMove:
    """A move of a global database's writer that the emulator has done: what was called, and with which parameters."""

    action: str
    global_cluster: str
    target: str
    allow_data_loss: bool


@dataclass(frozen=True)
class HttpMessage:
    """A request or an answer: first line, header by lower-case names, and all of it as it is sent."""

    start: str
    headers: dict[str, str]
    head: bytes
    body: bytes = b""

    @classmethod
    async def read_head(cls, reader: asyncio.StreamReader) -> "HttpMessage":
        """Raises IncompleteReadError at the end of the connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        start, *lines = head.decode("latin-1").split("\r\n")[:-2]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return cls(start, headers, head)

    async def read_body(self, reader: asyncio.StreamReader, *, endless: bool = False) -> "HttpMessage":
        """The message with its body, framed as it came; `endless` if one without a length ends with the connection."""
        if "chunked" in self.headers.get("transfer-encoding", ""):
            body = await _chunks(reader)
        elif "content-length" in self.headers:
            body = await reader.readexactly(int(self.headers["content-length"]))
        else:
            body = await reader.read() if endless else b""
        return HttpMessage(self.start, self.headers, self.head, body)

    @property
    def lasting(self) -> bool:
        """Whether the connection is good for another message."""
        return "HTTP/1.1" in self.start and "close" not in self.headers.get("connection", "").lower()

    @cached_property
    def form(self) -> dict[str, str]:
        """The parameters of a request of AWS's query protocol."""
        if not self.headers.get("content-type", "").startswith(FORM):
            return {}
        return {key: values[0] for key, values in parse_qs(self.body.decode()).items()}


class CallRefused(Exception):
    """The call fails, in this manner."""

    def __init__(self, manner: FailureMode) -> None:
        super().__init__(manner)
        self.manner = manner


class AwsProxies:
    """The relays, all on one thread, from `start` until `stop`. `calls` is the record of every call, oldest first.

    `moved` is called, on another thread, when the emulator has moved a global database's writer, before its caller gets
    the answer; what it raises becomes that answer. `trap` is asked of each call before it is done, and again when it
    is: if it says so, the caller gets no answer.
    """

    def __init__(self, upstream: str, regions: Sequence[str], faults: Faults,
                 moved: Callable[[WriterMove], None] = lambda _: None) -> None:
        self.calls: list[ApiCall] = []
        self.trap: Callable[[ApiCall, bool], bool] = lambda _call, _done: False
        self._upstream, self._faults, self._moved = urlsplit(upstream), faults, moved
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relays", daemon=True)
        self._sockets = {name: _listening() for name in (*regions, OUTSIDE, WORLD)}
        self._names = {each.getsockname()[1]: name for name, each in self._sockets.items()}
        self._idle: list[Stream] = []
        self._under_way: dict[asyncio.StreamWriter, ApiCall] = {}
        self._serving: set[asyncio.Task[None] | None] = set()
        faults.listen(self._reset_cut)

    def url(self, name: str) -> str:
        """The relay of a region, of `OUTSIDE` or of `WORLD`."""
        return f"http://127.0.0.1:{self._sockets[name].getsockname()[1]}"

    def start(self) -> None:
        """Relay from now on."""
        self._thread.start()
        for name, each in self._sockets.items():
            self._do(self._listen(name, each))

    def stop(self) -> None:
        """End the relays and every call under way; may be called at any time."""
        if self._thread.is_alive():
            self._do(self._cancel())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        for each in self._sockets.values():
            each.close()
        self._loop.close()

    async def _listen(self, name: str, listening: socket.socket) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            self._serving.add(task)  # the loop holds tasks only weakly, and a cut may take the connection that holds it
            with suppress(OSError, EOFError, ValueError, asyncio.LimitOverrunError, asyncio.CancelledError):
                while await self._exchange(name, reader, writer):
                    pass
            self._serving.discard(task)
            writer.close()

        await asyncio.start_server(serve, sock=listening, limit=LIMIT)

    async def _cancel(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _, writer in self._idle:
            writer.close()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _reset_cut(self) -> None:
        """Reset the calls under way that a change of the switches has cut; they go on in the emulator, unanswered."""
        done: Future[None] = Future()

        def reset() -> None:
            for writer, call in self._under_way.items():
                if self._faults.refusal(call) is FailureMode.RESET:
                    _reset(writer)
            done.set_result(None)

        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(reset)
            done.result()

    async def _exchange(self, relay: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Pass one request on and its answer back; whether the connection is good for another."""
        request = await HttpMessage.read_head(reader)
        if "expect" in request.headers:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request = await request.read_body(reader)
        if relay == OUTSIDE and request.start.startswith(f"GET {RECORD} "):
            writer.write(self._record())
            return request.lasting
        call = self._describe(relay, request)
        self.calls.append(call)
        self._under_way[writer] = call
        try:
            answer = await self._answer(call, request)
        except CallRefused as refused:
            if refused.manner is FailureMode.HANG:
                with suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1), HANG)  # the end of it, if the caller is the first to give up
            _reset(writer)
            return False
        finally:
            del self._under_way[writer]
        writer.write(answer.head + answer.body)
        await writer.drain()
        return request.lasting and answer.lasting

    def _record(self) -> bytes:
        counts = Counter((call.caller, call.service, call.operation) for call in self.calls)
        body = json.dumps([{"caller": caller, "service": service, "operation": operation, "calls": number}
                           for (caller, service, operation), number in counts.items()]).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    def _describe(self, relay: str, request: HttpMessage) -> ApiCall:
        method, target, _ = request.start.split(" ")
        parts, headers = urlsplit(target), request.headers
        scope = _SCOPE.search(headers.get("authorization", ""))
        credential = parse_qs(parts.query).get("X-Amz-Credential") if "X-Amz-Credential" in parts.query else None
        if credential:  # presigned
            scope = _SCOPE.search(f"Credential={credential[0]}")
        if scope:
            caller, region, service = relay, *scope.groups()
        else:
            service = "execute-api" if parts.path.startswith("/_aws/execute-api/") else ""
            caller, region = (relay, self._names.get(parts.port or 0, "")) if parts.netloc else (OUTSIDE, relay)
        operation = (headers.get("x-amz-target", "").rpartition(".")[2] or request.form.get("Action")
                     or f"{method} {parts.path}")
        return ApiCall(caller, "" if region == OUTSIDE else region, service, operation)

    async def _answer(self, call: ApiCall, request: HttpMessage) -> HttpMessage:
        """What the emulator answers, or an error. Raises Refused if there is to be no answer."""
        delay = self._faults.delay(call)
        if delay:
            await asyncio.sleep(delay)
        failure = self._faults.draw(call)
        try:
            self._check(call, failure, late=False)
            self._spring(call, done=False)
            answer = await self._forward(request)
            if call.service == "rds" and call.operation in MOVES and answer.start.split(" ")[1] == "200":
                answer = await self._move(call, request, answer)
            self._spring(call, done=True)
            self._check(call, failure, late=True)
        except CallRefused as refused:
            if refused.manner is not FailureMode.ERROR:
                raise
            answer = _error(call, request, "the rehearsal lets this call fail")
        call.status = int(answer.start.split(" ")[1])
        return answer

    def _spring(self, call: ApiCall, *, done: bool) -> None:
        if self.trap(call, done):
            raise CallRefused(FailureMode.RESET)

    def _check(self, call: ApiCall, failure: InjectedFailure | None, *, late: bool) -> None:
        manner = self._faults.refusal(call) or (failure.manner if failure and failure.late is late else None)
        if manner:
            raise CallRefused(manner)

    async def _move(self, call: ApiCall, request: HttpMessage, answer: HttpMessage) -> HttpMessage:
        form = request.form
        move = WriterMove(call.operation, form.get("GlobalClusterIdentifier", ""), form.get("TargetDbClusterIdentifier", ""),
                    form.get("AllowDataLoss", "").lower() == "true")
        try:
            await asyncio.to_thread(self._moved, move)
        except Exception as error:  # noqa: BLE001  # pylint: disable=broad-exception-caught
            return _error(call, request, f"{type(error).__name__}: {error}")
        return answer

    async def _forward(self, request: HttpMessage) -> HttpMessage:
        method, target, version = request.start.split(" ")
        head = request.head
        if not target.startswith("/"):  # as to a proxy
            parts = urlsplit(target)
            target = f"{parts.path or '/'}{parts.query and '?'}{parts.query}"
            head = f"{method} {target} {version}\r\n".encode("latin-1") + head.partition(b"\r\n")[2]
        if "expect" in request.headers:
            head = re.sub(rb"(?i)\r\nexpect:[^\r]*", b"", head, count=1)
        reader, writer = await self._connection()
        try:
            writer.write(head + request.body)
            answer = await HttpMessage.read_head(reader)
            while answer.start.split(" ")[1].startswith("1"):
                answer = await HttpMessage.read_head(reader)
            if method != "HEAD" and int(answer.start.split(" ")[1]) not in _EMPTY:
                answer = await answer.read_body(reader, endless=True)
        except BaseException:
            writer.close()
            raise
        if request.lasting and answer.lasting:
            self._idle.append((reader, writer))
        else:
            writer.close()
        return answer

    async def _connection(self) -> Stream:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return await asyncio.open_connection(self._upstream.hostname, self._upstream.port, limit=LIMIT)


def _listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0), backlog=1024)


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """A chunked body with its frame."""
    found = []
    while True:
        frame = await reader.readuntil(b"\r\n")
        found.append(frame)
        size = int(frame.partition(b";")[0], 16)
        if not size:
            break
        found.append(await reader.readexactly(size + 2))
    while found[-1] != b"\r\n":  # trailers
        found.append(await reader.readuntil(b"\r\n"))
    return b"".join(found)


def _error(call: ApiCall, request: HttpMessage, why: str) -> HttpMessage:
    """An error of the service that is called, in the form that its clients expect."""
    kind, code = "application/json", "InternalServerError"
    if call.service == "s3":
        kind, text = "application/xml", f"<Error><Code>InternalError</Code><Message>{escape(why)}</Message></Error>"
    elif request.headers.get("content-type", "").startswith(FORM):
        kind = "text/xml"
        text = (f"<ErrorResponse><Error><Type>Receiver</Type><Code>InternalFailure</Code><Message>{escape(why)}"
                f"</Message></Error><RequestId>{uuid4()}</RequestId></ErrorResponse>")
    else:
        text = json.dumps({"__type": code, "message": why})
    status = HTTPStatus.BAD_GATEWAY if call.service == "execute-api" else HTTPStatus.INTERNAL_SERVER_ERROR
    body = text.encode()
    start = f"HTTP/1.1 {status} {status.phrase}"
    head = f"{start}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nx-amzn-errortype: {code}\r\n\r\n"
    return HttpMessage(start, {}, head.encode(), b"" if request.start.startswith("HEAD ") else body)
