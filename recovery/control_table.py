"""What recovery stores in the payments table of one region, under keys that no payment can have."""
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from contract import JOURNAL_KEY, KEY_ATTRIBUTE, OBSERVATION_PREFIX
from payments.deadline import Deadline, Timing
from payments.leadership import DynamoLeadership, Leadership
from payments.runtime import Runtime
from payments.stores import CONDITION_FAILED, AwsResponse, call
from recovery.errors import AlreadyRunning, JournalGone
from recovery.journal import Run
from recovery.observation import Observation

_ABSENT = f"attribute_not_exists({KEY_ATTRIBUTE})"


@dataclass(frozen=True)
class ControlTable:
    """The table in one region. Every method raises StoreUnavailable if there is no answer."""

    client: Any
    name: str
    runtime: Runtime

    def leadership(self) -> Leadership:
        """Which region leads."""
        return DynamoLeadership(self.client, self.name).read(self._deadline())

    def take_leadership(self, region: str, ledger_epoch: int) -> Leadership:
        """Make a region the leader. Raises what `DynamoLeadership.take` raises."""
        return DynamoLeadership(self.client, self.name).take(region, self._deadline(), ledger_epoch)

    def observation(self, region: str) -> Observation | None:
        """What the controller of a region wrote last, as far as it has been copied here."""
        document = self.document(OBSERVATION_PREFIX + region)
        return None if document is None else Observation.of(document)

    def write_observation(self, observation: Observation) -> None:
        """Write what this region's controller sees."""
        self.write_document(OBSERVATION_PREFIX + observation.region, observation.document())

    def latest_run(self) -> Run | None:
        """The run in the journal, None if there never was one."""
        document = self.document(JOURNAL_KEY)
        return None if document is None else Run.of(document)

    def write_run(self, run: Run, previous: Run | None) -> None:
        """Write a run if the journal still holds the run and driver of `previous` (None: if there is none).

        Raises AlreadyRunning if it holds others, and JournalGone. If the answer to a first attempt was lost, the
        second attempt finds the run itself there, which is success.
        """
        item = {"run": {"S": run.id}, "driver": {"S": run.driver}, "document": {"S": json.dumps(run.document())}}
        expected = {"run": previous.id, "driver": previous.driver} if previous else {}
        found = self.write(JOURNAL_KEY, item, expected)
        if found == {}:
            raise JournalGone(f"the journal of this run was deleted: {run.what}")
        if found:
            present = Run.of(json.loads(found["document"]["S"]))
            if (present.id, present.driver) != (run.id, run.driver):
                raise AlreadyRunning(present.driver, present.what)

    def document(self, key: str) -> Any:
        """A JSON document, None if there is none."""
        item = self.read(key)
        return None if item is None else json.loads(item["document"]["S"])

    def write_document(self, key: str, document: Mapping[str, Any]) -> None:
        """Write a JSON document in place of any other."""
        self.write(key, {"document": {"S": json.dumps(document)}})

    def read(self, key: str) -> AwsResponse | None:
        """An item, by a consistent read."""
        return call("table", self._deadline(), partial(self.client.get_item, TableName=self.name, Key=_key(key),
                                                       ConsistentRead=True)).get("Item")

    def write(self, key: str, item: Mapping[str, Any], expected: Mapping[str, str] | None = None) -> AwsResponse | None:
        """Write an item: with `expected`, only if the present item has these values (empty: only if there is no item).

        Returns None if it is written, or else the present item, empty if there is none.
        """
        request: AwsResponse = {"TableName": self.name, "Item": {**_key(key), **item}}
        if expected is not None:
            request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
            request["ConditionExpression"] = " AND ".join(f"#{name} = :{name}" for name in expected) or _ABSENT
        if expected:
            request.update(ExpressionAttributeNames={f"#{name}": name for name in expected},
                           ExpressionAttributeValues={f":{name}": {"S": text} for name, text in expected.items()})
        answer = call("table", self._deadline(), partial(self.client.put_item, **request), CONDITION_FAILED)
        return answer.get("Item", {}) if "Error" in answer else None

    def _deadline(self) -> Deadline:
        """For one call and its repeats: as long as a payment may take."""
        return Deadline(Timing(), Timing().budget, self.runtime)


def _key(key: str) -> AwsResponse:
    return {KEY_ATTRIBUTE: {"S": key}}
