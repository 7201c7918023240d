"""The table and the receipts on AWS: conditions, and which failures are tried again."""
from dataclasses import replace

import pytest
from botocore import exceptions
from botocore.parsers import ResponseParserError

from payments.deadline import Deadline, Timing
from payments.errors import StoreUnavailable
from payments.payment import Payment, Record
from payments.stores import lever_is_pulled
from tests.unit.payments.fakes import CONTROL, PAYMENT, RECEIPTS, Fault, Region, client_error, still_runtime

URL = "https://store"


def deadline() -> Deadline:
    """Time enough, and no pauses."""
    return Deadline(Timing(pause=0), 2.6, still_runtime())


def record(amount: int = 1, epoch: int = 1) -> Record:
    """A pending record of pay-1."""
    payment = Payment(**{**PAYMENT, "amount": amount})
    return Record(payment=payment, fingerprint=payment.fingerprint(), created_at="2026-01-01T00:00:00.000+00:00",
                  epoch=epoch)


def test_an_id_belongs_to_the_first_request_that_registers_it() -> None:
    table = Region().table
    first, second = record(1), record(2)
    assert table.register(first, deadline()) == first
    assert table.register(second, deadline()) == first
    assert table.find("pay-1", deadline()) == first
    assert table.find("pay-2", deadline()) is None


def test_only_the_owner_of_an_id_settles_it() -> None:
    table = Region().table
    table.register(record(1), deadline())
    assert not table.settle(record(2), deadline()).settled
    settled = table.settle(record(1), deadline())
    assert settled.settled
    assert table.settle(record(1), deadline()) == settled == table.find("pay-1", deadline())


def test_a_record_that_is_gone_is_not_settled() -> None:
    with pytest.raises(StoreUnavailable) as caught:
        Region().table.settle(record(), deadline())
    assert (caught.value.store, caught.value.code) == ("table", "ItemMissing")


def test_a_record_is_settled_under_its_own_epoch_only() -> None:
    table = Region().table
    table.register(record(), deadline())
    adopted = table.adopt(record(), 2, deadline())
    assert adopted == record(epoch=2)
    assert table.settle(record(), deadline()) == adopted
    assert table.settle(adopted, deadline()).settled


def test_a_record_that_is_settled_or_of_another_request_is_not_adopted() -> None:
    table = Region().table
    table.register(record(1), deadline())
    assert table.adopt(record(2), 2, deadline()) == record(1)
    settled = table.settle(record(1), deadline())
    assert table.adopt(record(1), 2, deadline()) == settled


def test_only_the_pending_record_that_was_found_is_replaced() -> None:
    table = Region().table
    table.register(record(1), deadline())
    assert not table.replace(record(2), record(3), deadline())
    assert table.replace(record(1), record(2), deadline())
    table.settle(record(2), deadline())
    assert not table.replace(record(2), record(3), deadline())
    assert table.find("pay-1", deadline()) == replace(record(2), settled=True)


@pytest.mark.parametrize("page", [1, 2, 1000])
def test_everything_is_read_page_by_page(page: int) -> None:
    region = Region()
    region.dynamodb.page = region.s3.page = page
    assert not [*region.table.records(deadline), *region.receipts.versions(deadline)]
    for number in (3, 1, 2):
        region.pay({**PAYMENT, "payment_id": f"pay-{number}"})
    region.s3.objects[RECEIPTS, "receipts/pay-2.json"].append(b"x")
    assert [kept.payment.payment_id for kept in region.table.records(deadline)] == ["pay-1", "pay-2", "pay-3"]
    assert [(each.payment_id, each.size > 1) for each in region.receipts.versions(deadline)] == [
        ("pay-1", True), ("pay-2", False), ("pay-2", True), ("pay-3", True)]
    assert region.receipts.read("pay-2", deadline()) == b"x"


def test_a_receipt_is_written_once() -> None:
    region = Region()
    region.receipts.put(record(1), deadline())
    region.receipts.put(record(2), deadline())
    assert region.receipt_versions() == [record(1).receipt()]


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
def test_a_transient_error_is_tried_again(error: Exception) -> None:
    region = Region()
    region.network.faults = [Fault(error), Fault(error, done=True)]
    region.receipts.put(record(), deadline())
    assert region.network.calls == ["PutObject"] * 3
    assert len(region.receipt_versions()) == 1


@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
def test_a_transient_error_that_persists_makes_the_store_unavailable(error: Exception) -> None:
    region = Region()
    region.network.faults = [Fault(error)] * 3
    with pytest.raises(StoreUnavailable) as caught:
        region.receipts.probe(deadline())
    assert caught.value.store == "receipts"
    assert caught.value.code in repr(error)
    assert region.network.calls == ["HeadBucket"] * 3


@pytest.mark.parametrize(("error", "code"), [
    (client_error("AccessDeniedException"), "AccessDeniedException"),
    (client_error("ResourceNotFoundException"), "ResourceNotFoundException"),
    (client_error("403", 403), "403"),
    (exceptions.NoCredentialsError(), "NoCredentialsError"),
    (exceptions.ParamValidationError(report="wrong"), "ParamValidationError"),
])
def test_any_other_error_is_not_tried_again(error: Exception, code: str) -> None:
    region = Region()
    region.network.faults = [Fault(error)]
    with pytest.raises(StoreUnavailable) as caught:
        region.table.find("pay-1", deadline())
    assert (caught.value.store, caught.value.code) == ("table", code)
    assert region.network.calls == ["GetItem"]


def test_a_bug_in_the_function_is_not_reported_as_an_unavailable_store() -> None:
    region = Region()
    region.network.faults = [Fault(ZeroDivisionError())]
    with pytest.raises(ZeroDivisionError):
        region.table.find("pay-1", deadline())


def test_the_lever_is_pulled_if_the_object_exists() -> None:
    region = Region()
    assert not lever_is_pulled(region.s3, CONTROL, deadline())
    region.s3.objects[CONTROL, "takeover"] = [b""]
    assert lever_is_pulled(region.s3, CONTROL, deadline())


@pytest.mark.parametrize("status", [400, 403, 500])
def test_the_lever_may_be_unknown(status: int) -> None:
    region = Region()
    region.network.faults = [Fault(client_error(str(status), status))] * 3
    with pytest.raises(StoreUnavailable) as caught:
        lever_is_pulled(region.s3, CONTROL, deadline())
    assert (caught.value.store, caught.value.code) == ("control", str(status))
