"""Clients that go wherever the service's name leads, over relays to one server that is both regions' APIs."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from rehearsal.aws.faults import WORLD, Faults
from rehearsal.aws.proxy import AwsProxies
from rehearsal.drills.emulated.route53 import DnsRecord, HostedZone, Resolver
from rehearsal.drills.payers import payers
from rehearsal.workload.load import SentPayment
from rehearsal.workload.region import RegionClient

EAST, WEST = "us-east-1", "us-west-2"
SERVICE = "pay.example.test"


class Handler(BaseHTTPRequestHandler):
    """Accepts every payment."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # pylint: disable=redefined-builtin
        pass

    def accept(self) -> None:
        """Answer with the payment itself."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = accept  # noqa: N815


@pytest.fixture
def ground() -> Iterator[Any]:
    """What clients need of a deployed stack."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
        thread.start()
        faults = Faults()
        relays = AwsProxies(f"http://127.0.0.1:{server.server_port}", [EAST, WEST], faults)
        relays.start()
        regions = [RegionClient(role=role, name=name, url=f"{relays.url(name)}/_aws/execute-api/{role}/live", table="",
                          bucket="", reconcile="", key="k", clients=None)  # type: ignore[arg-type]
                   for role, name in (("primary", EAST), ("dr", WEST))]
        yield SimpleNamespace(faults=faults, relays=relays, outputs={"domain_name": SERVICE}, sides=lambda: regions)
        relays.stop()
        server.shutdown()
        thread.join()


def test_payments_follow_the_name_once_its_answer_may_be_kept_no_longer(ground: Any) -> None:
    ill = set[str]()
    zone = HostedZone(checks={}, records={SERVICE: [DnsRecord(region=EAST, routing="PRIMARY", check="east"),
                                              DnsRecord(region=WEST, routing="SECONDARY", check="west")]})
    load = payers(ground, Resolver(zone, lambda check: check not in ill, factor=600), rate=400, repeat=True)

    def until(region: str, *, acknowledged: bool = True) -> None:
        deadline = time.monotonic() + 5
        while (region, acknowledged) not in {(each.region, each.acknowledged) for each in load.sent}:
            assert time.monotonic() < deadline
            time.sleep(0.002)

    with load:
        until(EAST)
        ground.faults.cut(EAST, inside=True)  # nobody in the world is on that side
        until(EAST, acknowledged=False)
        ill.add("east")
        until(WEST)
        sent = load.finish()
    by_payment: dict[str, list[SentPayment]] = {}
    for each in sent:
        by_payment.setdefault(each.payment_id, []).append(each)
    assert all(not each.acknowledged for attempts in by_payment.values() for each in attempts[:-1])
    assert any(len(attempts) > 1 and attempts[-1].region == WEST for attempts in by_payment.values())
    assert {each.answer.body["payment_id"] for each in sent if each.answer} <= by_payment.keys()
    assert {call.caller for call in ground.relays.calls} == {WORLD}
