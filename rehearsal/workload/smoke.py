"""Payments sent over HTTP to one region's API and looked for in the other's, by the outputs of the stack alone."""

import http.client
import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from recovery.cloud import AwsFailure
from recovery.plan import Action
from rehearsal.aws.clients import EmulatorClients
from rehearsal.workload.move_writer import move_writer

TIMEOUT = 10.0  # seconds for one request
ARRIVAL = 10.0  # seconds until a copy must have arrived in the other region; the emulator copies at once


@dataclass(frozen=True)
class CheckResult:
    """One thing that was tried: whether it held, how long it took, and what was found if it did not."""

    name: str
    ok: bool
    milliseconds: float
    detail: str = ""


@dataclass(frozen=True)
class Answer:
    """Status and JSON body of an HTTP response."""

    status: int
    body: Any


class CheckFailed(Exception):
    """What a check found instead of what it expects."""


_FAILURES = (CheckFailed, AwsFailure, OSError, http.client.HTTPException, ClientError, BotoCoreError)


def expect(found: object, wanted: object, what: str) -> None:
    """Raise Unmet unless the two are equal."""
    if found != wanted:
        raise CheckFailed(f"{what}: {found!r} instead of {wanted!r}")


def attempt(name: str, check: Callable[[], object]) -> CheckResult:
    """Do one check."""
    began, detail = time.monotonic(), ""
    try:
        check()
    except _FAILURES as error:
        detail = str(error) if isinstance(error, CheckFailed) else f"{type(error).__name__}: {error}"
    return CheckResult(name, not detail, (time.monotonic() - began) * 1000, detail)


def arrives(check: Callable[[], None], patience: float | None = None) -> None:
    """Try until the check holds or the time for an arrival is over."""
    deadline = time.monotonic() + (ARRIVAL if patience is None else patience)
    while True:
        try:
            return check()
        except _FAILURES:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def request(method: str, url: str, body: Mapping[str, Any] | None = None, key: str = "", *, via: str = "",
            timeout: float = TIMEOUT) -> Answer:
    """Send one request, through the proxy `via` if there is one; an error status is an answer too.

    Raises OSError when there is none.
    """
    headers = {"Content-Type": "application/json", **({"x-api-key": key} if key else {})}
    data = None if body is None else json.dumps(body).encode()
    call = urllib.request.Request(url, data=data, headers=headers, method=method)
    if via:
        call.set_proxy(urlsplit(via).netloc, "http")
    try:
        with urllib.request.urlopen(call, timeout=timeout) as response:
            return Answer(response.status, _json(response.read()))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, _json(error.read()))


def _json(text: bytes) -> Any:
    try:
        return json.loads(text or b"null")
    except ValueError:
        return text.decode(errors="replace")


def payment() -> dict[str, Any]:
    """A payment that nobody has made before."""
    return {"payment_id": uuid.uuid4().hex, "amount": 12_50, "currency": "EUR", "payer": "alice", "payee": "bob"}


@dataclass(frozen=True, kw_only=True)
class ApiEndpoint:
    """Where a client finds a region's API, and its key; `via` is a proxy on the way there, empty for none."""

    region: str
    url: str
    key: str
    via: str = ""


@dataclass(frozen=True)
class RegionClient:
    """One region of the stack, with what the outputs say of it, and its API key, which is secret and so no output."""

    role: str
    name: str
    url: str
    table: str
    bucket: str
    reconcile: str
    key: str
    clients: EmulatorClients

    @classmethod
    def of(cls, role: str, outputs: Mapping[str, Any], clients: EmulatorClients) -> "RegionClient":
        """The region of a role, `primary` or `dr`."""
        name = outputs[f"{role}_region"]
        key = clients("apigateway", name).get_api_key(apiKey=outputs[f"{role}_api_key_id"], includeValue=True)["value"]
        return cls(role=role, name=name, url=outputs[f"{role}_api_endpoint"], table=outputs["payments_table_name"],
                   bucket=outputs[f"{role}_receipts_bucket"], key=key, clients=clients,
                   reconcile=outputs[f"{role}_reconcile_function_name"])

    @property
    def place(self) -> ApiEndpoint:
        """Its API, from anywhere on its side of a cut."""
        return ApiEndpoint(region=self.name, url=self.url, key=self.key)

    def item(self, payment_id: str) -> Any:
        """The payment as this region's replica of the table holds it, None if it does not."""
        return self.clients("dynamodb", self.name).get_item(
            TableName=self.table, Key={"payment_id": {"S": payment_id}}).get("Item")

    def receipt(self, payment_id: str) -> tuple[str, bytes, int]:
        """The receipt in this region's bucket: replication status, content, count of versions.

        Raises ClientError if there is none.
        """
        s3, key = self.clients("s3", self.name), f"receipts/{payment_id}.json"
        found = s3.get_object(Bucket=self.bucket, Key=key)
        versions = s3.list_object_versions(Bucket=self.bucket, Prefix=key).get("Versions", ())
        return found.get("ReplicationStatus", ""), found["Body"].read(), len(versions)

    def reconciled(self) -> dict[str, Any]:
        """What the function `reconcile` says of this region's stores. Raises Unmet if it fails."""
        answer = self.clients("lambda", self.name).invoke(FunctionName=self.reconcile, Qualifier="live", Payload=b"{}")
        found: dict[str, Any] = json.loads(answer["Payload"].read())
        expect(answer.get("FunctionError"), None, f"error of {self.reconcile} ({found})")
        return found

    def access(self) -> Iterator[CheckResult]:
        """Who may ask what."""
        def answers(status: int, method: str, path: str, key: str = "") -> Callable[[], None]:
            return lambda: expect(request(method, self.url + path, key=key).status, status, "status")

        yield attempt(f"{self.role}: without a key 403", answers(403, "POST", "/payment"))
        yield attempt(f"{self.role}: with a wrong key 403", answers(403, "GET", "/payment/x", "wrong"))
        yield attempt(f"{self.role}: an unknown payment 404", answers(404, "GET", "/payment/x", self.key))
        yield attempt(f"{self.role}: /health without a key 200", answers(200, "GET", "/health"))
        yield attempt(f"{self.role}: /takeover without a key 404", answers(404, "GET", "/takeover"))


@dataclass
class CrossRegionCheck:
    """A payment made in one region and looked for in the other, with the first region's key throughout."""

    here: RegionClient
    there: RegionClient
    made: dict[str, Any] = field(default_factory=payment)
    accepted: Any = None

    def checks(self) -> Iterator[CheckResult]:
        """Each as it is done."""
        way = f"{self.here.role} to {self.there.role}"
        yield attempt(f"{way}: POST in {self.here.name} 201", self._post)
        yield attempt(f"{way}: GET in {self.there.name} gives it", partial(arrives, self._get))
        yield attempt(f"{way}: item equal in both replicas", partial(arrives, self._items))
        yield attempt(f"{way}: receipt in both buckets, one version each", partial(arrives, self._receipts))
        yield attempt(f"{way}: posted in both ledgers, nothing lost", partial(arrives, self._ledgers))
        yield attempt(f"{way}: repeated, the same answer", self._repeat)
        yield attempt(f"{way}: same id, other amount 409", self._conflict)
        yield attempt(f"{way}: POST in {self.there.name}, not the writer 503", partial(arrives, self._refused))

    def _post(self) -> None:
        answer = request("POST", f"{self.here.url}/payment", self.made, self.here.key)
        expect(answer.status, 201, f"status of {answer.body}")
        self.accepted = answer.body

    def _get(self) -> None:
        answer = request("GET", f"{self.there.url}/payment/{self.made['payment_id']}", key=self.here.key)
        expect(answer, Answer(200, self.accepted), "answer")

    def _repeat(self) -> None:
        expect(request("POST", f"{self.here.url}/payment", self.made, self.there.key), Answer(201, self.accepted),
               "answer")

    def _conflict(self) -> None:
        other = {**self.made, "amount": self.made["amount"] + 1}
        answer = request("POST", f"{self.here.url}/payment", other, self.here.key)
        expect(answer.status, 409, f"status of {answer.body}")

    def _refused(self) -> None:
        answer = request("POST", f"{self.there.url}/payment", payment(), self.there.key)
        expect(answer, Answer(503, {"error": "not the writer", "writer": self.here.name}), "answer")

    def _ledgers(self) -> None:
        for region in (self.here, self.there):
            stores = region.reconciled()["stores"]
            expect({name: store["lost"] for name, store in stores.items() if store["lost"]}, {},
                   f"lost in {region.name}")

    def _items(self) -> None:
        item = self.here.item(self.made["payment_id"])
        expect(item is not None, True, "item")
        expect(self.there.item(self.made["payment_id"]), item, "replica")

    def _receipts(self) -> None:
        (source, content, versions), (copy, copied, copies) = (
            region.receipt(self.made["payment_id"]) for region in (self.here, self.there))
        expect((source, copy), ("COMPLETED", "REPLICA"), "replication status")
        expect((versions, copies), (1, 1), "versions")
        expect(copied, content, "content of the copy")


def checks(clients: EmulatorClients, outputs: Mapping[str, Any]) -> Iterator[CheckResult]:
    """Every check of a deployed stack, each as it is done, whatever came of those before."""
    regions: list[RegionClient] = []
    yield attempt("API keys can be read", lambda: regions.extend(
        [RegionClient.of(role, outputs, clients) for role in ("primary", "dr")]))
    if not regions:
        return
    yield attempt("one API key in both regions", lambda: expect(len({region.key for region in regions}), 1, "keys"))
    for region in regions:
        yield from region.access()
    for here, there in (regions, regions[::-1]):
        yield from CrossRegionCheck(here, there).checks()
        yield attempt(f"switchover to {there.name}", partial(
            move_writer, Action.SWITCHOVER, there.name, outputs, clients))
