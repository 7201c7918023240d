"""An Aurora global database as the product sees it: the ledger over SQL, and RDS's operations.

The writer's commits reach the standby in their order, each after a lag. A failover promotes the standby with what it
has; the old writer is fenced where it can be reached, which may take too long, and comes back as a standby once its
region does: what it alone had is gone. A switchover waits until the standby has everything, and may complete late.
What RDS says of a region that it cannot reach, and of a cluster that changes its role, the seed draws.
"""
from bisect import bisect_right, insort
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, ClassVar

from botocore.exceptions import ClientError, ConnectTimeoutError, HTTPClientError
from pg8000.exceptions import DatabaseError

from payments import ledger
from simulator.aws import AwsClient, failure
from simulator.history import History
from simulator.network import OUTSIDE, NetworkCall, SimulatedNetwork, Unanswered, Unavailable
from simulator.scheduler import Process

CONNECT, STATEMENT = 0.4, 0.8
SWITCHOVER_WAITS = 600.0  # seconds that a switchover waits for the standby before it is given up
AGAIN = 2  # attempts that boto3 makes after the first one, while there is no answer
REJOIN_SECONDS = 30.0, 120.0  # that the old writer takes to follow the new one, once they reach each other


@dataclass
class Books:
    """What one region's database holds: postings by payment id in the order of posting, and the newest epoch."""

    postings: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    epoch: int = 0
    sequence: int = 0
    marks: dict[str, int] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    """Of the payments' receipts, in order."""

    def copy(self) -> "Books":
        """Another one with the same content."""
        return Books(dict(self.postings), self.epoch, self.sequence, dict(self.marks), list(self.keys))

    def write(self, values: dict[str, Any]) -> Any:
        """What `ledger.post_payment` or, of values without a payment, `ledger.post_mark` does, and returns."""
        if values["epoch"] < self.epoch:
            raise _sql("TS001")
        return self._post(values) if "payment_id" in values else self._mark(values)

    def answer(self, payment_id: str) -> dict[str, Any] | None:
        """What a client is told of a posting, None if there is none."""
        if payment_id not in self.postings:
            return None
        row = self.postings[payment_id]
        return {**dict(zip(("payment_id", "payer", "payee", "amount", "currency"), row[1:6], strict=True)),
                "created_at": row[8], "status": "settled"}

    def _mark(self, values: dict[str, Any]) -> int:
        self.epoch = values["epoch"]
        self.marks[values["region"]] = self.marks.get(values["region"], 0) + 1
        return self.marks[values["region"]]

    def _post(self, values: dict[str, Any]) -> str:
        found = self.postings.get(values["payment_id"])
        if found is not None and found[6] != values["fingerprint"]:
            raise _sql("TS002")
        self.epoch = values["epoch"]
        if found is None:
            self.sequence += 1
            insort(self.keys, f"{values['payment_id']}.json")
            self.postings[values["payment_id"]] = found = (
                self.sequence, *(values[key] for key in ("payment_id", "payer", "payee", "amount", "currency",
                                                         "fingerprint", "epoch", "created_at")))
        elif values["corrects"]:
            self.postings[values["payment_id"]] = found = (*found[:8], values["created_at"])
        return str(found[8])


@dataclass
class SimulatedAurora:  # pylint: disable=too-many-instance-attributes  # one object for all that a global database is
    """A global database over two regions; `lag` draws how long a commit takes to reach the standby."""

    network: SimulatedNetwork
    history: History
    global_cluster: str
    clusters: dict[str, str]
    """The ARN of each region's cluster."""
    writer: str
    lag: Callable[[], float] = lambda: 0.1
    stalled: bool = False
    failover_takes: tuple[float, float] = (4.0, 40.0)
    switchover_takes: tuple[float, float] = (4.0, 60.0)
    fenced: float = 0.9
    """How likely a failover fences the old writer where it reaches it."""
    books: dict[str, Books] = field(default_factory=dict)
    accepting: dict[str, bool] = field(default_factory=dict)
    """Whether a region's database takes writes."""
    status: dict[str, str] = field(default_factory=dict)
    asked: Callable[[Process, str, str, int], None] = lambda _caller, _target, _how, _number: None
    """Called with who asks for a move, where to, which, and the number of that call among the caller's."""
    outside: set[str] = field(default_factory=set)
    """Regions whose cluster is no member of the global database."""
    moving: str = ""
    """The kind of a move that is under way: `failover` or `switchover`."""
    _behind: deque[dict[str, Any]] = field(default_factory=deque)
    _shipping: int = 0
    _due: float = 0.0
    _returning: bool = False
    _generation: int = 0
    _move: int = 0
    _rejoining: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.books = {region: Books() for region in self.clusters}
        self.accepting = {region: region == self.writer for region in self.clusters}
        self.status = dict.fromkeys(self.clusters, "available")

    def other(self, region: str) -> str:
        """The other region."""
        return next(each for each in self.clusters if each != region)

    def rejoining(self, region: str) -> bool:
        """Whether a region's database was the writer and does not follow the new one yet."""
        return region in self._rejoining

    def follows(self, region: str) -> bool:
        """Whether a region's database is a synchronised member of the global database, which alone can be promoted."""
        return region not in self._rejoining | self.outside

    # --- The log

    def commit(self, region: str, values: dict[str, Any]) -> Any:
        """A posting or a mark in a region whose database takes writes; what it returns."""
        if not self.accepting[region]:
            raise _sql("25006")
        found = self.books[region].write(values)
        if region == self.writer:
            self._behind.append(values)
            self._ship()
        return found

    def _ship(self) -> None:
        """Let the oldest commit that is not on its way leave."""
        scheduler, generation = self.network.scheduler, self._generation
        self._shipping += 1
        self._due = max(self._due, scheduler.now + self.lag())
        scheduler.at(self._due - scheduler.now, lambda: self._arrive(generation))

    def _arrive(self, generation: int) -> None:
        if generation != self._generation:
            return
        self._shipping -= 1
        target = self.other(self.writer)
        if self._behind and not self.stalled and target not in self._rejoining and (
                self.network.reaches(self.writer, target)):
            self.books[target].write(self._behind.popleft())

    def drain(self) -> None:
        """Let commits that waited go on, and let an old writer that is back begin to rejoin."""
        old = self.other(self.writer)
        if not self.stalled and self.network.reaches(self.writer, old) and old not in self._rejoining:
            for _ in range(len(self._behind) - self._shipping):
                self._ship()
        if self._back(old) and not self._returning:
            self._returning = True
            self.network.scheduler.at(self.network.scheduler.random.uniform(*REJOIN_SECONDS), lambda: self._rejoin(old))

    def _back(self, old: str) -> bool:
        return old in self._rejoining and not self.moving and self.network.connected(self.writer, old)

    def _rejoin(self, old: str) -> None:
        """Let an old writer follow: what it alone has is discarded."""
        self._returning = False
        if self._back(old):
            self._rejoining.discard(old)
            self.status[old] = "available"
            self.accepting[old] = False
            lost = self.books[old].postings.keys() - self.books[self.writer].postings.keys()
            self.books[old] = self.books[self.writer].copy()
            self._forget()
            self.history.note(self.network.scheduler.now, "rejoined", old, discarded=len(lost))

    def restore(self, books: Books) -> None:
        """Put an earlier state in place of both regions' databases."""
        self.books = {region: books.copy() for region in self.clusters}
        self._forget()

    def _forget(self) -> None:
        """Drop what has not reached the standby."""
        self._behind.clear()
        self._generation += 1
        self._shipping = 0

    # --- Moves

    def fail_over(self, target: str) -> None:
        """Begin a failover with loss of data."""
        scheduler, draw, old = self.network.scheduler, self.network.scheduler.random, self.writer
        self.moving, self.status[target] = "failover", "failing-over"
        self._move += 1
        number = self._move

        def fence() -> None:
            if self._move == number and self.network.reaches(target, old) and draw.random() < self.fenced:
                self.accepting[old] = False

        def promote() -> None:
            if self._move != number:
                return
            self.writer, self.moving, self.status[target] = target, "", "available"
            self.accepting[target] = True
            self._forget()
            self._rejoining.discard(target)
            self._rejoining.add(old)
            self.history.note(scheduler.now, "promoted", target, how="failover")

        scheduler.at(draw.uniform(0.5, 3.0), fence)
        scheduler.at(draw.uniform(*self.failover_takes), promote)

    def switch_over(self, target: str) -> None:
        """Begin a switchover, which waits for the standby and completes late or not at all."""
        scheduler, draw, old = self.network.scheduler, self.network.scheduler.random, self.writer
        self.moving = "switchover"
        self._move += 1
        number = self._move
        asked = scheduler.now

        def swap() -> None:
            if self._move != number:
                return
            there = self.network.connected(old, target)
            if scheduler.now > asked + SWITCHOVER_WAITS:
                self.moving, self.accepting[old] = "", True
                self.status = dict.fromkeys(self.clusters, "available")
            elif not there or (self._behind and self.stalled):
                scheduler.at(2.0, swap)
            else:
                for values in self._behind:
                    self.books[target].write(values)
                self._forget()
                self.writer, self.moving, self.accepting = target, "", {old: False, target: True}
                self.status = dict.fromkeys(self.clusters, "available")
                self.history.note(scheduler.now, "promoted", target, how="switchover", asked=asked)

        scheduler.at(draw.uniform(1.0, 3.0), lambda: self.moving and self.status.update(
            {target: draw.choice(("available", "switching-over", "modifying"))}))
        def demote() -> None:
            if self._move == number and self.network.connected(old, target):
                self.accepting[old] = False

        takes = draw.uniform(*self.switchover_takes)
        scheduler.at(takes * draw.random(), demote)
        scheduler.at(takes, swap)


class LedgerSession:
    """A PostgreSQL session of the product's driver, at a cluster's writer or reader endpoint."""

    def __init__(self, aurora: SimulatedAurora, caller: Process, region: str) -> None:
        self._aurora, self._caller, self._region = aurora, caller, region

    @classmethod
    def connect(cls, aurora: SimulatedAurora, caller: Process, region: str, *, reader: bool = False) -> "LedgerSession":
        """Log in; the writer endpoint of a standby leads nowhere."""
        def serve() -> bool:
            return reader or aurora.accepting[region]

        if not _answer(aurora, NetworkCall(caller, region, "postgres", "connect", CONNECT), serve):
            raise OSError("no route to host")
        return cls(aurora, caller, region)

    def prepare(self, sql: str) -> "LedgerSession":
        """A prepared statement; it parses nothing."""
        if sql != ledger.POST:
            raise ValueError(sql)
        return self

    def run(self, sql: str = ledger.POST, **values: Any) -> list[list[Any]]:
        """The rows of one of the product's statements."""
        def serve() -> list[list[Any]]:
            if sql in (ledger.POST, ledger.MARK):
                return [[self._aurora.commit(self._region, values)]]
            books = self._aurora.books[self._region]
            if sql == ledger.STATE:
                return [[books.epoch, dict(books.marks) or None]]
            return list(map(list, _select(sql, books, values)))

        rows: list[list[Any]] = _answer(
            self._aurora, NetworkCall(self._caller, self._region, "postgres", "query", STATEMENT), serve)
        return rows

    def close(self) -> None:
        """End it."""


def _select(sql: str, books: Books, values: dict[str, Any]) -> Iterable[Sequence[Any]]:
    """The rows of one of the product's queries for postings."""
    postings = books.postings
    match sql:
        case ledger.FIND:
            return [postings[each] for each in (values["payment_id"],) if each in postings]
        case ledger.KNOWN:
            return [(each,) for each in values["payment_ids"] if each in postings]
        case ledger.NEWEST:
            return list(islice((row for row in reversed(postings.values()) if row[0] < values["before"]),
                               values["page"]))
        case ledger.IN_ORDER:
            first = bisect_right(books.keys, values["after"])
            return [postings[key.removesuffix(".json")] for key in books.keys[first:first + values["page"]]]
        case _:
            raise AssertionError(sql)


class RdsClient(AwsClient[SimulatedAurora]):
    """RDS's; there are no snapshots."""

    service = "rds"
    empty: ClassVar[Mapping[str, tuple[str, str]]] = {
        "describe_db_cluster_snapshots": ("DescribeDBClusterSnapshots", "DBClusterSnapshots"),
        "describe_events": ("DescribeEvents", "Events")}

    def describe_global_clusters(self, **_: Any) -> dict[str, Any]:
        """DescribeGlobalClusters, as this region's control plane knows it."""
        def serve() -> dict[str, Any]:
            aurora = self._part
            members = [{"DBClusterArn": arn, "IsWriter": region == aurora.writer,
                        "SynchronizationStatus": "pending-resync" if aurora.rejoining(region) else "connected"}
                       for region, arn in aurora.clusters.items() if region not in aurora.outside]
            state = {"FailoverState": {"Status": "pending", "IsDataLossAllowed": aurora.moving == "failover"}} if (
                aurora.moving) else {}
            return {"GlobalClusters": [{"GlobalClusterIdentifier": aurora.global_cluster,
                                        "GlobalClusterMembers": members, **state}]}

        return self._call("DescribeGlobalClusters", serve)

    def describe_db_clusters(self, **_: Any) -> dict[str, Any]:
        """DescribeDBClusters, of the region's own."""
        return self._call("DescribeDBClusters", lambda: {"DBClusters": [
            {"Status": self._part.status[self._region], "DBClusterArn": self._part.clusters[self._region]}]})

    def describe_db_instances(self, **_: Any) -> dict[str, Any]:
        """DescribeDBInstances, of the region's own."""
        return self._call("DescribeDBInstances", lambda: {"DBInstances": [{"DBInstanceStatus": "available"}]})

    def failover_global_cluster(self, *, TargetDbClusterIdentifier: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        """FailoverGlobalCluster with AllowDataLoss."""
        aurora = self._part
        return self._move("failover", TargetDbClusterIdentifier, aurora.fail_over, lambda: aurora.moving != "failover")

    def switchover_global_cluster(self, *, TargetDbClusterIdentifier: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        """SwitchoverGlobalCluster; AWS wants it asked in the writer's region."""
        aurora = self._part
        return self._move("switchover", TargetDbClusterIdentifier, aurora.switch_over,
                          lambda: not aurora.moving and aurora.writer == self._region)

    def _permit(self, operation: str, resource: str = "") -> None:
        try:
            super()._permit(operation, resource)
        except ClientError:
            self._part.history.note(self._part.network.scheduler.now, "not permitted", self._caller.name,
                                    operation=operation, region=self._region,
                                    automatic=self._caller.place != OUTSIDE)
            raise

    def _move(self, how: str, arn: str, begin: Callable[[str], None], possible: Callable[[], bool]) -> dict[str, Any]:
        target, operation = arn.split(":")[3], f"{how.capitalize()}GlobalCluster"

        def serve(number: int) -> dict[str, Any]:
            self._part.asked(self._caller, target, how, number)
            if self._part.writer == target or not self._part.follows(target) or not possible():
                raise failure(operation, "InvalidGlobalClusterStateFault", 400)
            begin(target)
            return {}

        def attempt() -> dict[str, Any]:
            return self._call(operation, partial(serve, self._caller.calls + 1), record=True)

        for _ in range(0 if self._once else AGAIN):
            with suppress(HTTPClientError, ConnectTimeoutError):
                return attempt()
        return attempt()


def _answer(aurora: SimulatedAurora, call: NetworkCall, serve: Callable[[], Any]) -> Any:
    """What a call gives, or what the driver raises where there is no answer."""
    try:
        return aurora.network.call(call, serve)
    except Unanswered as error:
        raise TimeoutError("no answer") from error
    except Unavailable as error:
        raise _sql("57P03") from error


def _sql(code: str) -> DatabaseError:
    return DatabaseError({"C": code, "M": code})
