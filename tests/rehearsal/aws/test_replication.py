"""The client of the copies that lag."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from rehearsal.aws.faults import Faults
from rehearsal.aws.ministack import PATH, STOPPED, TABLE, CopyQueues
from rehearsal.aws.replication import ReplicationControl

EAST, WEST = "us-east-1", "us-west-2"


class Emulator(HTTPServer):
    """Keeps the settings that it is sent, and takes them over."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.sent: list[Any] = []
        self.queues = CopyQueues()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Emulator

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # pylint: disable=redefined-builtin
        pass

    def take_over(self) -> None:
        """Take over settings."""
        assert self.path == PATH
        self.server.sent.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.server.queues.change(self.server.sent[-1])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(self.server.queues.report()).encode())

    do_POST = take_over  # noqa: N815


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An emulator that does nothing but copy."""
    with Emulator() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_settings_arrive_and_the_report_comes_back(emulator: Emulator) -> None:
    copies = ReplicationControl(f"http://127.0.0.1:{emulator.server_port}", Faults())
    copies.lag(TABLE, EAST, WEST, STOPPED)
    emulator.queues.put(TABLE, EAST, WEST, "a", lambda: True)
    copies.round_trip(60)
    assert emulator.queues.round_trip == 0.06
    assert [(queue["source"], queue["seconds"], queue["waiting"]) for queue in copies.report()] == [
        (EAST, STOPPED.seconds, ["a"])]
    assert [queue["lost"] for queue in copies.destroy(EAST)] == [["a"]]


def test_copies_follow_the_switches(emulator: Emulator) -> None:
    faults = Faults()
    ReplicationControl(f"http://127.0.0.1:{emulator.server_port}", faults)
    faults.cut(EAST)
    faults.lose(WEST, "receipts")
    faults.heal(EAST)
    assert emulator.sent == [{"cut": [EAST], "lost": []}, {"cut": [EAST], "lost": [["receipts", WEST]]},
                             {"cut": [], "lost": [["receipts", WEST]]}]
