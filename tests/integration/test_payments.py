"""Payments over HTTP: accepted in one region, found in both. The tests leave their payments in the stack."""
import json
from dataclasses import dataclass
from typing import Any

import pytest

from contract import ALIAS
from tests.integration.stack import (
    ITEM_ARRIVES,
    OBJECT_ARRIVES,
    Answer,
    Region,
    Secret,
    eventually,
    existing,
    payment,
)


@dataclass(frozen=True)
class Accepted:
    """A payment that was accepted: what was asked, and what was answered."""

    asked: dict[str, Any]
    answer: Answer

    @property
    def payment_id(self) -> str:
        """Its identifier."""
        return str(self.asked["payment_id"])


def reconciled(writer: Region) -> dict[str, int]:
    """What a pass of the repair counts."""
    answer = writer.client("lambda").invoke(FunctionName=writer["reconcile_function_name"], Qualifier=ALIAS,
                                            Payload=b'{"begin": true}')
    found = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, found
    assert found["error"] == ""
    counts: dict[str, int] = found["counts"]
    return counts


@pytest.fixture(scope="module")
def conflicts(writer: Region) -> int:
    """The conflicts that an earlier loss has left for good: a payment made again, and its first receipt came later."""
    return reconciled(writer).get("conflicting", 0)


@pytest.fixture(scope="module")
def accepted(writer: Region, api_key: Secret, conflicts: int) -> Accepted:
    """A payment that the writer's API has accepted."""
    del conflicts  # counted before
    asked = payment()
    answer = writer.call("POST", "/payment", asked, api_key)
    assert answer.status == 201, answer.body
    return Accepted(asked, answer)


@pytest.fixture
def arrived(accepted: Accepted, standby: Region, api_key: Secret) -> Answer:
    """The other region's answer, once it is the same."""
    def find() -> Answer | None:
        answer = standby.call("GET", f"/payment/{accepted.payment_id}", key=api_key)
        return answer if answer == Answer(200, accepted.answer.body) else None

    return eventually(find, f"{standby.name} knows payment {accepted.payment_id}", ITEM_ARRIVES)


def test_an_accepted_payment_is_settled_and_returned(accepted: Accepted) -> None:
    found = accepted.answer.body
    assert {field: found[field] for field in accepted.asked} == accepted.asked
    assert found["status"] == "settled"


def test_a_payment_taken_in_one_region_is_read_in_the_other(
        writer: Region, accepted: Accepted, arrived: Answer, api_key: Secret) -> None:
    assert writer.call("GET", f"/payment/{accepted.payment_id}", key=api_key) == arrived


def test_a_repeat_gets_the_same_answer(writer: Region, accepted: Accepted, api_key: Secret) -> None:
    assert writer.call("POST", "/payment", accepted.asked, api_key) == accepted.answer


def test_another_request_for_the_same_id_is_refused(
        writer: Region, standby: Region, accepted: Accepted, arrived: Answer, api_key: Secret) -> None:
    other = {**accepted.asked, "amount": accepted.asked["amount"] + 1}
    assert writer.call("POST", "/payment", other, api_key).status == 409
    for region in (writer, standby):
        assert region.call("GET", f"/payment/{accepted.payment_id}", key=api_key) == arrived, region.name


def test_only_the_leader_takes_payments(writer: Region, standby: Region, api_key: Secret) -> None:
    asked = payment()
    answer = standby.call("POST", "/payment", asked, api_key)
    assert (answer.status, answer.body) == (503, {"error": "not the writer", "writer": writer.name})
    assert standby.call("GET", f"/payment/{asked['payment_id']}", key=api_key).status == 404


def test_of_what_was_accepted_nothing_is_lost(writer: Region, accepted: Accepted, conflicts: int) -> None:
    del accepted
    counts = reconciled(writer)
    assert not counts.keys() & {"lost", "set aside", "refused"}, counts
    assert counts.get("conflicting", 0) == conflicts, counts


def test_the_idempotency_key_is_the_payment_id(writer: Region, api_key: Secret) -> None:
    asked = payment()
    headers = {"Idempotency-Key": asked.pop("payment_id")}
    first, again = (writer.call("POST", "/payment", asked, api_key, headers) for _ in range(2))
    assert (first.status, first.body["payment_id"]) == (201, headers["Idempotency-Key"])
    assert again == first


@pytest.mark.parametrize(("field", "value"), [
    ("payment_id", "no spaces"), ("amount", 0), ("amount", "12.50"), ("currency", "EURO"), ("payer", ""),
    ("payee", "integration-test-payer"), ("card_number", "4111111111111111")])
def test_an_invalid_payment_is_refused_with_the_field_named(
        region: Region, api_key: Secret, field: str, value: object) -> None:
    answer = region.call("POST", "/payment", {**payment(), field: value}, api_key)
    assert (answer.status, answer.body["field"]) == (400, field)


def test_a_refused_payment_leaves_nothing(region: Region, api_key: Secret) -> None:
    asked = payment()
    assert region.call("POST", "/payment", {**asked, "amount": -1}, api_key).status == 400
    assert region.call("GET", f"/payment/{asked['payment_id']}", key=api_key).status == 404


def test_an_unknown_payment_is_not_found(region: Region, api_key: Secret) -> None:
    assert region.call("GET", f"/payment/{payment()['payment_id']}", key=api_key).status == 404


@pytest.mark.parametrize("role", ["writer", "standby"])
@pytest.mark.usefixtures("arrived")
def test_table_and_receipts_of_both_regions_hold_the_payment(
        request: pytest.FixtureRequest, accepted: Accepted, role: str) -> None:
    region: Region = request.getfixturevalue(role)
    item = region.client("dynamodb").get_item(
        TableName=region.outputs["payments_table_name"], Key={"payment_id": {"S": accepted.payment_id}},
        ConsistentRead=True)["Item"]
    assert (item["amount"]["N"], item["status"]["S"]) == (str(accepted.asked["amount"]), "SETTLED")
    key = f"receipts/{accepted.payment_id}.json"
    receipt = eventually(lambda: existing(region.client("s3").get_object, Bucket=region["receipts_bucket"], Key=key),
                         f"{key} is in {region['receipts_bucket']}", OBJECT_ARRIVES)
    with receipt["Body"] as body:
        assert json.load(body).items() >= accepted.asked.items()
    assert receipt["ServerSideEncryption"] == "aws:kms"
    versions = region.client("s3").list_object_versions(Bucket=region["receipts_bucket"], Prefix=key)["Versions"]
    assert len(versions) == 1, "another version would be another receipt"
