"""The deployed stack: its outputs, its regions, and how a test calls them."""
import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from contract import CHECK_PATH_KEY, ROLES, OutputsError, read_outputs

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
HOW = "`make integration` deploys to an emulator and tests there; `make up outputs verify` does on AWS"

EMULATED = bool(os.environ.get("AWS_ENDPOINT_URL"))

# Seconds within which a copy must reach the other region. S3 promises 15 minutes, DynamoDB about a second.
OBJECT_ARRIVES = 30 if EMULATED else 15 * 60
ITEM_ARRIVES = 30 if EMULATED else 60
POLL = 0.05 if EMULATED else 2.0
REQUEST_TIMEOUT = 10


class NoStack(Exception):
    """There is no stack to test; its message says in one line why, and what to do."""


def emulator_lacks(what: str, *, run: bool = True) -> pytest.MarkDecorator:
    """Mark a test of what AWS does and the emulator does not: it must pass on AWS and fail on the emulator.

    So the mark must be removed as soon as the emulator can do it. With `run=False` the test is not tried at all.
    """
    return pytest.mark.xfail(EMULATED, reason=f"emulator: {what}", raises=AssertionError, strict=True, run=run)


def emulator_lacks_in_dr(what: str) -> pytest.MarkDecorator:
    """The same for a test of each `region`, if the emulator lacks it in the other region only."""
    return pytest.mark.parametrize(
        "region", ["primary", pytest.param("dr", marks=emulator_lacks(what))], indirect=True)


class Secret:
    """A string that no failure message shows."""

    def __init__(self, value: str) -> None:
        self.value = value

    def same(self, other: "Secret") -> bool:
        """Whether the two are equal."""
        return self.value == other.value

    def shown_in(self, text: str) -> bool:
        """Whether the text contains it."""
        return self.value in text

    def member(self, name: str) -> "Secret":
        """A member of the secret, which is a JSON object."""
        try:
            found = json.loads(self.value).get(name)
        except (ValueError, AttributeError):
            found = None
        if not found:  # outside of `except`, so that no traceback shows the text
            pytest.fail(f"the secret is no JSON object with {name}")
        return Secret(str(found))


class Outputs(dict[str, Any]):
    """The stack's outputs. A test that reads a missing one fails."""

    def __repr__(self) -> str:
        return f"Outputs of {self.get('environment_suffix')}"  # all of them would hide a failure's message

    def __missing__(self, key: str) -> Any:
        pytest.fail(f"the outputs have no {key}: they are of another version of the program, so deploy again")

    @classmethod
    def load(cls, stack: str = "") -> "Outputs":
        """The outputs of the stack in the account of the current endpoint and credentials. Raises NoStack.

        `stack`: the name that it must have.
        """
        try:
            outputs = cls(read_outputs(os.environ, ROOT, stack))
        except OutputsError as error:
            raise NoStack(f"{error}; {HOW}") from None
        if stack and outputs.get("stack_name") != stack:
            raise NoStack(f"the outputs are of stack {outputs.get('stack_name')}, not of {stack}: `make outputs` "
                          "writes them")
        try:
            region, account = str(outputs.get("payments_table_arn")).split(":")[3:5]
        except ValueError:
            raise NoStack(f"the outputs do not describe a stack: {HOW}") from None
        try:
            signed_in = client("sts", region).get_caller_identity()["Account"]
        except (BotoCoreError, ClientError) as error:
            where = os.environ.get("AWS_ENDPOINT_URL", "AWS")
            raise NoStack(f"cannot sign in to {where} ({' '.join(str(error).split())}): {HOW}") from None
        if signed_in != account:
            raise NoStack(f"the outputs are of account {account}, the credentials of {signed_in}: {HOW}")
        return outputs


@cache
def client(service: str, region: str) -> Any:
    """The boto3 client of a service in a region, created once: that takes 0.2 s."""
    return boto3.client(service, region_name=region)


@dataclass(frozen=True)
class Answer:
    """Status and body of an HTTP response, the body read where it is JSON; without a response, 0 and the reason."""

    status: int
    body: Any


@dataclass(frozen=True)
class Region:
    """One region of the stack, by its role (`primary` or `dr`)."""

    role: str
    outputs: Outputs = field(repr=False)

    def __getitem__(self, key: str) -> Any:
        """The region's own output: `region["vpc_id"]` is `primary_vpc_id` or `dr_vpc_id`."""
        return self.outputs[f"{self.role}_{key}"]

    @property
    def name(self) -> str:
        """AWS's name of the region."""
        return str(self["region"])

    @property
    def peer(self) -> "Region":
        """The other region."""
        return Region(next(role for role in ROLES if role != self.role), self.outputs)

    def check(self, leaf: str) -> str:
        """The secret path at which health checks ask for `/health` or `/takeover`."""
        found = self.client("s3").get_object(Bucket=self["control_bucket"], Key=CHECK_PATH_KEY)
        return f"/{found['Body'].read().decode()}{leaf}"

    def client(self, service: str) -> Any:
        """The boto3 client of a service in this region."""
        return client(service, self.name)

    def neutral(self, value: Any) -> Any:
        """The JSON document without the names of regions and clusters, so that it can be compared with the peer's."""
        text = json.dumps(value).replace(self.name, "OWN").replace(self.peer.name, "PEER")
        return json.loads(re.sub("dbuser:cluster-[A-Z0-9]+/", "dbuser:CLUSTER/", text))

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None, key: Secret | None = None,
             headers: Mapping[str, str] | None = None) -> Answer:
        """Call the region's API; an error status is an answer, too."""
        sent = {"Content-Type": "application/json", **(headers or {}), **({"x-api-key": key.value} if key else {})}
        return ask(urllib.request.Request(self["api_endpoint"] + path, method=method, headers=sent,
                                          data=None if body is None else json.dumps(body).encode()))


def ask(request: urllib.request.Request) -> Answer:
    """Send one HTTP request. Never raises: a traceback would show the request's headers, and with them a key."""
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT) as response:
            status, text = response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read()
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, f"no answer: {error}")
    try:
        return Answer(status, json.loads(text))
    except ValueError:
        return Answer(status, text.decode(errors="replace"))


def payment() -> dict[str, Any]:
    """A new payment."""
    return {"payment_id": f"integration-test-{uuid.uuid4().hex}", "amount": 12_50, "currency": "EUR",
            "payer": "integration-test-payer", "payee": "integration-test-payee"}


def eventually(find: Callable[[], T | None], what: str, seconds: float) -> T:
    """What `find` returns, once it is true; after so many seconds the test fails with `what`."""
    deadline = time.monotonic() + seconds
    while not (found := find()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(POLL)
    return found


def existing(operation: Callable[..., Any], **request: Any) -> Any:
    """The answer of a call; None if AWS says that the resource does not exist."""
    try:
        return operation(**request)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.NOT_FOUND:
            return None
        raise


def statements(policy: str | Mapping[str, Any]) -> list[dict[str, Any]]:
    """The statements of a policy document, as JSON text or already read; actions and resources as lists."""
    document = json.loads(policy) if isinstance(policy, str) else policy
    return [{**each, **{key: [each[key]] for key in ("Action", "Resource") if isinstance(each.get(key), str)}}
            for each in document["Statement"]]
