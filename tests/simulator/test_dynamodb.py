"""The global table: its conditions, copies, conflicts and quorum."""
from typing import Any

import pytest
from botocore.exceptions import ClientError

from simulator.dynamodb import PAGE, DynamoClient, Table, holds
from simulator.network import WITNESS
from tests.simulator.conftest import EAST, WEST, Machine

KEY = {"payment_id": {"S": "k"}}


def table(machine: Machine, *, strong: bool = False) -> tuple[Table, DynamoClient, DynamoClient]:
    """A table whose copies take a second, and a client in each region."""
    made = Table(machine.network, (EAST, WEST), strong, lag=lambda: 1.0)
    east, west = (DynamoClient(made, machine.processes[region], region) for region in (EAST, WEST))
    return made, east, west


def put(value: str, **condition: Any) -> dict[str, Any]:
    """A request to write a value."""
    return {"Item": {**KEY, "v": {"S": value}}, **condition}


def value(machine: Machine, client: DynamoClient) -> str | None:
    """The value, read consistently."""
    found = machine.do(lambda: client.get_item(Key=KEY, ConsistentRead=True)).get("Item")
    return str(found["v"]["S"]) if found else None


def code(raised: pytest.ExceptionInfo[ClientError]) -> str:
    """The error's code."""
    return str(raised.value.response["Error"]["Code"])


def test_a_copy_arrives_later_and_of_two_writes_the_later_one_wins(machine: Machine) -> None:
    _, east, west = table(machine)
    machine.do(lambda: east.put_item(**put("first")), EAST)
    assert value(machine, west) is None
    machine.do(lambda: west.put_item(**put("second")), WEST)
    machine.scheduler.run(10.0)
    assert value(machine, east) == value(machine, west) == "second"


def test_each_region_judges_a_condition_by_its_own_view(machine: Machine) -> None:
    _, east, west = table(machine)
    new = {"ConditionExpression": "attribute_not_exists(payment_id)"}
    machine.do(lambda: east.put_item(**put("first", **new)), EAST)
    machine.do(lambda: west.put_item(**put("second", **new)), WEST)
    with pytest.raises(ClientError) as raised:
        machine.do(lambda: east.put_item(**put("third", **new, ReturnValuesOnConditionCheckFailure="ALL_OLD")), EAST)
    assert code(raised) == "ConditionalCheckFailedException"
    assert raised.value.response["Item"]["v"] == {"S": "first"}


def test_a_stalled_copy_arrives_when_the_stall_ends(machine: Machine) -> None:
    made, east, west = table(machine)
    made.stalled.add((EAST, WEST))
    machine.do(lambda: east.put_item(**put("first")), EAST)
    machine.scheduler.run(10.0)
    assert value(machine, west) is None
    made.stalled.clear()
    made.drain()
    machine.scheduler.run(20.0)
    assert value(machine, west) == "first"


def test_a_strong_table_has_one_history_and_conflicts(machine: Machine) -> None:
    _, east, west = table(machine, strong=True)
    machine.do(lambda: east.put_item(**put("first")), EAST)
    assert value(machine, west) == "first"

    def both() -> str:
        east.put_item(**put("second"))
        try:
            west.put_item(**put("third"))
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return ""

    assert machine.do(both, EAST) in ("", "ReplicatedWriteConflictException")


def test_a_strong_table_needs_another_replica_or_the_witness(machine: Machine) -> None:
    made, east, _ = table(machine, strong=True)
    machine.do(lambda: east.put_item(**put("first")), EAST)
    machine.network.dead[WEST] = 0.0
    assert value(machine, east) == "first"
    machine.network.cuts.add((EAST, WITNESS))
    for call in (lambda: east.put_item(**put("second")), lambda: east.get_item(Key=KEY, ConsistentRead=True)):
        with pytest.raises(ClientError) as raised:
            machine.do(call, EAST)
        assert code(raised) == "InternalServerError"
    assert machine.do(lambda: east.get_item(Key=KEY), EAST)["Item"]
    machine.network.cuts.clear()
    made.alone.add(EAST)
    with pytest.raises(ClientError):
        machine.do(lambda: east.put_item(**put("second")), EAST)


def test_an_update_gives_the_item_as_it_is_now(machine: Machine) -> None:
    _, east, _ = table(machine)
    machine.do(lambda: east.put_item(**put("first")), EAST)
    found = machine.do(lambda: east.update_item(
        Key=KEY, UpdateExpression="SET #v = :v, n = :n", ConditionExpression="#v = :old", ReturnValues="ALL_NEW",
        ExpressionAttributeNames={"#v": "v"},
        ExpressionAttributeValues={":v": {"S": "second"}, ":old": {"S": "first"}, ":n": {"N": "2"}}), EAST)
    assert found["Attributes"] == {**KEY, "v": {"S": "second"}, "n": {"N": "2"}}


def test_a_scan_gives_pages(machine: Machine) -> None:
    made, east, _ = table(machine)
    for number in range(PAGE + 1):
        made.put(EAST, f"{number:03}", {"payment_id": {"S": f"{number:03}"}})
    first = machine.do(lambda: east.scan(ConsistentRead=True), EAST)
    second = machine.do(lambda: east.scan(ExclusiveStartKey=first["LastEvaluatedKey"]), EAST)
    assert (first["Count"], second["Count"]) == (PAGE, 1)
    assert "LastEvaluatedKey" not in second


@pytest.mark.parametrize(("condition", "wanted"), [
    ("n = :two", True), ("n < :two", False), ("n >= :two AND s = :x", True), ("attribute_not_exists(n)", False),
    ("attribute_exists(n)", True), ("attribute_not_exists(n) OR s = :x", True),
    ("(n = :two AND s = :y) OR s = :x", True),
    ("NOT n > :two", True), ("NOT n >= :two", False), ("NOT missing >= :two", True), ("NOT s >= :two", True),
    ("missing = :x", False), ("missing <> :x", True), ("s = :two", False)])
def test_conditions(condition: str, wanted: bool) -> None:
    item = {"n": {"N": "2"}, "s": {"S": "x"}}
    values = {":two": {"N": "2.0"}, ":x": {"S": "x"}, ":y": {"S": "y"}}
    assert holds(condition, item, {"ExpressionAttributeValues": values}) is wanted


def test_a_restore_puts_back_what_was_there_and_removes_the_rest(machine: Machine) -> None:
    made, east, _ = table(machine)
    machine.do(lambda: east.put_item(**put("first")), EAST)
    snapshot = {"other": {"payment_id": {"S": "other"}}}
    made.restore(EAST, snapshot)
    machine.scheduler.run(10.0)
    assert value(machine, east) is None
    assert made.item(WEST, "other") == snapshot["other"]
