"""DynamoDB as the product sees it: a global table of eventual or of strong consistency, by boto3's operations.

Eventual: each region has its own view, judges conditions by it, and copies item by item in no order; of two writes of
one item the later wins everywhere. Strong: one history for all regions, for which a region needs another one or the
witness; a write while another region's of the same item is under way is refused with a conflict.
"""
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import cache, partial
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from botocore.exceptions import ClientError

from contract import RECORD_KEY
from simulator.aws import AwsClient, failure
from simulator.network import WITNESS, SimulatedNetwork
from simulator.scheduler import EPOCH, Process

Item = dict[str, Any]
Stamp = tuple[float, int]  # when an item was written, and a number that no other write has

CONFLICTS = 0.05  # seconds for which another region's write of an item conflicts (strong)
PAGE = 50  # items of a scan's page


@dataclass
class Table:
    """A global table. `lags` draws the seconds that a copy takes; `stalled` are directions in which none arrives."""

    network: SimulatedNetwork
    regions: tuple[str, str]
    strong: bool
    lag: Callable[[], float] = lambda: 0.2
    stalled: set[tuple[str, str]] = field(default_factory=set)
    views: dict[str, dict[str, tuple[Item, Stamp]]] = field(default_factory=dict)
    _waiting: dict[tuple[str, str], list[tuple[str, Item, Stamp]]] = field(default_factory=dict)
    alone: set[str] = field(default_factory=set)
    """Regions that reach no other replica, whatever the network does (strong)."""
    writer: Process | None = None
    """Who makes the write that is under way; None: no client of the table."""
    writes: Callable[[Process, str, Item], Item] = lambda _writer, _key, item: item
    """Called with who writes an item; gives what is written."""
    _number: int = 0
    _writing: dict[str, tuple[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.views = {region: {} for region in self.regions}
        self._waiting = {(a, b): [] for a in self.regions for b in self.regions if a != b}

    def quorum(self, region: str) -> bool:
        """Whether a region reaches another replica or the witness."""
        others = [each for each in (*self.regions, WITNESS) if each != region]
        return region not in self.alone and any(self.network.connected(region, each) for each in others)

    def item(self, region: str, key: str) -> Item | None:
        """An item as a region has it."""
        found = self.views[region].get(key)
        return found[0] if found else None

    def put(self, region: str, key: str, item: Item) -> None:
        """Write an item in a region."""
        self._number += 1
        stamp = (self.network.scheduler.now, self._number)
        if self.strong:
            for view in self.views.values():
                view[key] = item, stamp
            self._writing[key] = region, self.network.scheduler.now
            return
        self.views[region][key] = item, stamp
        for other in self.regions:
            if other != region:
                self._copy(region, other, key, item, stamp)

    def conflicts(self, region: str, key: str) -> bool:
        """Whether another region's write of the item is under way (strong)."""
        writer, at = self._writing.get(key, (region, 0.0))
        return self.strong and writer != region and self.network.scheduler.now - at < CONFLICTS

    def _copy(self, source: str, target: str, key: str, item: Item, stamp: Stamp) -> None:
        def arrive() -> None:
            if (source, target) in self.stalled or not self.network.reaches(source, target):
                self._waiting[source, target].append((key, item, stamp))
                return
            self._apply(target, key, item, stamp)

        self.network.scheduler.at(self.lag(), arrive)

    def _apply(self, target: str, key: str, item: Item, stamp: Stamp) -> None:
        found = self.views[target].get(key)
        if found is None or found[1] < stamp:
            self.views[target][key] = item, stamp

    def drain(self) -> None:
        """Let copies that waited for a cut or a stall to end go on."""
        for (source, target), waiting in self._waiting.items():
            if waiting and (source, target) not in self.stalled and self.network.reaches(source, target):
                copies, waiting[:] = list(waiting), []
                for each in copies:
                    self.network.scheduler.at(self.lag(), partial(self._apply, target, *each))

    def restore(self, region: str, snapshot: Mapping[str, Item]) -> None:
        """Put an earlier state in place of a region's items, as newly written."""
        for key in list(self.views[region]):
            if key not in snapshot:
                for view in self.views.values():
                    view.pop(key, None)
        self.writer = None
        for key, item in snapshot.items():
            self.put(region, key, dict(item))


class DynamoClient(AwsClient[Table]):
    """DynamoDB's."""

    service, connect, read = "dynamodb", 0.4, 0.8

    def get_item(self, *, Key: Item, ConsistentRead: bool = False, **_: Any) -> Item:  # noqa: N803
        """GetItem."""
        def serve() -> Item:
            self._need_quorum("GetItem", needed=ConsistentRead)
            item = self._part.item(self._region, Key["payment_id"]["S"])
            return {} if item is None else {"Item": dict(item)}

        return self._call("GetItem", serve)

    def put_item(self, *, Item: Item, **given: Any) -> Item:  # noqa: N803  # pylint: disable=redefined-outer-name
        """PutItem."""
        key = Item["payment_id"]["S"]

        def serve() -> dict[str, Any]:
            before = self._judge("PutItem", key, given)
            self._part.put(self._region, key, self._part.writes(self._caller, key, dict(Item)))
            return {"Attributes": before} if before and given.get("ReturnValues") == "ALL_OLD" else {}

        return self._call("PutItem", serve, record=self._of_the_record(key, Item))

    def update_item(self, *, Key: Item, UpdateExpression: str, **given: Any) -> Item:  # noqa: N803
        """UpdateItem, of which SET and REMOVE are known."""
        key = Key["payment_id"]["S"]

        def serve() -> dict[str, Any]:
            before = self._judge("UpdateItem", key, given)
            item = {**(before or Key), **_assignments(UpdateExpression, given)}
            self._part.put(self._region, key, item)
            return {"Attributes": dict(item)} if given.get("ReturnValues") == "ALL_NEW" else {}

        return self._call("UpdateItem", serve)

    def batch_get_item(self, *, RequestItems: Item) -> Item:  # noqa: N803
        """BatchGetItem, of one table."""
        (name, request), = RequestItems.items()

        def serve() -> dict[str, Any]:
            self._need_quorum("BatchGetItem", needed=request.get("ConsistentRead", False))
            found = (self._part.item(self._region, key["payment_id"]["S"]) for key in request["Keys"])
            return {"Responses": {name: [dict(item) for item in found if item is not None]}, "UnprocessedKeys": {}}

        return self._call("BatchGetItem", serve)

    def scan(self, *, ConsistentRead: bool = False, ExclusiveStartKey: Item | None = None,  # noqa: N803
             Limit: int = PAGE, **_: Any) -> Item:  # noqa: N803
        """Scan, in the order of the keys."""
        def serve() -> dict[str, Any]:
            self._need_quorum("Scan", needed=ConsistentRead)
            after = ExclusiveStartKey["payment_id"]["S"] if ExclusiveStartKey else ""
            view = self._part.views[self._region]
            keys = sorted(view)
            keys = keys[bisect_right(keys, after):]
            found = [dict(view[key][0]) for key in keys[:Limit]]
            more = {"LastEvaluatedKey": {"payment_id": {"S": keys[Limit - 1]}}} if len(keys) > Limit else {}
            return {"Items": found, "Count": len(found), **more}

        return self._call("Scan", serve)

    def _judge(self, operation: str, key: str, given: Mapping[str, Any]) -> Item | None:
        """The item that is there, if the condition holds."""
        self._need_quorum(operation, needed=True)
        self._part.writer = self._caller
        if self._part.conflicts(self._region, key):
            raise failure(operation, "ReplicatedWriteConflictException", 400)
        before = self._part.item(self._region, key)
        condition = given.get("ConditionExpression")
        if condition and not holds(condition, before, given):
            old = {"Item": dict(before)} if before is not None and (
                given.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD") else {}
            raise failure(operation, "ConditionalCheckFailedException", 400, **old)
        return before

    def _of_the_record(self, key: str, item: Item) -> bool:
        """Whether a write of the record is more than a heartbeat."""
        if key != RECORD_KEY or not self._part.network.adversary.active:
            return False
        before = self._part.item(self._region, key)
        return before is None or {**before, "revision": None} != {**item, "revision": None}

    def _need_quorum(self, operation: str, *, needed: bool) -> None:
        if needed and self._part.strong and not self._part.quorum(self._region):
            raise failure(operation, "InternalServerError", 500)

    def _serve(self, operation: str, resource: str, serve: Callable[[], Any]) -> Item:
        """The answer, or the error, with the time at which it was given."""
        headers = {"date": _date(int(EPOCH + self._part.network.scheduler.now))}
        try:
            found: Item = super()._serve(operation, resource, serve)
        except ClientError as error:
            error.response["ResponseMetadata"]["HTTPHeaders"] = headers
            raise
        found["ResponseMetadata"] = {"HTTPHeaders": headers}
        return found


@cache
def _date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)



Term = tuple[bool, str, str, str]


@cache
def _terms(condition: str) -> tuple[tuple[Term, ...], ...]:
    """A condition expression as alternatives of terms: (not negated, name, operator or function, value)."""
    def term(text: str) -> Term:
        text, affirmed = text.strip().removeprefix("NOT "), not text.strip().startswith("NOT ")
        function = re.fullmatch(r"(attribute_not_exists|attribute_exists)\((\S+)\)", text)
        if function:
            return affirmed, function[2], function[1], ""
        name, operator, value = text.strip("() ").split()
        return affirmed, name, operator, value

    return tuple(tuple(map(term, part.strip().removeprefix("(").removesuffix(")").split(" AND ")))
                 if part.strip().startswith("(") else tuple(map(term, part.split(" AND ")))
                 for part in condition.split(" OR "))


def holds(condition: str, item: Item | None, given: Mapping[str, Any]) -> bool:
    """Whether a condition expression holds of an item: comparisons and functions, joined by AND, and those by OR."""
    names, values = given.get("ExpressionAttributeNames", {}), given.get("ExpressionAttributeValues", {})
    return any(all(_holds(term, item or {}, names, values) is affirmed for affirmed, *term in terms)
               for terms in _terms(condition))


def _holds(term: Sequence[str], item: Item, names: Mapping[str, str], values: Mapping[str, Item]) -> bool:
    name, operator, value = term
    found = item.get(names.get(name, name))
    if not value:
        return (found is not None) is (operator == "attribute_exists")
    wanted = values[value]
    if found is None or found.keys() != wanted.keys():
        return operator == "<>"
    ((kind, left),), ((_, right),) = found.items(), wanted.items()
    if kind == "N":
        left, right = float(left), float(right)
    return _OPERATORS[operator](left, right)


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": eq, "<>": ne, "<": lt, "<=": le, ">": gt, ">=": ge}


def _assignments(expression: str, given: Mapping[str, Any]) -> Item:
    names, values = given.get("ExpressionAttributeNames", {}), given.get("ExpressionAttributeValues", {})
    pairs = (part.split("=") for part in expression.removeprefix("SET ").split(","))
    return {names.get(name.strip(), name.strip()): values[value.strip()] for name, value in pairs}
