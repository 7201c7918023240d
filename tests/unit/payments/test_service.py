"""The order of writes: whatever happens between them, a payment is never half there and never twice."""
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payments.deadline import Deadline, Timing
from payments.payment import Payment, Record
from payments.service import Conflict, PaymentService
from payments.stores import S3Receipts
from tests.unit.payments.fakes import PAYMENT, RECEIPTS, Crash, Fault, Region, client_error
from tests.unit.payments.strategies import faults, payments

OTHER = {**PAYMENT, "amount": 1}


def deadline() -> Deadline:
    """Time enough, and no pauses."""
    return Deadline(Timing(pause=0), 2.6)


def test_a_payment_takes_two_calls_to_the_table_and_one_for_its_receipt() -> None:
    region = Region()
    region.pay(PAYMENT)
    assert region.network.calls == ["PutItem", "PutObject", "UpdateItem"]


def test_a_repeat_takes_one_call() -> None:
    region = Region()
    first = region.pay(PAYMENT)
    region.network.calls.clear()
    assert region.pay(PAYMENT) == first
    assert region.network.calls == ["PutItem"]


def test_a_record_keeps_when_it_was_first_registered() -> None:
    region = Region()
    moments = iter([datetime(2026, 1, 2, 3, 4, 5, 678901, UTC), datetime(2027, 1, 1, tzinfo=UTC)])
    service = PaymentService(region.table, region.receipts, now=lambda: next(moments))
    first = service.accept(Payment(**PAYMENT), deadline())
    assert first.created_at == "2026-01-02T03:04:05.678+00:00"
    assert service.accept(Payment(**PAYMENT), deadline()) == first


@settings(max_examples=50)
@given(payments)
def test_the_same_request_gets_the_same_answer_in_any_region(payment: dict[str, Any]) -> None:
    here = Region("us-east-1")
    there = Region("eu-west-1", elsewhere=here)
    first = here.pay(payment)
    assert first[0] == 201
    assert here.pay(payment) == there.pay(payment) == first
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
    assert (region.status(), region.receipt_versions()) == ("PENDING", [])


@given(faults, st.lists(st.sampled_from([PAYMENT, PAYMENT, OTHER]), min_size=1, max_size=5))
def test_whatever_crashes_a_retry_leaves_one_settled_payment_with_one_receipt(
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
    kept = region.table.find("pay-1", deadline())
    assert kept
    assert region.receipt_versions() == [kept.receipt()]


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("number", range(3))
def test_a_crash_at_any_write_leaves_a_payment_that_is_openly_pending(number: int, done: bool) -> None:
    region = Region()
    region.network.faults = [*[None] * number, Fault(Crash(), done)]
    with pytest.raises(Crash):
        region.pay(PAYMENT)
    writes = number + done
    assert region.status() == (None, "PENDING", "PENDING", "SETTLED")[writes]
    assert len(region.receipt_versions()) == (0, 0, 1, 1)[writes]
    assert region.look()[0] == (404, 200, 200, 200)[writes]
    assert region.pay(PAYMENT)[1]["status"] == "settled"


def test_an_id_that_cannot_be_is_not_looked_up() -> None:
    region = Region()
    assert region.look("no payment")[0] == region.look("x" * 65)[0] == region.look("pay-1\n")[0] == 404
    assert not region.network.calls
    assert region.look("pay-2")[0] == 404


def test_a_payment_that_lost_its_id_to_another_region_is_a_conflict() -> None:
    region = Region()

    class Overtaken(S3Receipts):
        """Meanwhile the other region's write of the same id arrives: the last writer wins."""

        def put(self, record: Record, deadline: Deadline) -> None:
            super().put(record, deadline)
            region.dynamodb.items.clear()
            region.pay(OTHER)

    service = PaymentService(region.table, Overtaken(region.s3, RECEIPTS))
    with pytest.raises(Conflict):
        service.accept(Payment(**PAYMENT), deadline())
