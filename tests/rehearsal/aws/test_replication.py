"""Control of the copies that lag."""

import json
import math
from typing import Any

import httpx
import pytest

from contract import Store
from rehearsal.aws.faults import Cut, CutConnection, Destroy, Faults, Heal, Lag, Lose, Slow
from rehearsal.aws.ministack import PATH, RECEIPTS, TABLE, CopyQueues
from rehearsal.aws.replication import ReplicationControl
from rehearsal.errors import NoAnswer

EAST, WEST = "us-east-1", "us-west-2"


class Emulator(httpx.MockTransport):
    """An emulator that only copies; `sent` has the settings that it was sent."""

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


def test_copies_follow_the_faults(emulator: Emulator) -> None:
    faults = Faults()
    ReplicationControl("http://emulator", faults, emulator)
    faults.inject(Cut(EAST))
    faults.inject(Lose(WEST, Store.RECEIPTS))
    faults.inject(Heal(EAST))
    faults.inject(CutConnection(EAST, WEST))
    lost = [[RECEIPTS, WEST]]
    assert emulator.sent == [
        {"cut": [EAST], "connection_cut": False, "lost": []}, {"cut": [EAST], "connection_cut": False, "lost": lost},
        {"cut": [], "connection_cut": False, "lost": lost}, {"cut": [], "connection_cut": True, "lost": lost}]


def test_the_lag_of_copies_and_a_destroyed_region_are_faults_too(emulator: Emulator) -> None:
    faults = Faults()
    copies = ReplicationControl("http://emulator", faults, emulator)
    faults.inject(Lag(Store.TABLE, EAST, WEST, 2, growth=0.5))
    faults.inject(Lag(Store.RECEIPTS, EAST, WEST, math.inf))
    faults.inject(Lag(Store.LEDGER, EAST, WEST, 3))
    faults.inject(Slow(EAST, 10))
    assert [each["lag"] for each in emulator.sent] == [
        {"store": TABLE, "source": EAST, "target": WEST, "seconds": 2, "growth": 0.5},
        {"store": RECEIPTS, "source": EAST, "target": WEST, "seconds": math.inf, "growth": 0}]
    emulator.queues.put(TABLE, EAST, WEST, "a", lambda: None)
    assert [queue["waiting"] for queue in copies.report()] == [[], ["a"]]
    faults.inject(Destroy(EAST))
    assert [queue["waiting"] for queue in copies.report()] == [[], []]


def test_an_emulator_that_does_not_answer_is_no_answer() -> None:
    def time_out(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("timed out", request=request)

    with pytest.raises(NoAnswer, match=f"^http://emulator{PATH}: ReadTimeout$"):
        ReplicationControl("http://emulator", Faults(), httpx.MockTransport(time_out)).report()
