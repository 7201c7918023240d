"""The record as it is stored, and the epochs."""
import json
from dataclasses import replace
from itertools import product

import pytest

from payments.errors import StoreUnavailable
from recovery.record import ControlRecord, Run, StepProgress, next_epoch

RUN = Run(id="1", action="failover", target="us-west-2", driver="alice", began=1.0, why="it is dead", epoch=2,
          steps={"fence": StepProgress(began=1.0, ended=2.0, note="epoch 2"), "promote": StepProgress(began=2.0)})
RECORD = ControlRecord(revision=7, epoch=2, region="us-west-2", run=RUN, moved=5.0)


def test_what_is_stored_is_read_again() -> None:
    assert ControlRecord.of(RECORD.item()) == RECORD
    assert ControlRecord.of(ControlRecord(revision=1, epoch=1, region="r").item()).run is None


def test_fields_of_another_release_are_ignored() -> None:
    document = {**RUN.document(), "release": 2}
    document["steps"]["fence"]["release"] = 2
    item = {**RECORD.item(), "release": {"N": "2"}, "run": {"S": json.dumps(document)}}
    assert ControlRecord.of(item) == RECORD


@pytest.mark.parametrize("run", [
    "{", "[]", "{}", "7", '{"steps": 1}', "[" * 100_000, json.dumps({**RUN.document(), "steps": {"a": {}}}),
    json.dumps({**RUN.document(), "began": float("nan")})])
def test_a_run_that_cannot_be_read_is_no_run(run: str) -> None:
    found = ControlRecord.of({**RECORD.item(), "run": {"S": run}})
    assert (found.run, found.region, found.epoch) == (None, "us-west-2", 2)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e12, 10**400, -1e12])
def test_a_number_that_can_be_no_time_is_unknown(value: float) -> None:
    found = ControlRecord.of({**RECORD.item(), "run": {"S": json.dumps({**RUN.document(), "since": value})}})
    assert found.run == RUN


@pytest.mark.parametrize(("before", "after", "by"), [
    (600.0, 0.5, -599.5), (0.0, 600.0, 600.0), (0.9, 0.0, 0.0), (None, 600.0, 0.0)])
def test_another_drivers_clock_goes_on_where_the_first_one_stopped(before: float, after: float, by: float) -> None:
    run = replace(RUN, ahead=before, seen=0.5, since=None)
    found = run.taken_over("bob", "role", after)
    assert (found.driver, found.caller, found.ahead, found.since) == ("bob", "role", after, None)
    assert (found.began, found.seen) == (1.0 + by, 0.5 + by)
    assert found.steps == {"fence": StepProgress(began=1.0 + by, ended=2.0 + by, note="epoch 2"),
                           "promote": StepProgress(began=2.0 + by)}


@pytest.mark.parametrize(("name", "value"), [("epoch", None), ("epoch", {"S": "x"}), ("region", {"N": "1"}),
                                             ("revision", {"N": "x"})])
def test_a_record_that_names_no_leader_is_no_answer(name: str, value: dict[str, str] | None) -> None:
    item = {key: found for key, found in RECORD.item().items() if key != name}
    with pytest.raises(StoreUnavailable, match="RecordMalformed"):
        ControlRecord.of(item if value is None else {**item, name: value})


def test_only_a_run_that_has_not_ended_is_open() -> None:
    assert RECORD.open_run == RUN
    assert RECORD.next(run=None).open_run is None
    ended = Run(**{**RUN.__dict__, "ended": 3.0, "outcome": "done"})
    assert RECORD.next(run=ended).open_run is None
    assert (RUN.what, ended.what) == ("failover to us-west-2, step promote", "failover to us-west-2")


@pytest.mark.parametrize(("seen", "primary"), [*product(range(8), (True, False))])
def test_a_new_epoch_is_above_all_and_of_one_region_alone(seen: int, *, primary: bool) -> None:
    epoch = next_epoch(seen, primary=primary)
    assert seen < epoch <= seen + 2
    assert epoch % 2 == primary
