"""HTTP requests, of a server on loopback: whatever happens, there is a reply."""
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from recovery.http import HttpReply, send

PATIENCE = 30.0  # seconds, reached only on failure


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
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert send("GET", f"http://127.0.0.1:{port}", PATIENCE) == HttpReply(0, why="ConnectionRefusedError")
    assert send("GET", "http:///x", PATIENCE) == HttpReply(0, why="no host given")


def test_method_headers_and_body_are_sent(server: Server) -> None:
    server.answer = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
    send("POST", server.url, PATIENCE, headers={"x-api-key": "secret"}, body=b"{}")
    (request,) = server.requests
    assert request.startswith(b"POST /x HTTP/1.1\r\n")
    assert b"\r\nx-api-key: secret\r\n" in request.lower()
    assert request.endswith(b"\r\n\r\n{}")
