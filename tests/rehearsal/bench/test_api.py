"""Measurements through the API, with canned answers."""

import statistics
from collections import Counter
from dataclasses import fields
from typing import Any

import httpx
import pytest

from payments.leadership import LEASE
from rehearsal.aws.proxy import RECORD
from rehearsal.bench import api as bench
from rehearsal.errors import BenchError
from rehearsal.workload.http import Answer
from rehearsal.workload.region import RegionClient
from tests.rehearsal.workload.api import InstantClock, Reply, api


def test_what_a_payment_costs_each_store() -> None:
    calls = Counter({("dynamodb", "PutItem"): 10, ("dynamodb", "UpdateItem"): 11, ("dynamodb", "GetItem"): 2,
                     ("s3", "PUT /receipts/a"): 5, ("s3", "PUT /receipts/b"): 5})
    figures = {figure.name: figure for figure in bench.per_payment(calls, 10, 4.0 - LEASE, 20)}
    assert {name: figure.value for name, figure in figures.items()} == {
        "calls to the table": 2.1, "reads of the leadership": 0.5, "transactions of the ledger": 2.0,
        "calls to the receipts": 1.0}
    assert [name for name, figure in figures.items() if not figure.ok] == [
        "calls to the table", "transactions of the ledger"]


@pytest.mark.parametrize(("reads", "ok"), [(4, True), (5, False)])
def test_the_leadership_is_read_once_in_a_lease(reads: int, ok: bool) -> None:
    calls = Counter({("dynamodb", "GetItem"): reads})
    [figure] = [each for each in bench.per_payment(calls, 1, 3 * LEASE, 1) if each.name == "reads of the leadership"]
    assert figure.ok is ok


def test_the_rate_is_that_of_the_requests() -> None:
    clock, milliseconds = InstantClock(), iter(range(1, 102))

    def request() -> Answer:
        clock.sleep(0.5)
        return Answer(201, None, seconds=next(milliseconds) / 1000)

    found = bench.timed(request, 101, clock)
    assert found.rate == pytest.approx(2)
    assert sorted(found.milliseconds) == pytest.approx(range(1, 102))


def test_each_round_is_compared_with_the_floor_beside_it() -> None:
    rates = [(100, 50), (120, 40), (200, 100)]
    rounds = [(bench.Round(floor, [1, 3]), bench.Round(found, [2, 4])) for floor, found in rates]
    figures = {figure.name: figure for figure in bench.compared(rounds)}
    assert figures["ratio (goal: 2.5)"].value == 2
    assert (figures["p50"].value, figures["p50"].floor) == (3, 2)
    assert figures["payments a second"].value == statistics.median(found for _, found in rates)


def test_a_payment_that_fails_ends_the_bench() -> None:
    replies: list[Reply] = [(201, {}), (500, "down")]
    asked: list[tuple[str, str]] = []

    def answer(request: httpx.Request) -> Reply:
        asked.append((request.method, request.url.path))
        return replies.pop(0)

    client = api(answer)
    assert bench.pay(client).status == 201
    with pytest.raises(BenchError, match="500 instead of 201: down"):
        bench.pay(client)
    assert asked == [("POST", "/live/payment")] * 2


@pytest.mark.parametrize(("url", "allowed"), [
    ("http://127.0.0.1:80/live", True), ("http://localhost/live", True), ("https://api.example.com/live", False)])
def test_only_an_api_on_loopback_is_measured(url: str, allowed: bool) -> None:
    others: dict[str, Any] = dict.fromkeys((field.name for field in fields(RegionClient)), "")
    region = RegionClient(**{**others, "url": url, "key": "k"})
    if allowed:
        client = bench.client_of(region)
        assert (client.url, client.key, client.keep_alive) == (url, "k", True)
    else:
        with pytest.raises(BenchError, match="not on loopback"):
            bench.client_of(region)


def test_the_record_is_read_for_one_caller() -> None:
    record = [{"caller": "us-east-1", "service": "dynamodb", "operation": "PutItem", "calls": 3},
              {"caller": "outside", "service": "dynamodb", "operation": "PutItem", "calls": 9}]
    client = api(lambda request: (200, record) if request.url.path.endswith(RECORD) else (404, ""), url="http://proxy")
    assert bench.recorded(client, "us-east-1") == {("dynamodb", "PutItem"): 3}
