"""The payments function as its clients see it."""
import base64
import json
import logging
import sys
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.logs import request_logger
from tests.unit.payments.fakes import (
    FIELDS,
    OTHER,
    PAYMENT,
    Crash,
    FakeContext,
    Fault,
    Region,
    StillClock,
    client_error,
    database_error,
    event,
    sent_by,
)
from tests.unit.payments.strategies import bodies, faults, payments

DENIED = Fault(client_error("AccessDeniedException"))


def test_a_payment_is_accepted_and_found(region: Region) -> None:
    status, body, headers = region.request(event("POST", "/payment", body=json.dumps(PAYMENT)))
    assert status == 201
    assert {**body, "created_at": ""} == {**PAYMENT, "status": "settled", "created_at": ""}
    assert headers == {"Content-Type": "application/json", "Cache-Control": "no-store", "X-Region": "us-east-1",
                       "X-Content-Type-Options": "nosniff", "Strict-Transport-Security": "max-age=63072000"}
    assert region.look() == (200, body)


def as_client(region: Region, client: str, asked: dict[str, Any] | str = "pay-1") -> tuple[int, Any]:
    """Pay, or look for the payment of an id, with a client's API key."""
    asked = event("POST", "/payment", body=json.dumps(asked)) if isinstance(asked, dict) else event(
        "GET", "/payment/{payment_id}", pathParameters={"payment_id": asked})
    return region.request({**asked, **sent_by(client)})[:2]


def test_a_client_finds_its_own_payments_only(region: Region) -> None:
    answers = {client: as_client(region, client, PAYMENT) for client in ("shop", "kiosk", "")}
    assert {status for status, _ in answers.values()} == {201}
    assert {client: as_client(region, client) for client in answers} == {
        client: (200, body) for client, (_, body) in answers.items()}
    unknown = as_client(region, "other")
    assert unknown == (404, {"error": "no such payment"})
    assert as_client(region, "", "shop.pay-1") == as_client(region, "shop", "shop.pay-1") == unknown
    assert as_client(region, "kiosk", "../pay-1") == as_client(region, "", "!record") == unknown
    assert as_client(region, "kiosk", OTHER)[0] == 409


def test_a_client_that_another_has_the_id_of_does_not_learn_of_it() -> None:
    region, alone = Region(), Region()
    as_client(region, "shop", PAYMENT)
    for asked in ("pay-1", OTHER, "pay-1"):
        assert as_client(region, "kiosk", asked) == as_client(alone, "kiosk", asked)


def test_stores_of_one_client_keep_the_ids_as_they_were(region: Region) -> None:
    as_client(region, "", PAYMENT)
    as_client(region, "shop", PAYMENT)
    assert {key for key in region.dynamodb.items if "pay-1" in key} == {"pay-1", "shop.pay-1"}
    assert len(region.receipt_versions("pay-1")) == len(region.receipt_versions("shop.pay-1")) == 1


@pytest.mark.parametrize("context", [{}, {"identity": {}}, {"identity": {"apiKey": None}}])
def test_a_request_through_the_api_without_a_key_is_nobodys(region: Region, context: dict[str, Any]) -> None:
    paid = region.request(event("POST", "/payment", body=json.dumps(PAYMENT), requestContext=context))
    assert paid[0] == 503
    assert not region.network.calls


@pytest.mark.parametrize(("client", "session", "status"), [
    ("shop", "assumed-role/tapstack-client-shop-prod/till-1", 201),
    ("", "assumed-role/tapstack-client-default-prod/till-1", 201),
    ("shop", "assumed-role/tapstack-client-kiosk-prod/shop", 403),
    ("", "assumed-role/tapstack-client-shop-prod/x", 403),
    ("shop", "assumed-role/tapstack-client-shopper-prod/x", 403), ("shop", "user/shop", 403), ("shop", "root", 403)])
def test_a_signed_request_is_its_clients_only_by_the_clients_role(client: str, session: str, status: int) -> None:
    for account, answer in (("1", status), ("2", 403)):
        region, asked = Region(), event("POST", "/payment", body=json.dumps(PAYMENT), **sent_by(client))
        context = asked["requestContext"]
        context["identity"]["userArn"] = f"arn:aws:sts::{account}:{session}"
        found = region.request({**asked, "requestContext": {**context, "accountId": "1"}})
        assert found[0] == answer
        assert bool(region.network.calls) is (answer == 201)
        assert answer == 201 or found[1] == {"message": "Forbidden"}


def test_who_may_invoke_the_function_pays_as_the_default_client(region: Region) -> None:
    asked = event("POST", "/payment", body=json.dumps(PAYMENT))
    del asked["requestContext"]
    assert region.request(asked)[0] == 201
    assert region.look()[0] == 200


@pytest.mark.parametrize("headers", [
    {"headers": {"idempotency-key": "pay-1"}}, {"headers": {"IDEMPOTENCY-KEY": "pay-1", "Accept": "*/*"}},
    {"headers": {"Idempotency-Key": "pay-1"}, "multiValueHeaders": {"Idempotency-Key": ["pay-1", "pay-1"]}},
])
def test_the_idempotency_header_is_found_in_any_case(headers: dict[str, Any]) -> None:
    status, body, _ = Region().request(event("POST", "/payment", body=json.dumps(FIELDS), **headers))
    assert (status, body["payment_id"]) == (201, "pay-1")


@pytest.mark.parametrize("headers", [
    {"headers": {"idempotency-key": "pay-1", "Idempotency-Key": "pay-2"}},
    {"headers": {"Idempotency-Key": "pay-1"}, "multiValueHeaders": {"Idempotency-Key": ["pay-2", "pay-1"]}},
])
def test_two_different_idempotency_keys_are_refused(headers: dict[str, Any]) -> None:
    status, body, _ = Region().request(event("POST", "/payment", body=json.dumps(FIELDS), **headers))
    assert (status, body["field"]) == (400, "payment_id")


def test_a_body_may_come_in_base64() -> None:
    body = base64.b64encode(json.dumps(PAYMENT).encode()).decode()
    assert Region().request(event("POST", "/payment", body=body, isBase64Encoded=True))[0] == 201


@pytest.mark.parametrize("more", [
    {"body": None}, {"body": "{"}, {"body": "\ud800"}, {"body": "{}", "isBase64Encoded": True},
    {"body": "!" + base64.b64encode(json.dumps(PAYMENT).encode()).decode(), "isBase64Encoded": True},
    {"body": "é", "isBase64Encoded": True}, {"body": "/w==", "isBase64Encoded": True},
])
def test_a_body_that_cannot_be_decoded_is_refused(more: dict[str, Any]) -> None:
    status, body, headers = Region().request(event("POST", "/payment", **more))
    assert (status, body["field"]) == (400, "body")
    assert "Retry-After" not in headers


@given(bodies())
def test_any_json_gets_201_or_400(body: Any) -> None:
    region = Region()
    status, answer = region.pay(body)
    assert status == 201 or (status == 400 and set(answer) == {"error", "field"})
    assert bool(region.network.calls) == (status == 201)


@given(st.binary() | st.text().map(str.encode), st.booleans())
def test_a_body_that_is_no_json_gets_400(body: bytes, encoded: bool) -> None:
    text = base64.b64encode(body).decode() if encoded else body.decode(errors="replace")
    assert Region().request(event("POST", "/payment", body=text, isBase64Encoded=encoded))[0] == 400


def test_unknown_resources_get_404_and_unknown_methods_405(region: Region) -> None:
    assert region.request(event("GET", "/elsewhere"))[0] == 404
    status, _, headers = region.request(event("DELETE", "/payment"))
    assert (status, headers["Allow"]) == (405, "POST")
    assert ["route" in line for line in region.log()] == [False, False]


@pytest.mark.parametrize("query", [None, {}, {"deep": "1"}])
def test_liveness_asks_no_store(region: Region, query: dict[str, str] | None) -> None:
    status, body, _ = region.request(event("GET", "/a-secret/health", queryStringParameters=query))
    assert (status, body) == (200, {"status": "ok", "region": "us-east-1"})
    assert not region.network.calls
    assert region.log()[0]["route"] == "GET /health"
    assert "a-secret" not in region.output.getvalue()


def test_readiness_is_logged_with_what_is_wrong(region: Region) -> None:
    assert region.readiness()["ready"] is True
    region.network.faults = [DENIED]
    assert region.readiness()["ready"] is False
    assert [line.get("error") for line in region.log()] == [None, "table:AccessDeniedException"]


@pytest.mark.parametrize(("number", "store"), [(0, "table"), (1, "ledger"), (2, "receipts"), (3, "table")])
def test_a_store_that_refuses_gives_503_and_retry_after(region: Region, number: int, store: str) -> None:
    code = "42501" if store == "ledger" else "AccessDeniedException"
    region.network.faults = [*[None] * number, Fault(database_error(code)) if store == "ledger" else DENIED]
    status, body, headers = region.request(event("POST", "/payment", body=json.dumps(PAYMENT)))
    assert (status, body, headers["Retry-After"]) == (503, {"error": f"{store} unavailable"}, "1")
    assert region.log()[0]["error"] == f"{store}:{code}"
    assert region.pay(PAYMENT)[0] == 201


def test_without_time_left_no_store_is_asked(region: Region) -> None:
    request = event("POST", "/payment", body=json.dumps(PAYMENT))
    status, _, headers = region.request(request, FakeContext(remaining_ms=200))
    assert (status, headers["Retry-After"]) == (503, "1")
    assert not region.network.calls


def test_an_unexpected_error_gives_503_and_its_message_is_not_logged(region: Region) -> None:
    region.network.faults = [Fault(RuntimeError("payer@example"))]
    status, body, headers = region.request(event("POST", "/payment", body=json.dumps(PAYMENT)))
    assert (status, body, headers["Retry-After"]) == (503, {"error": "unavailable"}, "1")
    line = region.log()[0]
    assert (line["level"], line["error"]) == ("ERROR", "RuntimeError")
    assert line["at"][-1].startswith("carry:")
    assert region.request({})[0] == 503


def test_each_request_logs_one_line(region: Region) -> None:
    region.pay(PAYMENT)
    region.pay({**PAYMENT, "amount": 1})
    region.pay({})
    region.look()
    lines = region.log()
    everywhere = {"time", "level", "event", "request_id", "route", "status", "region", "duration_ms"}
    assert [set(line) - everywhere for line in lines] == [
        {"payment_id"}, {"payment_id", "error"}, {"error"}, {"payment_id"}]
    assert [(line["route"], line["status"], line.get("error")) for line in lines] == [
        ("POST /payment", 201, None), ("POST /payment", 409, "Conflict"), ("POST /payment", 400, "InvalidRequest"),
        ("GET /payment/{payment_id}", 200, None)]
    assert all((line["event"], line["region"], line["request_id"]) == ("request", "us-east-1", "request-1")
               and line["duration_ms"] >= 0 for line in lines)


@given(payments, faults, st.integers(0, 9))
def test_the_log_identifies_no_person(payment: dict[str, Any], injected: list[Fault | None], position: int) -> None:
    people = [payment["payer"], payment["payee"]]
    region = Region()
    region.network.faults = [*injected[:position], Fault(RuntimeError(*people)), *injected[position:]]
    wrong = [{**payment, "amount": 0}, {**payment, "payer": 1}, {**payment, people[0]: people[1]}]
    for request in (payment, payment, *wrong):
        with suppress(Crash):
            region.pay(request)
            region.look(payment["payer"])
    assert region.log()
    assert not [person for person in people if person in region.output.getvalue()]


def test_lambdas_own_logging_prints_no_line_twice(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.StreamHandler(sys.stdout)
    logging.getLogger().addHandler(root)
    try:
        request_logger(sys.stdout, StillClock()).info("request")
        request_logger(sys.stdout, StillClock()).info("request")
    finally:
        logging.getLogger().removeHandler(root)
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["request", "request"]
