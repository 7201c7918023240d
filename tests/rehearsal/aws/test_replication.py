"""The client of the copies that lag."""

import json
from typing import Any

import httpx
import pytest

from contract import Store
from rehearsal.aws.faults import Faults
from rehearsal.aws.ministack import PATH, RECEIPTS, STOPPED, TABLE, CopyLag, CopyQueues
from rehearsal.aws.replication import ReplicationControl

EAST, WEST = "us-east-1", "us-west-2"


class Emulator(httpx.MockTransport):
    """An emulator that does nothing but copy; `sent` has the settings that it was sent."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.sent: list[dict[str, Any]] = []
        self.queues = CopyQueues()

    def _answer(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path == PATH
        self.sent.append(json.loads(request.content))
        self.queues.change(self.sent[-1])
        return httpx.Response(200, content=json.dumps(self.queues.report()))


@pytest.fixture
def emulator() -> Emulator:
    """An emulator that was sent nothing."""
    return Emulator()


def test_settings_arrive_and_the_report_comes_back(emulator: Emulator) -> None:
    copies = ReplicationControl("http://emulator", Faults(), emulator)
    copies.lag(TABLE, EAST, WEST, STOPPED)
    emulator.queues.put(TABLE, EAST, WEST, "a", lambda: True)
    assert [(queue["source"], queue["seconds"], queue["waiting"]) for queue in copies.report()] == [
        (EAST, STOPPED.seconds, ["a"])]
    assert [queue["lost"] for queue in copies.destroy(EAST)] == [["a"]]


def test_copies_follow_the_faults(emulator: Emulator) -> None:
    faults = Faults()
    ReplicationControl("http://emulator", faults, emulator)
    faults.cut(EAST)
    faults.lose(WEST, Store.RECEIPTS)
    faults.heal(EAST)
    assert emulator.sent == [{"cut": [EAST], "lost": []}, {"cut": [EAST], "lost": [[RECEIPTS, WEST]]},
                             {"cut": [], "lost": [[RECEIPTS, WEST]]}]


def test_the_lag_of_copies_and_a_destroyed_region_are_faults_too(emulator: Emulator) -> None:
    faults = Faults()
    copies = ReplicationControl("http://emulator", faults, emulator)
    faults.lag(Store.TABLE, EAST, WEST, 2, growth=0.5)
    faults.lag(Store.RECEIPTS, EAST, WEST, STOPPED.seconds)
    faults.lag(Store.LEDGER, EAST, WEST, 3)
    faults.slow(EAST, 10)
    assert [(queue["store"], CopyLag(queue["seconds"], queue["growth"])) for queue in copies.report()] == [
        (RECEIPTS, STOPPED), (TABLE, CopyLag(2, 0.5))]
    emulator.queues.put(TABLE, EAST, WEST, "a", lambda: True)
    faults.destroy(EAST)
    assert [queue["lost"] for queue in copies.report()] == [[], ["a"]]
