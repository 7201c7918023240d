"""The HTTP client, against canned answers and against a real server."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from rehearsal.errors import NoAnswer
from rehearsal.workload.http import Answer, ApiClient
from tests.rehearsal.workload.api import InstantClock, Reply, api


class Handler(BaseHTTPRequestHandler):
    """Answers with the target of the request and the client's port."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # pylint: disable=invalid-name
        """Answer."""
        body = json.dumps({"target": self.path, "port": self.client_address[1]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # pylint: disable=redefined-builtin
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    """Where a server listens."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads = True
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


def test_a_request_has_the_key_and_the_answer_its_parts() -> None:
    asked: list[httpx.Request] = []
    clock = InstantClock()

    def answer(request: httpx.Request) -> Reply:
        asked.append(request)
        clock.sleep(0.25)
        return 201, {"ok": True}

    found = api(answer, clock=clock).pay({"payment_id": "a"})
    assert (found, found.seconds) == (Answer(201, {"ok": True}), 0.25)
    assert found.headers["content-type"] == found.headers["Content-Type"] == "application/json"
    request = asked[0]
    assert (request.method, str(request.url), json.loads(request.content)) == (
        "POST", "http://east/live/payment", {"payment_id": "a"})
    assert (request.headers["x-api-key"], request.headers["content-type"]) == ("k", "application/json")


@pytest.mark.parametrize(("key", "sent"), [(None, "k"), ("other", "other"), ("", None)])
def test_another_key_or_none_can_be_sent(key: str | None, sent: str | None) -> None:
    asked: list[str | None] = []

    def answer(request: httpx.Request) -> Reply:
        asked.append(request.headers.get("x-api-key"))
        return 403, "Forbidden"

    assert api(answer).get("/health", key=key) == Answer(403, "Forbidden")
    assert asked == [sent]


def test_a_body_may_be_empty() -> None:
    assert api(lambda _: (204, "")).get("/") == Answer(204, None)


def test_no_answer_is_one_exception_that_says_why() -> None:
    with pytest.raises(NoAnswer, match="GET http://east/live/payment/x: ReadError: connection reset"):
        api(lambda _: None).find("x")
    with pytest.raises(NoAnswer, match="ConnectError"):
        ApiClient(region="r", url="http://127.0.0.1:9").get("/")


def test_each_request_has_its_own_connection_unless_connections_are_kept(server: str) -> None:
    def ports(client: ApiClient) -> set[int]:
        with client:
            return {client.get("/").body["port"] for _ in range(3)}

    client = ApiClient(region="r", url=server)
    assert len(ports(client)) == 3
    assert len(ports(replace(client, keep_alive=True))) == 1


def test_requests_go_through_their_own_proxy_and_through_no_other(
        server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert ApiClient(region="r", url=server).get("/direct").body["target"] == "/direct"
    proxied = ApiClient(region="r", url="http://east.test/live", via=server).get("/health")
    assert proxied.body["target"] == "http://east.test/live/health"
