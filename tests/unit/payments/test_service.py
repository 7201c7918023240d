"""The order of writes: whatever happens between them, no payment is half written and none is written twice."""
import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.deadline import Deadline
from payments.errors import StoreUnavailable
from payments.leadership import LEASE
from payments.payment import Payment, Record, parse_receipt
from payments.stores import S3Receipts
from tests.unit.payments.fakes import OTHER, PAYMENT, RECEIPTS, Crash, Fault, Region, client_error, event
from tests.unit.payments.strategies import faults, payments


def test_a_payment_takes_two_calls_to_the_table_one_statement_and_one_receipt(region: Region) -> None:
    region.pay(PAYMENT)
    assert region.network.calls == ["PutItem", "Post", "PutObject", "UpdateItem"]


def test_a_repeat_takes_one_call(region: Region) -> None:
    first = region.pay(PAYMENT)
    region.network.calls.clear()
    assert region.pay(PAYMENT) == first
    assert region.network.calls == ["PutItem"]


def test_a_record_keeps_the_time_of_its_first_registration(region: Region) -> None:
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


def test_another_request_for_the_same_id_is_a_conflict(region: Region) -> None:
    region.pay(PAYMENT)
    status, body = region.pay(OTHER)
    assert (status, set(body)) == (409, {"error"})
    assert region.look()[1]["amount"] == PAYMENT["amount"]


def test_another_request_does_not_complete_a_pending_payment(region: Region) -> None:
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
def test_a_crash_at_any_write_leaves_a_payment_that_is_visibly_pending(region: Region, number: int, done: bool) -> None:
    region.network.faults = [*[None] * number, Fault(Crash(), done)]
    with pytest.raises(Crash):
        region.pay(PAYMENT)
    writes = number + done
    assert region.status() == (None, "PENDING", "PENDING", "PENDING", "SETTLED")[writes]
    assert len(region.postgres.postings) == (0, 0, 1, 1, 1)[writes]
    assert len(region.receipt_versions()) == (0, 0, 0, 1, 1)[writes]
    assert region.look()[0] == (404, 200, 200, 200, 200)[writes]
    assert region.pay(PAYMENT)[1]["status"] == "settled"


def test_an_invalid_id_is_not_looked_up(region: Region) -> None:
    assert region.look("no payment")[0] == region.look("x" * 65)[0] == region.look("pay-1\n")[0] == 404
    assert not region.network.calls
    assert region.look("pay-2")[0] == 404


def test_a_payment_whose_item_is_overwritten_meanwhile_is_completed_by_its_repeat(region: Region) -> None:
    class Overtaken(S3Receipts):
        """Meanwhile the other region's write of the same id is replicated: the last write wins."""

        def put(self, record: Record, deadline: Deadline) -> Record | None:
            kept = super().put(record, deadline)
            del region.dynamodb.items["pay-1"]
            region.pay(OTHER)
            return kept

    service = replace(region.service, receipts=Overtaken(region.s3, RECEIPTS))
    with pytest.raises(StoreUnavailable) as caught:
        service.accept(Payment(**PAYMENT), region.deadline())
    assert caught.value.code == "ItemChanged"
    assert (region.pay(PAYMENT)[0], region.pay(OTHER)[0]) == (201, 409)


def test_a_region_that_does_not_lead_writes_nothing() -> None:
    there = Region("eu-west-1", elsewhere=(here := Region("us-east-1")))
    status, body, headers = there.request(event("POST", "/payment", body=json.dumps(PAYMENT)))
    assert (status, body, headers["Retry-After"]) == (503, {"error": "not the writer", "writer": "us-east-1"}, "1")
    assert there.network.calls == ["GetItem"]
    assert (here.pay(PAYMENT)[0], there.look()[0]) == (201, 200)
    assert there.log()[0]["error"] == "NotTheWriter"


def test_leadership_is_read_once_per_lease(region: Region) -> None:
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
def test_a_stale_writer_cannot_settle_what_a_newer_one_has_posted(number: int) -> None:
    here = Region("us-east-1")
    there = Region("eu-west-1", elsewhere=here)
    here.network.faults = [*[None] * number, Fault(Crash())]
    with pytest.raises(Crash):
        here.pay(PAYMENT)
    here.lease.epoch(here.deadline())
    there.take_leadership()
    # The new leader posts it, and gets no further.
    there.network.faults = [*[None] * 4, Fault(client_error("AccessDenied"))]
    assert there.pay(PAYMENT)[0] == 503
    assert here.pay(PAYMENT)[1] == {"error": "not the writer", "writer": None}
    assert here.status() == "PENDING"
    assert there.pay(PAYMENT)[0] == 201


def test_a_ledger_that_has_seen_a_newer_epoch_ends_the_lease(region: Region) -> None:
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


def test_a_payment_that_differs_from_that_in_the_ledger_is_a_conflict(region: Region) -> None:
    region.pay(PAYMENT)
    del region.dynamodb.items["pay-1"]
    assert region.pay(OTHER)[0] == 409
    assert region.status() == "PENDING"


# --- A repeat gets the first answer, from whichever store has it

FIRST, LATER = 1.0, 3600.0  # seconds at which a payment was made, and at which its request is repeated


def paid(first: float = FIRST, later: float = LATER) -> tuple[Region, tuple[int, Any]]:
    """A region in which pay-1 was made, and the answer, an hour later by its clock."""
    region = Region()
    region.clock.now = first
    answer = region.pay(PAYMENT)
    region.clock.now = later
    region.network.calls.clear()
    return region, answer


def lose(region: Region, *stores: str) -> None:
    """Lose pay-1 in these stores."""
    if "table" in stores:
        del region.dynamodb.items["pay-1"]
    if "ledger" in stores:
        del region.postgres.postings["pay-1"]
    if "receipts" in stores:
        del region.s3.objects[RECEIPTS, "receipts/pay-1.json"]


def kept(region: Region) -> set[str]:
    """The creation times that the stores have, in seconds."""
    item, posting = region.dynamodb.items["pay-1"], region.posted()
    receipt = parse_receipt(region.receipt_versions()[-1] or b"")
    assert posting
    return {item["created_at"]["S"], posting["created_at"], receipt.created_at}


@pytest.mark.parametrize("stores", [
    ["table"], ["table", "ledger"], ["table", "receipts"], ["ledger"], ["receipts"], ["ledger", "receipts"]],
    ids=" ".join)
@pytest.mark.parametrize("times", [(FIRST, LATER), (LATER, FIRST)], ids=["clocks agree", "a slow clock"])
def test_after_a_loss_a_repeat_gets_the_first_answer(stores: list[str], times: tuple[float, float]) -> None:
    region, first = paid(*times)
    region.lease.drop()
    lose(region, *stores)
    assert region.pay(PAYMENT) == first
    if "table" in stores:
        assert kept(region) == {first[1]["created_at"]}
    assert len(region.receipt_versions()) <= 1


@pytest.mark.parametrize("status", ["PENDING", "SETTLED"])
def test_a_request_that_the_ledger_has_is_never_a_conflict(status: str) -> None:
    region, first = paid()
    region.dynamodb.items["pay-1"] |= {"fingerprint": {"S": "f" * 64}, "amount": {"N": "1"}, "status": {"S": status}}
    assert region.pay(PAYMENT) == first == (201, region.look()[1])
    assert region.pay(OTHER)[0] == 409
    assert kept(region) == {first[1]["created_at"]}


def test_a_request_that_only_a_receipt_has_wins_over_a_pending_one() -> None:
    region, first = paid()
    lose(region, "table", "ledger")
    region.lease.epoch(region.deadline())
    region.network.faults = [None, Fault(client_error("AccessDenied"))]
    assert region.pay(OTHER)[0] == 503
    assert (region.status(), region.posted()) == ("PENDING", None)
    assert region.pay(PAYMENT) == first
    assert kept(region) == {first[1]["created_at"]}
    assert region.pay(OTHER)[0] == 409


def test_of_two_requests_that_only_the_table_and_a_receipt_have_the_settled_one_keeps_the_id() -> None:
    region, _ = paid()
    lose(region, "ledger")
    region.dynamodb.items["pay-1"] |= {"fingerprint": {"S": "f" * 64}}
    assert region.pay(PAYMENT)[0] == 409


def test_a_conflict_is_told_only_while_the_lease_holds() -> None:
    here = Region("us-east-1")
    there = Region("eu-west-1", elsewhere=here)
    here.pay(PAYMENT)
    here.network.calls.clear()

    def frozen() -> None:
        there.take_leadership()
        here.clock.frozen += LEASE

    here.network.meanwhile = {1: frozen}
    assert here.pay(OTHER) == (503, {"error": "not the writer", "writer": "eu-west-1"})
    assert here.network.calls[-1] == "GetItem"


def test_a_leader_does_not_touch_what_is_pending_under_a_newer_epoch(region: Region) -> None:
    region.network.faults = [None, Fault(client_error("AccessDenied"))]
    assert region.pay(PAYMENT)[0] == 503
    region.dynamodb.items["pay-1"]["epoch"] = {"N": "2"}
    region.network.calls.clear()
    assert region.pay(PAYMENT) == (503, {"error": "not the writer", "writer": None})
    assert region.network.calls == ["PutItem"]


def test_an_item_taken_up_by_a_newer_epoch_meanwhile_is_not_settled(region: Region) -> None:
    region.network.meanwhile = {3: lambda: region.dynamodb.items["pay-1"].update(epoch={"N": "2"})}
    assert region.pay(PAYMENT) == (503, {"error": "not the writer", "writer": None})
    assert region.status() == "PENDING"


def test_what_is_no_receipt_is_left_to_the_repair() -> None:
    region, first = paid()
    region.s3.objects[RECEIPTS, "receipts/pay-1.json"] = [b"{}"]
    lose(region, "table")
    assert region.pay(PAYMENT) == first == region.pay(PAYMENT)
    assert region.receipt_versions() == [b"{}"]
    assert region.dynamodb.items["pay-1"]["receipt"] == {"S": "differs"}


def test_attributes_that_another_release_added_stay(region: Region) -> None:
    region.network.meanwhile = {1: lambda: region.dynamodb.items["pay-1"].update(note={"S": "new"})}
    assert region.pay(PAYMENT)[0] == 201
    assert region.dynamodb.items["pay-1"]["note"] == {"S": "new"}


def test_a_malformed_item_is_neither_accepted_nor_overwritten() -> None:
    region, _ = paid()
    del region.dynamodb.items["pay-1"]["amount"]
    before = dict(region.dynamodb.items["pay-1"])
    assert [region.pay(PAYMENT), region.look()] == [(503, {"error": "table unavailable"})] * 2
    assert region.dynamodb.items["pay-1"] == before
