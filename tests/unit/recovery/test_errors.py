"""Errors in one line, and which of AWS's become failures."""
import inspect

import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from botocore.parsers import ResponseParserError

from payments.errors import StoreUnavailable
from recovery import errors
from recovery.errors import AlreadyRunning, AwsFailure, RecoveryError, StepTimedOut, aws_failures, reason
from tests.unit.payments.fakes import client_error


@pytest.mark.parametrize(("error", "line"), [
    (client_error("AccessDenied"), "topic: AccessDenied: refused"),
    (ClientError({"Error": {"Code": "404"}}, "HeadObject"), "topic: 404:"),
    (NoCredentialsError(), "topic: Unable to locate credentials"),
    (StoreUnavailable("table", "Timeout"), "topic: table: Timeout"),
    (ResponseParserError("not\n  XML"), "topic: not XML"),
    (ConnectionResetError(), "topic: ConnectionResetError"),
])
def test_an_error_of_aws_becomes_a_failure_in_one_line(error: Exception, line: str) -> None:
    with pytest.raises(AwsFailure, match=f"^{line}$"), aws_failures("topic"):
        raise error


def test_an_internal_error_is_not_taken_for_an_error_of_aws() -> None:
    with pytest.raises(KeyError), aws_failures("topic"):
        raise KeyError
    assert reason(KeyError("x")) == "'x'"


def test_every_error_has_one_base_and_is_in_the_tree() -> None:
    own = [each for _, each in inspect.getmembers(errors, inspect.isclass) if each.__module__ == errors.__name__]
    assert all(issubclass(each, RecoveryError) and each.__name__ in (errors.__doc__ or "") for each in own)
    assert len(own) == 10


def test_the_text_of_each_error() -> None:
    assert str(AlreadyRunning("bob", "a drill")) == "already running: a drill, by bob"
    assert str(StepTimedOut("promote", 480, "it is not finished")) == (
        "promote was not done within 480 s: it is not finished")
