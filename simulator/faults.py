"""What may go wrong: the faults of a history, drawn from its seed, and the strikes at the seams.

A `TimedFault` is set and lifted by name at moments that the seed draws, so a history can be printed, replayed and
shrunk. `Strikes` kill or freeze who makes a call, cut off the region that it goes to, and fail, lose, repeat or delay
the call itself.
"""
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from contract import RECORD_KEY, Store
from recovery.record import ControlRecord, Run, next_epoch
from simulator.network import WITNESS, NetworkCall
from simulator.vocabulary import FailureMode, FaultVerb

if TYPE_CHECKING:
    from simulator.world import World

Change = Callable[["World", str], object]
EVER = float("inf")
SERVICES = ("dynamodb", "s3", "postgres", "rds", "lambda", "cloudwatch", "sns")
BLIND = 0.7  # how likely a checker does not reach the region
REFUSALS = FailureMode.ERROR, FailureMode.HANG, FailureMode.THROTTLED


@dataclass(frozen=True)
class TimedFault:
    """A fault in a region (`where`), from one moment to another (virtual seconds)."""

    name: str
    where: str
    begins: float
    ends: float = EVER

    @property
    def lasts(self) -> bool:
        """Whether it stays for ever: not so what happens at once and is over."""
        return self.ends == EVER and self.name not in AT_ONCE

    def __str__(self) -> str:
        until = "" if self.name in AT_ONCE else " for ever" if self.ends == EVER else f" until {self.ends:.0f} s"
        return f"{self.name} in {self.where} from {self.begins:.0f} s{until}"


def _outwards(world: "World", where: str) -> tuple[str, str]:
    return where, world.other(where)


def _inwards(world: "World", where: str) -> tuple[str, str]:
    return world.other(where), where


def _among(members: Callable[["World"], set[Any]], *each: Callable[["World", str], object]) -> tuple[Change, Change]:
    """To be in a set of the world's, and not to be: the region, or what `each` gives of it."""
    def changed(world: "World", where: str) -> set[object]:
        return {of(world, where) for of in each} or {where}

    return (lambda world, where: members(world).update(changed(world, where)),
            lambda world, where: members(world).difference_update(changed(world, where)))


def _refusal(service: str, how: FailureMode) -> tuple[Change, Change]:
    return (lambda world, where: world.network.refusing.update({(where, service): how}),
            lambda world, where: world.network.refusing.pop((where, service), None))


def _denial(*operations: str, resource: Callable[["World", str], str] = lambda _world, _where: "") -> tuple[
        Change, Change]:
    """A permission that is missing in a region: for what is called there."""
    return _among(lambda world: world.network.denied, *(
        lambda world, where, operation=operation: (where, operation, resource(world, where))
        for operation in operations))


def _nothing(_world: "World", _where: str) -> None:
    """What happens at once is over at once."""


def _lose(world: "World", where: str) -> None:
    """Half of the lost regions are only cut off: what runs in them goes on, and comes back as it is."""
    world.lose(where, ends=world.scheduler.random.random() < 1 / 2)


def _stop_controller(world: "World", where: str) -> None:
    world.schedule.stopped.add(where)
    world.kill_in(where, "controller")


def _blind_checkers(world: "World", where: str) -> None:
    """Many of Route 53's checkers do not reach a region: perhaps so many that it counts as dead, perhaps not."""
    world.route53.blind |= {(name, where) for name in world.route53.checkers if world.scheduler.random.random() < BLIND}


def _malform(world: "World", where: str) -> None:
    world.table.put(where, "malformed", {"payment_id": {"S": "malformed"}, "amount": {"S": "not a number"}})


def _begin_newer_action(world: "World", where: str) -> None:
    """A driver of the next release has begun what this one does not know, has fenced for it, and is gone."""
    record = ControlRecord.of(world.table.views[where][RECORD_KEY][0])
    epoch = next_epoch(record.epoch, primary=where == world.regions[0])
    run = Run(id="newer", action="rebalance", target=where, driver="the next release", began=0.0, why="", epoch=epoch)
    world.table.writer = None
    world.table.put(where, RECORD_KEY, record.next(region=where, epoch=epoch, run=run).item())


AT_ONCE: Mapping[str, Change] = {
    FaultVerb.FREEZE: lambda world, _: world.freeze_driver(world.scheduler.random.uniform(10.0, 400.0)),
    "malformed-item": _malform,
    "newer-action": _begin_newer_action,
    "newer-release": lambda world, where: world.newer.add(where),
    f"{FaultVerb.RESTORE}-{Store.TABLE}": lambda world, where: world.restore_table(where),
    f"{FaultVerb.RESTORE}-{Store.RECEIPTS}": lambda world, where: world.restore_receipts(where),
    f"{FaultVerb.RESTORE}-{Store.LEDGER}": lambda world, _: world.restore_ledger(),
    "clock-jumps": lambda world, where: world.jump(where, world.scheduler.random.uniform(-120.0, 120.0)),
    "functions-killed": lambda world, where: world.kill_in(where),
}
_REFUSED = {f"{FaultVerb.LOSE}-{service}-{how}": _refusal(service, how) for service in SERVICES for how in REFUSALS}
FAULTS: Mapping[str, tuple[Change, Change]] = {
    **{name: (change, _nothing) for name, change in AT_ONCE.items()},
    **_REFUSED,
    FaultVerb.CUT: (_lose, lambda world, where: world.network.dead.pop(where, None)),
    FaultVerb.CUT_CONNECTION: _among(lambda world: world.network.cuts, _outwards, _inwards),
    "cut-one-way": _among(lambda world: world.network.cuts, _outwards),
    "checkers-cut": (_blind_checkers, lambda world, where: world.route53.blind.difference_update(
        {(name, where) for name in world.route53.checkers})),
    "no-quorum": _among(lambda world: world.table.alone),
    "witness-cut": _among(lambda world: world.network.cuts, lambda _, where: (where, WITNESS),
                          lambda _, where: (WITNESS, where)),
    f"{FaultVerb.LAG}-{Store.TABLE}": _among(lambda world: world.table.stalled, _outwards),
    f"{FaultVerb.LAG}-{Store.RECEIPTS}": _among(lambda world: world.buckets.stalled, _outwards),
    f"{FaultVerb.LAG}-{Store.LEDGER}": (lambda world, _: setattr(world.aurora, "stalled", True),
                                        lambda world, _: setattr(world.aurora, "stalled", False)),
    "receipts-denied": _denial("PutObject", resource=lambda world, where: world.receipts[where]),
    "lever-denied": _denial("PutObject", "DeleteObject", resource=lambda world, where: world.control[where]),
    "promotion-denied": _denial("FailoverGlobalCluster"),
    "switchover-denied": _denial("SwitchoverGlobalCluster"),
    "table-writes-denied": _denial("PutItem", "UpdateItem"),
    "rds-reads-denied": _denial("DescribeGlobalClusters", "DescribeDBClusters"),
    "start-denied": _denial("Invoke"),
    f"{FaultVerb.LOSE}-function-throttled": (
        lambda world, where: world.functions.reserved.update({(where, world.gateway.function): 0}),
        lambda world, where: world.functions.reserved.pop((where, world.gateway.function), None)),
    f"{FaultVerb.LOSE}-api": _among(lambda world: world.gateway.down),
    "flooded": _among(lambda world: world.gateway.flooded),
    "controller-stopped": (_stop_controller, lambda world, where: world.schedule.stopped.discard(where)),
}
"""By name: how a fault is set, and how it is lifted; each is given the world and the region."""
CUTS = frozenset({FaultVerb.CUT_CONNECTION, "cut-one-way", "checkers-cut", "witness-cut"})
"""The faults that cut connections and no region."""
SHARED = frozenset({FaultVerb.CUT_CONNECTION, "cut-one-way", *_REFUSED})
"""The faults that set the same as another one of them: what one lifts is set again, while the other lasts."""
REGION_CUTS = (FaultVerb.CUT, FaultVerb.CUT_CONNECTION, "cut-one-way")
"""The faults by which a region loses the other one, or everything."""


@dataclass
class Strikes:
    """Strikes at seams.

    Rates of kills and freezes at every call, at what changes the record of a run (`record_`), and at the calls of the
    payments functions (`payments_`); `record_cut` is that of a region, the one whose record is changed, being cut off.

    `fates` are the rates of what happens to a call: `fail`, `lose`, `twice`, `late`. A freeze or a cut takes `longest`
    seconds at most, and a late call is held back for `latest` at most. `cut` cuts a region off for some seconds.
    """

    random: Random
    kill: float = 0.0
    freeze: float = 0.0
    record_kill: float = 0.0
    record_freeze: float = 0.0
    record_cut: float = 0.0
    payments_freeze: float = 0.0
    longest: float = 120.0
    latest: float = 3.0
    fates: Mapping[str, float] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    active: bool = False
    cut: Callable[[str, float], object] = lambda _where, _seconds: None

    @property
    def idle(self) -> bool:
        """Whether it never does anything."""
        return not any((self.kill, self.freeze, self.record_kill, self.record_freeze, self.record_cut,
                        self.payments_freeze, *self.fates.values()))

    def strike(self, call: NetworkCall, moment: str) -> None:
        """May kill or freeze the caller, or cut off the region that it calls."""
        kill, freeze = (self.record_kill, self.record_freeze) if call.record else (self.kill, self.freeze)
        if call.caller.name.startswith("tapstack-payments"):
            freeze += self.payments_freeze
        draw = self.random.random()
        if draw < kill:
            self.counts[f"kill {moment}"] += 1
            call.caller.kill()
        elif draw < kill + freeze:
            self.counts[f"freeze {moment}"] += 1
            call.caller.freeze(self.random.uniform(0.5, self.longest))
        elif call.record and draw < kill + freeze + self.record_cut:
            self.counts[f"cut {moment}"] += 1
            self.cut(call.region, self.random.uniform(0.5, self.longest))

    def fate(self, call: NetworkCall) -> tuple[str, float]:
        """What happens to a call, and how long it is held back."""
        del call
        draw = self.random.random()
        for name, rate in self.fates.items():
            if draw < rate:
                self.counts[name] += 1
                return (name, 0.0) if name != "late" else ("", self.random.uniform(0.0, self.latest))
            draw -= rate
        return "", 0.0
