"""The page is served to this machine alone, and never to the page of another site; its events follow the feed."""
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest

from recovery import web
from recovery.web import Feed, serving

TIMEOUT = 30.0


@pytest.fixture
def feed() -> Feed:
    """One with a first document."""
    found = Feed()
    found.publish('{"number": 1}')
    return found


@pytest.fixture
def address(feed: Feed) -> Iterator[str]:
    """Where it is served."""
    with serving(feed) as url:
        yield urlsplit(url).netloc


def get(address: str, path: str = "/", **headers: str) -> http.client.HTTPResponse:
    """The answer to a request."""
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT)
    connection.request("GET", path, headers=headers)
    return connection.getresponse()


def event(answer: http.client.HTTPResponse) -> Any:
    """The next event of a stream."""
    line = answer.readline()
    assert answer.readline() == b"\n"
    assert line.startswith(b"data: ")
    return json.loads(line.removeprefix(b"data: "))


def test_the_page_is_one_file_that_loads_nothing_from_elsewhere(address: str) -> None:
    answer = get(address)
    assert (answer.status, answer.getheader("Content-Type")) == (200, "text/html; charset=utf-8")
    policy = answer.getheader("Content-Security-Policy") or ""
    assert policy.startswith("default-src 'none'; connect-src 'self'; ")
    text = answer.read().decode()
    assert text == web.PAGE.read_text(encoding="utf-8")
    assert [word for word in ("http:", "https:", "@import", "innerHTML", "src=") if word in text] == []


@pytest.mark.parametrize("headers", [
    {"Host": "evil.example"}, {"Host": "127.0.0.1.evil.example:80"}, {"Host": ""}, {"Host": "10.0.0.1"},
    {"Host": "localhost", "Origin": "http://evil.example"}, {"Origin": "null"}])
@pytest.mark.parametrize("path", ["/", "/events", "/other"])
def test_what_another_site_may_have_sent_is_refused(address: str, path: str, headers: dict[str, str]) -> None:
    answer = get(address, path, **headers)
    assert (answer.status, answer.read()) == (403, b"")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8080", "LOCALHOST"])
def test_a_name_of_this_machine_is_accepted(address: str, host: str) -> None:
    assert get(address, Host=host).status == 200


def test_what_does_not_exist_is_not_found_and_nothing_can_be_sent(address: str) -> None:
    assert get(address, "/etc/passwd").status == 404
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT)
    connection.request("POST", "/", body="x")
    assert connection.getresponse().status == 501


def test_it_listens_on_the_loopback_address_alone(address: str) -> None:
    assert address.startswith("127.0.0.1:")
    with pytest.raises(OSError, match="in use"), serving(Feed(), int(address.rpartition(":")[2])):
        raise AssertionError


def test_every_reader_gets_the_newest_document_and_then_each_new_one(feed: Feed, address: str) -> None:
    first, second = get(address, "/events"), get(address, "/events")
    assert first.getheader("Content-Type") == "text/event-stream"
    assert event(first) == event(second) == {"number": 1}
    feed.publish('{"number": 2}')
    assert event(first) == event(second) == {"number": 2}


def test_a_reader_that_waits_too_long_gets_the_same_again_until_it_is_gone(feed: Feed) -> None:
    assert feed.after(1, 0.0) == (1, '{"number": 1}')
    assert feed.after(0, 0.0) == (1, '{"number": 1}')


def test_an_interrupt_ends_what_serves(feed: Feed) -> None:
    before = {*threading.enumerate()}
    with suppress(KeyboardInterrupt), serving(feed):
        (thread,) = {*threading.enumerate()} - before
        raise KeyboardInterrupt
    thread.join(TIMEOUT)
    assert not thread.is_alive()
