"""The stores as AWS provides them: conditions, and which failures are tried again."""
import pytest
from botocore import exceptions
from botocore.parsers import ResponseParserError

from payments.deadline import Deadline, Timing
from payments.payment import Payment, Record
from payments.stores import StoreUnavailable, takeover
from tests.unit.payments.fakes import CONTROL, PAYMENT, Fault, Region, client_error

URL = "https://store"


def deadline() -> Deadline:
    """Time enough, and no pauses."""
    return Deadline(Timing(pause=0), 2.6)


def record(amount: int = 1) -> Record:
    """A pending record of pay-1."""
    payment = Payment(**{**PAYMENT, "amount": amount})
    return Record(payment=payment, fingerprint=payment.fingerprint(), created_at="2026-01-01T00:00:00.000+00:00")


def test_an_id_belongs_to_who_registers_it_first() -> None:
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


def test_a_receipt_is_written_once() -> None:
    region = Region()
    region.receipts.put(record(1), deadline())
    region.receipts.put(record(2), deadline())
    assert region.receipt_versions() == [record(1).receipt()]


PASSING = [
    exceptions.ConnectTimeoutError(endpoint_url=URL), exceptions.ReadTimeoutError(endpoint_url=URL),
    exceptions.EndpointConnectionError(endpoint_url=URL), exceptions.ConnectionClosedError(endpoint_url=URL),
    exceptions.SSLError(endpoint_url=URL, error="broken"), ResponseParserError("not JSON"), TimeoutError(),
    client_error("InternalServerError", 500), client_error("ServiceUnavailable", 503), client_error("503", 503),
    client_error("ThrottlingException"), client_error("ProvisionedThroughputExceededException"),
    client_error("RequestLimitExceeded"), client_error("ReplicatedWriteConflictException"),
    client_error("ConditionalRequestConflict", 409), client_error("RequestTimeout"),
]


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_what_may_pass_is_tried_again(error: Exception) -> None:
    region = Region()
    region.network.faults = [Fault(error), Fault(error, done=True)]
    region.receipts.put(record(), deadline())
    assert region.network.calls == ["PutObject"] * 3
    assert len(region.receipt_versions()) == 1


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_what_does_not_pass_after_all_makes_the_store_unavailable(error: Exception) -> None:
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
def test_what_will_not_pass_is_not_tried_again(error: Exception, code: str) -> None:
    region = Region()
    region.network.faults = [Fault(error)]
    with pytest.raises(StoreUnavailable) as caught:
        region.table.find("pay-1", deadline())
    assert (caught.value.store, caught.value.code) == ("table", code)
    assert region.network.calls == ["GetItem"]


def test_a_mistake_in_the_function_is_not_taken_for_a_dead_store() -> None:
    region = Region()
    region.network.faults = [Fault(ZeroDivisionError())]
    with pytest.raises(ZeroDivisionError):
        region.table.find("pay-1", deadline())


def test_the_region_takes_over_when_the_object_is_there() -> None:
    region = Region()
    assert not takeover(region.s3, CONTROL, deadline())
    region.s3.objects[CONTROL, "takeover"] = [b""]
    assert takeover(region.s3, CONTROL, deadline())


@pytest.mark.parametrize("status", [400, 403, 500])
def test_whether_to_take_over_may_be_unknown(status: int) -> None:
    region = Region()
    region.network.faults = [Fault(client_error(str(status), status))] * 3
    with pytest.raises(StoreUnavailable) as caught:
        takeover(region.s3, CONTROL, deadline())
    assert (caught.value.store, caught.value.code) == ("control", str(status))
