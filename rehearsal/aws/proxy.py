"""HTTP proxies in front of the emulator, one for each region and one outside, where calls fail and are recorded.

Code in a region calls AWS through the region's proxy, and clients call a region's API through it. The scope of a
call's signature says which region and service it is for; an unsigned call is a client's, for the region whose proxy it
uses. What a web page in a browser could send is refused. Each is also a forward proxy (`HTTP_PROXY`) for calls from its
region to another one's proxy; the proxy of `WORLD` is only that. Requests and answers pass byte for byte, except for
`Expect`, which the proxy answers itself, and a header that says that the connection is TLS, as it would be on AWS.
"""

import asyncio
import json
import re
import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4
from xml.sax.saxutils import escape

from contract import RECORD_KEY
from rehearsal.aws.faults import OUTSIDE, WORLD, ApiCall, Fault, Faults, InjectedFailure
from rehearsal.aws.ministack import from_a_page
from rehearsal.sockets import LIMIT, Listener, LoopClock, LoopThread, Stream, first_of, reset
from simulator.vocabulary import FailureMode

HANG = 30.0  # seconds of silence until a call that hangs is reset
FOLLOWED = ("CreateDBCluster", "ModifyDBCluster", "SwitchoverGlobalCluster", "FailoverGlobalCluster")
FORM = "application/x-www-form-urlencoded"
RECORD = "/_rehearsal/calls"  # GET from outside: the number of calls by caller, service and operation

_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/([^/]+)/([^/]+)/aws4_request")
_EMPTY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


@dataclass(frozen=True)
class RdsAction:
    """What RDS has done in a region with a cluster or a global database, and its parameters."""

    name: str
    region: str
    params: Mapping[str, str]


@dataclass(frozen=True)
class HttpMessage:
    """A request or an answer: first line, headers by lower-case names, and head and body as they are sent."""

    start: str
    headers: dict[str, str]
    head: bytes
    body: bytes = b""

    @classmethod
    async def read_head(cls, reader: asyncio.StreamReader) -> "HttpMessage":
        """Read a message without its body. Raises IncompleteReadError at the end of the connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        start, *lines = head.decode("latin-1").split("\r\n")[:-2]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return cls(start, headers, head)

    async def read_body(self, reader: asyncio.StreamReader, *, until_eof: bool = False) -> "HttpMessage":
        """The message with its body, as it is framed; with `until_eof`, one without a length ends with the stream."""
        if "chunked" in self.headers.get("transfer-encoding", ""):
            body = await _chunks(reader)
        elif "content-length" in self.headers:
            body = await reader.readexactly(int(self.headers["content-length"]))
        else:
            body = await reader.read() if until_eof else b""
        return replace(self, body=body)

    @property
    def status(self) -> int:
        """The status of an answer."""
        return int(self.start.split(" ")[1])

    @property
    def keeps_alive(self) -> bool:
        """Whether the connection may carry another message."""
        return "HTTP/1.1" in self.start and "close" not in self.headers.get("connection", "").lower()

    @cached_property
    def form(self) -> dict[str, str]:
        """The parameters of a request of AWS's query protocol."""
        if not self.headers.get("content-type", "").startswith(FORM):
            return {}
        return {key: values[0] for key, values in parse_qs(self.body.decode()).items()}


class AwsProxies:
    """The proxies, from `start` until `stop`. `calls` is the record of every call, oldest first.

    `followed` is called, on another thread, when the emulator has done one of `FOLLOWED`, before the caller gets the
    answer; an exception that it raises becomes that answer. `clock` times delays and calls that hang.
    """

    def __init__(self, upstream: str, regions: Sequence[str], faults: Faults,
                 followed: Callable[[RdsAction], None] = lambda _: None, clock: LoopClock | None = None) -> None:
        self.calls: list[ApiCall] = []
        self._upstream, self._faults, self._followed = urlsplit(upstream), faults, followed
        self._clock = clock or LoopClock()
        self._network: LoopThread | None = None
        self._sockets = {name: socket.create_server(("127.0.0.1", 0), backlog=1024)
                         for name in (*regions, OUTSIDE, WORLD)}
        self._names = {each.getsockname()[1]: name for name, each in self._sockets.items()}
        self._urls = {name: f"http://127.0.0.1:{port}" for port, name in self._names.items()}
        self._listeners: list[Listener] = []
        self._idle: list[Stream] = []
        self._under_way: dict[asyncio.StreamWriter, ApiCall] = {}
        faults.listen(self._reset_refused)

    def url(self, name: str) -> str:
        """The proxy of a region, of `OUTSIDE` or of `WORLD`."""
        return self._urls[name]

    def start(self) -> None:
        """Accept calls from now on."""
        async def listen() -> None:
            self._listeners = [Listener(each, partial(self._serve, name))
                               for name, each in self._sockets.items()]

        self._network = LoopThread("aws-proxies")
        self._network.call(listen())

    def stop(self) -> None:
        """End the proxies and every call under way; may be called at any time."""
        async def finish() -> None:
            for listener in self._listeners:
                await listener.close()
            for _, writer in self._idle:
                writer.transport.abort()

        if self._network:
            self._network.call(finish())
            self._network.close()
            self._network = None
        for each in self._sockets.values():
            each.close()

    def _reset_refused(self, _fault: Fault) -> None:
        """Reset the calls under way that are refused now; they continue in the emulator, unanswered."""
        async def work() -> None:
            for writer, call in self._under_way.items():
                if self._faults.refusal(call) is FailureMode.RESET:
                    reset(writer)

        if self._network:
            self._network.call(work())

    async def _serve(self, proxy: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(proxy, reader, writer):
                pass
        except (ValueError, asyncio.LimitOverrunError):
            pass  # not HTTP

    async def _exchange(self, proxy: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Pass one request on and its answer back. Returns whether the connection may carry another request."""
        request = await HttpMessage.read_head(reader)
        if "expect" in request.headers:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request = await request.read_body(reader)
        if from_a_page(request.headers):
            writer.write(_response(HTTPStatus.FORBIDDEN, "text/plain", "").head)
            return False
        if proxy == OUTSIDE and request.start.startswith(f"GET {RECORD} "):
            record = self._record()
            writer.write(record.head + record.body)
            return request.keeps_alive
        call = self._describe(proxy, request)
        call.port = writer.get_extra_info("peername")[1]
        self.calls.append(call)
        self._under_way[writer] = call
        try:
            answer = await self._answer(call, request)
            if answer is FailureMode.HANG:
                await first_of(reader.read(1), self._clock.sleep(HANG))  # the caller may be the first to give up
        finally:
            del self._under_way[writer]
        if isinstance(answer, FailureMode):
            reset(writer)
            return False
        writer.write(answer.head + answer.body)
        await writer.drain()
        return request.keeps_alive and answer.keeps_alive

    def _record(self) -> HttpMessage:
        counts = Counter((call.caller, call.service, call.operation) for call in self.calls)
        return _response(HTTPStatus.OK, "application/json", json.dumps(
            [{"caller": caller, "service": service, "operation": operation, "calls": number}
             for (caller, service, operation), number in counts.items()]))

    def _describe(self, proxy: str, request: HttpMessage) -> ApiCall:
        method, target, _ = request.start.split(" ")
        parts, headers = urlsplit(target), request.headers
        scope = _SCOPE.search(headers.get("authorization", ""))
        credential = parse_qs(parts.query).get("X-Amz-Credential") if "X-Amz-Credential" in parts.query else None
        if credential:  # presigned
            scope = _SCOPE.search(f"Credential={credential[0]}")
        if scope:
            caller, region, service = proxy, *scope.groups()
        else:
            service = "execute-api" if parts.path.startswith("/_aws/execute-api/") else ""
            caller, region = (proxy, self._names.get(parts.port or 0, "")) if parts.netloc else (OUTSIDE, proxy)
        operation = (headers.get("x-amz-target", "").rpartition(".")[2] or request.form.get("Action")
                     or f"{method} {parts.path}")
        if operation == "PutItem" and RECORD_KEY.encode() in request.body:
            operation = f"{operation} {RECORD_KEY}"
        return ApiCall(caller, "" if region == OUTSIDE else region, service, operation)

    async def _answer(self, call: ApiCall, request: HttpMessage) -> HttpMessage | FailureMode:
        """What the emulator answers, or an error; or how the call fails without an answer."""
        delay = self._faults.delay(call)
        if delay:
            await self._clock.sleep(delay)
        drawn = self._faults.draw(call)
        answer, mode = None, self._failure(call, drawn, done=False)
        if not mode:
            answer = await self._forward(request)
            if call.service == "rds" and call.operation in FOLLOWED and answer.status == HTTPStatus.OK:
                answer = await self._follow(call, request, answer)
            mode = self._failure(call, drawn, done=True)
        if mode in (FailureMode.RESET, FailureMode.HANG):
            return mode
        if mode or not answer:
            throttled = mode is FailureMode.THROTTLED
            answer = _error(call, request, "the rehearsal makes this call fail", throttled=throttled)
        call.status = answer.status
        return answer

    def _failure(self, call: ApiCall, drawn: InjectedFailure | None, *, done: bool) -> FailureMode | None:
        """How the call fails now: before it is `done`, or after that."""
        mode = self._faults.refusal(call) or (drawn.mode if drawn and drawn.late is done else None)
        return mode or (FailureMode.RESET if self._faults.intercept(call, done) else None)

    async def _follow(self, call: ApiCall, request: HttpMessage, answer: HttpMessage) -> HttpMessage:
        try:
            await asyncio.to_thread(self._followed, RdsAction(call.operation, call.region, request.form))
        except Exception as error:  # noqa: BLE001  # pylint: disable=broad-exception-caught
            return _error(call, request, f"{type(error).__name__}: {error}")
        return answer

    async def _forward(self, request: HttpMessage) -> HttpMessage:
        method, target, version = request.start.split(" ")
        head = request.head
        if not target.startswith("/"):  # as to a forward proxy
            parts = urlsplit(target)
            target = f"{parts.path or '/'}{parts.query and '?'}{parts.query}"
            head = f"{method} {target} {version}\r\n".encode("latin-1") + head.partition(b"\r\n")[2]
        head = head.replace(b"\r\n", b"\r\nX-Forwarded-Proto: https\r\n", 1)
        if "expect" in request.headers:
            head = re.sub(rb"(?i)\r\nexpect:[^\r]*", b"", head, count=1)
        reader, writer = await self._connection()
        reusable = False
        try:
            writer.write(head + request.body)
            answer = await HttpMessage.read_head(reader)
            while answer.status < HTTPStatus.OK:
                answer = await HttpMessage.read_head(reader)
            if method != "HEAD" and answer.status not in _EMPTY:
                answer = await answer.read_body(reader, until_eof=True)
            reusable = request.keeps_alive and answer.keeps_alive
        finally:
            if reusable:
                self._idle.append((reader, writer))
            else:
                writer.transport.abort()
        return answer

    async def _connection(self) -> Stream:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.transport.abort()
        return await asyncio.open_connection(self._upstream.hostname, self._upstream.port, limit=LIMIT)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """A chunked body with its framing."""
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


def _error(call: ApiCall, request: HttpMessage, why: str, *, throttled: bool = False) -> HttpMessage:
    """An error of the called service, in the form that its clients expect."""
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
    status = HTTPStatus.TOO_MANY_REQUESTS if throttled else status
    answer = _response(status, kind, text, f"x-amzn-errortype: {code}\r\n")
    return replace(answer, body=b"") if request.start.startswith("HEAD ") else answer


def _response(status: HTTPStatus, kind: str, text: str, headers: str = "") -> HttpMessage:
    body, start = text.encode(), f"HTTP/1.1 {status} {status.phrase}"
    head = f"{start}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return HttpMessage(start, {}, head.encode(), body)
