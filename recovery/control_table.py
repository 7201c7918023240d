"""What recovery keeps in the payments table of one region, beside the payments: no payment id begins with `!`."""
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from payments.deadline import Deadline, Timing
from payments.leadership import DynamoLeadership, Leadership
from payments.stores import CONDITION_FAILED, AwsResponse, call
from recovery.observation import Observation

PATIENCE = Timing().budget  # seconds for one call with its repeats
DRILL = "!drill"
_NEW = "attribute_not_exists(payment_id)"


def soon() -> Deadline:
    """The deadline of one call that begins now."""
    return Deadline(Timing(), PATIENCE)


@dataclass(frozen=True)
class ControlTable:
    """The table in one region. Every method raises StoreUnavailable if there is no answer."""

    client: Any
    name: str

    def right(self) -> Leadership:
        """Who may write."""
        return DynamoLeadership(self.client, self.name).read(soon())

    def take_right(self, region: str, seen: int) -> Leadership:
        """Give a region the right to write. Raises as `DynamoLeadership.take`."""
        return DynamoLeadership(self.client, self.name).take(region, soon(), seen)

    def watch(self, region: str) -> Observation | None:
        """What the controller of a region has written last, as far as it has come here."""
        document = self.document(f"!watch:{region}")
        return None if document is None else Observation(**document)

    def keep_watch(self, watch: Observation) -> None:
        """Write what this region's controller sees."""
        self.keep(f"!watch:{watch.region}", watch.document())

    def document(self, key: str) -> Any:
        """A JSON document, None if there is none."""
        item = self.read(key)
        return None if item is None else json.loads(item["document"]["S"])

    def keep(self, key: str, document: Mapping[str, Any]) -> None:
        """Write a JSON document, in place of any other."""
        self.write(key, {"document": {"S": json.dumps(document)}})

    def read(self, key: str) -> AwsResponse | None:
        """An item, by a consistent read."""
        return call("table", soon(), partial(self.client.get_item, TableName=self.name, Key=_key(key),
                                             ConsistentRead=True)).get("Item")

    def write(self, key: str, item: Mapping[str, Any], held: Mapping[str, str] | None = None) -> AwsResponse | None:
        """Write an item; with `held`, only if the one that is there has these texts (empty: only if there is none).

        Gives what is there instead if that fails: an empty item if there is none.
        """
        request: AwsResponse = {"TableName": self.name, "Item": {**_key(key), **item}}
        if held is not None:
            request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
            request["ConditionExpression"] = " AND ".join(f"#{name} = :{name}" for name in held) or _NEW
        if held:
            request.update(ExpressionAttributeNames={f"#{name}": name for name in held},
                           ExpressionAttributeValues={f":{name}": {"S": text} for name, text in held.items()})
        answer = call("table", soon(), partial(self.client.put_item, **request), CONDITION_FAILED)
        return answer.get("Item", {}) if "Error" in answer else None


def _key(key: str) -> AwsResponse:
    return {"payment_id": {"S": key}}
