"""What may go wrong: the faults of a history, drawn from its seed, and the strikes at the seams.

A `Fault` is set and lifted by name and by the time at which that happens, so a history can be printed, replayed and
shrunk. `Strikes` kill or freeze who makes a call, and fail, lose, repeat or delay the call itself.
"""
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from simulator.network import Call

if TYPE_CHECKING:
    from simulator.world import World

Set = Callable[["World", str], None]
FAULTS: dict[str, tuple[Set, Set]] = {}
"""By name: how a fault is set, and how it is lifted; each is given the world and where."""


def fault(name: str, lift: Set) -> Callable[[Set], Set]:
    """Register a fault."""
    def register(function: Set) -> Set:
        FAULTS[name] = function, lift
        return function

    return register


@dataclass(frozen=True)
class Fault:
    """A fault `where` (a region, a service in a region, or a process) from one moment to another (seconds)."""

    name: str
    where: str
    begins: float
    ends: float = float("inf")

    def __str__(self) -> str:
        until = "for ever" if self.ends == float("inf") else f"until {self.ends:.0f} s"
        return f"{self.name} {self.where} from {self.begins:.0f} s {until}"


def _other(world: "World", region: str) -> str:
    return next(each for each in world.regions if each != region)


def _both(world: "World", region: str) -> set[tuple[str, str]]:
    other = _other(world, region)
    return {(region, other), (other, region)}


@fault("region-lost", lambda world, where: world.revive(where))
def _region_lost(world: "World", where: str) -> None:
    world.network.dead.add(where)


@fault("way-cut", lambda world, where: world.mend_ways(_both(world, where)))
def _way_cut(world: "World", where: str) -> None:
    world.network.cuts |= _both(world, where)


@fault("one-way-cut", lambda world, where: world.mend_ways({(where, _other(world, where))}))
def _one_way_cut(world: "World", where: str) -> None:
    world.network.cuts.add((where, _other(world, where)))


def _refuse(name: str, service: str, how: str) -> None:
    FAULTS[name] = (lambda world, where: world.network.refusing.update({(where, service): how}),
                    lambda world, where: world.network.refusing.pop((where, service), None) and None)


for _service in ("dynamodb", "s3", "postgres", "rds", "lambda", "cloudwatch"):
    _refuse(f"{_service}-refuses", _service, "error")
    _refuse(f"{_service}-hangs", _service, "hang")
    _refuse(f"{_service}-throttles", _service, "throttle")


def _stall(name: str, store: str) -> None:
    def way(world: "World", where: str) -> tuple[str, str]:
        return where, _other(world, where)

    def begin(world: "World", where: str) -> None:
        getattr(world, store).stalled.add(way(world, where))

    def lift(world: "World", where: str) -> None:
        getattr(world, store).stalled.discard(way(world, where))
        world.drain()

    FAULTS[name] = begin, lift


_stall("table-stalls", "table")
_stall("receipts-stall", "buckets")


@fault("ledger-stalls", lambda world, _: world.stall_ledger(stalled=False))
def _ledger_stalls(world: "World", _: str) -> None:
    world.stall_ledger(stalled=True)


@fault("writes-denied", lambda world, where: world.denied.discard((where, "PutObject")))
def _writes_denied(world: "World", where: str) -> None:
    world.denied.add((where, "PutObject"))


@fault("promotion-denied", lambda world, where: world.denied.discard((where, "FailoverGlobalCluster")))
def _promotion_denied(world: "World", where: str) -> None:
    world.denied.add((where, "FailoverGlobalCluster"))


@fault("flooded", lambda world, where: world.gateway.flooded.discard(where))
def _flooded(world: "World", where: str) -> None:
    world.gateway.flooded.add(where)


@fault("api-down", lambda world, where: world.gateway.down.discard(where))
def _api_down(world: "World", where: str) -> None:
    world.gateway.down.add(where)


@fault("controller-stopped", lambda world, where: world.schedule.stopped.discard(where))
def _controller_stopped(world: "World", where: str) -> None:
    world.schedule.stopped.add(where)
    world.kill_functions(where, "controller")


@fault("driver-killed", lambda _world, _where: None)
def _driver_killed(world: "World", where: str) -> None:
    world.kill_driver(where)


@fault("driver-frozen", lambda _world, _where: None)
def _driver_frozen(world: "World", where: str) -> None:
    world.freeze_driver(float(where))


@fault("bad-item", lambda _world, _where: None)
def _bad_item(world: "World", where: str) -> None:
    world.table.put(where, "bad-item", {"payment_id": {"S": "bad-item"}, "amount": {"S": "not a number"}})


@fault("newer-release", lambda _world, _where: None)
def _newer_release(world: "World", where: str) -> None:
    world.newer.add(where)


@fault("table-restored", lambda _world, _where: None)
def _table_restored(world: "World", where: str) -> None:
    world.restore_table(where)


@dataclass
class Strikes:
    """Strikes at seams: small rates at every call, and at the record's writes more (`record` rates)."""

    random: Random
    kill: float = 0.0
    freeze: float = 0.0
    record_kill: float = 0.0
    record_freeze: float = 0.0
    fates: Mapping[str, float] = field(default_factory=dict)
    longest: float = 120.0
    spared: Callable[[Call], bool] = lambda _: False
    counts: Counter[str] = field(default_factory=Counter)
    active: bool = True

    def strike(self, call: Call, moment: str) -> None:
        """May kill or freeze the caller."""
        if not self.active or self.spared(call):
            return
        record = call.service == "dynamodb" and call.operation in ("PutItem", "UpdateItem") or call.service == "rds"
        draw = self.random.random()
        kill = self.record_kill if record else self.kill
        freeze = self.record_freeze if record else self.freeze
        if draw < kill:
            self.counts[f"kill {moment}"] += 1
            call.caller.kill()
        elif draw < kill + freeze:
            self.counts[f"freeze {moment}"] += 1
            call.caller.freeze(self.random.uniform(0.5, self.longest))

    def fate(self, call: Call) -> str:
        """What happens to a call."""
        if not self.active or self.spared(call):
            return ""
        draw = self.random.random()
        for name, rate in self.fates.items():
            if draw < rate:
                self.counts[name] += 1
                return name
            draw -= rate
        return ""
