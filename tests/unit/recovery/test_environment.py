"""What recovery takes from outside: clients, HTTP and threads.

Tests wait for events, PATIENCE at most, and never for a while.
"""
import math
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Barrier, Event, Thread, current_thread
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import HTTPClientError

from payments.clock import SYSTEM
from recovery.environment import Background, BotoClients, Environment, HttpReply, send, system_environment
from tests.unit.payments.fakes import still_runtime

PATIENCE = 30.0  # seconds, reached only on failure


def test_the_machines_own_environment() -> None:
    clients = BotoClients()
    found = system_environment(clients, {"NAME_SERVERS": "192.0.2.1 192.0.2.2:53"})
    assert (found.clients, found.http, found.clock, type(found.background)) == (clients, send, SYSTEM, Background)
    assert found.runtime is system_environment(clients, {}).runtime
    assert found.verdict.keywords == {"servers": ["192.0.2.1", "192.0.2.2:53"]}  # type: ignore[attr-defined]


def test_an_id_is_random_and_the_runtimes() -> None:
    first, second = (Environment(clients=BotoClients(), http=send, background=Background(), runtime=still_runtime(),
                                 verdict=str) for _ in range(2))
    assert first.new_id() == second.new_id() != first.new_id()
    assert re.fullmatch("[0-9a-f]{32}", first.new_id())


# --- boto3's clients

@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the machine's."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")


@pytest.mark.usefixtures("credentials")
def test_a_client_is_made_once_for_a_region_and_a_time() -> None:
    clients = BotoClients()
    client = clients("sns", "us-west-2")
    assert clients("sns", "us-west-2", 5.0) is client
    assert clients("sns", "us-west-2", 900.0) is not client
    assert clients("sns", "us-east-1").meta.region_name == "us-east-1"
    assert (client.meta.config.connect_timeout, client.meta.config.read_timeout) == (2, 5)
    assert clients("sns", "us-west-2", 900.0).meta.config.read_timeout == 900


def test_each_region_assumes_a_role_at_its_own_sts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config"
    config.write_text("[profile base]\naws_access_key_id = key\naws_secret_access_key = secret\n"
                      "[default]\nrole_arn = arn:aws:iam::123456789012:role/recovery\nsource_profile = base\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    asked = []

    def refuse(_session: object, request: Any) -> None:
        asked.append(urlsplit(request.url).hostname)
        raise HTTPClientError(error="dead")
    monkeypatch.setattr("botocore.httpsession.URLLib3Session.send", refuse)
    clients = BotoClients()
    both = [clients("sns", region) for region in ("us-east-1", "us-west-2")]
    for client in reversed(both):
        with pytest.raises(HTTPClientError):
            client.list_topics()
    assert asked == ["sts.us-west-2.amazonaws.com", "sts.us-east-1.amazonaws.com"]


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(("service", "attempts"), [("sns", 3), ("dynamodb", 1), ("lambda", 1)])
def test_botocore_does_not_repeat_what_others_repeat(service: str, attempts: int) -> None:
    client = BotoClients()(service, "us-west-2")
    assert client.meta.config.retries == {"mode": "standard", "total_max_attempts": attempts}


@pytest.mark.usefixtures("credentials")
def test_a_client_can_be_had_that_repeats_nothing() -> None:
    clients = BotoClients()
    assert clients("rds", "us-west-2", once=True).meta.config.retries["total_max_attempts"] == 1
    assert clients("rds", "us-west-2").meta.config.retries["total_max_attempts"] == 3


@pytest.mark.usefixtures("credentials")
def test_buckets_are_reached_through_their_regional_endpoint() -> None:
    assert BotoClients()("s3", "us-east-1").meta.endpoint_url == "https://s3.us-east-1.amazonaws.com"


# --- HTTP requests, of a server on loopback: whatever happens, there is a reply

class Server:
    """Answers each connection with `answer`, and closes it."""

    def __init__(self) -> None:
        self.answer, self.requests = b"", list[bytes]()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/x"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with connection:
                    connection.settimeout(PATIENCE)
                    request = connection.recv(65536)
                    while b"Content-Length: 2" in request and not request.endswith(b"{}"):
                        request += connection.recv(65536)
                    self.requests.append(request)
                    connection.sendall(self.answer)

    def close(self) -> None:
        """End it."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(PATIENCE)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server."""
    found = Server()
    yield found
    found.close()


@pytest.mark.parametrize(("answer", "reply"), [
    (b"HTTP/1.1 201 Created\r\nX-Region: west\r\nContent-Length: 2\r\n\r\n{}", HttpReply(201, b"{}")),
    (b"HTTP/1.1 503 no\r\nX-Region: west\r\nContent-Length: 4\r\n\r\nbusy", HttpReply(503, b"busy")),
    (b"HTTP/1.1 200 OK\r\nX-Region: west\r\nContent-Length: 9\r\n\r\n{}", HttpReply(200, why="IncompleteRead")),
    (b"HTTP/1.1 500 no\r\nX-Region: west\r\nContent-Length: 9\r\n\r\n{}", HttpReply(500, why="IncompleteRead")),
])
def test_an_answer_is_a_reply_also_if_its_body_breaks_off(server: Server, answer: bytes, reply: HttpReply) -> None:
    server.answer = answer
    found = send("GET", server.url, PATIENCE)
    assert (found.status, found.body, found.why) == (reply.status, reply.body, reply.why)
    assert found.headers["X-Region"] == "west"


@pytest.mark.parametrize(("answer", "why"), [(b"", "RemoteDisconnected"), (b"nonsense\r\n\r\n", "BadStatusLine")])
def test_no_answer_is_a_reply_too(server: Server, answer: bytes, why: str) -> None:
    server.answer = answer
    assert send("GET", server.url, PATIENCE) == HttpReply(0, why=why)


def test_a_server_that_is_not_there() -> None:
    with socket.socket() as bound:  # nobody else can listen there meanwhile
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        assert send("GET", url, PATIENCE) == HttpReply(0, why="ConnectionRefusedError")
    assert send("GET", "http:///x", PATIENCE) == HttpReply(0, why="no host given")


def test_method_headers_and_body_are_sent(server: Server) -> None:
    server.answer = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
    send("POST", server.url, PATIENCE, headers={"x-api-key": "secret"}, body=b"{}")
    (request,) = server.requests
    assert request.startswith(b"POST /x HTTP/1.1\r\n")
    assert b"\r\nx-api-key: secret\r\n" in request.lower()
    assert request.endswith(b"\r\n\r\n{}")


# --- Work on threads

def test_a_task_is_repeated_by_all_workers_until_the_block_ends() -> None:
    done, workers = SimpleQueue[Thread](), set[Thread]()
    with Background().every(0.001, lambda: done.put(current_thread()), workers=2):
        while len(workers) < 2:
            workers.add(done.get(timeout=PATIENCE))
        for _ in range(10):
            done.get(timeout=PATIENCE)
    assert not any(worker.is_alive() for worker in workers)


def test_the_end_of_the_block_waits_for_a_task_under_way() -> None:
    begun, leaving, done = Event(), Event(), Event()

    def task() -> None:
        begun.set()
        assert leaving.wait(PATIENCE)
        done.set()

    with Background().every(0.001, task):
        assert begun.wait(PATIENCE)
        leaving.set()
    assert done.is_set()


def test_answers_may_be_waited_for_without_an_end() -> None:
    assert Background().gather({"a": lambda: 1}, math.inf) == {"a": 1}


def test_questions_are_asked_at_the_same_time() -> None:
    together = Barrier(2, timeout=PATIENCE)
    answers = Background().gather({"a": together.wait, "b": together.wait}, PATIENCE)
    assert (set(answers), sorted(answers.values())) == ({"a", "b"}, [0, 1])


def test_an_answer_that_is_late_is_left_out() -> None:
    never = Event()
    try:
        assert Background().gather({"a": lambda: 1, "b": never.wait}, 0).keys() <= {"a"}
    finally:
        never.set()


def test_what_a_question_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        Background().gather({"a": lambda: 1 / 0}, PATIENCE)


def test_a_lock_is_held_by_one() -> None:
    lock, free = Background().lock(), Event()

    def enter() -> None:
        with lock:
            assert free.is_set()

    with lock:
        other = Thread(target=enter)
        other.start()
        free.set()
    other.join(PATIENCE)
    assert not other.is_alive()
