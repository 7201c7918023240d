"""A rehearsed stack: which region is which, its switches, and what its stores hold."""

from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from contract import Store
from rehearsal.aws.faults import Fault, Heal, Lag
from rehearsal.errors import CheckFailed
from rehearsal.rehearsed_stack import RehearsedStack
from tests.rehearsal.cloud import ENDPOINT, Cloud
from tests.rehearsal.stack import EAST, OUTPUTS, WEST, Stores

ITEM = {"payment_id": {"S": "a"}, "amount": {"N": "1"}, "currency": {"S": "EUR"}, "payer": {"S": "x"},
        "payee": {"S": "y"}, "fingerprint": {"S": "f"}, "created_at": {"S": "2026-01-01T00:00:00.000+00:00"},
        "epoch": {"N": "1"}, "status": {"S": "SETTLED"}}


class Switches:
    """The faults, the copies, the databases and the proxies; `done` has what was asked of them."""

    def __init__(self) -> None:
        self.done: list[Fault] = []
        self.writer = EAST
        self.posted = [["a"]]

    def inject(self, fault: Fault) -> None:
        """A fault."""
        self.done.append(fault)

    def member(self, _: str) -> Any:
        """A database with the posted ids."""
        session = SimpleNamespace(run=lambda _: self.posted, close=lambda: None)
        return SimpleNamespace(server=SimpleNamespace(connect=lambda **_: session))

    def url(self, region: str) -> str:
        """A region's proxy."""
        return f"http://{region}"


@pytest.fixture
def switches() -> Switches:
    """Nothing was asked yet."""
    return Switches()


@pytest.fixture
def stack(cloud: Cloud, switches: Any) -> RehearsedStack:
    """A stack whose parts are canned."""
    Stores(cloud)
    cloud.answers.update(GetApiKey={"value": "k"}, GetObject={"Body": BytesIO(b"secret")})
    return RehearsedStack(OUTPUTS, cloud, ENDPOINT, switches, switches, switches, switches)


@pytest.mark.parametrize(("writer", "names"), [(EAST, [EAST, WEST]), (WEST, [WEST, EAST])])
def test_the_writers_region_is_the_first(
        stack: RehearsedStack, switches: Switches, writer: str, names: list[str]) -> None:
    switches.writer = writer
    assert [region.name for region in stack.writer_and_standby()] == names


def test_everything_is_healed_and_nothing_lags(stack: RehearsedStack, switches: Switches) -> None:
    stack.heal()
    assert switches.done == [Heal(EAST), Heal(WEST), *(
        Lag(store, source, target, 0) for source, target in ((EAST, WEST), (WEST, EAST)) for store in Store)]


def test_callers_inside_a_region_use_its_own_proxy_and_api(stack: RehearsedStack) -> None:
    region, _ = stack.writer_and_standby()
    assert stack.clients_in(region).endpoint == f"http://{EAST}"
    assert stack.within(region) == f"{ENDPOINT}/{EAST}/live"


def test_a_replica_says_which_region_leads(stack: RehearsedStack) -> None:
    found = stack.leadership(stack.writer_and_standby()[0])
    assert (found.region, found.epoch, stack.strong) == (EAST, 1, False)


def test_a_payment_is_whole_if_every_store_has_it(stack: RehearsedStack, switches: Switches, cloud: Cloud) -> None:
    cloud.answers.update(Scan={"Items": [ITEM]}, ListObjectVersions={"IsTruncated": False, "Versions": [
        {"Key": "receipts/a.json", "VersionId": f"v{number}", "Size": 1, "IsLatest": not number}
        for number in range(2)]})
    region, _ = stack.writer_and_standby()
    found = stack.contents(region)
    assert (found.settled("a"), found.whole("a"), found.receipts) == (True, True, {"a": 2})
    assert (found.settled("b"), found.whole("b")) == (False, False)
    switches.posted = []
    assert stack.contents(region).whole("a") is False


def test_a_store_that_does_not_answer_fails_the_check(stack: RehearsedStack, cloud: Cloud) -> None:
    cloud.answers["Scan"] = ClientError(
        {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "Scan")
    with pytest.raises(CheckFailed, match="AccessDenied"):
        stack.contents(stack.writer_and_standby()[0])
