"""The errors of recovery, and how an error of AWS becomes one of them.

RecoveryError
├── StackError       the stack's outputs cannot be used, or name no such region
├── AwsFailure       AWS did not do what it was asked to do
├── AlreadyRunning   another driver carries out a run, or has taken this one over
├── DrillUnfinished  another drill has not ended, or this one was ended by somebody else
├── RecordGone       the record was deleted, and with it leadership
├── StepTimedOut     a step was not done within its budget
├── EvidenceTooOld   what a move was decided on is too old, or no longer holds
├── GivenUp          the run must not go on
└── CommandStopped   a command ends early, with an exit code

The outputs file is read by `contract.read_outputs`, which raises `contract.OutputsError`.
"""
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from payments.errors import StoreUnavailable


class RecoveryError(Exception):
    """Base of all errors that recovery raises on purpose; each is one line of text."""


class StackError(RecoveryError, ValueError):
    """The stack's outputs cannot be used: says which and why."""


class AwsFailure(RecoveryError):
    """AWS did not do what it was asked to do: says what and why. Trying again may help."""


class AlreadyRunning(RecoveryError):
    """Another driver carries out a run: `driver` is its name, `what` the run in a few words."""

    def __init__(self, driver: str, what: str) -> None:
        super().__init__(f"already running: {what}, by {driver}")
        self.driver, self.what = driver, what


class DrillUnfinished(RecoveryError):
    """Another drill has not ended, or this one was ended by somebody else: says which."""


class RecordGone(RecoveryError):
    """The record was deleted, and with it lock and leadership."""


class StepTimedOut(RecoveryError):
    """A step was not done within its budget (seconds)."""

    def __init__(self, step: str, budget: float, why: str) -> None:
        super().__init__(f"{step} was not done within {budget:.0f} s: {why}")
        self.step = step


class EvidenceTooOld(RecoveryError):
    """What a move was decided on is too old, or no longer holds, so that it must be decided again: says which."""


class GivenUp(RecoveryError):
    """The run must not go on: says why."""


class CommandStopped(RecoveryError):
    """The command ends with an exit code; each of `reasons` is a line for the user."""

    def __init__(self, code: int, *reasons: str) -> None:
        super().__init__(code, *reasons)
        self.code, self.reasons = code, reasons


@contextmanager
def aws_failures(what: str) -> Iterator[None]:
    """Turn every refusal or missing answer of AWS into an AwsFailure that begins with `what`."""
    try:
        yield
    except (ClientError, BotoCoreError, ResponseParserError, StoreUnavailable, OSError) as error:
        raise AwsFailure(f"{what}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """Why something failed, in one line."""
    match error:
        case ClientError(response={"Error": {"Code": code, **more}}):
            text = f"{code}: {more.get('Message', '')}"
        case StoreUnavailable(store=store, code=code):
            text = f"{store}: {code}"
        case _:
            text = str(error) or type(error).__name__
    return " ".join(text.split())


NOT_SIGNED_IN = re.compile(
    "NoCredentialsError|Unable to locate credentials|config profile .* could not be found|CredentialRetrievalError|"
    "PartialCredentials|SSOTokenLoadError|TokenRetrievalError|UnauthorizedSSOToken|SSO session|Token has expired|"
    "ExpiredToken|InvalidClientTokenId|UnrecognizedClientException")
"""Texts of errors for missing, invalid or expired credentials."""


NOT_REACHED = re.compile("(?i)timeout|timed out|could not connect|connection|no answer")
"""Texts of errors for a missing answer."""


def reached(line: str) -> str:
    """A failure, and what to do if AWS was not reached."""
    return f"{line}: {REACH}" if NOT_REACHED.search(line) else line


REACH = "check this machine's network access to that region, or run the command on another machine"
SIGN_IN = ("sign in to AWS (`aws sso login`, or name a profile in AWS_PROFILE), and check that its endpoints can be "
           "reached")


def sign_in(lines: Sequence[str]) -> list[str]:
    """The one line that replaces all others if one of them is due to the credentials; empty if none is."""
    return [each if SIGN_IN in each else f"{each}: {SIGN_IN}" for each in lines if NOT_SIGNED_IN.search(each)][:1]
