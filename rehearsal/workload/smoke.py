"""The smoke test: payments sent over HTTP to one region's API and looked for in the other's, in both directions."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from contract import HEALTH_PATH, LEVER_PATH, ROLES
from payments.clock import SYSTEM, Clock
from recovery.plan import Action
from rehearsal.aws.clients import EmulatorClients
from rehearsal.polling import retry
from rehearsal.workload.checks import CheckResult, attempt, expect
from rehearsal.workload.http import Answer
from rehearsal.workload.load import at_once, new_payment
from rehearsal.workload.move_writer import move_writer
from rehearsal.workload.region import RegionClient

Checks = Mapping[str, Callable[[], object]]
"""Checks by name."""


def checks(clients: EmulatorClients, outputs: Mapping[str, Any], clock: Clock = SYSTEM) -> Iterator[CheckResult]:
    """Run every check of a deployed stack, even after a failure; afterwards the primary region leads again."""
    regions: dict[str, RegionClient] = {}
    yield attempt("API keys can be read", lambda: regions.update(
        {role: RegionClient.of(role, outputs, clients) for role in ROLES}))
    if not regions:
        return
    primary, dr = (regions[role] for role in ROLES)
    _start_functions(regions.values())
    switchover = partial(move_writer, Action.SWITCHOVER, outputs=outputs, clients=clients, clock=clock)
    for checks_of in (
            {"one API key in both regions": lambda: expect(primary.key, dr.key, "keys")},
            access(primary), access(dr),
            replication(primary, dr, clock), {f"switchover to {dr.name}": lambda: switchover(dr.name)},
            replication(dr, primary, clock), {f"switchover to {primary.name}": lambda: switchover(primary.name)}):
        for name, check in checks_of.items():
            yield attempt(name, check, clock)


def _start_functions(regions: Iterable[RegionClient]) -> None:
    """Start the functions of all regions at the same time, because the checks would start them one by one.

    Their answers do not matter yet.
    """
    calls: list[Callable[[], object]] = [call for region in regions for call in (
        partial(region.api.find, "x"), region.reconciled)]
    at_once(partial(attempt, "start"), calls)


def access(region: RegionClient) -> Checks:
    """Check which requests a region's API accepts."""
    def answers(status: int, method: str, path: str, key: str = "") -> Callable[[], None]:
        return lambda: expect(region.api.request(method, path, key=key).status, status, "status")

    return _named(f"{region.role}: ", {
        "without a key 403": answers(403, "POST", "/payment"),
        "with a wrong key 403": answers(403, "GET", "/payment/x", "wrong"),
        "an unknown payment 404": answers(404, "GET", "/payment/x", region.key),
        "health on the secret path 200": answers(200, "GET", f"/{region.segment}{HEALTH_PATH}"),
        "lever on the secret path 404": answers(404, "GET", f"/{region.segment}{LEVER_PATH}"),
        "health on a public path 403": answers(403, "GET", HEALTH_PATH)})


def replication(leader: RegionClient, standby: RegionClient, clock: Clock) -> Checks:
    """Check that a payment made in the leader arrives in the standby."""
    payment = new_payment()
    payment_id = payment["payment_id"]
    accepted: dict[str, Any] = {}

    def post() -> None:
        answer = leader.api.pay(payment)
        expect(answer.status, 201, f"status of {answer.body}")
        accepted["body"] = answer.body

    def get() -> None:
        expect(standby.api.find(payment_id), Answer(200, accepted.get("body")), "answer")

    def items() -> None:
        item = leader.item(payment_id)
        expect(item is not None, True, "item")
        expect(standby.item(payment_id), item, "replica")

    def receipts() -> None:
        (source, content, versions), (copy, copied, copies) = leader.receipt(payment_id), standby.receipt(payment_id)
        expect((source, copy), ("COMPLETED", "REPLICA"), "replication status")
        expect((versions, copies), (1, 1), "versions")
        expect(copied, content, "content of the copy")

    def ledgers() -> None:
        def lost(region: RegionClient) -> tuple[str, int]:
            found = region.reconciled()
            return found["error"], found["counts"].get("lost", 0)

        expect(at_once(lost, (leader, standby)), [("", 0)] * 2, f"lost in {leader.name}, {standby.name}")

    def repeat() -> None:
        expect(leader.api.pay(payment), Answer(201, accepted.get("body")), "answer")

    def conflict() -> None:
        answer = leader.api.pay({**payment, "amount": payment["amount"] + 1})
        expect(answer.status, 409, f"status of {answer.body}")

    def refuse() -> None:
        refusal = Answer(503, {"error": "not the writer", "writer": leader.name})
        expect(standby.api.pay(new_payment()), refusal, "answer")

    tried = {
        f"POST in {leader.name} 201": post, f"GET in {standby.name} returns it": get,
        "item equal in both replicas": items, "receipt in both buckets, one version each": receipts,
        "posted in both ledgers, nothing lost": ledgers, "repeated, the same answer": repeat,
        "same id, other amount 409": conflict, f"POST in {standby.name}, not the writer 503": refuse}
    # Copies take their time, and a busy machine may be too slow for the function's deadlines: 503 asks to come again.
    return _named(f"{leader.role} to {standby.role}: ", {
        name: partial(retry, check, clock=clock) for name, check in tried.items()})


def _named(prefix: str, unnamed: Checks) -> Checks:
    return {prefix + name: check for name, check in unnamed.items()}
