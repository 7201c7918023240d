"""The order of writes: whatever happens between them, no payment is half written and none is written twice."""
import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.deadline import Deadline
from payments.errors import Conflict
from payments.leadership import LEASE
from payments.payment import Payment, Record
from payments.stores import S3Receipts
from tests.unit.payments.fakes import OTHER, PAYMENT, RECEIPTS, Crash, Fault, Region, client_error, event
from tests.unit.payments.strategies import faults, payments


def test_a_payment_takes_two_calls_to_the_table_one_statement_and_one_receipt() -> None:
    region = Region()
    region.pay(PAYMENT)
    assert region.network.calls == ["PutItem", "Post", "PutObject", "UpdateItem"]


def test_a_repeat_takes_one_call() -> None:
    region = Region()
    first = region.pay(PAYMENT)
    region.network.calls.clear()
    assert region.pay(PAYMENT) == first
    assert region.network.calls == ["PutItem"]


def test_a_record_keeps_the_time_of_its_first_registration() -> None:
    region = Region()
    region.clock.now = 3.6789
    first = region.service.accept(Payment(**PAYMENT), region.deadline())
    assert first.created_at == "2026-01-01T00:00:03.678+00:00"
    region.clock.now = 3600
    assert region.service.accept(Payment(**PAYMENT), region.deadline()) == first


@given(payments)
def test_the_same_request_gets_the_same_answer_whichever_region_leads(payment: dict[str, Any]) -> None:
    here = Region("us-east-1")
    there = Region("eu-west-1", elsewhere=here)
    first = here.pay(payment)
    assert first[0] == 201
    assert here.pay(payment) == first
    there.take_leadership()
    assert there.pay(payment) == first
    assert here.look(payment["payment_id"]) == there.look(payment["payment_id"]) == (200, first[1])


def test_another_request_for_the_same_id_is_a_conflict() -> None:
    region = Region()
    region.pay(PAYMENT)
    status, body = region.pay(OTHER)
    assert (status, set(body)) == (409, {"error"})
    assert region.look()[1]["amount"] == PAYMENT["amount"]


def test_another_request_does_not_complete_a_pending_payment() -> None:
    region = Region()
    region.network.faults = [None, Fault(client_error("AccessDenied", 403))]
    assert [region.pay(PAYMENT)[0], region.pay(OTHER)[0]] == [503, 409]
    assert (region.status(), region.posted(), region.receipt_versions()) == ("PENDING", None, [])


@given(faults, st.lists(st.sampled_from([PAYMENT, PAYMENT, OTHER]), min_size=1, max_size=5))
def test_after_any_crash_a_retry_leaves_one_settled_payment_with_one_receipt(
        injected: list[Fault | None], requests: list[dict[str, Any]]) -> None:
    region = Region()
    region.network.faults = injected
    acknowledged = []
    for request in requests:
        with suppress(Crash):
            status, body = region.pay(request)
            assert status in (201, 409, 503)
            acknowledged += [body] if status == 201 else []
    region.network.faults = []
    seen = region.look()[1].get("status")
    assert seen == (region.status() or "").lower() or seen is None
    assert not acknowledged or seen == "settled"

    answers = [region.pay(request) for request in (PAYMENT, OTHER)]

    assert sorted(status for status, _ in answers) == [201, 409]
    winner = min(answers, key=lambda answer: answer[0])[1]
    assert all(body == winner for body in acknowledged)
    assert region.look() == (200, winner)
    assert region.status() == "SETTLED"
    kept = region.table.find("pay-1", region.deadline())
    assert kept
    assert region.receipt_versions() == [kept.receipt()]
    assert list(region.ledger.postings(region.deadline)) == [kept]


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("number", range(4))
def test_a_crash_at_any_write_leaves_a_payment_that_is_visibly_pending(number: int, done: bool) -> None:
    region = Region()
    region.network.faults = [*[None] * number, Fault(Crash(), done)]
    with pytest.raises(Crash):
        region.pay(PAYMENT)
    writes = number + done
    assert region.status() == (None, "PENDING", "PENDING", "PENDING", "SETTLED")[writes]
    assert len(region.postgres.postings) == (0, 0, 1, 1, 1)[writes]
    assert len(region.receipt_versions()) == (0, 0, 0, 1, 1)[writes]
    assert region.look()[0] == (404, 200, 200, 200, 200)[writes]
    assert region.pay(PAYMENT)[1]["status"] == "settled"


def test_an_invalid_id_is_not_looked_up() -> None:
    region = Region()
    assert region.look("no payment")[0] == region.look("x" * 65)[0] == region.look("pay-1\n")[0] == 404
    assert not region.network.calls
    assert region.look("pay-2")[0] == 404


def test_a_payment_that_lost_its_id_to_another_region_is_a_conflict() -> None:
    region = Region()

    class Overtaken(S3Receipts):
        """Meanwhile the other region's write of the same id is replicated: the last write wins."""

        def put(self, record: Record, deadline: Deadline) -> None:
            super().put(record, deadline)
            del region.dynamodb.items["pay-1"]
            region.pay(OTHER)

    service = replace(region.service, receipts=Overtaken(region.s3, RECEIPTS))
    with pytest.raises(Conflict):
        service.accept(Payment(**PAYMENT), region.deadline())


def test_a_region_that_does_not_lead_writes_nothing() -> None:
    there = Region("eu-west-1", elsewhere=(here := Region("us-east-1")))
    status, body, headers = there.request(event("POST", "/payment", body=json.dumps(PAYMENT)))
    assert (status, body, headers["Retry-After"]) == (503, {"error": "not the writer", "writer": "us-east-1"}, "1")
    assert there.network.calls == ["GetItem"]
    assert (here.pay(PAYMENT)[0], there.look()[0]) == (201, 200)
    assert there.log()[0]["error"] == "NotTheWriter"


def test_leadership_is_read_once_per_lease() -> None:
    region = Region()
    region.clock.now += LEASE
    for number in range(3):
        region.pay({**PAYMENT, "payment_id": f"pay-{number}"})
    assert region.network.calls.count("GetItem") == 1


@pytest.mark.parametrize("number", range(3))
def test_a_leader_that_is_replaced_between_two_writes_stops_when_its_lease_ends(number: int) -> None:
    here = Region("us-east-1")
    there = Region("eu-west-1", elsewhere=here)

    def lose() -> None:
        there.take_leadership()
        here.clock.now += LEASE

    here.network.meanwhile = {number: lose}
    status, body = here.pay(PAYMENT)
    assert (status, body["writer"]) == (503, "eu-west-1")
    assert here.network.calls[-1] == "GetItem"
    assert here.status() in (None, "PENDING")

    assert there.pay(PAYMENT)[0] == 201
    assert here.look() == there.look()
    assert (len(here.postgres.postings), len(here.receipt_versions())) == (1, 1)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_stale_writer_cannot_settle_what_a_newer_one_adopted(number: int) -> None:
    here = Region("us-east-1")
    there = Region("eu-west-1", elsewhere=here)
    here.network.faults = [*[None] * number, Fault(Crash())]
    with pytest.raises(Crash):
        here.pay(PAYMENT)
    here.lease.epoch(here.deadline())
    there.take_leadership()
    # The new leader adopts the record, and gets no further.
    there.network.faults = [None, None, None, Fault(client_error("AccessDenied"))]
    assert there.pay(PAYMENT)[0] == 503
    assert here.pay(PAYMENT)[1] == {"error": "not the writer", "writer": None}
    assert here.status() == "PENDING"
    assert there.pay(PAYMENT)[0] == 201


def test_a_ledger_that_has_seen_a_newer_epoch_ends_the_lease() -> None:
    region = Region()
    region.postgres.epoch = 2
    assert region.pay(PAYMENT) == (503, {"error": "not the writer", "writer": None})
    assert region.network.calls == ["PutItem", "Post"]
    region.pay(PAYMENT)
    assert region.network.calls[2] == "GetItem"


def test_leadership_that_was_lost_and_regained_has_another_epoch() -> None:
    here = Region("us-east-1")
    there = Region("eu-west-1", elsewhere=here)

    def swap() -> None:
        there.take_leadership()
        here.take_leadership()
        here.clock.now += LEASE

    here.network.meanwhile = {1: swap}
    assert here.pay(PAYMENT) == (503, {"error": "not the writer", "writer": "us-east-1"})
    assert (here.pay(PAYMENT)[0], here.dynamodb.items["pay-1"]["epoch"]) == (201, {"N": "3"})


def test_a_payment_that_differs_from_that_in_the_ledger_is_a_conflict() -> None:
    region = Region()
    region.pay(PAYMENT)
    del region.dynamodb.items["pay-1"]
    assert region.pay(OTHER)[0] == 409
    assert region.status() == "PENDING"
