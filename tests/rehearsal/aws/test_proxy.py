"""The HTTP proxies, in front of a server that stands in for the emulator."""

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from rehearsal.aws.faults import OUTSIDE, WORLD, ApiCall, Cut, Fail, Faults, Heal, Lose, Slow
from rehearsal.aws.proxy import FORM, HANG, AwsProxies, RdsAction
from rehearsal.polling import PATIENCE
from simulator.vocabulary import FailureMode
from tests.rehearsal.manual_clock import ManualClock

EAST, WEST = "us-east-1", "us-west-2"
FAILED_OVER = {"Action": "FailoverGlobalCluster", "TargetDbClusterIdentifier": "arn:aws:rds:us-west-2:0:cluster:c"}
FAILOVER = "Action=FailoverGlobalCluster&TargetDbClusterIdentifier=arn%3Aaws%3Ards%3Aus-west-2%3A0%3Acluster%3Ac"


class Upstream(ThreadingHTTPServer):
    """Stands in for the emulator: records each request, and answers with its body."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        self.connections = 0
        self.received = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore connections that a proxy has ended."""


class Handler(BaseHTTPRequestHandler):
    """One connection of an upstream."""

    protocol_version = "HTTP/1.1"
    server: Upstream

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # pylint: disable=redefined-builtin
        pass

    def answer(self) -> None:
        """Record the request, and answer as its own headers say."""
        chunked = self.headers.get("Transfer-Encoding") == "chunked"
        body = self.read_chunks() if chunked else self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((f"{self.command} {self.path}", dict(self.headers), body))
        self.server.received.set()
        self.server.go_on.wait(PATIENCE)
        self.send_response(int(self.headers.get("x-status", 200)))
        self.send_header("x-upstream", "yes")
        if self.headers.get("x-chunked"):
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"3;e=1\r\nabc\r\n2\r\nde\r\n0\r\nx-trailer: 1\r\n\r\n")
            return
        if self.headers.get("x-status") != "204":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def read_chunks(self) -> bytes:
        """A chunked body with its framing."""
        found = b""
        while not found.endswith(b"0\r\n\r\n"):
            found += self.rfile.readline()
        return found

    do_GET = do_POST = do_PUT = do_HEAD = answer  # noqa: N815


@dataclass
class Rig:
    """Proxies of two regions in front of an upstream."""

    upstream: Upstream
    faults: Faults
    proxies: AwsProxies
    actions: list[RdsAction]
    clock: ManualClock

    def connect(self, name: str = EAST) -> http.client.HTTPConnection:
        """A connection to a proxy."""
        return http.client.HTTPConnection(self.proxies.url(name).removeprefix("http://"), timeout=PATIENCE)

    def send(self, name: str = EAST, *, method: str = "POST", path: str = "/", body: bytes | str = b"",
             **headers: str) -> tuple[int, bytes]:
        """Status and body of the answer to one request on a connection of its own."""
        with closing(self.connect(name)) as connection:
            connection.request(method, path, body, {key.replace("_", "-"): value for key, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read()


def signed(region: str = EAST, service: str = "dynamodb") -> str:
    """An Authorization as AWS's clients send it."""
    return f"AWS4-HMAC-SHA256 Credential=test/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0"


@contextmanager
def rigged(followed: Callable[[RdsAction], None] | None = None) -> Iterator[Rig]:
    """The proxies, started."""
    upstream, faults, actions, clock = Upstream(), Faults(), list[RdsAction](), ManualClock()
    thread = threading.Thread(target=upstream.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    proxies = AwsProxies(
        f"http://127.0.0.1:{upstream.server_port}", [EAST, WEST], faults, followed or actions.append, clock)
    proxies.start()
    try:
        yield Rig(upstream, faults, proxies, actions, clock)
    finally:
        proxies.stop()
        upstream.go_on.set()
        upstream.shutdown()
        thread.join()
        upstream.server_close()


@pytest.fixture
def rig() -> Iterator[Rig]:
    """The proxies, started."""
    with rigged() as rig:
        yield rig


@contextmanager
def sending(rig: Rig, **call: Any) -> Iterator[Future[tuple[int, bytes]]]:
    """A call on another thread."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(rig.send, **call)


@contextmanager
def under_way(rig: Rig, **call: Any) -> Iterator[Future[tuple[int, bytes]]]:
    """A call that the upstream has received and not answered; it answers when the block ends."""
    rig.upstream.go_on.clear()
    with sending(rig, **call) as sent:
        assert rig.upstream.received.wait(PATIENCE)
        yield sent
        rig.upstream.go_on.set()


def test_bodies_and_headers_pass_unchanged(rig: Rig) -> None:
    body = bytes(range(256)) * 4096
    assert rig.send(body=body, path="/a%20b?c=d%2F", x_amz_meta="ä") == (200, body)
    start, headers, seen = rig.upstream.seen[0]
    assert (start, seen, headers["x-amz-meta"]) == ("POST /a%20b?c=d%2F", body, "ä")
    assert headers["Host"] == rig.proxies.url(EAST).removeprefix("http://")


def test_what_a_policy_sees_is_tls(rig: Rig) -> None:
    rig.send()
    assert rig.upstream.seen[0][1]["X-Forwarded-Proto"] == "https"


@pytest.mark.parametrize("sent", [{"Origin": "http://127.0.0.1:3000"}, {"Host": "attacker.example"}])
def test_what_a_web_page_could_send_is_refused(rig: Rig, sent: dict[str, str]) -> None:
    for name in (EAST, OUTSIDE):
        assert rig.send(name, **sent) == (403, b"")
    assert (rig.upstream.seen, rig.proxies.calls) == ([], [])
    assert rig.send(Host="localhost:4566")[0] == 200


def test_a_chunked_body_keeps_its_framing_both_ways(rig: Rig) -> None:
    frame = b"5;chunk-signature=0\r\nhello\r\n0;chunk-signature=1\r\n\r\n"
    with socket.create_connection(("127.0.0.1", rig.connect().port)) as client:
        client.sendall(b"PUT / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nx-chunked: 1\r\n"
                       b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        answer = client.makefile("rb").read()
    assert rig.upstream.seen[0][2] == b"5\r\nhello\r\n0\r\n\r\n"
    assert answer.endswith(b"3;e=1\r\nabc\r\n2\r\nde\r\n0\r\nx-trailer: 1\r\n\r\n")
    assert rig.send(body=frame, Content_Encoding="aws-chunked") == (200, frame)


def test_the_proxy_answers_an_expect_header_itself(rig: Rig) -> None:
    with socket.create_connection(("127.0.0.1", rig.connect().port)) as client:
        client.sendall(b"PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n")
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"ok")
        assert client.makefile("rb").read().endswith(b"\r\n\r\nok")
    assert "Expect" not in rig.upstream.seen[0][1]


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304), ("GET", 404)])
def test_connections_are_kept_on_both_sides(rig: Rig, method: str, status: int) -> None:
    with closing(rig.connect()) as connection:
        for _ in range(3):
            connection.request(method, "/", headers={"x-status": str(status)})
            answer = connection.getresponse()
            assert (answer.status, answer.read(), answer.headers["x-upstream"]) == (status, b"", "yes")
    rig.send()
    assert rig.upstream.connections == 1


def test_each_call_is_recorded_with_caller_region_service_and_operation(rig: Rig) -> None:
    rig.send(EAST, Authorization=signed(WEST), X_Amz_Target="DynamoDB_20120810.GetItem")
    rig.send(OUTSIDE, Authorization=signed(EAST, "s3"), method="PUT", path="/bucket/key?x=1")
    rig.send(WEST, Authorization=signed(WEST, "rds"), body="Action=DescribeDBClusters", Content_Type=FORM)
    rig.send(WEST, path="/_aws/execute-api/a/live/payment")
    rig.send(EAST, method="GET", path="/k?X-Amz-Credential=test%2F20260101%2Fus-west-2%2Fs3%2Faws4_request")
    rig.send(EAST, method="GET", path=f"{rig.proxies.url(WEST)}/_aws/execute-api/a/live/health")
    rig.send(OUTSIDE, method="GET", path="/_ministack/health")
    assert [(call.caller, call.region, call.service, call.operation) for call in rig.proxies.calls] == [
        (EAST, WEST, "dynamodb", "GetItem"), (OUTSIDE, EAST, "s3", "PUT /bucket/key"),
        (WEST, WEST, "rds", "DescribeDBClusters"),
        (OUTSIDE, WEST, "execute-api", "POST /_aws/execute-api/a/live/payment"),
        (EAST, WEST, "s3", "GET /k"), (EAST, WEST, "execute-api", "GET /_aws/execute-api/a/live/health"),
        (OUTSIDE, "", "", "GET /_ministack/health")]
    assert {call.status for call in rig.proxies.calls} == {200}
    assert rig.upstream.seen[5][0] == "GET /_aws/execute-api/a/live/health"


def test_a_cut_resets_calls_and_records_them_without_an_answer(rig: Rig) -> None:
    rig.faults.inject(Cut(EAST))
    with pytest.raises(ConnectionResetError):
        rig.send(WEST, Authorization=signed(EAST))
    assert (rig.upstream.seen, rig.proxies.calls[0].status) == ([], 0)
    assert rig.send(WEST, Authorization=signed(WEST))[0] == 200
    rig.faults.inject(Heal(EAST))
    assert rig.send(WEST, Authorization=signed(EAST))[0] == 200


def test_a_region_that_lives_on_behind_a_cut_is_dead_to_the_world(rig: Rig) -> None:
    rig.faults.inject(Cut(EAST, inside=True))
    path = "/_aws/execute-api/a/live/health"
    assert rig.send(OUTSIDE, method="GET", path=rig.proxies.url(EAST) + path) == (200, b"")
    with pytest.raises(ConnectionError):
        rig.send(WORLD, method="GET", path=rig.proxies.url(EAST) + path)
    assert [(call.caller, call.region, call.operation) for call in rig.proxies.calls] == [
        (caller, EAST, f"GET {path}") for caller in (OUTSIDE, WORLD)]


def test_a_cut_resets_calls_under_way_though_the_emulator_completes_them(rig: Rig) -> None:
    with under_way(rig, Authorization=signed()) as sent:
        rig.faults.inject(Cut(EAST))
        assert isinstance(sent.exception(PATIENCE), ConnectionResetError)
    assert len(rig.upstream.seen) == 1


def test_a_call_that_hangs_is_silent_until_it_is_reset(rig: Rig) -> None:
    rig.faults.inject(Cut(EAST, FailureMode.HANG))
    with sending(rig) as sent:
        assert rig.clock.wait_for_sleeper() == HANG
        rig.clock.advance(HANG - 1)
        assert not sent.done()
        rig.clock.advance(1)
        assert isinstance(sent.exception(PATIENCE), ConnectionResetError)


def test_a_caller_may_be_the_first_to_give_up_a_call_that_hangs(rig: Rig) -> None:
    rig.faults.inject(Cut(EAST, FailureMode.HANG))
    with closing(rig.connect()) as connection:
        connection.request("GET", "/")
        rig.clock.wait_for_sleeper()
    rig.faults.inject(Heal(EAST))
    assert rig.send()[0] == 200


def test_an_answer_that_a_cut_overtakes_hangs_too(rig: Rig) -> None:
    with under_way(rig) as sent:
        rig.faults.inject(Cut(EAST, FailureMode.HANG))
        rig.upstream.go_on.set()
        rig.clock.wait_for_sleeper()
        rig.clock.advance(HANG)
        assert isinstance(sent.exception(PATIENCE), ConnectionResetError)


def test_a_call_waits_as_long_as_its_regions_are_slow(rig: Rig) -> None:
    rig.faults.inject(Slow(EAST, 60))
    rig.faults.inject(Slow(WEST, 20))
    with sending(rig, Authorization=signed(WEST)) as sent:
        assert rig.clock.wait_for_sleeper() == 0.08
        assert rig.upstream.seen == []
        rig.clock.advance(0.08)
        assert sent.result(PATIENCE)[0] == 200


def test_a_call_is_cut_while_it_waits(rig: Rig) -> None:
    rig.faults.inject(Slow(EAST, 60))
    with sending(rig) as sent:
        rig.clock.wait_for_sleeper()
        rig.faults.inject(Cut(EAST))
        assert isinstance(sent.exception(PATIENCE), ConnectionResetError)
    assert rig.upstream.seen == []


@pytest.mark.parametrize(("service", "headers", "expected"), [
    ("dynamodb", {"X_Amz_Target": "DynamoDB_20120810.GetItem"}, b'{"__type": "InternalServerError"'),
    ("s3", {}, b"<Error><Code>InternalError</Code>"),
    ("rds", {"Content_Type": FORM}, b"<ErrorResponse><Error><Type>Receiver</Type><Code>InternalFailure</Code>"),
])
def test_a_lost_store_answers_errors_in_its_own_form(rig: Rig, service: str, headers: dict[str, str],
                                                     expected: bytes) -> None:
    rig.faults.inject(Lose(EAST, service))
    status, body = rig.send(Authorization=signed(EAST, service), **headers)
    assert (status, body[:len(expected)], rig.proxies.calls[0].status) == (500, expected, 500)
    assert rig.send(method="HEAD", Authorization=signed(EAST, service)) == (500, b"")
    assert rig.send(Authorization=signed(WEST, service))[0] == 200


def test_an_api_without_its_function_is_a_bad_gateway(rig: Rig) -> None:
    rig.faults.inject(Lose(EAST, "function"))
    assert rig.send(path="/_aws/execute-api/a/live/payment")[0] == 502


def test_failures_come_before_the_call_is_done_or_after_it(rig: Rig) -> None:
    rig.faults.inject(Fail(EAST, 1))
    outcomes = set()
    for _ in range(60):
        done = len(rig.upstream.seen)
        try:
            answer = rig.send()[0]
        except ConnectionResetError:
            answer = 0
        outcomes.add((answer, len(rig.upstream.seen) - done))
    assert outcomes == {(0, 0), (0, 1), (500, 0), (500, 1)}


def test_a_failover_of_the_database_is_reported_before_it_is_answered(rig: Rig) -> None:
    rig.send(Authorization=signed(WEST, "rds"), body=FAILOVER, Content_Type=f"{FORM}; charset=utf-8")
    assert rig.actions == [RdsAction("FailoverGlobalCluster", WEST, FAILED_OVER)]


def test_only_a_failover_that_succeeds_is_reported(rig: Rig) -> None:
    rig.send(Authorization=signed(WEST, "rds"), body=FAILOVER, Content_Type=FORM, x_status="400")
    rig.send(Authorization=signed(WEST, "rds"), body="Action=DescribeGlobalClusters", Content_Type=FORM)
    assert rig.actions == []


def test_what_the_follower_raises_becomes_its_answer() -> None:
    def followed(_action: RdsAction) -> None:
        raise RuntimeError("no <standby>")

    with rigged(followed) as rig:
        status, body = rig.send(WEST, Authorization=signed(WEST, "rds"), body=FAILOVER, Content_Type=FORM)
    assert status == 500
    assert b"<Message>RuntimeError: no &lt;standby&gt;</Message>" in body


@pytest.mark.parametrize("late", [False, True])
def test_an_intercepted_call_gets_no_answer_whether_it_is_done_or_not(rig: Rig, late: bool) -> None:
    asked: list[tuple[str, bool]] = []

    def intercept(call: ApiCall, done: bool) -> bool:
        asked.append((call.operation, done))
        return call.caller == EAST and done is late

    rig.faults.intercept = intercept
    with pytest.raises(ConnectionResetError):
        rig.send(EAST, Authorization=signed(EAST), X_Amz_Target="DynamoDB_20120810.UpdateItem")
    assert rig.proxies.calls[0].status == 0
    assert len(rig.upstream.seen) == late
    assert asked == [("UpdateItem", False), ("UpdateItem", True)][:1 + late]
    assert rig.send(WEST, Authorization=signed(WEST))[0] == 200


def test_only_a_call_that_gets_through_is_intercepted(rig: Rig) -> None:
    asked: list[ApiCall] = []

    def intercept(call: ApiCall, _done: bool) -> bool:
        asked.append(call)
        return False

    rig.faults.intercept = intercept
    rig.faults.inject(Cut(EAST))
    with pytest.raises(ConnectionResetError):
        rig.send(EAST)
    assert asked == []


def test_a_failover_has_all_its_effects_before_its_answer_is_intercepted(rig: Rig) -> None:
    moves: list[int] = []

    def intercept(_call: ApiCall, done: bool) -> bool:
        moves.append(len(rig.actions))
        return done

    rig.faults.intercept = intercept
    with pytest.raises(ConnectionResetError):
        rig.send(WEST, Authorization=signed(WEST, "rds"), body=FAILOVER, Content_Type=FORM)
    assert moves == [0, 1]


def test_many_clients_at_once_get_their_own_answers(rig: Rig) -> None:
    def ask(number: int) -> bool:
        return rig.send(body=f"{number}" * 100) == (200, f"{number}".encode() * 100)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(200)))


def test_an_upstream_that_is_gone_ends_the_connection(rig: Rig) -> None:
    rig.upstream.server_close()
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        rig.send()


def test_proxies_stop_with_calls_under_way_or_without_a_start(rig: Rig) -> None:
    with under_way(rig) as sent:
        rig.proxies.stop()
        assert sent.exception(PATIENCE)
    AwsProxies("http://127.0.0.1:9", [EAST], Faults()).stop()


def test_what_is_not_http_ends_the_connection(rig: Rig) -> None:
    with socket.create_connection(("127.0.0.1", rig.connect().port), PATIENCE) as client:
        client.sendall(b"GET\r\n\r\n")
        assert client.recv(1) == b""
    assert rig.send()[0] == 200
