"""The checks of a deployed stack, against a small HTTP server and a cloud of canned answers."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any, ClassVar

import pytest

from contract import CHECK_PATH_KEY, RECORD_KEY
from rehearsal.workload import smoke
from tests.rehearsal.cloud import Cloud, refusal
from tests.rehearsal.stack import EAST, OUTPUTS, WEST, Stores
from tests.rehearsal.workload.api import InstantClock

KEY, SEGMENT = "the-key", "secret"


class Payments(BaseHTTPRequestHandler):
    """Both regions' APIs. A path begins with the region; what one region accepts is known in the other."""

    store: ClassVar[dict[str, Any]] = {}
    stores: ClassVar[Stores]

    def do_GET(self) -> None:  # pylint: disable=invalid-name
        """Find a payment, or report the health."""
        path = self.path.partition("/live")[2]
        if path in (f"/{SEGMENT}/health", f"/{SEGMENT}/takeover"):
            self._answer(200 if path.endswith("/health") else 404, {})
        elif self._allowed():
            found = self.store.get(path.rpartition("/")[2])
            self._answer(200 if found else 404, found)

    def do_POST(self) -> None:  # pylint: disable=invalid-name
        """Accept a payment."""
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        if self._allowed():
            writer = self.stores.record.region
            if not self.path.startswith(f"/{writer}/"):
                self._answer(503, {"error": "not the writer", "writer": writer})
                return
            known = self.store.setdefault(body["payment_id"], body)
            self._answer(201 if known == body else 409, known)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # pylint: disable=redefined-builtin
        """Say nothing."""

    def _allowed(self) -> bool:
        if self.headers.get("x-api-key") == KEY:
            return True
        self._answer(403, "Forbidden")
        return False

    def _answer(self, status: int, body: Any) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode() if isinstance(body, str) else json.dumps(body).encode())


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Where the payments are served."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Payments) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/live"
        server.shutdown()
        thread.join()


@pytest.fixture
def outputs(url: str) -> dict[str, Any]:
    """The stack's, with the APIs where the payments are served."""
    return {**OUTPUTS, "primary_api_endpoint": url.replace("/live", f"/{EAST}/live"),
            "dr_api_endpoint": url.replace("/live", f"/{WEST}/live")}


def _items(stores: Stores, *, copied: bool) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """What the table has: the record, and each payment if it is copied."""
    def item(params: Mapping[str, Any]) -> dict[str, Any]:
        if params["Key"] == {"payment_id": {"S": RECORD_KEY}}:
            return {"Item": stores.record.item()}
        return {"Item": params["Key"] if copied else None}

    return item


@pytest.fixture
def copied(cloud: Cloud) -> Cloud:
    """A cloud in which every payment has arrived everywhere."""
    Payments.stores = Stores(cloud)
    Payments.stores.seen = 1
    roles = iter(["COMPLETED", "REPLICA"] * 2)
    cloud.answers.update(
        GetApiKey={"value": KEY}, GetItem=_items(Payments.stores, copied=True),
        GetObject=lambda params: {"Body": BytesIO(SEGMENT.encode())} if params["Key"] == CHECK_PATH_KEY else {
            "ReplicationStatus": next(roles), "Body": BytesIO(b"receipt")},
        ListObjectVersions={"Versions": [{}]})
    return cloud


def test_a_stack_that_works_passes_every_check(copied: Cloud, outputs: dict[str, Any]) -> None:
    found = list(smoke.checks(copied, outputs, InstantClock()))
    assert [check for check in found if not check.ok] == []
    moves = [params["TargetDbClusterIdentifier"] for operation, _, params in copied.calls
             if operation == "SwitchoverGlobalCluster"]
    assert moves == [OUTPUTS["dr_cluster_arn"], OUTPUTS["primary_cluster_arn"]]
    assert (Payments.stores.record.region, Payments.stores.record.epoch, Payments.stores.writer) == (EAST, 3, EAST)
    assert len(found) == len({check.name for check in found}) == 2 + 2 * 6 + 2 * 9


def test_without_api_keys_there_is_no_traffic(cloud: Cloud, outputs: dict[str, Any]) -> None:
    cloud.answers["GetApiKey"] = refusal("NotFoundException")
    assert [(check.name, check.ok) for check in smoke.checks(cloud, outputs)] == [("API keys can be read", False)]


def test_a_copy_that_does_not_arrive_fails_its_check_alone(copied: Cloud, outputs: dict[str, Any]) -> None:
    copied.answers["GetItem"] = _items(Payments.stores, copied=False)
    def no_receipt(params: Mapping[str, Any]) -> dict[str, Any]:
        if params["Key"] == CHECK_PATH_KEY:
            return {"Body": BytesIO(SEGMENT.encode())}
        raise refusal("NoSuchKey")

    copied.answers["GetObject"] = no_receipt
    checks = smoke.checks(copied, outputs, InstantClock(least=1.0))
    details = {check.name: check.detail for check in checks if not check.ok}
    assert [name.partition(": ")[2] for name in details] == [
        "item equal in both replicas", "receipt in both buckets, one version each"] * 2
    assert details["primary to dr: item equal in both replicas"] == "item: False instead of True"
    assert "NoSuchKey" in details["dr to primary: receipt in both buckets, one version each"]
