"""Two regions, replication lag, crashes, network cuts and failovers in any order: each accepted payment is kept, once.

The table is a quorum (`strong`), or has a replica in each region and the last write wins (`eventual`). The ledger has
one writer, and a standby with a prefix of its commits. Receipts are replicated both ways, with any lag.
"""
from collections import deque
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from contract import RECORD_KEY
from payments.deadline import Deadline
from payments.leadership import LEASE, Lease
from payments.payment import parse_receipt
from tests.unit.payments.fakes import FIELDS, RECEIPTS, Crash, Fault, Region, client_error

NAMES = ("us-east-1", "us-west-2")
NO_QUORUM = dict.fromkeys(
    ("PutItem", "UpdateItem", "GetItem", "BatchGetItem", "Scan"), client_error("InternalServerError", 500))
sides = st.sampled_from([0, 1])
ids = st.sampled_from(["a", "b", "c", "d"])
crashes = st.builds(lambda number, done: [*[None] * number, Fault(Crash(), done)], st.integers(0, 7), st.booleans())


class Frozen(Lease):
    """A lease that never ends."""

    known = 0

    def epoch(self, deadline: Deadline) -> int:
        """The epoch of its last read."""
        del deadline
        return self.known


class TwoRegions(RuleBasedStateMachine):
    """The model. Regions are 0 and 1; `cut` is the one that is cut off."""

    strong = True

    def __init__(self) -> None:
        super().__init__()
        self.regions = [Region(name) for name in NAMES]
        self.cut: int | None = None
        self.writer = 0  # the region of the ledger's writer
        self.acknowledged: dict[str, set[str]] = {}  # payments answered with 201: fingerprints by payment id
        self.at_risk: set[str] = set()  # acknowledged ids that only one region had, which was then lost
        self.moment = 0
        self.stamps: list[dict[str, int]] = [{}, {}]
        self.items: list[deque[tuple[int, str, Any]]] = [deque(), deque()]  # not yet replicated from a region
        self.objects: list[deque[tuple[tuple[str, str], bytes]]] = [deque(), deque()]
        for side, region in enumerate(self.regions):
            region.dynamodb.items = self.regions[0].dynamodb.items if self.strong else dict(
                self.regions[0].dynamodb.items)
            region.dynamodb.copy = partial(self._item_written, side)
            region.s3.copy = partial(self._object_written, side)
        self.regions[1].lease.drop()
        self.regions[1].postgres.read_only = True

    # --- Replication

    def _item_written(self, side: int, key: str, item: Any) -> None:
        if not self.strong:
            self.moment += 1
            self.stamps[side][key] = self.moment
            self.items[side].append((self.moment, key, item))

    def _object_written(self, side: int, place: tuple[str, str], body: bytes) -> None:
        self.objects[side].append((place, body))

    def _flow(self, side: int, number: int) -> None:
        """Replicate from a region: the first `number` of the waiting items, objects and commits."""
        source, other = self.regions[side], self.regions[1 - side]
        for _ in range(min(number, len(self.items[side]))):
            moment, key, item = self.items[side].popleft()
            if moment > self.stamps[1 - side].get(key, 0):
                self.stamps[1 - side][key] = moment
                other.dynamodb.items[key] = item
        for _ in range(min(number, len(self.objects[side]))):
            place, body = self.objects[side].popleft()
            other.s3.objects.setdefault(place, []).append(body)
        if side == self.writer and other.postgres.read_only:
            for values in source.postgres.commits[(have := len(other.postgres.commits)):have + number]:
                other.postgres.commit(values)

    def _rejoin(self, side: int) -> None:
        """Make a region's database a standby of the writer, with exactly the writer's contents."""
        postgres, writer = self.regions[side].postgres, self.regions[self.writer].postgres
        postgres.postings, postgres.commits, postgres.epoch = dict(writer.postings), list(writer.commits), writer.epoch
        postgres.read_only = True

    def _time_passes(self) -> None:
        for region in self.regions:
            region.clock.now += LEASE

    @property
    def _epoch(self) -> int:
        return max(int(region.dynamodb.items[RECORD_KEY]["epoch"]["N"]) for region in self.regions)

    # --- What happens

    @initialize(eager=st.booleans())
    def begin(self, *, eager: bool) -> None:
        """Some histories begin with a payment that both regions have."""
        if eager:
            self.pay(0, "a")
            self._flow(0, 10)

    @rule(side=sides, payment_id=ids, other=st.booleans())
    def pay(self, side: int, payment_id: str, *, other: bool = False) -> None:
        """A request, a repeat, or (if strong) another request for the same id."""
        amount = 1 if other and self.strong else 2
        status, body = self.regions[side].pay({**FIELDS, "payment_id": payment_id, "amount": amount})
        assert status in (201, 409, 503)
        if status == 201:
            assert body["status"] == "settled"
            self.acknowledged.setdefault(payment_id, set()).add(
                self.regions[side].dynamodb.items[payment_id]["fingerprint"]["S"])

    @rule(side=sides, payment_id=ids, faults=crashes)
    def crash(self, side: int, payment_id: str, faults: list[Fault | None]) -> None:
        """A request during which the function crashes, between any two of its calls."""
        region = self.regions[side]
        region.network.faults = faults
        with suppress(Crash):
            self.pay(side, payment_id)
        region.network.faults = []

    @rule(side=sides, payment_id=ids)
    def stale(self, side: int, payment_id: str) -> None:
        """A former leader was paused, and now continues with its old epoch."""
        region, well = self.regions[side], self.regions[side].api
        if self.writer == side or self._epoch == 1:
            return
        before = dict(self.regions[self.writer].postgres.postings)
        frozen = Frozen(region.leadership, region.name, region.clock)
        frozen.known = self._epoch - 1
        region.api = replace(well, service=replace(region.service, lease=frozen))
        count = len(self.acknowledged.get(payment_id, ()))
        known = region.dynamodb.items.get(payment_id, {}).get("status") == {"S": "SETTLED"}
        self.pay(side, payment_id)
        region.api = well
        if self.strong:
            assert known or len(self.acknowledged.get(payment_id, ())) == count
        assert self.regions[self.writer].postgres.postings == before

    @rule(side=sides, number=st.integers(1, 4))
    def flow(self, side: int, number: int) -> None:
        """Some replication happens."""
        if self.cut is None:
            self._flow(side, number)

    @rule()
    def time_passes(self) -> None:
        """All leases end."""
        self._time_passes()

    @precondition(lambda self: self.cut is None)
    @rule(side=sides)
    def cut_off(self, side: int) -> None:
        """A region is cut off from the other, and from the quorum."""
        self.cut = side
        self.regions[side].network.failing = NO_QUORUM if self.strong else {}

    @rule(to=sides)
    def fail_over(self, to: int) -> None:
        """Take leadership, wait for the old lease to end, then move the ledger's writer."""
        if to in (self.cut, self.writer):
            return
        old = self.writer
        region = self.regions[to]
        region.take_leadership()
        self._time_passes()
        self.writer = to
        region.postgres.read_only = False
        if self.cut is None:
            self._rejoin(old)

    @precondition(lambda self: self.cut is not None)
    @rule()
    def heal(self) -> None:
        """The region is back; if its database still is a writer, it becomes a standby."""
        assert self.cut is not None
        self.regions[self.cut].network.failing = {}
        if self.cut != self.writer:
            self._rejoin(self.cut)
        self.cut = None

    @precondition(lambda self: self.cut is not None and self.cut != self.writer)
    @rule()
    def lose_what_was_cut_off(self) -> None:
        """The region is lost for good, with all that was not replicated, and is rebuilt from the other."""
        assert self.cut is not None
        side, other = self.cut, 1 - self.cut
        lost, kept = self.regions[side], self.regions[other]
        behind = {key for _, key, _ in self.items[side]} | {
            key.removeprefix("receipts/").removesuffix(".json") for (_, key), _ in self.objects[side]} | (
                lost.postgres.postings.keys() - kept.postgres.postings.keys())
        self.at_risk |= behind & self.acknowledged.keys()
        if not self.strong:
            lost.dynamodb.items.clear()
            lost.dynamodb.items.update(kept.dynamodb.items)
            self.stamps[side] = dict(self.stamps[other])
        lost.s3.objects = {place: list(versions) for place, versions in kept.s3.objects.items()}
        for queue in (self.items[side], self.objects[side], self.items[other], self.objects[other]):
            queue.clear()
        self.heal()

    @precondition(lambda self: self.cut is None)
    @rule(payment_ids=st.lists(ids, max_size=2))
    def disaster(self, payment_ids: list[str]) -> None:
        """The writer's region is cut off while it accepts payments, and never comes back."""
        side = self.writer
        self.cut_off(side)
        for payment_id in payment_ids:
            self.pay(side, payment_id)
        self.fail_over(1 - side)
        self.lose_what_was_cut_off()

    @rule(side=sides, calls=st.integers(0, 12))
    def reconcile(self, side: int, calls: int) -> None:
        """A reconciliation in either region, which may crash at any call."""
        region = self.regions[side]
        region.network.faults = [*[None] * calls, Fault(Crash())]
        with suppress(Crash):
            region.reconciliation().run(region.timing.budget, begin=True)
        region.network.faults = []

    # --- What must hold

    def teardown(self) -> None:
        """Heal, make the region of the ledger's writer lead, repair: then no acknowledged payment is missing."""
        if self.cut is not None:
            self.heal()
        for side in (0, 1, 0):
            self._flow(side, 1000)
        region = self.regions[self.writer]
        region.take_leadership()
        self._time_passes()
        holders = self._holders()
        self._repaired(region)
        for side in (self.writer, 1 - self.writer, self.writer):
            self._flow(side, 1000)
        again = self._repaired(region)
        assert not again["counts"].keys() & {"lost", "in doubt", "malformed", "refused", "set aside"}
        assert again["counts"]["repaired"] == 0
        self._flow(self.writer, 1000)

        for payment_id, fingerprints in self.acknowledged.items():
            assert len(fingerprints) == 1
            if not self.strong and payment_id not in holders:
                assert payment_id in self.at_risk
                continue
            self._assert_kept(payment_id, fingerprints)
        for payment_id, item in region.dynamodb.items.items():
            if item.get("status") == {"S": "SETTLED"}:
                self._assert_kept(payment_id, {item["fingerprint"]["S"]})
        assert self.regions[0].dynamodb.items == self.regions[1].dynamodb.items
        assert sum(sign * posting["amount"] for posting in region.postgres.postings.values() for sign in (-1, 1)) == 0

    @staticmethod
    def _repaired(region: Region) -> dict[str, Any]:
        region.clock.now += 100  # what is pending is no longer in progress
        answer = region.reconciliation().run(region.timing.budget, begin=True)
        assert (answer["done"], answer["error"]) == (True, "")
        return answer

    def _holders(self) -> set[str]:
        """The ids of the payments that any store still has."""
        region = self.regions[self.writer]
        receipts = {key.removeprefix("receipts/").removesuffix(".json") for _, key in region.s3.objects}
        settled = {key for key, item in region.dynamodb.items.items() if item.get("status") == {"S": "SETTLED"}}
        return settled | region.postgres.postings.keys() | receipts

    def _assert_kept(self, payment_id: str, fingerprints: set[str]) -> None:
        for region in self.regions:
            assert {region.dynamodb.items[payment_id]["fingerprint"]["S"]} == fingerprints
            assert region.dynamodb.items[payment_id]["status"] == {"S": "SETTLED"}
            receipts = region.s3.objects[RECEIPTS, f"receipts/{payment_id}.json"]
            assert {parse_receipt(body).fingerprint for body in receipts if body} == fingerprints
            assert {region.postgres.postings[payment_id]["fingerprint"]} == fingerprints


class TwoRegionsEventually(TwoRegions):
    """The same, with a table whose replicas lag too."""

    strong = False


TestStrong = TwoRegions.TestCase
TestStrong.settings = settings(stateful_step_count=25)
TestEventual = TwoRegionsEventually.TestCase
TestEventual.settings = settings(stateful_step_count=25)


def test_a_takeover_raises_the_epoch_above_the_ledgers_if_the_tables_replica_lags() -> None:
    regions = TwoRegionsEventually()
    regions.disaster([])
    regions.cut_off(1)
    regions.fail_over(0)
    regions.pay(0, "a")
    regions.heal()
    regions.disaster([])
    regions.pay(1, "b")
    assert regions.acknowledged.keys() == {"a", "b"}
    regions.teardown()
