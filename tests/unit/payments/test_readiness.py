"""Readiness: the leader writes a canary as it writes a payment, and the standby only its receipt."""
from typing import Any

import pytest

from contract import RECORD_KEY
from tests.unit.payments.fakes import PAYMENT, RECEIPTS, Fault, Hang, Region, client_error, database_error

HERE, THERE = "us-east-1", "us-west-2"
LOOK = ["GetItem", "ConnectReader", "Read", "Mark", "PutItem", "PutObject", "UpdateItem"]
DENIED = client_error("AccessDenied", 403)


def standby() -> Region:
    """A region whose database only reads, and that shares all its stores with the leader."""
    region = Region(THERE, elsewhere=Region(HERE))
    region.postgres.read_only = region.postgres.inactive = True
    return region


def test_the_leader_writes_a_canary_to_every_store(region: Region) -> None:
    assert region.readiness() == {"region": HERE, "leader": HERE, "epoch": 1, "ready": True, "why": "", "mark": 1,
                                  "marks": {}, "ledger_epoch": 0}
    assert region.network.calls == LOOK
    assert (region.readiness()["marks"], region.readiness()["ledger_epoch"]) == ({HERE: 1}, 1)
    item = region.dynamodb.items[f"!canary:{HERE}"]
    assert (item["status"], item["epoch"]) == ({"S": "SETTLED"}, {"N": "1"})
    assert (RECEIPTS, f"canary/{HERE}.json") in region.s3.objects


def test_canaries_make_the_calls_of_a_payment_and_do_not_pile_up(region: Region) -> None:
    region.readiness()
    before = len(region.dynamodb.items), len(region.s3.objects)
    region.network.calls.clear()
    assert [region.readiness()["mark"] for _ in range(3)] == [2, 3, 4]
    assert (len(region.dynamodb.items), len(region.s3.objects)) == before
    assert (region.postgres.postings, region.postgres.marks) == ({}, {HERE: 4})
    region.network.calls.clear()
    region.pay(PAYMENT)
    assert sorted(region.network.calls) == sorted(call.replace("Mark", "Post") for call in LOOK[3:])


@pytest.mark.parametrize(("call", "error", "why"), [
    (3, database_error("42501"), "ledger:42501"), (3, database_error("TS001"), "not the writer"),
    (4, DENIED, "table:AccessDenied"), (5, DENIED, "receipts:AccessDenied"),
    (6, client_error("KMSDisabledException"), "table:KMSDisabledException")])
def test_a_leader_that_can_read_but_not_write_is_not_ready(
        region: Region, call: int, error: Exception, why: str) -> None:
    region.network.faults = [*[None] * call, Fault(error)]
    found = region.readiness()
    # The mark says how far the log has come, also where another store keeps the region from paying.
    assert (found["ready"], found["why"], found["mark"], found["leader"]) == (
        False, why, None if call == 3 else 1, HERE)
    assert region.readiness()["ready"] is True


def test_a_leader_whose_ledger_has_seen_a_newer_epoch_says_so(region: Region) -> None:
    region.postgres.epoch = 7
    found = region.readiness()
    assert (found["ready"], found["why"], found["epoch"], found["ledger_epoch"]) == (False, "not the writer", 1, 7)


def test_a_canary_of_an_older_epoch_does_not_replace_a_newer_one(region: Region) -> None:
    region.readiness()
    region.dynamodb.items[f"!canary:{HERE}"]["epoch"] = {"N": "2"}
    assert region.readiness()["ready"] is False
    assert region.dynamodb.items[f"!canary:{HERE}"]["epoch"] == {"N": "2"}


@pytest.mark.parametrize("change", [{}, {"epoch": {"S": "one"}}])
def test_a_malformed_canary_is_replaced(region: Region, change: dict[str, Any]) -> None:
    region.readiness()
    item = region.dynamodb.items[f"!canary:{HERE}"]
    region.dynamodb.items[f"!canary:{HERE}"] = {"payment_id": item["payment_id"], **change}
    assert region.readiness()["ready"] is True
    assert region.dynamodb.items[f"!canary:{HERE}"].keys() == item.keys()


def test_two_canaries_at_once_are_both_written(region: Region) -> None:
    region.network.meanwhile = {5: region.readiness}
    assert region.readiness()["ready"] is True
    assert region.postgres.marks == {HERE: 2}


@pytest.mark.parametrize("failure", [database_error("28000"), Hang()])
def test_a_leader_whose_reader_endpoint_fails_or_hangs_is_ready_and_asks_the_writer(
        region: Region, failure: BaseException) -> None:
    region.network.failing = {"ConnectReader": failure}
    found = region.readiness()
    assert (found["ready"], found["why"], found["mark"], found["marks"], found["ledger_epoch"]) == (
        True, "", 1, {HERE: 1}, 1)
    assert region.network.calls[-1] == "Read"


def test_a_leader_that_cannot_say_what_its_ledger_knows_is_ready_all_the_same(region: Region) -> None:
    region.network.failing = {"Read": database_error("42501")}
    found = region.readiness()
    assert (found["ready"], found["mark"], found["marks"], found["ledger_epoch"]) == (True, 1, {}, None)


def test_a_standby_reads_everything_and_writes_its_canarys_receipt() -> None:
    region = standby()
    region.postgres.marks, region.postgres.epoch = {HERE: 41}, 1
    before = dict(region.dynamodb.items), dict(region.s3.objects)
    assert region.readiness() == {"region": THERE, "leader": HERE, "epoch": 1, "ready": True, "why": "", "mark": None,
                                  "marks": {HERE: 41}, "ledger_epoch": 1}
    assert region.network.calls == ["GetItem", "ConnectReader", "Read", "PutObject"]
    assert (region.dynamodb.items, region.s3.objects.keys() - before[1]) == (
        before[0], {(RECEIPTS, f"canary/{THERE}.json")})


@pytest.mark.parametrize(("call", "error", "why"), [
    (0, DENIED, "table:AccessDenied"), (1, database_error("28000"), "ledger:28000"),
    (2, database_error("42501"), "ledger:42501"), (3, client_error("NoSuchBucket", 404), "receipts:NoSuchBucket"),
    (3, DENIED, "receipts:AccessDenied")])
def test_a_standby_that_could_not_take_over_says_why(call: int, error: Exception, why: str) -> None:
    region = standby()
    region.network.faults = [*[None] * call, Fault(error)]
    found = region.readiness()
    assert (found["ready"], found["why"]) == (False, why)
    assert (found["leader"], found["epoch"]) == ((None, None) if call == 0 else (HERE, 1))


@pytest.mark.parametrize(("only_reads", "mark"), [(False, 1), (True, None)])
def test_without_a_record_nobody_is_ready_and_the_writers_region_still_sets_its_mark(
        region: Region, only_reads: bool, mark: int | None) -> None:
    del region.dynamodb.items[RECORD_KEY]
    region.postgres.marks, region.postgres.epoch, region.postgres.read_only = {THERE: 3}, 4, only_reads
    found = region.readiness()
    assert (found["ready"], found["why"], found["leader"], found["marks"], found["mark"], region.postgres.epoch) == (
        False, "table:LeadershipMissing", None, {THERE: 3}, mark, 4)


def test_if_nothing_answers_nothing_is_known(region: Region) -> None:
    region.network.failing = dict.fromkeys(("GetItem", "ConnectReader", "Mark", "PutObject"), DENIED)
    assert region.readiness() == {"region": HERE, "leader": None, "epoch": None, "ready": False, "mark": None,
                                  "why": "table:AccessDenied", "marks": {}, "ledger_epoch": None}
