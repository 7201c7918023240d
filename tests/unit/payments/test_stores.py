"""The table and the receipts on AWS: conditions, and which failures are tried again."""
from dataclasses import replace
from functools import partial
from io import BytesIO
from typing import Any

import boto3
import pytest
from botocore import exceptions
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.parsers import ResponseParserError
from urllib3 import HTTPResponse

from contract import RECORD_KEY
from payments.deadline import Deadline, Timing
from payments.errors import StoreUnavailable
from payments.stores import S3Receipts, item_of, record_of
from tests.unit.payments.fakes import PAYMENT, RECEIPTS, Fault, Region, client_error, record, still_runtime

URL = "https://store"
settled = partial(record, settled=True)


def deadline() -> Deadline:
    """Time enough, and no pauses."""
    return Deadline(Timing(pause=0), 2.6, still_runtime())


def test_an_id_belongs_to_the_first_request_that_registers_it() -> None:
    table = Region().table
    first, second = record(1), record(2)
    assert [record_of(table.register(each, deadline())) for each in (first, second)] == [first, first]
    assert table.find("pay-1", deadline()) == first
    assert table.find("pay-2", deadline()) is None


def test_a_canary_replaces_one_of_an_older_or_the_same_epoch() -> None:
    table = Region().table
    for epoch, kept in ((2, 2), (1, 2), (2, 2), (3, 3)):
        found = table.register(record(epoch=epoch), deadline(), again=True)
        assert record_of(found).epoch == kept


@pytest.mark.parametrize("change", [
    {"fingerprint": {"S": "f" * 64}}, {"epoch": {"N": "2"}}, {"status": {"S": "SETTLED"}}, {"epoch": {"S": "1"}}])
def test_only_the_item_that_was_found_is_updated(region: Region, change: dict[str, Any]) -> None:
    found = region.table.register(record(1), deadline())
    region.dynamodb.items["pay-1"] = there = {**found, **change}
    assert region.table.update(found, settled(2, 3), deadline()) == there == region.dynamodb.items["pay-1"]
    assert record_of(region.table.update(there, settled(2, 3), deadline())) == settled(2, 3)
    assert region.table.find("pay-1", deadline()) == settled(2, 3)


def test_of_an_item_only_what_differs_is_written_and_nothing_for_a_newer_epoch_alone(region: Region) -> None:
    found = region.table.register(settled(), deadline())
    region.network.calls.clear()
    assert region.table.update(found, settled(epoch=2), deadline()) == found
    assert not region.network.calls
    del region.dynamodb.items["pay-1"]["epoch"], region.dynamodb.items["pay-1"]["payee"]
    assert record_of(region.table.update(dict(region.dynamodb.items["pay-1"]), settled(), deadline())) == settled()
    assert region.dynamodb.items["pay-1"] == found


def test_an_item_that_is_gone_is_not_updated(region: Region) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        region.table.update(item_of(record()), settled(), deadline())
    assert (caught.value.store, caught.value.code, [*region.dynamodb.items]) == ("table", "ItemMissing", [RECORD_KEY])


@pytest.mark.parametrize("broken", [
    {"amount": {"N": "x"}}, {"amount": {}}, {"payer": "x"}, {"status": {"N": "1"}}, {"amount": {"N": "0"}},
    {"amount": {"N": "9" * 38}}, {"payer": {"S": "p" * 190_000}}, {"created_at": {"S": "noon"}}, {"payee": {"N": "1"}}])
def test_a_malformed_item_is_named_as_such(broken: dict[str, Any]) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        record_of({**item_of(record()), **broken})
    assert (caught.value.code, caught.value.again) == ("ItemMalformed", False)


@pytest.mark.parametrize("page", [1, 2, 1000])
def test_everything_is_read_page_by_page(region: Region, page: int) -> None:
    region.dynamodb.page = region.dynamodb.batch = region.s3.page = page
    assert not [key for _, items in region.table.pages("", deadline) for key in items]
    assert not [*region.receipts.versions(deadline)]
    for number in (3, 1, 2):
        region.pay({**PAYMENT, "payment_id": f"pay-{number}"})
    region.s3.objects[RECEIPTS, "receipts/pay-2.json"].append(b"x")
    pages = [*region.table.pages("", deadline)]
    assert [key for _, items in pages for key in items] == ["pay-1", "pay-2", "pay-3"]
    assert [cursor for cursor, _ in pages][-1] == ""
    assert [key for _, items in region.table.pages("pay-1", deadline) for key in items] == ["pay-2", "pay-3"]
    assert region.table.items(["pay-3", "pay-1", "x"], deadline()).keys() == {"pay-1", "pay-3"}
    found = [("pay-1", True), ("pay-2", True), ("pay-2", False), ("pay-3", True)]
    versions = [*region.receipts.versions(deadline)]
    assert [(each.payment_id, each.current) for each in versions] == found
    assert [each.payment_id for each in region.receipts.versions(deadline, "pay-1")] == ["pay-2", "pay-2", "pay-3"]
    assert [each.size for each in region.receipts.versions(deadline, payment_id="pay-2")] == [1, versions[2].size]
    assert region.receipts.read(versions[1], deadline()) is None
    assert region.receipts.read(versions[2], deadline()) == replace(
        region.table.find("pay-2", deadline()) or record(), epoch=0)


def test_objects_that_are_no_receipts_are_skipped(region: Region) -> None:
    for key in ("receipts/!x.json", "receipts/pay-1", "receipts/pay-1.json.json", "canary/pay-1.json"):
        region.s3.write((RECEIPTS, key), b"x")
    assert not [*region.receipts.versions(deadline)]


def test_a_receipt_is_written_once_and_read_if_it_is_there(region: Region) -> None:
    assert (region.receipts.find("pay-1", deadline()), region.receipts.size("pay-1", deadline())) == (None, None)
    assert region.receipts.put(record(1), deadline()) == record(1)
    assert region.receipts.put(record(2), deadline()) == settled(1, 0) == region.receipts.find("pay-1", deadline())
    assert region.receipt_versions() == [record(1).receipt()]
    assert region.receipts.size("pay-1", deadline()) == len(record(1).receipt())
    region.receipts.replace(record(2), deadline())
    assert region.receipts.find("pay-1", deadline()) == settled(2, 0)


def test_every_object_has_a_checksum_without_which_a_bucket_with_a_lock_refuses_it() -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html#object-lock-put-object
    region = Region()
    with pytest.raises(exceptions.ClientError, match="InvalidRequest"):
        region.s3.put_object(Bucket=RECEIPTS, Key="key", Body=b"")
    region.receipts.put(record(), deadline())
    region.receipts.replace(record(), deadline())
    region.receipts.put_canary(record(), "us-east-1", deadline())
    region.receipts.note("repair/us-east-1.ndjson", "{}", deadline())
    assert sum(map(len, region.s3.objects.values())) == 4


@pytest.mark.parametrize("endpoint", [None, "http://localhost"])
def test_a_receipt_is_sent_at_once_and_does_not_wait_to_be_asked_for(endpoint: str | None) -> None:
    client = boto3.Session("key", "secret", region_name="us-east-1").client("s3", endpoint_url=endpoint)
    sent: list[AWSPreparedRequest] = []

    def answer(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        sent.append(request)
        return AWSResponse(request.url, 200, {}, HTTPResponse(BytesIO(), preload_content=False))

    client.meta.events.register("before-send.s3", answer)
    S3Receipts(client, RECEIPTS).put(record(), deadline())
    assert [(request.method, "Expect" in request.headers) for request in sent] == [("PUT", False)]


@pytest.mark.parametrize("body", [b"{}", record(1).receipt().replace(b"pay-1", b"pay-2"), b"x" * 10**6])
def test_what_is_no_receipt_of_the_payment_is_none(region: Region, body: bytes) -> None:
    region.s3.write((RECEIPTS, "receipts/pay-1.json"), body)
    assert region.receipts.put(record(), deadline()) is None


def test_of_two_who_note_the_same_revision_one_is_refused() -> None:
    table = Region().table
    assert [table.note("!repair:x", "a", revision, deadline()) for revision in (1, 1, 2, 2, 3, 2)] == [
        True, False, True, False, True, False]
    item = table.item("!repair:x", deadline())
    assert item
    assert (item["document"], item["revision"], item["version"]) == ({"S": "a"}, {"N": "3"}, {"N": "1"})


TRANSIENT = [
    exceptions.ConnectTimeoutError(endpoint_url=URL), exceptions.ReadTimeoutError(endpoint_url=URL),
    exceptions.EndpointConnectionError(endpoint_url=URL), exceptions.ConnectionClosedError(endpoint_url=URL),
    exceptions.SSLError(endpoint_url=URL, error="broken"), ResponseParserError("not JSON"), TimeoutError(),
    client_error("InternalServerError", 500), client_error("ServiceUnavailable", 503), client_error("503", 503),
    client_error("ThrottlingException"), client_error("ProvisionedThroughputExceededException"),
    client_error("RequestLimitExceeded"), client_error("ReplicatedWriteConflictException"),
    client_error("ConditionalRequestConflict", 409), client_error("RequestTimeout"),
]


@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
def test_a_transient_error_is_tried_again(region: Region, error: Exception) -> None:
    region.network.faults = [Fault(error), Fault(error, done=True)]
    region.receipts.put(record(), deadline())
    assert region.network.calls == [*["PutObject"] * 3, "GetObject"]
    assert len(region.receipt_versions()) == 1


@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
def test_a_transient_error_that_persists_makes_the_store_unavailable(region: Region, error: Exception) -> None:
    region.network.faults = [Fault(error)] * 3
    with pytest.raises(StoreUnavailable) as caught:
        region.receipts.put_canary(record(), "us-east-1", deadline())
    assert (caught.value.store, caught.value.again) == ("receipts", True)
    assert caught.value.code in repr(error)
    assert region.network.calls == ["PutObject"] * 3


@pytest.mark.parametrize(("error", "code"), [
    (client_error("AccessDeniedException"), "AccessDeniedException"),
    (client_error("ResourceNotFoundException"), "ResourceNotFoundException"),
    (client_error("403", 403), "403"),
    (exceptions.NoCredentialsError(), "NoCredentialsError"),
    (exceptions.ParamValidationError(report="wrong"), "ParamValidationError"),
])
def test_any_other_error_is_not_tried_again(region: Region, error: Exception, code: str) -> None:
    region.network.faults = [Fault(error)]
    with pytest.raises(StoreUnavailable) as caught:
        region.table.find("pay-1", deadline())
    assert (caught.value.store, caught.value.code, caught.value.again) == ("table", code, False)
    assert region.network.calls == ["GetItem"]


def test_a_bug_in_the_function_is_not_reported_as_an_unavailable_store(region: Region) -> None:
    region.network.faults = [Fault(ZeroDivisionError())]
    with pytest.raises(ZeroDivisionError):
        region.table.find("pay-1", deadline())
