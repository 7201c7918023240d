"""What recovery stores in the payments table of one region, under keys that no payment can have.

Times are those of the table service, from the `Date` of its answers: ages are differences between two answers of one
service, so that no two machines' clocks are compared. They are cut off to whole seconds.
"""
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

from contract import KEY_ATTRIBUTE, OBSERVATION_PREFIX, PAUSE_KEY, RECORD_KEY, Store
from payments.clock import Stopwatch
from payments.deadline import Deadline, Timing
from payments.errors import StoreUnavailable
from payments.runtime import Runtime
from payments.stores import CONDITION_FAILED, IS_NEW, AwsResponse, call
from recovery.errors import AlreadyRunning, RecordGone
from recovery.observation import Observation
from recovery.record import ControlRecord, known


@dataclass(frozen=True, kw_only=True)
class Pause:
    """Automatic failover is paused until a time of the table service, by somebody, for a reason."""

    until: float
    reason: str
    who: str


@dataclass
class ControlTable:
    """The table in one region. Every method raises StoreUnavailable if there is no answer."""

    client: Any
    name: str
    runtime: Runtime
    _heard: tuple[float, Stopwatch] | None = field(default=None, init=False)

    @property
    def heard(self) -> float:
        """The time in the table service's last answer: it is not earlier than that now."""
        if self._heard is None:
            self.read(RECORD_KEY)
        return self._heard[0] if self._heard else 0.0

    @property
    def now(self) -> float:
        """The time of the table service, cut off to seconds: it is less than a second later."""
        return self.heard + (self._heard[1].seconds() if self._heard else 0.0)

    def record(self) -> ControlRecord:
        """Who leads, and the latest run. Raises StoreUnavailable also if there has never been a leader."""
        item = self.read(RECORD_KEY)
        if item is None:
            raise StoreUnavailable(Store.TABLE, "LeadershipMissing")
        return ControlRecord.of(item, self.now)

    def write_record(self, record: ControlRecord) -> ControlRecord:
        """Write the next revision of a record; returns it with the time of the table service.

        Raises AlreadyRunning if another driver has written since, and RecordGone. If the answer to a first attempt was
        lost, the second one finds the revision there, which is success.
        """
        found = self.write(RECORD_KEY, record.item(), {"revision": {"N": str(record.revision - 1)}})
        if found == {}:
            raise RecordGone("the record was deleted: nobody leads")
        if found:
            present = ControlRecord.of(found)
            if not is_same(present, record):
                run = present.run
                raise AlreadyRunning(run.driver if run else "another driver", run.what if run else "a run")
        return ControlRecord.of(record.item(), self.now)

    def observation(self, region: str) -> Observation | None:
        """What the controller of a region wrote last, as far as it has been copied here; None if it is unreadable."""
        item = self.read(OBSERVATION_PREFIX + region)
        try:
            return None if item is None else Observation.of(
                {**json.loads(item["document"]["S"]), "number": int(item["number"]["N"])})
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
            return None

    def write_observation(self, observation: Observation, previous: Observation | None) -> bool:
        """Write what this region's controller sees, unless another start has written since. Returns whether it did."""
        expected = {"number": {"N": str(previous.number)}} if previous else None
        item = {"number": {"N": str(observation.number)}, "document": {"S": json.dumps(observation.document())}}
        return self.write(OBSERVATION_PREFIX + observation.region, item, expected) is None

    def pause(self) -> Pause | None:
        """The pause of automatic failover that is in force, None if there is none."""
        document = self.document(PAUSE_KEY)
        try:
            found = Pause(**known(Pause, document)) if document else None
        except (TypeError, AttributeError):
            return None
        return found if found and found.until > self.now else None

    def document(self, key: str) -> Any:
        """A JSON document, None if there is none, or if it cannot be read."""
        item = self.read(key)
        try:
            return None if item is None else json.loads(item["document"]["S"])
        except (KeyError, TypeError, ValueError, RecursionError):
            return None

    def write_document(self, key: str, document: Mapping[str, Any]) -> None:
        """Write a JSON document in place of any other."""
        self.write(key, {"document": {"S": json.dumps(document)}})

    def read(self, key: str) -> AwsResponse | None:
        """An item, by a consistent read."""
        return self._call(partial(self.client.get_item, TableName=self.name, Key={KEY_ATTRIBUTE: {"S": key}},
                                  ConsistentRead=True)).get("Item")

    def write(self, key: str, item: AwsResponse, expected: AwsResponse | None = None) -> AwsResponse | None:
        """Write an item: with `expected`, only if the present item has these values (empty: only if there is no item).

        Returns None if it is written, or else the present item, empty if there is none.
        """
        request: AwsResponse = {"TableName": self.name, "Item": {KEY_ATTRIBUTE: {"S": key}, **item}}
        if expected is not None:
            request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
            request["ConditionExpression"] = " AND ".join(f"#{name} = :{name}" for name in expected) or IS_NEW
        if expected:
            request.update(ExpressionAttributeNames={f"#{name}": name for name in expected},
                           ExpressionAttributeValues={f":{name}": value for name, value in expected.items()})
        answer = self._call(partial(self.client.put_item, **request), CONDITION_FAILED)
        return answer.get("Item", {}) if "Error" in answer else None

    def _call(self, request: partial[AwsResponse], expected: str = "") -> AwsResponse:
        since = Stopwatch(self.runtime.clock)
        answer = call(Store.TABLE, Deadline(Timing(), Timing().budget, self.runtime), request, expected)
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if date:
            # The date is that of the answer, so it is at most as old as the call took.
            self._heard = parsedate_to_datetime(date).timestamp(), since
        return answer


def is_same(present: ControlRecord, written: ControlRecord) -> bool:
    """Whether a record is the one that this driver wrote."""
    mine, found = written.run, present.run
    return (present.revision, present.epoch, present.region) == (written.revision, written.epoch, written.region) and (
        (mine and (mine.id, mine.driver, mine.outcome)) == (found and (found.id, found.driver, found.outcome)))
