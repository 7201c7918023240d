"""Checks and their results."""

import pytest
from botocore.exceptions import EndpointConnectionError

from payments.errors import NotTheWriter, StoreUnavailable
from recovery.errors import AwsFailure
from rehearsal.errors import CheckFailed, NoAnswer
from rehearsal.workload.checks import attempt, expect
from tests.rehearsal.cloud import refusal
from tests.rehearsal.workload.api import InstantClock


def test_a_check_that_holds_has_its_time_and_what_was_measured() -> None:
    clock = InstantClock()
    slow = attempt("slow", lambda: clock.sleep(0.2), clock)
    assert (slow.name, slow.ok, slow.detail) == ("slow", True, "")
    assert slow.milliseconds == pytest.approx(200)
    assert attempt("measured", lambda: "5 payments", clock).detail == "5 payments"
    assert attempt("equal", lambda: expect(1, 1, "one"), clock).ok


@pytest.mark.parametrize(("failure", "detail"), [
    (CheckFailed("status: 500 instead of 200"), "status: 500 instead of 200"),
    (NoAnswer("GET /: reset"), "NoAnswer: GET /: reset"),
    (AwsFailure("promote: Throttled"), "AwsFailure: promote: Throttled"),
    (StoreUnavailable("ledger", "Timeout"), "StoreUnavailable: "),
    (NotTheWriter("us-west-2"), "NotTheWriter: "),
    (refusal("NoSuchKey"), "ClientError: An error occurred (NoSuchKey)"),
    (EndpointConnectionError(endpoint_url="x"), "EndpointConnectionError: "),
    (OSError("reset"), "OSError: reset")])
def test_a_check_that_fails_says_why(failure: Exception, detail: str) -> None:
    def fail() -> None:
        raise failure

    result = attempt("it", fail)
    assert (result.name, result.ok, result.detail.startswith(detail)) == ("it", False, True)


def test_an_error_in_the_check_itself_is_not_a_result() -> None:
    with pytest.raises(ZeroDivisionError):
        attempt("broken", lambda: 1 // 0)


def test_a_failure_says_what_was_found_and_expected() -> None:
    with pytest.raises(CheckFailed, match=r"^status: 500 instead of 200$"):
        expect(500, 200, "status")
