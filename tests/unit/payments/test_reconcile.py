"""Repair: passes over the stores of a region, which restore what is lost, and continue where they stopped."""
import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from contract import CANARY_PREFIX, DRILL_KEY, OBSERVATION_PREFIX, RECORD_KEY, REPAIR_PREFIX
from payments import reconcile
from payments.case import Case
from payments.errors import RepairFailed, StoreUnavailable
from payments.leadership import LEASE
from payments.ledger import PostgresLedger
from payments.logs import request_logger
from payments.payment import MAX_AMOUNT, Payment, parse_receipt
from payments.reconcile import DAY, LOOK, PassPart, Progress
from payments.stores import item_of
from tests.unit.payments.fakes import (
    OTHER,
    PAYMENT,
    RECEIPTS,
    Crash,
    FakeContext,
    Fault,
    Item,
    Region,
    client_error,
    database_error,
    event,
    record,
    sent_by,
)

PLACE = (RECEIPTS, "receipts/pay-1.json")
WRITES = {"PutItem", "UpdateItem", "Post", "PutObject"}


def run(region: Region, *, seconds: float = 10, begin: bool = True) -> Item:
    """A start of the repair; its answer must be JSON."""
    region.network.calls.clear()
    return dict(json.loads(json.dumps(region.reconciliation().run(seconds, begin=begin))))


def counts(answer: Item) -> Item:
    """What was counted, but for what is read and well."""
    assert (answer["done"], answer["error"]) == (True, "")
    return {name: count for name, count in answer["counts"].items() if count and name not in ("read", "settled")}


def lines(region: Region) -> list[Item]:
    """All that the repair has named in the bucket."""
    return [json.loads(line) for (_, key), versions in sorted(region.s3.objects.items()) if key.startswith("repair/")
            for line in (versions[-1] or b"").splitlines()]


def repaired(region: Region) -> set[str]:
    """The payments that it has named as restored."""
    return {line["payment_id"] for line in lines(region) if line["outcome"] == "repaired"}


def everything(region: Region) -> object:
    """What the stores have of pay-1."""
    return region.status(), region.posted(), region.receipt_versions()


def lose_item(region: Region) -> None:
    """The table loses pay-1."""
    del region.dynamodb.items["pay-1"]


def lose_posting(region: Region) -> None:
    """The ledger loses it."""
    del region.postgres.postings["pay-1"]


def lose_receipt(region: Region) -> None:
    """The receipts lose it."""
    del region.s3.objects[PLACE]


def taken_over(region: Region) -> Region:
    """Another region, which shares the stores with it, and leads now."""
    there = Region("eu-west-1", elsewhere=region)
    there.take_leadership()
    return there


@pytest.mark.parametrize("losses", [
    [lose_item], [lose_posting], [lose_receipt], [lose_item, lose_posting], [lose_item, lose_receipt],
    [lose_posting, lose_receipt],
])
def test_after_the_repair_every_store_has_what_any_store_had(
        region: Region, losses: list[Callable[[Region], None]]) -> None:
    first = region.pay(PAYMENT)
    before: Any = everything(region)
    for lose in losses:
        lose(region)
    there = taken_over(region)  # a repair writes under the current epoch, like any write
    there.clock.now = 3600

    assert counts(run(there)) == {"repaired": 1}
    [line] = lines(there)
    assert (line["outcome"], line["payment"]["amount"], set(line["wrong"].values())) == (
        "repaired", PAYMENT["amount"], {"lost"})
    assert len(line["wrong"]) == len(losses)
    epoch = {"epoch": 2} if lose_posting in losses else {}
    after = everything(there)
    assert after == (before[0], {**before[1], **epoch}, before[2])
    assert there.pay(PAYMENT) == first

    assert counts(run(there)) == {}
    assert {call for call in there.network.calls if call in WRITES} == {"PutItem"}  # the cursor
    assert everything(there) == after


@pytest.mark.parametrize("lost", ["postings", "receipts"])
def test_a_start_ends_in_time_where_all_is_lost_and_calls_take_long(region: Region, lost: str) -> None:
    for number in range(300):
        region.pay({**PAYMENT, "payment_id": f"pay-{number}"})
    if lost == "postings":
        region.postgres.postings.clear()
    region.s3.objects.clear()
    carry = region.network.carry

    def slowly(operation: str, effect: Callable[[], Item]) -> Item:
        region.clock.now += 0.05
        return carry(operation, effect)

    region.network.carry = slowly  # type: ignore[method-assign]
    answers = list[Item]()
    while not answers or not answers[-1]["done"]:
        began = region.clock.now
        answers.append(run(region, seconds=60))
        assert region.clock.now - began <= 60 + reconcile.MARGIN
    assert len(lines(region)) == 300


@pytest.mark.parametrize("lost", [lose_posting, lambda _: None])
def test_a_status_of_another_release_is_left_alone_and_named(region: Region, lost: Callable[[Region], None]) -> None:
    region.pay(PAYMENT)
    region.dynamodb.items["pay-1"]["status"] = {"S": "CANCELLED"}
    lost(region)
    before = everything(region)
    assert (region.pay(PAYMENT)[0], region.look()[0]) == (503, 503)
    assert counts(run(region)) == {"malformed": 1, "set aside": 1}
    assert everything(region) == before
    assert {line["payment_id"] for line in lines(region)} == {"pay-1"}


def test_a_receipt_whose_key_begins_as_that_of_a_payment_is_another_payments() -> None:
    # S3 lists by the beginning of a key: receipts/abc.json also finds receipts/abc.json-1.json, json-1 of client abc.
    region = Region()
    region.pay({**PAYMENT, "payment_id": "abc"})
    body = json.dumps({**PAYMENT, "payment_id": "json-1", "amount": 7})
    assert region.request(event("POST", "/payment", body=body, **sent_by("abc")))[0] == 201
    del region.postgres.postings["abc"], region.s3.objects[RECEIPTS, "receipts/abc.json"]

    assert counts(run(region)) == {"repaired": 1}
    assert (region.status("abc"), len(region.receipt_versions("abc"))) == ("SETTLED", 1)
    assert region.posted("abc")
    [line] = lines(region)
    assert (line["wrong"], line["others"]) == ({"ledger": "lost", "receipts": "lost"}, [])


def test_if_the_stores_agree_receipts_are_listed_but_not_read(region: Region) -> None:
    region.pay(PAYMENT)
    run(region)
    answer = run(region)
    assert (answer["counts"]["settled"], answer["counts"]["repaired"]) == (1, 0)
    assert not lines(region)
    assert Counter(region.network.calls) == {
        "Connect": 1, "GetItem": 2, "Read": 3, "ListObjectVersions": 1, "BatchGetItem": 1, "Scan": 1, "PutItem": 2}


def test_a_new_epoch_begins_with_the_latest_postings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "RECENT", 2)
    region = Region()
    three(region)
    for number in (0, 2):
        del region.dynamodb.items[f"pay-{number}"]
    region.service = replace(region.service, ledger=PostgresLedger(region.postgres.connect, page=1))
    answer = run(region, begin=False)
    assert (counts(answer), answer["pass"]) == ({"repaired": 2}, 3)
    assert [line["payment_id"] for line in lines(region)] == ["pay-2", "pay-0"]
    assert region.network.calls.count("HeadObject") == 1  # of pay-1; pay-2 already differs
    assert region.network.calls.index("HeadObject") < region.network.calls.index("Scan")
    assert counts(run(region)) == {}
    assert "HeadObject" not in region.network.calls


def test_a_payment_that_is_made_during_the_comparison_is_not_lost() -> None:
    for call in range(3, 9):
        region = Region()
        run(region)
        region.network.meanwhile = {call: lambda region=region: region.pay(PAYMENT)}  # type: ignore[misc]
        assert counts(run(region)) == {}


@pytest.mark.parametrize("number", [1, 2, 3])
def test_what_is_pending_in_the_present_epoch_is_completed_only_if_another_store_has_it(
        region: Region, number: int) -> None:
    region.network.faults = [*[None] * number, Fault(Crash())]
    with pytest.raises(Crash):
        region.pay(PAYMENT)
    assert counts(run(region)) == {"pending": 1}  # it may still be in progress
    region.clock.now += 61
    assert counts(run(region)) == ({"pending": 1} if number == 1 else {"repaired": 1})
    assert region.status() == ("PENDING" if number == 1 else "SETTLED")


def test_what_is_pending_and_malformed_is_restored_from_the_ledger(region: Region) -> None:
    region.pay(PAYMENT)
    item = region.dynamodb.items["pay-1"]
    item["status"] = {"S": "PENDING"}
    del item["created_at"]
    assert counts(run(region))["repaired"] == 1
    assert region.status() == "SETTLED"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_what_is_pending_in_an_older_epoch_is_adopted(region: Region, number: int) -> None:
    region.network.faults = [*[None] * number, Fault(Crash())]
    with pytest.raises(Crash):
        region.pay(PAYMENT)
    there = taken_over(region)
    assert counts(run(there)) == {"repaired": 1}
    assert [line["wrong"]["table"] for line in lines(there)] == ["in doubt"]
    assert there.dynamodb.items["pay-1"]["status"] == {"S": "SETTLED"}
    assert there.dynamodb.items["pay-1"]["epoch"] == {"N": "2"}


def test_a_settle_that_was_held_back_past_the_repair_changes_nothing() -> None:
    here = Region()
    there = Region("eu-west-1", elsewhere=here)

    def repaired() -> None:
        there.take_leadership()
        assert counts(run(there)) == {"repaired": 1}

    here.network.meanwhile = {3: repaired}
    status, body = here.pay(PAYMENT)
    assert (status, body) == (201, there.look()[1])
    assert here.dynamodb.items["pay-1"]["epoch"] == {"N": "2"}


@pytest.mark.parametrize("status", ["PENDING", "SETTLED"])
def test_the_ledgers_payment_replaces_another_request_in_the_table(region: Region, status: str) -> None:
    first = region.pay(PAYMENT)
    region.dynamodb.items["pay-1"] = {**item_of(record(OTHER["amount"])), "status": {"S": status}}
    there = taken_over(region)
    assert counts(run(there)) == {"repaired": 1}
    [line] = lines(there)
    assert (line["wrong"], line["others"][0]["amount"]) == ({"table": "conflicting"}, OTHER["amount"])
    assert (there.pay(PAYMENT), there.pay(OTHER)[0]) == (first, 409)


@pytest.mark.parametrize("change", [
    {"amount": {"N": "1"}}, {"payee": {"S": "thief"}}, {"created_at": {"S": "2020-01-01T00:00:00.000+00:00"}},
    {"amount": {"S": "x"}}, {"status": {"M": {}}}, {"epoch": {"N": "999999"}, "amount": {"N": "1"}},
    {"fingerprint": {"S": ""}}])
def test_what_a_stolen_role_changes_in_the_table_is_restored_from_the_ledger(region: Region, change: Item) -> None:
    region.pay(PAYMENT)
    before = region.look()
    region.dynamodb.items["pay-1"] |= change
    assert counts(run(region)) == {"repaired": 1}
    assert region.look() == before
    assert counts(run(region)) == {}


def test_a_malformed_item_is_set_aside_by_name_and_stops_nothing(region: Region) -> None:
    three(region)
    region.dynamodb.items["pay-9"] = {"payment_id": {"S": "pay-9"}, "amount": {"N": "x"}}
    region.s3.write((RECEIPTS, "receipts/pay-8.json"), b"{}")
    del region.dynamodb.items["pay-2"]
    run(region)
    assert counts(run(region)) == {"malformed": 2, "set aside": 2}
    assert {line["payment_id"]: line["outcome"] for line in lines(region)} == {
        "pay-2": "repaired", "pay-8": "set aside", "pay-9": "set aside"}


@pytest.mark.parametrize("code", ["22007", "23514", "TS002"])
def test_what_the_ledger_refuses_is_named_and_stops_nothing(region: Region, code: str) -> None:
    three(region)
    run(region)
    region.postgres.postings.clear()
    region.network.failing = {"Post": database_error(code)}
    assert counts(run(region)) == {"lost": 3, "refused": 3}
    assert [line["outcome"] for line in lines(region)] == ["refused"] * 3


@pytest.mark.parametrize(("call", "said", "denied"), [
    ("PutObject", "receipts:AccessDenied", {"pay-0", "pay-1", "pay-2"}),
    ("UpdateItem", "table:AccessDeniedException", {"pay-2"}),
    ("UpdateItem", "table:KMSInvalidStateException", {"pay-2"}),
    ("Post", "ledger:42501", {"pay-0", "pay-1", "pay-2"})])
def test_what_repair_is_not_permitted_to_restore_is_an_error_and_is_restored_as_soon_as_it_is(
        region: Region, monkeypatch: pytest.MonkeyPatch, call: str, said: str, denied: set[str]) -> None:
    code = said.partition(":")[2]
    error = database_error(code) if call == "Post" else client_error(code, 403)
    monkeypatch.setattr(reconcile, "REST", 1)
    three(region)
    run(region)
    region.postgres.postings.pop("pay-0")
    del region.s3.objects[RECEIPTS, "receipts/pay-1.json"]
    region.dynamodb.items["pay-2"]["amount"] = {"N": "1"}
    with monkeypatch.context() as patch:
        put = region.s3.put_object

        def deny(**request: Any) -> Item:
            if request["Key"].startswith("receipts/"):
                raise error
            return put(**request)  # what repair has found can be named

        if call == "PutObject":
            patch.setattr(region.s3, "put_object", deny)
        else:
            region.network.failing = {call: error}
        answer = run(region)
    assert (answer["done"], answer["error"]) == (True, said)
    assert "refused" not in answer["counts"]
    assert {line["payment_id"] for line in lines(region) if line["outcome"] == "denied"} == denied
    region.network.failing = {}
    answers = [run(region, begin=False) for _ in range(LOOK + 1)]
    assert (answers[0]["error"], answers[-1]["error"]) == ("denied", "")  # it rests first
    assert repaired(region) >= {"pay-1", "pay-2"}
    assert counts(run(region)) == {}


def test_a_receipt_that_no_store_can_take_is_set_aside_by_name_and_stops_nothing(region: Region) -> None:
    three(region)
    payment = Payment(**{**PAYMENT, "payment_id": "pay-0-bad", "payer": "x\ud800"})
    bad = replace(record(), payment=payment, fingerprint=payment.fingerprint())
    region.s3.write((RECEIPTS, "receipts/pay-0-bad.json"), bad.receipt())
    run(region)
    lose_posting(region)
    assert run(region)["counts"]["repaired"] == 1
    assert region.posted()
    assert {line["payment_id"]: line["outcome"] for line in lines(region)} == {
        "pay-0-bad": "set aside", "pay-1": "repaired"}
    with pytest.raises(StoreUnavailable, match="UnicodeEncodeError"):
        region.ledger.post(bad, region.deadline())


def test_a_line_is_short_whatever_a_store_holds(region: Region) -> None:
    region.pay(PAYMENT)
    del region.postgres.postings["pay-1"], region.s3.objects[PLACE]
    payment = Payment(**{**PAYMENT, "payer": "p" * 190_000, "payee": "q" * 190_000})
    region.dynamodb.items["pay-1"] |= {
        "payer": {"S": payment.payer}, "payee": {"S": payment.payee}, "fingerprint": {"S": payment.fingerprint()}}
    assert counts(run(region)) == {"malformed": 1, "set aside": 1}
    assert {len(json.dumps(line)) < 200 for line in lines(region)} == {True}


def test_the_cursor_can_name_all_that_begins_together() -> None:
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html#limits-items
    name = f"{'c' * 20}.{'i' * 64}"
    records = [replace(record(), payment=Payment(payment_id=name, amount=MAX_AMOUNT - number, currency="EUR",
                                                 payer="p" * 64, payee="q" * 64)) for number in range(9)]
    line = Case(item=None, posting=None, receipts=records, readable=False).line(name, "repaired", 1)
    assert len(json.dumps(line)) * reconcile.GROUP < 100_000


def test_versions_that_differ_are_a_conflict_and_equal_ones_are_not(region: Region) -> None:
    region.pay(PAYMENT)
    body = region.receipt_versions()[0]
    region.s3.objects[PLACE] = [body, body]
    assert counts(run(region)) == {"duplicated": 1}
    assert not lines(region)
    assert body
    region.s3.objects[PLACE] = [body.replace(b"1250", b"1251"), body]
    assert counts(run(region)) == {"malformed": 1}
    rival = record(OTHER["amount"]).receipt()
    region.s3.objects[PLACE] = [rival, body]
    assert counts(run(region)) == {"conflicting": 1}
    assert lines(region)[-1]["others"][0]["amount"] == OTHER["amount"]
    region.s3.objects[PLACE] = [body, rival]
    assert counts(run(region)) == {"conflicting": 1, "repaired": 1}
    assert region.receipt_versions() == [body, rival, body]


def test_a_receipt_that_arrives_late_does_not_change_what_has_been_answered(region: Region) -> None:
    first = region.pay(PAYMENT)
    [body] = region.receipt_versions()
    assert body
    late = replace(parse_receipt(body), created_at="2020-01-01T00:00:00.000+00:00")
    region.s3.objects[PLACE] = [body, late.receipt()]
    assert counts(run(region)) == {"superseded": 1, "repaired": 1}
    assert counts(run(region)) == {"superseded": 1}
    [line] = lines(region)
    assert (line["outcome"], line["others"][0]["created_at"]) == ("repaired", late.created_at), "it is named once"
    assert (region.pay(PAYMENT), region.look()) == (first, (200, first[1]))
    assert region.receipt_versions()[-1] == body


def test_a_receipt_that_arrives_after_a_pass_is_found_by_the_next_one(region: Region) -> None:
    first = region.pay(PAYMENT)
    receipts = region.receipt_versions()
    for lose in (lose_item, lose_posting, lose_receipt):
        lose(region)
    there = taken_over(region)
    assert counts(run(there)) == {}
    there.s3.objects[PLACE] = receipts
    assert there.look()[0] == 404
    assert counts(run(there, begin=False)) == {"repaired": 1}
    assert there.look() == (200, first[1])


def test_a_deleted_receipt_is_lost_and_an_unreadable_one_is_set_aside() -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeleteMarker.html
    region = Region()
    region.pay(PAYMENT)
    region.s3.objects[PLACE].append(None)
    assert counts(run(region)) == {"duplicated": 1, "repaired": 1}
    assert region.receipt_versions()[1:] == [None, region.receipt_versions()[0]]
    before = everything(region)
    region.network.failing = {"GetObject": client_error("AccessDenied", 403)}
    answer = run(region)
    assert (answer["error"], answer["counts"]) == (
        "receipts:AccessDenied", {"read": 1, "malformed": 1, "denied": 1, "repaired": 0})
    assert everything(region) == before


@pytest.mark.parametrize("error", [client_error("InternalError", 500), TimeoutError()])
def test_a_store_that_fails_for_a_moment_ends_the_start_and_the_next_one_goes_on(
        region: Region, error: Exception) -> None:
    region.pay(PAYMENT)
    region.s3.objects[PLACE] *= 2
    run(region)
    region.network.failing = {"GetObject": error}
    answer = run(region)
    assert (answer["done"], answer["error"].partition(":")[0]) == (False, "receipts")
    region.network.failing = {}
    assert counts(run(region, begin=False)) == {"duplicated": 1}


def test_a_receipt_whose_size_the_store_refuses_to_say_stops_nothing(region: Region) -> None:
    # S3 answers 400 for an object that somebody has encrypted with a key of his own, SSE-C.
    region.pay(PAYMENT)
    region.network.failing = {"HeadObject": client_error("400")}
    assert counts(run(region)) == {}


@pytest.mark.parametrize("created_at", ["9999-01-01T00:00:00.000+00:00", "noon"])
def test_what_is_pending_and_dated_in_the_future_is_restored_from_the_ledger(
        region: Region, created_at: str) -> None:
    region.pay(PAYMENT)
    region.dynamodb.items["pay-1"] |= {"status": {"S": "PENDING"}, "created_at": {"S": created_at}}
    assert counts(run(region))["repaired"] == 1
    assert region.status() == "SETTLED"


MANY = [f"pay-{number:02}" for number in range(reconcile.GROUP + 5)]


@pytest.mark.parametrize(("call", "succeed", "error"), [
    ("Post", 0, database_error("53300")), ("Post", 20, database_error("57014")), ("Post", 28, Crash()),
    ("PutObject", 3, client_error("SlowDown", 503)), ("PutObject", 30, Crash()),
    ("UpdateItem", 3, client_error("ThrottlingException")), ("UpdateItem", 29, TimeoutError()),
    *(("PutItem", number, Crash()) for number in range(4))])
def test_what_is_restored_is_named_and_counted_once_whatever_happens_next(
        region: Region, call: str, succeed: int, error: BaseException) -> None:
    for payment_id in MANY:
        region.pay({**PAYMENT, "payment_id": payment_id})
    run(region)
    region.postgres.postings.clear()
    for payment_id in MANY:
        region.dynamodb.items[payment_id]["status"] = {"S": "PENDING"}
    there = taken_over(region)
    carry = there.network.carry

    def fail(operation: str, effect: Callable[[], Item]) -> Item:
        if operation == call and there.network.calls.count(call) >= succeed:
            raise error
        return carry(operation, effect)

    there.network.carry = fail  # type: ignore[method-assign]
    with suppress(Crash):
        assert run(there, begin=False)["error"]
    there.network.carry = carry  # type: ignore[method-assign]
    answer = run(there, begin=False)
    assert (answer["done"], answer["counts"]["repaired"]) == (True, len(MANY))
    assert repaired(there) == {*there.postgres.postings} == {*MANY}
    assert {(line["outcome"], line["epoch"]) for line in lines(there)} == {("repaired", 2)}


def test_what_a_former_leader_could_not_restore_is_reported() -> None:
    here = Region()
    three(here)
    here.postgres.postings.clear()
    here.network.failing = {"Post": database_error("53300")}
    run(here)
    there = Region("eu-west-1", elsewhere=here)
    there.take_leadership()
    here.network.failing = {}
    here.clock.now += 1
    assert run(here, begin=False)["done"]
    assert {line["outcome"] for line in lines(here)} == {"reported"}
    assert {line["epoch"] for line in lines(here)} == {1, 2}


def test_a_ledger_that_fails_for_a_moment_refuses_nothing(region: Region) -> None:
    region.pay(PAYMENT)
    run(region)
    lose_posting(region)
    region.network.failing = {"Post": database_error("57014")}
    answer = run(region)
    assert (answer["done"], answer["error"], lines(region)) == (False, "ledger:57014", [])
    region.network.failing = {}
    assert counts(run(region, begin=False)) == {"repaired": 1}


def test_only_the_leader_repairs_and_the_standby_reports_from_its_reader() -> None:
    here = Region("us-east-1")
    here.pay(PAYMENT)
    lose_receipt(here)
    there = Region("eu-west-1", elsewhere=here)
    there.postgres.inactive = there.postgres.read_only = True
    answer = run(there)
    assert counts(answer) == {"lost": 1}
    assert {line["outcome"] for line in lines(there)} == {"reported"}
    assert here.receipt_versions() == []
    assert "Connect" not in there.network.calls


def test_what_only_the_lost_regions_stores_have_is_named_there_with_its_amount() -> None:
    """Its table and bucket can be read again; its database follows the new writer, which never had the payment."""
    old = Region("us-east-1")
    old.pay(PAYMENT)
    lose_posting(old)
    leads = old.dynamodb.items[RECORD_KEY]
    old.dynamodb.items[RECORD_KEY] = {**leads, "region": {"S": "eu-west-1"}, "epoch": {"N": "2"}}
    old.postgres.read_only = True
    assert counts(run(old)) == {"lost": 1}
    line = lines(old)[-1]
    assert (line["wrong"], line["payment"]["amount"]) == ({"ledger": "lost"}, PAYMENT["amount"])


def three(region: Region) -> None:
    """Three payments."""
    for number in range(3):
        region.pay({**PAYMENT, "payment_id": f"pay-{number}"})


def test_a_pass_that_ended_early_goes_on_from_its_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "BATCH", 1)
    region = Region()
    three(region)
    run(region)
    region.postgres.postings.clear()
    region.dynamodb.page = 1
    answers = [run(region, seconds=0, begin=False) for _ in range(30)]
    assert {answer["error"] for answer in answers} == {""}
    assert [answer["done"] for answer in answers].index(True) > 4
    assert len({*region.postgres.postings}) == 3
    document = json.loads(region.dynamodb.items[f"{REPAIR_PREFIX}us-east-1"]["document"]["S"])
    assert document["number"] == answers[-1]["pass"] > answers[0]["pass"]


@pytest.mark.parametrize("number", range(40))
def test_a_repair_that_crashed_anywhere_can_be_repeated(region: Region, number: int) -> None:
    three(region)
    del region.dynamodb.items["pay-1"], region.postgres.postings["pay-2"]
    region.network.faults = [*[None] * number, Fault(Crash(), done=True)]
    with suppress(Crash):
        run(region)
    region.network.faults = []
    assert run(region)["done"]
    assert len(region.postgres.postings) == 3
    assert region.status("pay-1") == "SETTLED"
    assert repaired(region) == {"pay-1", "pay-2"}
    assert counts(run(region)) == {}


def test_after_a_pass_the_next_one_rests_in_proportion_unless_it_is_told_to_begin(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "REST", 2)
    region = Region()
    for payment_id in MANY[:5]:
        region.pay({**PAYMENT, "payment_id": payment_id})
    first = run(region)
    passes = [run(region, begin=begin)["pass"] - first["pass"] for begin in (False, False, False, True, False)]
    assert passes == [0, 0, 1, 2, 2]


@pytest.mark.parametrize(("starts", "payments", "rest"), [
    (0, 4_999, 0), (0, 5_000, 1), (0, 10_000_000, LOOK), (DAY - 1, 10_000_000, LOOK), (DAY, 1_000_000, 200),
    (DAY, 10_000_000, DAY)])
def test_a_rest_lasts_a_day_at_most_and_a_few_starts_on_the_first_day_of_an_epoch(
        starts: int, payments: int, rest: int) -> None:
    ended = Progress(number=7, phase=PassPart.TABLE, starts=starts, counts={"read": payments}).after(
        reconcile.Batch(PassPart.ENDED), [])
    assert (ended.phase, ended.rest) == (PassPart.ENDED, rest)


def test_a_pass_counts_each_payment_once(region: Region) -> None:
    three(region)
    lose_posting(region)
    lose_receipt(region)
    region.dynamodb.page = 1
    assert [run(region)["counts"]["read"] for _ in range(2)] == [3, 3]


def cursor(region: Region, **changes: Any) -> Item:
    """What the repair has saved, once that is changed."""
    item = region.dynamodb.items[f"{REPAIR_PREFIX}{region.name}"]
    saved: Item = {**json.loads(item["document"]["S"]), **changes}
    item["document"] = {"S": json.dumps(saved)}
    return saved


def rests(region: Region, *, starts: int = LOOK) -> Item:
    """After a pass, a rest begins, long after the epoch. Returns the answer to the last of some starts of it."""
    run(region)
    cursor(region, rest=DAY, starts=DAY + LOOK - 1)
    return [run(region, begin=False) for _ in range(starts)][-1]


@pytest.mark.parametrize("rest", [4_000, -1])
def test_a_rest_that_another_release_has_saved_is_limited_too(region: Region, rest: int) -> None:
    run(region)
    cursor(region, rest=rest, starts=DAY)
    run(region, begin=False)
    assert cursor(region)["rest"] == (DAY - 1 if rest > 0 else 0)


def test_a_copy_that_arrives_late_after_a_move_is_found_within_a_few_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "REST", 1)
    region = Region()
    for payment_id in MANY:
        region.pay({**PAYMENT, "payment_id": payment_id})
    late = region.dynamodb.items.pop("pay-07")
    del region.postgres.postings["pay-07"], region.s3.objects[RECEIPTS, "receipts/pay-07.json"]
    there = taken_over(region)
    assert counts(run(there)) == {}
    region.dynamodb.items["pay-07"] = late
    answers = [run(there, begin=False) for _ in range(LOOK + 1)]
    assert (answers[-1]["done"], answers[-1]["counts"]["repaired"]) == (True, 1)
    assert "pay-07" in region.postgres.postings


@pytest.mark.parametrize("lose", [lose_item, lose_receipt])
def test_in_a_rest_what_the_latest_payments_lack_is_restored_and_a_pass_follows(
        region: Region, lose: Callable[[Region], None]) -> None:
    three(region)
    before = rests(region)
    lose(region)
    answer = run(region, begin=False)
    assert (answer["done"], answer["pass"], answer["counts"]["repaired"]) == (True, before["pass"] + 1, 1)
    assert (region.status(), len(region.receipt_versions())) == ("SETTLED", 1)
    assert repaired(region) == {"pay-1"}


def test_a_look_that_can_restore_nothing_names_it_and_the_rest_goes_on(region: Region) -> None:
    three(region)
    before = rests(region)
    region.dynamodb.items["pay-0"]["status"] = {"S": "CANCELLED"}
    region.dynamodb.items["pay-1"]["amount"] = {"N": "1"}
    region.network.failing = {"UpdateItem": client_error("ValidationException")}
    for number in (1, 2):
        assert [run(region, begin=False) for _ in range(LOOK)] == [before] * LOOK
        assert [line["outcome"] for line in lines(region)].count("refused") == number
    assert cursor(region)["begun"] == {}
    assert {line["payment_id"]: line["outcome"] for line in lines(region)} == {"pay-0": "set aside", "pay-1": "refused"}


@pytest.mark.parametrize("part", [PassPart.LEDGER, PassPart.TABLE])
def test_in_a_long_pass_the_latest_payments_are_looked_at_every_few_starts(
        region: Region, monkeypatch: pytest.MonkeyPatch, part: PassPart) -> None:
    monkeypatch.setattr(reconcile, "BATCH", 1)
    for payment_id in MANY:
        region.pay({**PAYMENT, "payment_id": payment_id})
    run(region)
    last = MANY[-1]
    cursor(region, phase=part, cursor="pay-02", starts=DAY + 1, counts={"read": 3})  # its third start looks
    before = region.dynamodb.items.pop(last)
    region.dynamodb.page = 1
    answers = [run(region, seconds=0, begin=False) for _ in range(3)]
    assert {(answer["done"], answer["error"]) for answer in answers} == {(False, "")}
    assert region.dynamodb.items[last] == before
    assert answers[-1]["counts"]["repaired"] == 1


def test_a_look_ends_with_its_time(region: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "BATCH", 1)
    three(region)
    rests(region)
    region.service = replace(region.service, ledger=PostgresLedger(region.postgres.connect, page=1))
    answers = [run(region, seconds=0, begin=False) for _ in range(LOOK)]
    assert answers[-1]["done"]
    run(region, begin=False)
    looked = [0, 0]
    for number, seconds in enumerate((0.0, 10.0)):
        for _ in range(LOOK):
            run(region, seconds=seconds, begin=False)
            looked[number] += region.network.calls.count("HeadObject")
    assert looked == [1, 3]


def test_a_region_that_does_not_lead_does_not_look_in_a_rest() -> None:
    here = Region()
    three(here)
    there = Region("eu-west-1", elsewhere=here)
    rests(there)
    lose_receipt(here)
    for _ in range(LOOK):
        assert run(there, begin=False)["done"]
        assert Counter(there.network.calls) == {"GetItem": 2, "PutItem": 1}
    assert not lines(there)


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("number", range(20))
def test_a_look_that_crashed_anywhere_restores_and_names_all_the_same(
        region: Region, number: int, *, done: bool) -> None:
    three(region)
    before = rests(region)
    lose_receipt(region)
    region.network.faults = [*[None] * number, Fault(Crash(), done=done)]
    with suppress(Crash):
        run(region, begin=False)
    region.network.faults = []
    answers = [run(region, begin=False) for _ in range(LOOK + 1)]
    assert {(answer["done"], answer["error"]) for answer in answers} == {(True, "")}
    assert answers[-1]["pass"] > before["pass"]
    assert len(region.receipt_versions()) == 1
    assert repaired(region) == {"pay-1"}


@pytest.mark.parametrize(("event", "fails"), [({}, True), ({"begin": True}, False)])
def test_a_start_that_a_store_fails_says_why_and_keeps_what_it_has_saved(
        region: Region, event: Item, *, fails: bool) -> None:
    three(region)
    lose_receipt(region)
    region.network.failing = {"PutObject": client_error("SlowDown", 503)}

    def start() -> Item:
        answer = region.reconciliation().answer(event, FakeContext(900_000))
        return reconcile.told(answer, request_logger(region.output, region.clock), awaited="begin" in event)

    if fails:
        with pytest.raises(RepairFailed, match="receipts:SlowDown"):
            start()
    else:
        assert start()["error"] == "receipts:SlowDown"
    assert [*cursor(region)["begun"]] == ["pay-1"]
    region.network.failing = {}
    assert counts(start()) == {"repaired": 1}
    assert [(line["level"], line["event"], line["error"]) for line in region.log()[-2:]] == [
        ("ERROR", "repair", "receipts:SlowDown"), ("INFO", "repair", "")]


def test_it_is_no_failure_that_another_region_leads_now() -> None:
    here = Region()
    answer = {"region": "us-east-1", "error": "not the writer", "writer": "eu-west-1"}
    assert reconcile.told(answer, request_logger(here.output, here.clock), awaited=False) == answer
    assert [(line["level"], line["writer"]) for line in here.log()] == [("INFO", "eu-west-1")]


def test_of_two_repairs_at_once_one_stops(region: Region) -> None:
    three(region)
    region.network.meanwhile = {3: lambda: region.reconciliation().run(10)}
    answer = run(region)
    assert (answer["done"], answer["error"]) == (False, "table:AnotherRepair")


@pytest.mark.parametrize("number", range(3, 40))
def test_of_two_repairs_at_once_neither_overwrites_what_the_other_has_named(
        region: Region, number: int) -> None:
    three(region)
    region.s3.write((RECEIPTS, "receipts/pay-8.json"), b"{}")
    run(region)
    before = dict(region.dynamodb.items[f"{REPAIR_PREFIX}us-east-1"])
    region.postgres.postings.clear()
    region.network.meanwhile = {number: lambda: region.reconciliation().run(10, begin=True)}
    run(region)
    region.dynamodb.items[f"{REPAIR_PREFIX}us-east-1"] = before  # and the table is restored to an earlier moment
    lose_posting(region)
    assert run(region)["counts"]["repaired"] == 1
    assert {len(versions) for (_, key), versions in region.s3.objects.items() if key.startswith("repair/")} == {1}
    assert repaired(region) == {"pay-0", "pay-1", "pay-2"}


@pytest.mark.parametrize("revision", [{"revision": {"N": "7"}}, {}, {"revision": {"S": "seven"}}])
@pytest.mark.parametrize(("text", "number"), [
    ("{", 2), ("[]", 2), ("1", 2), ("[" * 100_000, 2), ('{"number": 4, "counts": {"read": Infinity}}', 2),
    ('{"number": 4, "begun": {"pay-1": {}}}', 2), ('{"number": 4, "begun": {"pay-1": 1}}', 2),
    ('{"number": 4, "begun": {"pay-1": {"wrong": []}, "!record": {"wrong": {}}}}', 6),
    ('{"number": 4, "unknown": 1}', 6), ('{"number": "4", "counts": []}', 2),
    ('{"epoch": 1, "phase": "ledger", "number": 4, "counts": {"read": {"all": 5}}}', 2),
    ('{"epoch": 1, "phase": "recent", "cursor": "x", "number": 4}', 5)])
def test_a_cursor_that_cannot_be_read_begins_anew_and_unknown_fields_are_ignored(
        region: Region, text: str, number: int, revision: dict[str, Any]) -> None:
    region.pay(PAYMENT)
    region.dynamodb.items[f"{REPAIR_PREFIX}us-east-1"] = {
        "payment_id": {"S": f"{REPAIR_PREFIX}us-east-1"}, "document": {"S": text}, **revision}
    answer = run(region)
    assert (answer["error"], answer["counts"]["settled"], answer["pass"]) == ("", 1, number)


def test_a_leader_that_is_replaced_during_its_repair_stops() -> None:
    here = Region()
    three(here)
    here.postgres.postings.clear()
    there = Region("eu-west-1", elsewhere=here)

    def lose() -> None:
        there.take_leadership()
        here.clock.now += 1

    here.network.meanwhile = {9: lose}
    answer = run(here)
    assert (answer["done"], answer["error"], answer["writer"]) == (False, "not the writer", "eu-west-1")


def test_other_items_and_objects_are_not_taken_for_payments(region: Region) -> None:
    first = region.pay(PAYMENT)
    for key in (RECORD_KEY, DRILL_KEY, f"{OBSERVATION_PREFIX}us-east-1", f"{CANARY_PREFIX}us-east-1"):
        region.dynamodb.items[key] = {**region.dynamodb.items["pay-1"], "payment_id": {"S": key}, **(
            region.dynamodb.items.get(key, {}))}
        region.s3.write((RECEIPTS, f"receipts/{key}.json"), b"x")
        assert region.look(key)[0] == 404
        assert region.pay({**PAYMENT, "payment_id": key})[0] == 400
        assert region.table.find(key, region.deadline()) is None
    before = dict(region.dynamodb.items)
    lose_posting(region)
    assert counts(run(region)) == {"repaired": 1}
    del region.dynamodb.items[f"{REPAIR_PREFIX}us-east-1"]
    assert (region.dynamodb.items, region.look(), region.pay(PAYMENT)) == (before, (200, first[1]), first)
    assert list(region.postgres.postings) == ["pay-1"]


def test_a_run_leaves_no_session_open() -> None:
    here = Region()
    for region in (here, Region("eu-west-1", elsewhere=here)):
        run(region)
        assert not any(session.is_open for session in region.postgres.sessions)


def test_without_leadership_that_can_be_read_nothing_is_done(region: Region) -> None:
    del region.dynamodb.items[RECORD_KEY]
    assert run(region)["error"] == "table:LeadershipMissing"
    with pytest.raises(StoreUnavailable):
        region.lease.read(region.deadline())


def test_the_function_works_within_lambdas_time_and_may_be_told_to_begin(region: Region) -> None:
    three(region)
    function = region.reconciliation().answer
    assert function({}, FakeContext(10_000))["done"] is False
    answer = function({}, FakeContext(900_000))
    assert (answer["region"], answer["done"], answer["counts"]["settled"]) == ("us-east-1", True, 3)
    assert function({"begin": True}, FakeContext(900_000))["pass"] == answer["pass"] + 1


@pytest.mark.parametrize("amount", [1300, 13000])
def test_a_request_that_was_acknowledged_and_lost_but_for_its_receipt_is_named_by_every_pass(
        region: Region, amount: int) -> None:
    """Its id is used again, for a payment whose receipt is as long as its own, or longer."""
    assert region.pay(PAYMENT)[0] == 201
    lose_posting(region)
    lose_item(region)
    there = taken_over(region)
    there.clock.now = 7200.0
    assert there.pay({**PAYMENT, "amount": amount})[0] == 201
    assert (there.dynamodb.items["pay-1"]["receipt"], len(there.receipt_versions())) == ({"S": "differs"}, 1)
    run(there)
    for _ in range(3):
        assert counts(run(there)) == {"conflicting": 1}
    assert [(line["outcome"], line["payment"]["amount"], line["others"][0]["amount"]) for line in lines(there)] == [
        ("repaired" if number == 0 else "reported", amount, PAYMENT["amount"]) for number in range(len(lines(there)))]
    assert {json.loads(there.receipt_versions()[-1] or b"")["amount"], there.postgres.postings["pay-1"]["amount"]} == {
        amount}


def test_a_lease_that_expires_while_it_is_read_gives_no_payment_up(
        region: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    three(region)
    region.postgres.postings.clear()
    there = taken_over(region)
    read = there.dynamodb.get_item

    def slow(**request: Any) -> Item:
        there.clock.now += LEASE
        return read(**request)

    monkeypatch.setattr(there.dynamodb, "get_item", slow)
    assert [run(there)[key] for key in ("done", "error")] == [False, "table:LeaseExpired"]
    monkeypatch.undo()
    assert counts(run(there, begin=False)) == {"repaired": 3}
    assert there.postgres.postings.keys() == {"pay-0", "pay-1", "pay-2"}
    assert "refused" not in {line["outcome"] for line in lines(there)}
